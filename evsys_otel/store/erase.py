"""Ids go in, everything that the store holds of them is deleted, and counted."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Table, delete, select

from evsys_otel.records import EntityKind
from evsys_otel.store import schema

_BY_RUN: dict[str, Table] = {
    "evals": schema.evals,
    "predictions": schema.predictions,
    "checkpoints": schema.checkpoints,
    "series": schema.series,
    "streams": schema.streams,
    "totals": schema.totals,
    "attempts": schema.attempts,
}
"""What belongs to a run, series and streams after the rows that refer to them by number."""

COUNTED = ("experiments", "groups", "runs", "evals", "values", "predictions", "checkpoints")


def erase(conn: Connection, kind: EntityKind, ids: Sequence[str]) -> dict[str, int]:
    """Delete the rows of these experiments, groups, runs or evals; with a run all that belongs to it.

    Returns:
        Rows deleted by kind of record.
    """
    counts = dict.fromkeys(COUNTED, 0)
    for start in range(0, len(ids), 500):
        piece = ids[start : start + 500]
        if kind == "run":
            _erase_runs(conn, piece, counts)
        table = schema.ENTITY_TABLES[kind]
        counts[f"{kind}s"] += conn.execute(delete(table).where(table.c.id.in_(piece))).rowcount
    return counts


def _erase_runs(conn: Connection, run_ids: Sequence[str], counts: dict[str, int]) -> None:
    values, series = schema.step_values, schema.series
    numbers = select(series.c.id).where(series.c.run_id.in_(run_ids))
    counts["values"] += conn.execute(delete(values).where(values.c.series.in_(numbers))).rowcount
    numbers = select(schema.streams.c.id).where(schema.streams.c.run_id.in_(run_ids))
    conn.execute(delete(schema.receipts).where(schema.receipts.c.stream.in_(numbers)))
    for name, table in _BY_RUN.items():
        deleted = conn.execute(delete(table).where(table.c.run_id.in_(run_ids))).rowcount
        if name in counts:
            counts[name] += deleted
