"""A store goes in, its logical state comes out, sorted, without arrival times: what two stores are compared by."""

from __future__ import annotations

import json
import math
from typing import Any

from sqlalchemy import Connection, Select, Table, select

from evsys_otel.store import schema

_ARRIVAL = {"received_unix_nano"}


def dump(conn: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Return every record by kind; NaN is the text ``NaN``, and numbers given by one database are resolved."""
    plain = (
        *schema.ENTITY_TABLES.values(), schema.attempts, schema.totals, schema.predictions, schema.checkpoints,
        schema.tombstones,
    )
    state = {table.name.removeprefix("evsys_"): _sorted_rows(conn, _columns_of(table)) for table in plain}
    series, values = schema.series, schema.step_values
    state["values"] = _sorted_rows(conn, select(
        series.c.run_id, series.c.split, series.c.name, values.c.step, values.c.value, values.c.attempt,
        values.c.time_unix_nano,
    ).join_from(series, values, values.c.series == series.c.id))  # fmt: skip
    streams, receipts = schema.streams, schema.receipts
    state["receipts"] = _sorted_rows(conn, select(
        *(column for column in streams.c if column.name != "id"), receipts.c.first, receipts.c.last
    ).join_from(streams, receipts, receipts.c.stream == streams.c.id))  # fmt: skip
    return state


def _columns_of(table: Table) -> Select[Any]:
    return select(*(column for column in table.columns if column.name not in _ARRIVAL))


def _sorted_rows(conn: Connection, statement: Select[Any]) -> list[tuple[Any, ...]]:
    rows = [tuple(map(_comparable, row)) for row in conn.execute(statement)]
    return sorted(rows, key=lambda row: json.dumps(row, default=str))


def _comparable(value: Any) -> Any:
    return "NaN" if isinstance(value, float) and math.isnan(value) else value
