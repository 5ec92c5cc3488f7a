"""Series and streams go in, the integers that stand for them in the big tables come out: 29 bytes a value, not 177."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Table, insert, select

from evsys_otel.store import schema
from evsys_otel.store.database import Transaction

Key = tuple[Any, ...]

MAX_RUNS = 256
"""Runs whose numbers are kept in memory, the last used ones."""


class Numbers:
    """The numbers of one table's keys, ``(run_id, ...)``; those of a run are written under the lock of its row.

    What it remembers must be forgotten when a transaction is undone.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._names = [column.name for column in table.columns if column.name != "id"]
        self._known: OrderedDict[str, dict[Key, int]] = OrderedDict()

    def of(self, tx: Transaction, keys: Iterable[Key]) -> dict[Key, int]:
        """Return the number of each key; new ones are made in the order of keys."""
        wanted = sorted(set(keys))
        found: dict[Key, int] = {}
        for run_id in dict.fromkeys(key[0] for key in wanted):
            own = [key for key in wanted if key[0] == run_id]
            known = self._known.setdefault(run_id, {})
            self._known.move_to_end(run_id)
            if any(key not in known for key in own):
                known.update(self._read(tx, run_id))  # another process may have made them
                self._make(tx, [key for key in own if key not in known])
                known.update(self._read(tx, run_id))
            found.update({key: known[key] for key in own})
        while len(self._known) > MAX_RUNS:
            self._known.popitem(last=False)
        return found

    def forget(self) -> None:
        """Forget everything: it may have been undone."""
        self._known.clear()

    def _make(self, tx: Transaction, keys: Sequence[Key]) -> None:
        if keys:
            tx.conn.execute(insert(self._table), [dict(zip(self._names, key, strict=True)) for key in keys])

    def _read(self, tx: Transaction, run_id: str) -> dict[Key, int]:
        columns = [self._table.c[name] for name in self._names]
        rows = tx.conn.execute(select(self._table.c.id, *columns).where(self._table.c.run_id == run_id))
        return {tuple(row[1:]): row[0] for row in rows}


class NumberBook:
    """The numbers of series and of streams."""

    def __init__(self) -> None:
        self.series = Numbers(schema.series)
        self.streams = Numbers(schema.streams)

    def forget(self) -> None:
        """Forget everything: it may have been undone."""
        self.series.forget()
        self.streams.forget()
