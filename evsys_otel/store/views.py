"""Rows go in, dicts under the evsys store's own names come out: create arguments, id, name, status, and times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from evsys_otel.conventions import RUNNING
from evsys_otel.records import NO_STEP
from evsys_otel.store.attempts import Attempt, AttemptKey
from evsys_otel.store.completeness import SECOND, SILENT_UNIX_NANO, Completeness
from evsys_otel.store.entities import versions_of
from evsys_otel.store.texts import parse_json, parse_numbers

Dict = dict[str, Any]

STALE_UNIX_NANO = 90 * SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def iso_time(time_unix_nano: int | None) -> str | None:
    """Return a time as ISO 8601 in UTC, to the microsecond; None for None and for what no calendar holds."""
    if time_unix_nano is None:
        return None
    try:
        return (_EPOCH + timedelta(microseconds=time_unix_nano // 1000)).isoformat(timespec="microseconds")
    except OverflowError:
        return None


def experiment_view(row: Mapping[str, Any], *, running: bool) -> Dict:
    """Return an experiment; it runs while any of its runs does."""
    status = RUNNING if running else row["status"] or RUNNING
    return {
        "id": row["id"], "name": row["name"], "experiment_name": row["name"], "project_id": row["project_id"],
        "hypothesis": row["hypothesis"], "project_goal_id": None, "tags": parse_json(row["tags"], []),
        "status": status, "conclusion": row["conclusion"], "best_score": row["best_score"],
        "error_message": _error(row, status), **_times(row, status),
    }


def group_view(row: Mapping[str, Any], *, running: bool) -> Dict:
    """Return a group; it runs while any of its runs does."""
    status = RUNNING if running else row["status"] or RUNNING
    return {
        "id": row["id"], "experiment_id": row["experiment_id"], "name": row["name"], "description": None,
        "status": status, **_times(row, status),
    }


def run_view(
    row: Mapping[str, Any], attempts: Mapping[AttemptKey, Attempt], completeness: Completeness, now_unix_nano: int
) -> Dict:
    """Return a run with what its attempts and receipts say: last step and signal, liveness, completeness."""
    status = row["current_status"]
    last_signal = max((each.signal_unix_nano for each in attempts.values()), default=0) or None
    newest = max(attempts.values(), key=lambda each: (each.attempt, each.step_unix_nano), default=None)
    return {
        "id": row["id"], "name": row["name"], "experiment_id": row["experiment_id"], "group_id": row["group_id"],
        "project_id": row["project_id"], "dataset_id": None, "seed": row["seed"], "recipe_kind": row["recipe"],
        "run_config": parse_json(row["config"], {}), "status": status, "error_message": _error(row, status),
        "wandb_run_url": row["wandb_url"], "host": row["host"], "attempt": newest.attempt if newest else None,
        "last_step": newest.last_step if newest else None, "last_signal_unix_nano": last_signal,
        **_times(row, status),
        "liveness": liveness(status, last_signal or row["first_unix_nano"], now_unix_nano),
        "completeness": completeness.state, "completeness_text": completeness.text, "missing": completeness.missing,
    }


def eval_view(row: Mapping[str, Any]) -> Dict:
    """Return an eval; the strings that stand for non-finite numbers are floats again."""
    return {
        "id": row["id"], "run_id": row["run_id"], "name": row["name"], "benchmark_id": row["benchmark_id"],
        "checkpoint_id": None, "model_ref": None, "step": row["step"], "metrics": parse_numbers(row["metrics"]),
        "breakdowns": parse_numbers(row["breakdowns"]), "tags": parse_json(row["tags"], []), "sdk_version": None,
        **_times(row, ""),
    }


def prediction_view(row: Mapping[str, Any]) -> Dict:
    """Return a prediction."""
    return {
        "run_id": row["run_id"], "eval_id": row["eval_id"] or None, "kind": row["kind"],
        "step": _step(row["step"]), "task_id": row["task_id"], "sample_idx": row["sample_idx"],
        "instruction": row["instruction"], "model_output": row["model_output"], "expected": row["expected"],
        "reward": row["reward"], "advantage": row["advantage"], "metadata": parse_json(row["metadata"], {}),
        "shortened": bool(row["shortened"]), **_created(row["time_unix_nano"]),
    }


def checkpoint_view(row: Mapping[str, Any]) -> Dict:
    """Return a checkpoint."""
    return {
        "id": row["id"], "run_id": row["run_id"], "uri": row["uri"], "label": row["label"],
        "step": _step(row["step"]), "base_model": row["base_model"], "is_final": bool(row["is_final"]),
        **_created(row["time_unix_nano"]),
    }


def liveness(status: str, last_signal_unix_nano: int | None, now_unix_nano: int) -> str | None:
    """Return ``stale`` (90 s without a signal) or ``silent`` (5 minutes) for a running run, else None."""
    if status != RUNNING or last_signal_unix_nano is None:
        return None
    quiet = now_unix_nano - last_signal_unix_nano
    if quiet >= SILENT_UNIX_NANO:
        return "silent"
    return "stale" if quiet >= STALE_UNIX_NANO else None


def _step(step: int) -> int | None:
    return None if step == NO_STEP else step


def _error(row: Mapping[str, Any], status: str) -> str | None:
    """Return the error of the end that counts: an earlier attempt's is history."""
    versions = versions_of(row)
    newer = "error" in versions and versions["error"] >= versions.get("status", (0, 0, 0))
    return row["error"] if newer and status != RUNNING else None


def _times(row: Mapping[str, Any], status: str) -> Dict:
    end = None if status == RUNNING else row["end_time"]
    start = row["start_time"]
    return {
        **_created(row["first_unix_nano"]),
        "started_at": iso_time(start), "started_unix_nano": start,
        "ended_at": iso_time(end), "ended_unix_nano": end,
    }


def _created(time_unix_nano: int | None) -> Dict:
    return {"created_at": iso_time(time_unix_nano), "created_unix_nano": time_unix_nano}
