"""A run, group or experiment in; its rows of one kind out, and the plan of how to write them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evsys_otel.cli.output import UsageError
from evsys_otel.cli.writers import Columns, Row, import_parquet, write_rows

if TYPE_CHECKING:
    from evsys_otel.cli.access import Place, Target

COLUMNS: dict[str, Columns] = {
    "metrics": {
        "run_id": "text", "run_name": "text", "split": "text", "name": "text", "step": "int", "value": "float",
        "time": "text", "time_unix_nano": "int",
    },
    "predictions": {
        "run_id": "text", "run_name": "text", "eval_id": "text", "kind": "text", "step": "int", "task_id": "text",
        "sample_idx": "int", "instruction": "text", "model_output": "text", "expected": "text", "reward": "float",
        "advantage": "float", "metadata": "json",
    },
    "evals": {
        "run_id": "text", "run_name": "text", "id": "text", "name": "text", "benchmark_id": "text", "step": "int",
        "metrics": "json", "breakdowns": "json", "tags": "json", "created_at": "text",
    },
    "checkpoints": {
        "run_id": "text", "run_name": "text", "id": "text", "uri": "text", "label": "text", "step": "int",
        "is_final": "bool", "base_model": "text", "created_at": "text",
    },
}  # fmt: skip
"""Columns of each kind of rows, with their types; a map is one column of JSON text."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to write, how and where; ``output`` None is standard output."""

    what: str
    format: str
    output: Path | None


def plan(*, format: str, what: str, output: Path | None, as_json: bool) -> Job:
    """Return a job that can be done.

    Without a file ``as_json`` makes the rows JSON Lines.

    Raises:
        UsageError: Parquet was to go to standard output.
        ConfigurationError: what Parquet needs is not installed.
    """
    if as_json and output is None:
        format = "jsonl"
    if format == "parquet":
        import_parquet()
        if output is None:
            raise UsageError("Parquet is not for a terminal; name a file with --output FILE.")
    return Job(what, format, output)


def rows_of(place: Place, target: Target, what: str) -> Iterator[Row]:
    """Yield the rows of every run of the target, run after run."""
    for run in place.runs_of(target):
        facts = {"run_id": run["id"], "run_name": run["name"]}
        for row in _READERS[what](place, run["id"]):
            yield {**row, **facts}


def export(rows: Iterable[Row], job: Job) -> dict[str, Any]:
    """Write the rows and return how many there were; a file appears whole or not at all."""
    count = write_rows(rows, COLUMNS[job.what], job.format, job.output)
    return {"rows": count, "what": job.what, "format": job.format, "output": str(job.output) if job.output else None}


def _metrics(place: Place, run_id: str) -> Iterator[Row]:
    from evsys_otel.store.views import iso_time

    for piece in place.store.iter_metrics(run_id, times=True):
        for row in piece:
            yield {**row, "time": iso_time(row["time_unix_nano"])}


def _predictions(place: Place, run_id: str) -> Iterator[Row]:
    offset = 0
    while piece := place.store.list_predictions(run_id, limit=1000, offset=offset):
        yield from piece
        offset += len(piece)


def _evals(place: Place, run_id: str) -> Iterator[Row]:
    yield from place.store.list_evals(run_id)


def _checkpoints(place: Place, run_id: str) -> Iterator[Row]:
    yield from place.store.list_checkpoints(run_id)


_READERS: dict[str, Callable[[Place, str], Iterator[Row]]] = {
    "metrics": _metrics,
    "predictions": _predictions,
    "evals": _evals,
    "checkpoints": _checkpoints,
}
