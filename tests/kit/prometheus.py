"""A real Prometheus for tests, by the machine's binary, with the shipped configuration at a test's own addresses."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kit.collectors import CONFIGURATIONS, answers
from kit.otlp_receiver import free_port
from kit.processes import wait_until

CONFIGURATION = CONFIGURATIONS / "prometheus" / "prometheus.yaml"
RULES = CONFIGURATIONS / "prometheus" / "rules.yaml"


def require(binary: str) -> str:
    """Return a binary's path, or skip aloud."""
    found = shutil.which(binary)
    if found is None:
        pytest.skip(f"{binary} is not installed: its rules and queries are not run here (sh tests/servers.sh)")
    return found


class Prometheus:
    """What can be asked of a running server."""

    def __init__(self, address: str) -> None:
        self._url = f"http://{address}/api/v1"

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data that an endpoint answers; AssertionError when it refuses."""
        query = urllib.parse.urlencode({name.replace("match", "match[]"): value for name, value in parameters.items()})
        with urllib.request.urlopen(f"{self._url}/{path}?{query}", timeout=10) as response:
            answer = json.load(response)
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return an instant query's samples."""
        return list(self.ask("query", query=expression)["result"])

    def firing(self) -> set[tuple[str, str]]:
        """Return the alerts that fire or are about to, each with the run's or the exporter's label."""
        found = self.ask("alerts")["alerts"]
        return {
            (each["labels"]["alertname"], each["labels"].get("evsys_run_id", each["labels"].get("exporter", "")))
            for each in found
        }


@contextmanager
def running_prometheus(folder: Path, addresses: Mapping[str, str]) -> Iterator[Prometheus]:
    """Run the shipped configuration, with its addresses replaced and every interval a second."""
    binary, address = require("prometheus"), f"127.0.0.1:{free_port()}"
    text = CONFIGURATION.read_text().replace("15s", "1s").replace("[rules.yaml]", f"[{folder / 'rules.yaml'}]")
    for shipped, own in addresses.items():
        assert f'"{shipped}"' in text
        text = text.replace(f'"{shipped}"', f'"{own}"')
    (folder / "rules.yaml").write_text(RULES.read_text())
    (folder / "prometheus.yaml").write_text(text)
    places = [f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([binary, *places, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        wait_until(lambda: answers(f"http://{address}/-/ready"), what="Prometheus")
        yield Prometheus(address)
    finally:
        process.kill()
        process.wait()
