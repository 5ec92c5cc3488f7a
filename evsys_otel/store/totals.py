"""Parts of what attempts say they sent in all go in; what is known of each attempt's totals comes out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from evsys_otel.records import Totals
from evsys_otel.store.attempts import AttemptKey
from evsys_otel.store.database import Transaction
from evsys_otel.store.locks import pieces
from evsys_otel.store.schema import totals as table
from evsys_otel.store.texts import canonical, key_text

COUNTS = ("predictions", "evals", "checkpoints", "unattributed")

_Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AttemptTotals:
    """What an attempt sent in all, ``complete`` when every part has come; ``calls`` by (split, keyset, name)."""

    time_unix_nano: int
    complete: bool
    counts: Mapping[str, int]
    calls: Mapping[tuple[str, int, str], int] = field(default_factory=dict)


def write_totals(tx: Transaction, said: Sequence[Totals]) -> None:
    """Keep the parts of each attempt's newest totals; of two that contradict, the greater canonical JSON."""
    news: dict[tuple[str, AttemptKey], list[_Row]] = defaultdict(list)
    for each in said:
        news[each.run_id, AttemptKey(each.attempt, each.attempt_id)].append(_row_of(each))
    held = _rows_of(tx.conn, sorted({run_id for run_id, _ in news}))
    for (run_id, attempt), rows in sorted(news.items()):
        before = held.get((run_id, attempt), [])
        after = _newest([*before, *rows])
        if after != _newest(before):
            own = (table.c.run_id == run_id) & (table.c.attempt == attempt.number) & (table.c.attempt_id == attempt.id)
            tx.conn.execute(delete(table).where(own))
            tx.conn.execute(insert(table), after)


def read_totals(conn: Connection, run_ids: Sequence[str]) -> dict[tuple[str, AttemptKey], AttemptTotals]:
    """Return the totals of each (run, attempt) that has any."""
    return {key: _united(rows) for key, rows in _rows_of(conn, run_ids).items()}


def _row_of(said: Totals) -> _Row:
    counts: dict[str, Any] = {name: getattr(said, name) for name in COUNTS}
    counts["keysets"] = [
        [key_text(each.split), each.keyset, [key_text(name) for name in each.names], each.calls]
        for each in said.keysets
    ]
    return {
        "run_id": said.run_id, "attempt": said.attempt, "attempt_id": said.attempt_id,
        "part": said.part, "parts": said.parts, "time_unix_nano": said.time_unix_nano, "counts": canonical(counts),
    }


def _rows_of(conn: Connection, run_ids: Sequence[str]) -> dict[tuple[str, AttemptKey], list[_Row]]:
    rows: dict[tuple[str, AttemptKey], list[_Row]] = defaultdict(list)
    for piece in pieces(run_ids):
        found = select(table).where(table.c.run_id.in_(piece)).order_by(table.c.run_id, table.c.attempt, table.c.part)
        for row in _dicts(conn, found):
            rows[row["run_id"], AttemptKey(row["attempt"], row["attempt_id"])].append(row)
    return rows


def _dicts(conn: Connection, statement: Any) -> Iterable[_Row]:
    """Yield the rows of a statement as dicts."""
    return (dict(row) for row in conn.execute(statement).mappings())


def _newest(rows: Iterable[_Row]) -> list[_Row]:
    """Return the parts that count: those of the latest time, each once, ascending."""
    rows = list(rows)
    latest = max(((row["time_unix_nano"], row["parts"]) for row in rows), default=None)
    parts: dict[int, _Row] = {}
    for row in rows:
        if (row["time_unix_nano"], row["parts"]) == latest:
            other = parts.get(row["part"])
            if other is None or row["counts"] > other["counts"]:
                parts[row["part"]] = row
    return [parts[part] for part in sorted(parts)]


def _united(rows: Sequence[_Row]) -> AttemptTotals:
    counts = dict.fromkeys(COUNTS, 0)
    calls: dict[tuple[str, int, str], int] = {}
    for row in rows:
        said = json.loads(row["counts"])
        for name in COUNTS:
            counts[name] = max(counts[name], said[name])
        for split, keyset, names, number in said["keysets"]:
            for name in names:
                calls[split, keyset, name] = max(number, calls.get((split, keyset, name), 0))
    return AttemptTotals(rows[0]["time_unix_nano"], len(rows) == rows[0]["parts"], counts, calls)
