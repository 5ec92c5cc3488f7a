"""A target's rows in, a file of CSV, JSON Lines or Parquet out, in pieces: memory does not grow with the rows."""

from __future__ import annotations

import csv
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from evsys_otel.cli.plain import to_json
from evsys_otel.errors import ConfigurationError

if TYPE_CHECKING:
    from evsys_otel.cli.access import Place, Target

FORMATS = ("csv", "jsonl", "parquet")
ROWS_OF_A_PIECE = 10_000

COLUMNS: dict[str, dict[str, str]] = {
    "metrics": {
        "run_id": "text", "run_name": "text", "split": "text", "name": "text", "step": "int", "value": "float",
        "time": "text",
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

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """What to write, how and where; ``output`` None is standard output."""

    what: str
    format: str
    output: Path | None


def plan(*, format: str, what: str, output: Path | None, as_json: bool) -> Job:
    """Return a job that can be done.

    Raises:
        ConfigurationError: the format or the kind of rows is not known, or the two do not fit standard output.
    """
    if format not in FORMATS:
        raise ConfigurationError(f"{format!r} is no format; give one of {', '.join(FORMATS)}.")
    if what not in COLUMNS:
        raise ConfigurationError(f"{what!r} cannot be exported; give one of {', '.join(COLUMNS)}.")
    if format == "parquet" and output is None:
        raise ConfigurationError("Parquet is not for a terminal; name a file with --output FILE.")
    if format == "parquet":
        _import_parquet()
    return Job(what, "jsonl" if as_json and output is None else format, output)


def rows_of(place: Place, target: Target, what: str) -> Iterator[Row]:
    """Yield the rows of every run of the target, run after run."""
    for run in place.runs_of(target):
        facts = {"run_id": run["id"], "run_name": run["name"]}
        for row in _READERS[what](place, run["id"]):
            yield {**row, **facts}


def export(rows: Iterable[Row], job: Job) -> dict[str, Any]:
    """Write the rows and return how many there were; a file appears whole or not at all."""
    with _opened(job) as file:
        count = _WRITERS[job.format](rows, COLUMNS[job.what], file)
    return {"rows": count, "what": job.what, "format": job.format, "output": str(job.output) if job.output else None}


def _metrics(place: Place, run_id: str) -> Iterator[Row]:
    yield from place.store.iter_metrics(run_id)


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


@contextmanager
def _opened(job: Job) -> Iterator[IO[bytes]]:
    if job.output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if job.output.exists() and not job.output.is_file():  # A pipe or a device is written to, not replaced.
        with job.output.open("wb") as file:
            yield file
        return
    folder = job.output.absolute().parent
    if not folder.is_dir():
        raise ConfigurationError(f"The folder {folder} does not exist; create it or name another file.")
    handle, name = tempfile.mkstemp(prefix=f".{job.output.name}.", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, job.output)
    except BaseException:
        os.unlink(name)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _write_csv(rows: Iterable[Row], columns: dict[str, str], file: IO[bytes]) -> int:
    class Text:
        """What csv writes to: one row a call."""

        def write(self, text: str) -> int:
            return file.write(text.encode())

    writer = csv.writer(Text(), lineterminator="\n")
    writer.writerow(columns)
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 (the count is what is returned)
        writer.writerow([_csv_cell(row.get(name), kind) for name, kind in columns.items()])
    return count


def _csv_cell(value: Any, kind: str) -> Any:
    if value is None or isinstance(value, str):
        return value
    if kind == "float":
        return repr(float(value))
    if kind == "bool":
        return str(bool(value)).lower()
    return value if kind == "int" else to_json(value)


def _write_jsonl(rows: Iterable[Row], columns: dict[str, str], file: IO[bytes]) -> int:
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007
        file.write((to_json({name: row.get(name) for name in columns}) + "\n").encode())
    return count


def _write_parquet(rows: Iterable[Row], columns: dict[str, str], file: IO[bytes]) -> int:
    arrow, parquet = _import_parquet()
    types = {"text": arrow.string(), "json": arrow.string(), "int": arrow.int64(), "float": arrow.float64(), "bool": arrow.bool_()}
    schema = arrow.schema([(name, types[kind]) for name, kind in columns.items()])
    rest, count = iter(rows), 0
    with parquet.ParquetWriter(file, schema) as writer:
        while piece := list(islice(rest, ROWS_OF_A_PIECE)):
            data = {name: [_parquet_cell(row.get(name), kind) for row in piece] for name, kind in columns.items()}
            writer.write_table(arrow.table(data, schema=schema))
            count += len(piece)
    return count


def _parquet_cell(value: Any, kind: str) -> Any:
    if value is None or kind in {"int", "bool"}:
        return value
    if kind == "float":
        return float(value)
    return value if isinstance(value, str) else to_json(value)


def _import_parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigurationError("Parquet needs pyarrow; pip install 'evsys-otel[parquet]'.") from None
    return pyarrow, pyarrow.parquet


_WRITERS: dict[str, Callable[[Iterable[Row], dict[str, str], IO[bytes]], int]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
    "parquet": _write_parquet,
}
