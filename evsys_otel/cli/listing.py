"""The store and the folder of journals in; experiments with their runs, and what waits or is parked, out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from evsys_otel.cli.access import Place, started
from evsys_otel.doctor.waiting import waiting_journals

if TYPE_CHECKING:
    from collections.abc import Iterable


def gather(place: Place, *, limit: int | None = None) -> dict[str, Any]:
    """Return ``{store, now_unix_nano, experiments, more, journals}``; equal names stand together, the newest first."""
    records = sorted(place.store.list_experiments(), key=started, reverse=True)
    kept = records if limit is None else records[:limit]
    experiments = [experiment_row(record, place.store.list_runs(experiment_id=record["id"])) for record in kept]
    return {
        "store": place.label,
        "now_unix_nano": time.time_ns(),
        "experiments": together(experiments),
        "more": len(records) - len(kept),
        "journals": waiting_journals(place.settings.journal_root),
    }


def experiment_row(record: dict[str, Any], runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an experiment with its runs and what is said of all of them at once."""
    rows = [run_row(run) for run in runs]
    return {
        "id": record["id"],
        "name": record["name"],
        "status": record["status"],
        "completeness": worst_completeness(row["completeness"] for row in rows),
        "best_score": record.get("best_score"),
        "started_at_unix_nano": started(record) or None,
        "runs": rows,
    }


def run_row(run: dict[str, Any]) -> dict[str, Any]:
    """Return what a list says of a run; a running one's liveness takes the place of its status where it is worse."""
    return {
        "id": run["id"],
        "name": run["name"],
        "status": run["status"],
        "liveness": run.get("liveness"),
        "completeness": run["completeness"],
        "started_at_unix_nano": started(run) or None,
        "ended_at_unix_nano": run.get("ended_at_unix_nano"),
        "last_step": run.get("last_step"),
        "error": run.get("error_message"),
    }


def together(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with equal names side by side, each name where its first row stands."""
    names: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        names.setdefault(row["name"], []).append(row)
    return [row for same in names.values() for row in same]


def worst_completeness(states: Iterable[str]) -> str:
    """Return the state that wants attention most: any missing, then unknown, then behind, and whole only if all are."""
    order = ("missing", "unknown", "behind", "whole")
    found = {state.split(" ", 1)[0]: state for state in states}
    return next((found[state] for state in order if state in found), "-")
