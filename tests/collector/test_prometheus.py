"""A real Prometheus, fed by collectors and bridge, runs each shipped rule and each of the dashboard's queries."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from kit.chains import Chain, running_chain
from kit.collectors import CONFIGURATIONS
from kit.processes import trainer, wait_until
from kit.prometheus import CONFIGURATION, RULES, Prometheus, require, running_prometheus
from kit.sweeps import sweep

from evsys_otel.store import open_store

pytestmark = pytest.mark.real

DASHBOARD: dict[str, Any] = json.loads((CONFIGURATIONS / "grafana" / "dashboard.json").read_text())
TEN_MINUTES = 600_000_000_000

TRAIN = """
import math, sys
import evsys_otel

run = evsys_otel.start_run(sys.argv[1], group="lr=0.1", quiet=True)
for step in range(100):
    run.log({"train/loss": math.nan if sys.argv[1] == "diverges" else 1.0, "accuracy": 0.5}, step=step)
print(run.id, flush=True)
input()
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with running_chain(tmp_path_factory.mktemp("watched")) as started:
        yield started


@pytest.fixture(scope="module")
def prometheus(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    addresses = {
        "127.0.0.1:9464": chain.gateway.prometheus, "127.0.0.1:8889": chain.gateway.metrics,
        "127.0.0.1:8888": chain.agent.metrics, "127.0.0.1:24318": chain.bridge.http,
    }  # fmt: skip
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), addresses) as started:
        yield started


@pytest.fixture(scope="module")
def troubled(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Runs in trouble: one whose loss is NaN, one whose process was killed, and two of ten minutes ago: one that lacks
    values, one that was never ended."""
    with open_store(chain.bridge.store_url, clock=lambda: time.time_ns() - TEN_MINUTES) as store:
        store.write(sweep(0, missing=True))
        store.write(sweep(1, ended=False))
    lacking = next(run["id"] for run in chain.store.list_runs() if run["completeness"] == "missing")
    running = next(run["id"] for run in chain.store.list_runs() if run["status"] == "running")
    with contextlib.ExitStack() as stack:
        started = {}
        for name in ("diverges", "killed"):
            folder = tmp_path_factory.mktemp(name)
            process = stack.enter_context(trainer(TRAIN, folder, name, **chain.agent.endpoint()))
            started[name] = process.read_line()
        wait_until(lambda: chain.store.get_run(started["killed"]))
        process.kill()
        yield {**started, "lacking": lacking, "silent": running}


def test_each_alert_of_a_run_fires_for_the_run_that_is_in_trouble(
    prometheus: Prometheus, troubled: dict[str, str]
) -> None:
    """A loss that is NaN, a silence, a crash and missing values: each for its own run, and for no other."""
    expected = {
        ("EvsysLossIsNaN", troubled["diverges"]), ("EvsysRunCrashed", troubled["killed"]),
        ("EvsysRunSilent", troubled["silent"]), ("EvsysValuesMissing", troubled["lacking"]),
    }  # fmt: skip
    wait_until(lambda: expected <= prometheus.firing(), 60, "the alerts")
    healthy = {troubled["killed"], troubled["diverges"]}
    wrong = {
        (alert, run) for alert, run in prometheus.firing() - expected
        if run in healthy or alert in {"EvsysLossIsNaN", "EvsysRunCrashed"}
    }  # fmt: skip
    assert wrong == set()


def test_the_alerts_of_the_way_fire_when_it_is_in_trouble(
    chain: Chain, prometheus: Prometheus, troubled: dict[str, str], tmp_path: Path
) -> None:
    """A receiver that refuses for good makes the collector drop; a bridge that is killed is down."""
    chain.tempo.answers = lambda request: grpc.StatusCode.INVALID_ARGUMENT
    with trainer(TRAIN, tmp_path, "traced", **chain.agent.endpoint()) as process:
        process.read_line()
        process.say("end")
        process.wait()
        wait_until(lambda: ("EvsysCollectorDrops", "otlp_grpc/tempo") in prometheus.firing(), 30)
    chain.bridge.kill()
    wait_until(lambda: ("EvsysHopDown", "") in prometheus.firing())
    chain.bridge.start()
    assert prometheus.query("otelcol_exporter_queue_size / otelcol_exporter_queue_capacity") != []


def queries() -> Iterator[tuple[str, str]]:
    """Yield the title and expression of each of the dashboard's queries, with everything chosen."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], re.sub(r"\$(experiment|group|run|metric)\b", ".*", target["expr"])


def test_every_query_of_the_dashboard_finds_something(prometheus: Prometheus, troubled: dict[str, str]) -> None:
    """Each panel has data, and each choice has values."""
    for title, expression in queries():
        wait_until(lambda expression=expression: prometheus.query(expression), 20, title)  # type: ignore[misc]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((\{.*\}), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
            selector = re.sub(r"\$\w+", ".*", selector)
            assert prometheus.ask(f"label/{label}/values", match=selector), variable["name"]
    (table,) = (panel for panel in DASHBOARD["panels"] if panel["type"] == "table")
    rows = prometheus.query(re.sub(r"\$\w+", ".*", table["targets"][0]["expr"]))
    assert {row["metric"]["evsys_run_id"] for row in rows} >= {troubled["diverges"], troubled["killed"]}


def test_every_rule_is_evaluated_without_an_error(prometheus: Prometheus, troubled: dict[str, str]) -> None:
    """Prometheus' own word on each rule's last evaluation, on real series."""
    def health() -> dict[str, str]:
        groups = prometheus.ask("rules")["groups"]
        return {rule["name"]: rule["health"] + rule.get("lastError", "") for group in groups for rule in group["rules"]}

    wait_until(lambda: "unknown" not in health().values())
    assert set(health().values()) == {"ok"}


@pytest.mark.parametrize(("command", "path"), [("rules", RULES), ("config", CONFIGURATION)])
def test_prometheus_own_checker_accepts_the_files(command: str, path: Path) -> None:
    """``promtool check`` says that it is right."""
    ask = [require("promtool"), "check", command, str(path)]
    done = subprocess.run(ask, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
