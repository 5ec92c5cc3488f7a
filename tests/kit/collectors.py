"""Real collectors for tests: the shipped configurations, and others, as processes that can be killed and started again.

A hop keeps its ports and its queue's folder from one start to the next::

    gateway = Hop("gateway", tmp_path, EVSYS_BRIDGE="127.0.0.1:4000")
    with gateway: ...
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import TracebackType

import pytest
from kit.otlp_receiver import free_port
from kit.processes import clean_environment, wait_until

CONFIGURATIONS = Path(__file__).parents[2] / "collector-config"
START_SECONDS = 60.0
SAMPLE = re.compile(r'(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Sample = tuple[str, dict[str, str], float]


@cache
def find_collector() -> Path | None:
    """Return the collector that `make collector` built, None where it did not."""
    found = subprocess.run(
        ["sh", str(CONFIGURATIONS / "build.sh"), "--find"], capture_output=True, text=True, check=False
    )
    return Path(found.stdout.strip()) if found.returncode == 0 else None


def require_collector() -> Path:
    """Return the collector, or skip aloud."""
    binary = find_collector()
    if binary is None:
        pytest.skip("NO COLLECTOR: what a real one does is not tested here (`make collector` builds it; it needs Go)")
    return binary


class Hop:
    """A collector process with a configuration of ``collector-config/``, on ports of its own.

    Args:
        name: ``agent``, ``gateway`` or ``direct``.
        folder: for its queue and its log.
        overlays: YAML text that is merged over it.
        configuration: another file in its place; its variables are named after ``name``.
        environ: the configuration's variables in place of those chosen here.
    """

    def __init__(
        self, name: str, folder: Path, *overlays: str, configuration: Path | None = None, **environ: str
    ) -> None:
        self.name = name
        self._configuration = configuration or CONFIGURATIONS / f"{name}.yaml"
        self.folder = folder
        self.log = folder / f"{name}.log"
        self._overlays = overlays
        self._process: subprocess.Popen[bytes] | None = None
        prefix = f"EVSYS_{name.upper()}"
        self.environ = {
            **{f"{prefix}_{part}": f"127.0.0.1:{free_port()}" for part in ("GRPC", "HTTP", "HEALTH", "PROMETHEUS")},
            f"{prefix}_METRICS": str(free_port()),
            f"{prefix}_QUEUE": str(folder / f"{name}-queue"),
            **environ,
        }

    def _address(self, part: str) -> str:
        return self.environ[f"EVSYS_{self.name.upper()}_{part}"]

    @property
    def grpc(self) -> str:
        """Where it listens for OTLP over gRPC, host:port."""
        return self._address("GRPC")

    @property
    def http(self) -> str:
        """Where it listens for OTLP over HTTP, host:port."""
        return self._address("HTTP")

    @property
    def prometheus(self) -> str:
        """Where Prometheus scrapes the runs' metrics, host:port."""
        return self._address("PROMETHEUS")

    @property
    def metrics(self) -> str:
        """Where Prometheus scrapes its own metrics, host:port."""
        return f"127.0.0.1:{self._address('METRICS')}"

    def endpoint(self, protocol: str = "grpc") -> dict[str, str]:
        """Return the standard variables that send a trainer's telemetry here."""
        address = self.grpc if protocol == "grpc" else self.http
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}

    @property
    def configurations(self) -> list[str]:
        """The ``--config`` arguments."""
        places = [f"file:{self._configuration}", *(f"yaml:{overlay}" for overlay in self._overlays)]
        return [argument for place in places for argument in ("--config", place)]

    def start(self) -> Hop:
        """Start it and wait until its receivers listen."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [require_collector(), *self.configurations],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(**self.environ),
            )
        wait_until(self._is_ready, START_SECONDS, f"the {self.name}'s start")
        return self

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the {self.name} ended:\n{self.log.read_text()[-4000:]}"
        return answers(f"http://{self._address('HEALTH')}/")

    def kill(self) -> None:
        """End it as a machine's end does."""
        self.end(signal.SIGKILL)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and wait for its end; nothing when it has not been started."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(60)

    def own_metrics(self) -> list[Sample]:
        """Return what it says of itself."""
        return scrape(f"http://{self.metrics}/metrics")

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of its own counters of this name (without ``_total``) and these labels."""
        return sum(
            value for found, has, value in self.own_metrics()
            if found in (name, f"{name}_total") and labels.items() <= has.items()
        )  # fmt: skip

    def __enter__(self) -> Hop:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class Bridge:
    """An ``evsys-otel serve`` process on ports of its own, which it keeps from one start to the next.

    ``authority`` is the PEM file by which its certificate is checked, where the arguments turn TLS on.
    """

    def __init__(
        self, folder: Path, store_url: str, *arguments: str, authority: str | None = None, **environ: str
    ) -> None:
        self.grpc, self.http = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.log = folder / "bridge.log"
        self.store_url = store_url
        self._arguments = arguments
        self._environ = environ
        self._tls = ssl.create_default_context(cafile=authority) if authority else None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Bridge:
        """Start it and wait until it is ready."""
        command = ["serve", "--grpc", self.grpc, "--http", self.http, "--store", self.store_url, *self._arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [os.fspath(script("evsys-otel")), *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(**self._environ),
            )
        wait_until(self._is_ready, START_SECONDS, "the bridge's start")
        return self

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the bridge ended:\n{self.log.read_text()[-4000:]}"
        return answers(f"{'https' if self._tls else 'http'}://{self.http}/readyz", self._tls)

    def kill(self) -> None:
        """End it as a machine's end does."""
        self.end(signal.SIGKILL)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for its end and return its exit code; 0 when it has not been started."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        return process.wait(60)

    def __enter__(self) -> Bridge:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def example(heading: str, number: int = 0) -> str:
    """Return a YAML block below a heading of ``collector-config/README.md``."""
    page = (CONFIGURATIONS / "README.md").read_text()
    section = page.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)[number]


def script(name: str) -> Path:
    """Return a console script of this interpreter's environment."""
    return Path(sys.executable).with_name(name)


def answers(url: str, tls: ssl.SSLContext | None = None) -> bool:
    """Whether a URL answers with success."""
    with contextlib.suppress(OSError, urllib.error.URLError):
        with urllib.request.urlopen(url, timeout=5, context=tls) as response:
            return bool(200 <= response.status < 300)
    return False


def scrape(url: str) -> list[Sample]:
    """Return the samples of a Prometheus page, as (name, labels, value)."""
    with urllib.request.urlopen(url, timeout=10) as response:
        return list(parse_samples(response.read().decode()))


def parse_samples(page: str) -> Iterator[Sample]:
    """Yield the samples of a page in Prometheus' text format."""
    for line in page.splitlines():
        if match := SAMPLE.fullmatch(line):
            yield match["name"], dict(LABEL.findall(match["labels"] or "")), float(match["value"])
