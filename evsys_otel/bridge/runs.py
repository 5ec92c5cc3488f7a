"""The store's runs go in, gauges for alerts come out: how each run stands, how long it is quiet, what it lacks.

They name runs by their ids alone, and where tokens are needed those of the scraper's projects alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from evsys_otel.conventions import EXPERIMENT_ID, RUN_ID, RUNNING
from evsys_otel.errors import StoreError
from evsys_otel.store import Store

HEARD_WITHIN_SECONDS = 86_400
"""Runs of which something came within a day: the others are history, and would make a page without end."""

MAX_RUNS = 1_000
_FRESH_SECONDS = 5.0

_Run = Mapping[str, Any]


def watch_runs(
    meter: Meter, open_store: Callable[[], Store], shows: Callable[[str | None], bool] = lambda project_id: True
) -> None:
    """Make the gauges; they are read from the store when they are scraped, and left out while it cannot be read.

    Args:
        meter: Makes them.
        open_store: Returns the store; may raise StoreUnavailable.
        shows: Whether whoever scrapes now may see the runs of a project; asked at each scrape.
    """
    recent = _RecentRuns(open_store, shows)
    meter.create_observable_gauge(
        "evsys.bridge.run.status", [_each(recent, lambda run: Observation(1, {**_ids(run), "status": run["status"]}))],
        description="1 for each run heard of within a day, with its status",
    )  # fmt: skip
    meter.create_observable_gauge(
        "evsys.bridge.run.quiet", [_each(recent, _quiet)], unit="s",
        description="Time since the last signal of a running run",
    )  # fmt: skip
    meter.create_observable_gauge(
        "evsys.bridge.run.missing.values", [_each(recent, _missing)],
        description="Values that a run logged and the store lacks, for good as far as is known",
    )


class _RecentRuns:
    """Reads once for all gauges of a scrape; thread-safe."""

    def __init__(self, open_store: Callable[[], Store], shows: Callable[[str | None], bool]) -> None:
        self._open_store = open_store
        self._shows = shows
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._runs: list[dict[str, Any]] = []

    def read(self) -> list[dict[str, Any]]:
        with self._lock:
            if time.monotonic() - self._read_at >= _FRESH_SECONDS:
                since = time.time_ns() - HEARD_WITHIN_SECONDS * 1_000_000_000
                try:
                    self._runs = self._open_store().list_runs(heard_since_unix_nano=since)[-MAX_RUNS:]
                except StoreError:  # said by the requests that meet it, and by /readyz
                    self._runs = []
                self._read_at = time.monotonic()
            return [run for run in self._runs if self._shows(run["project_id"])]


def _each(
    recent: _RecentRuns, observe: Callable[[_Run], Observation | None]
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def callback(_options: CallbackOptions) -> Iterable[Observation]:
        return [seen for run in recent.read() if (seen := observe(run)) is not None]

    return callback


def _ids(run: _Run) -> dict[str, str]:
    return {RUN_ID: run["id"], EXPERIMENT_ID: run["experiment_id"] or ""}


def _quiet(run: _Run) -> Observation | None:
    last = run["last_signal_unix_nano"]
    if run["status"] != RUNNING or last is None:
        return None
    return Observation(max(0.0, (time.time_ns() - last) / 1e9), _ids(run))


def _missing(run: _Run) -> Observation:
    return Observation(run["missing"] if run["completeness"] == "missing" else 0, _ids(run))
