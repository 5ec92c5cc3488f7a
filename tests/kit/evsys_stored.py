"""A folder that a callback recorded into goes in, the store that its journals make comes out; no process is started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evsys_otel.callback import EvsysLoggerCallback
from evsys_otel.events import Event
from evsys_otel.journal import JournalReader, list_journals
from evsys_otel.signals import SignalBuilder
from evsys_otel.store import Store, open_store
from evsys_otel.translate import translate_logs, translate_metrics


def recording(folder: Path, **arguments: Any) -> EvsysLoggerCallback:
    """Return a callback that records into ``folder`` and ships nothing."""
    return EvsysLoggerCallback(**{"dir": folder, "mode": "journal", "quiet": True, **arguments})


def journalled(folder: Path) -> list[tuple[JournalReader, list[Event]]]:
    """Return the journals of a folder with their events as they are on disk now."""
    found = []
    for journal in list_journals(folder / "journal"):
        reader = JournalReader(journal.path)
        events: list[Event] = []
        while chunk := reader.read().events:
            events += chunk
        found.append((reader, events))
    return found


@contextmanager
def stored(folder: Path) -> Iterator[Store]:
    """Open a store that holds what the journals of a folder hold now."""
    with open_store(f"sqlite:///{folder / 'stored.db'}") as store:
        for reader, events in journalled(folder):
            signals = SignalBuilder(reader.identity).build(events)
            store.write(translate_logs(signals.logs))
            for metrics in signals.metrics:
                store.write(translate_metrics(metrics))
        yield store


def metric_rows(store: Store, run_id: str, split: str = "train") -> list[tuple[int, str, float]]:
    """Return (step, name, value) of a run's metrics, sorted."""
    return sorted((row["step"], row["name"], row["value"]) for row in store.get_metrics(run_id, split=split))


def in_order(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return experiments or runs in the order in which they were started."""
    return sorted(records, key=lambda record: record["started_unix_nano"])


def runs_by_name(store: Store) -> dict[str, dict[str, Any]]:
    """Return every run under its name, which must be unique."""
    runs = store.list_runs()
    named = {run["name"]: run for run in runs}
    assert len(named) == len(runs), [run["name"] for run in runs]
    return named
