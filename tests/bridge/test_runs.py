"""What the bridge's page says of runs: how they stand, by id, nothing of their content, and nothing without a store."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from kit.sweeps import sweep
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from evsys_otel.bridge.runs import watch_runs
from evsys_otel.errors import StoreUnavailable
from evsys_otel.store import Store, open_store

MINUTE = 60_000_000_000
Seen = dict[str, list[tuple[dict[str, str], float]]]


def observe(open_store: Callable[[], Store]) -> Seen:
    """Return the attributes and value of each point by the name of its gauge."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    watch_runs(provider.get_meter("test"), open_store)
    data = reader.get_metrics_data()
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
    return {
        metric.name: [(dict(point.attributes), point.value) for point in metric.data.data_points]
        for scope in scopes for metric in scope.metrics
    }  # fmt: skip


def write(url: str, minutes_ago: int, number: int = 0, **how: bool) -> None:
    with open_store(url, clock=lambda: time.time_ns() - minutes_ago * MINUTE) as store:
        store.write(sweep(number, **how))


def test_each_run_has_its_status_its_silence_and_what_it_lacks(tmp_path: Path) -> None:
    """One point a run and gauge; only running runs are quiet; only what lacks for good counts as missing."""
    url = f"sqlite:///{tmp_path}/store.db"
    write(url, 10, 0, missing=True)
    write(url, 10, 1, ended=False)
    with open_store(url) as store:
        seen = observe(lambda: store)
        runs = {run["id"]: run for run in store.list_runs()}
    status = {point["evsys.run.id"]: point["status"] for point, _ in seen["evsys.bridge.run.status"]}
    assert status == {id: run["status"] for id, run in runs.items()}
    quiet = {point["evsys.run.id"]: value for point, value in seen["evsys.bridge.run.quiet"]}
    assert set(quiet) == {id for id, run in runs.items() if run["status"] == "running"}
    assert min(quiet.values()) > 300
    missing = {point["evsys.run.id"]: value for point, value in seen["evsys.bridge.run.missing.values"]}
    assert missing == {id: run["missing"] if run["completeness"] == "missing" else 0 for id, run in runs.items()}
    assert sum(missing.values()) > 0


def test_the_page_names_runs_by_ids_alone(tmp_path: Path) -> None:
    """Whoever may scrape it learns no name, project or config."""
    url = f"sqlite:///{tmp_path}/store.db"
    write(url, 0)
    with open_store(url) as store:
        seen = observe(lambda: store)
    keys = {key for points in seen.values() for attributes, _ in points for key in attributes}
    assert keys == {"evsys.run.id", "evsys.experiment.id", "status"}


def test_runs_of_which_nothing_came_for_a_day_are_left_out(tmp_path: Path) -> None:
    """They are history, and an alert on them would never end."""
    url = f"sqlite:///{tmp_path}/store.db"
    write(url, 25 * 60)
    with open_store(url) as store:
        assert not any(observe(lambda: store).values())


def test_a_store_that_cannot_be_read_leaves_the_gauges_out() -> None:
    """The page is still served, with everything else on it."""
    def fail() -> Store:
        raise StoreUnavailable("away")

    assert not any(observe(fail).values())
