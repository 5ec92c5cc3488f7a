"""A real HAProxy for tests, by the machine's binary: an address for gRPC and one for HTTP, in front of bridges."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from kit.collectors import Bridge, answers
from kit.otlp_receiver import free_port
from kit.processes import clean_environment, wait_until

CONFIGURATION = """
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  option redispatch
  option httpchk GET /readyz
  default-server check inter 200ms fall 2 rise 1

listen grpc
  bind {grpc} proto h2
{grpc_servers}

listen http
  bind {http}
{http_servers}
"""
"""A request goes to whichever bridge is ready; one that a bridge dies over is answered 502 or 503: try again."""


@dataclass(frozen=True)
class Balancer:
    """Where it listens, host:port."""

    grpc: str
    http: str

    def endpoint(self, protocol: str) -> dict[str, str]:
        """Return the standard variables that send a trainer's telemetry here."""
        address = self.grpc if protocol == "grpc" else self.http
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}


@contextmanager
def running_balancer(folder: Path, bridges: Sequence[Bridge]) -> Iterator[Balancer]:
    """Run it in front of bridges, asking each for its readiness; skip aloud where there is no HAProxy."""
    binary = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    if binary is None:
        pytest.skip("NO HAPROXY: two bridges behind a load balancer are not tested here (sh tests/servers.sh)")
    balancer = Balancer(*(f"127.0.0.1:{free_port()}" for _ in range(2)))
    file, log = folder / "haproxy.cfg", folder / "haproxy.log"
    file.write_text(_configuration(balancer, bridges))
    with log.open("ab") as output:
        process = subprocess.Popen(
            [binary, "-db", "-f", str(file)], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env=clean_environment(),
        )  # fmt: skip
    try:
        def is_ready() -> bool:
            assert process.poll() is None, f"HAProxy ended:\n{log.read_text()}"
            return answers(f"http://{balancer.http}/readyz")

        wait_until(is_ready, what="HAProxy's start")
        yield balancer
    finally:
        process.kill()
        process.wait(10)


def _configuration(balancer: Balancer, bridges: Sequence[Bridge]) -> str:
    http_ports = [bridge.http.rsplit(":", 1)[1] for bridge in bridges]
    grpc = [
        f"  server bridge{number} {bridge.grpc} proto h2 check-proto h1 port {port}"
        for number, (bridge, port) in enumerate(zip(bridges, http_ports, strict=True))
    ]
    http = [f"  server bridge{number} {bridge.http}" for number, bridge in enumerate(bridges)]
    return CONFIGURATION.format(
        grpc=balancer.grpc, http=balancer.http, grpc_servers="\n".join(grpc), http_servers="\n".join(http)
    )
