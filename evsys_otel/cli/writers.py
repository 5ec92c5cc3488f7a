"""Rows in, a file of CSV, JSON Lines or Parquet out, in pieces: memory does not grow with the rows."""

from __future__ import annotations

import csv
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

from evsys_otel.cli.plain import to_json
from evsys_otel.errors import ConfigurationError

Row = dict[str, Any]
Columns = dict[str, str]
"""Names of columns with their types: text, int, float, bool, json."""

ROWS_OF_A_PIECE = 10_000


def write_rows(rows: Iterable[Row], columns: Columns, format: str, output: Path | None) -> int:
    """Write rows in a format of :data:`WRITERS` to a file, or to standard output, and return how many there were.

    A file appears whole or not at all.

    Raises:
        ConfigurationError: the file's folder does not exist.
        OSError: the file cannot be written.
    """
    with _opened(output) as file:
        return WRITERS[format](rows, columns, file)


@contextmanager
def _opened(output: Path | None) -> Iterator[IO[bytes]]:
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if output.exists() and not output.is_file():  # A pipe or a device is written to, not replaced.
        with output.open("wb") as file:
            yield file
        return
    folder = output.absolute().parent
    if not folder.is_dir():
        raise ConfigurationError(f"The folder {folder} does not exist; create it or name another file.")
    handle, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, output)
    except BaseException:
        os.unlink(name)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _write_csv(rows: Iterable[Row], columns: Columns, file: IO[bytes]) -> int:
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


def _write_jsonl(rows: Iterable[Row], columns: Columns, file: IO[bytes]) -> int:
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007
        file.write((to_json({name: row.get(name) for name in columns}) + "\n").encode())
    return count


def _write_parquet(rows: Iterable[Row], columns: Columns, file: IO[bytes]) -> int:
    arrow, parquet = import_parquet()
    types = {
        "text": arrow.string(),
        "json": arrow.string(),
        "int": arrow.int64(),
        "float": arrow.float64(),
        "bool": arrow.bool_(),
    }
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


def import_parquet() -> tuple[Any, Any]:
    """Return pyarrow and its Parquet module. Raises ConfigurationError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigurationError("Parquet needs pyarrow; pip install 'evsys-otel[parquet]'.") from None
    return pyarrow, pyarrow.parquet


WRITERS: dict[str, Callable[[Iterable[Row], Columns, IO[bytes]], int]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
    "parquet": _write_parquet,
}
