"""The store and the folder of journals in; experiments with their runs, and what waits or is parked, out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from evsys_otel.cli.access import Place, started
from evsys_otel.cli.scores import best_score, run_score
from evsys_otel.doctor.waiting import waiting_journals

if TYPE_CHECKING:
    from collections.abc import Iterable


def gather(place: Place, *, limit: int | None = None) -> dict[str, Any]:
    """Return ``{store, now_unix_nano, experiments, more, journals}``; equal names stand together, the newest first."""
    records = sorted(place.store.list_experiments(), key=started, reverse=True)
    kept = records if limit is None else records[:limit]
    details = (place.store.experiment_detail(record["id"]) for record in kept)
    return {
        "store": place.label,
        "now_unix_nano": time.time_ns(),
        "experiments": together([experiment_row(detail) for detail in details if detail is not None]),
        "more": len(records) - len(kept),
        "journals": waiting_journals(place.settings.journal_root),
    }


def experiment_row(detail: dict[str, Any]) -> dict[str, Any]:
    """Return an experiment, as the store details it, with its runs and what is said of all of them at once."""
    runs = [run_row(run) for run in detail["runs"]]
    best = best_score(run["score"] for run in runs)
    return {
        "id": detail["id"],
        "name": detail["name"] or "",
        "status": detail["status"],
        "completeness": worst_completeness(run["completeness"] for run in runs),
        "missing": sum(run["missing"] for run in runs),
        "best_score": best[1] if detail["best_score"] is None and best else detail["best_score"],
        "started_unix_nano": started(detail) or None,
        "runs": runs,
    }


def run_row(run: dict[str, Any]) -> dict[str, Any]:
    """Return what a list says of a run; ``score`` is the telling metric of its last eval, with its name."""
    return {
        "id": run["id"],
        "name": run["name"] or "",
        "group_id": run["group_id"],
        "status": run["status"],
        "liveness": run["liveness"],
        "completeness": run["completeness"],
        "missing": run["missing"],
        "last_step": run["last_step"],
        "score": run_score(run["evals"]),
        "error": run["error_message"],
        "started_unix_nano": started(run) or None,
        "ended_unix_nano": run["ended_unix_nano"],
    }


def together(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with equal names side by side, each name where its first row stands."""
    names: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        names.setdefault(row["name"], []).append(row)
    return [row for same in names.values() for row in same]


def worst_completeness(states: Iterable[str]) -> str | None:
    """Return the state that wants attention most, `whole` only if all are; None where there are no runs."""
    found = set(states)
    return next((state for state in ("missing", "unknown", "behind", "whole") if state in found), None)
