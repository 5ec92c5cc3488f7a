"""A run's step metrics: whole, in pieces, the last and best of each series, and curves of few points."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, select

from evsys_otel.store.database import Database
from evsys_otel.store.schema import series, step_values
from evsys_otel.store.views import Dict

PIECE_ROWS = 50_000


class FinalMetric(NamedTuple):
    """The value at a series' last step."""

    step: int
    value: float


class BestMetric(NamedTuple):
    """The least and the greatest value of a series; NaN never wins, and is both only where there is nothing else."""

    lowest: float
    highest: float


class CurvePoint(NamedTuple):
    """A bucket of consecutive steps: its last step, the extremes (NaN left out), the last value, how many there are."""

    step: int
    lowest: float
    highest: float
    last: float
    size: int


def read_in_pieces(
    database: Database,
    run_id: str,
    name: str | None,
    split: str | None,
    piece_rows: int = PIECE_ROWS,
    *,
    times: bool = False,
) -> Iterator[list[Dict]]:
    """Yield a run's metrics, long format, by split, name and step; each piece is read in a transaction of its own.

    With ``times`` each row also has ``time_unix_nano``, when it was logged.
    """
    with database.reading() as conn:
        labels = {row.id: (row.split, row.name) for row in conn.execute(_series_of(run_id, name, split))}
    for number, (label_split, label_name) in sorted(labels.items(), key=lambda item: item[1]):
        after: int | None = None
        while True:
            rows = _read_piece(database, number, after, piece_rows)
            if rows:
                after = rows[-1][0]
                piece: list[Dict] = [
                    {"step": step, "name": label_name, "value": _number(value), "split": label_split}
                    for step, value, _ in rows
                ]
                if times:
                    for record, row in zip(piece, rows, strict=True):
                        record["time_unix_nano"] = row[2]
                yield piece
            if len(rows) < piece_rows:
                break


def metric_names(conn: Connection, run_id: str) -> list[tuple[str, str]]:
    """Return each (split, name) that the run has values of."""
    return sorted((row.split, row.name) for row in conn.execute(_series_of(run_id, None, None)))


def final_metrics(conn: Connection, run_id: str) -> dict[tuple[str, str], FinalMetric]:
    """Return the value at the last step of each series, by (split, name)."""
    every = step_values.alias()
    last = select(func.max(every.c.step)).where(every.c.series == series.c.id).scalar_subquery()
    at_last = (step_values.c.series == series.c.id) & (step_values.c.step == last)
    found = select(series.c.split, series.c.name, step_values.c.step, step_values.c.value)
    found = found.join_from(series, step_values, at_last).where(series.c.run_id == run_id)
    rows = sorted(tuple(row) for row in conn.execute(found))
    return {(split, name): FinalMetric(step, _number(value)) for split, name, step, value in rows}


def best_metrics(conn: Connection, run_id: str) -> dict[tuple[str, str], BestMetric]:
    """Return the extremes of each series, by (split, name); it reads every value of the run."""
    extremes = select(series.c.split, series.c.name, func.min(step_values.c.value), func.max(step_values.c.value))
    extremes = extremes.join_from(series, step_values, step_values.c.series == series.c.id)
    extremes = extremes.where(series.c.run_id == run_id).group_by(series.c.id, series.c.split, series.c.name)
    rows = sorted((tuple(row) for row in conn.execute(extremes)), key=lambda row: row[:2])
    return {(split, name): BestMetric(_number(low), _number(high)) for split, name, low, high in rows}


def curve(conn: Connection, run_id: str, name: str, split: str, buckets: int) -> list[CurvePoint]:
    """Return a series as at most ``buckets`` points, reduced by the database.

    One range of the key for each bucket: grouping by an expression would sort all rows, three times as slow.
    """
    number = conn.execute(_series_of(run_id, name, split)).scalars().first()
    own = step_values.c.series == number
    low, high = conn.execute(select(func.min(step_values.c.step), func.max(step_values.c.step)).where(own)).one()
    if number is None or low is None:
        return []
    width = (high - low) // max(1, buckets) + 1
    points = []
    for first in range(low, high + 1, width):
        bounds = {"series_": number, "first_": first, "last_": min(first + width - 1, high)}
        step, lowest, highest, value, size = conn.execute(_BUCKET, bounds).one()
        if size:
            points.append(CurvePoint(step, _number(lowest), _number(highest), _number(value), size))
    return points


def _bucket_statement() -> Any:
    def within(table: Any) -> Any:
        steps = table.c.step.between(bindparam("first_"), bindparam("last_"))
        return (table.c.series == bindparam("series_")) & steps

    every = step_values.alias()
    last = select(every.c.value).where(within(every)).order_by(every.c.step.desc()).limit(1).scalar_subquery()
    value = step_values.c.value
    reduced = select(func.max(step_values.c.step), func.min(value), func.max(value), last, func.count())
    return reduced.where(within(step_values))


_BUCKET = _bucket_statement()


def _series_of(run_id: str, name: str | None, split: str | None) -> Any:
    chosen = select(series.c.id, series.c.split, series.c.name).where(series.c.run_id == run_id)
    if name is not None:
        chosen = chosen.where(series.c.name == name)
    return chosen if split is None else chosen.where(series.c.split == split)


def _read_piece(
    database: Database, number: int, after: int | None, piece_rows: int
) -> list[tuple[int, float | None, int]]:
    columns = (step_values.c.step, step_values.c.value, step_values.c.time_unix_nano)
    chosen = select(*columns).where(step_values.c.series == number)
    if after is not None:
        chosen = chosen.where(step_values.c.step > after)
    with database.reading() as conn:
        rows = conn.execute(chosen.order_by(step_values.c.step).limit(piece_rows))
        return [(step, value, time_unix_nano) for step, value, time_unix_nano in rows]


def _number(value: float | None) -> float:
    """Return a value as it was logged: NULL is NaN."""
    return math.nan if value is None else float(value)
