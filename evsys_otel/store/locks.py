"""A batch goes in, the rows of its records come out, created where they were not, and locked: before anything else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import insert, select

from evsys_otel.records import EntityKind
from evsys_otel.store import schema
from evsys_otel.store.batch import PARENTS, Batch
from evsys_otel.store.database import Transaction
from evsys_otel.store.erase import erase

Rows = dict[EntityKind, dict[str, dict[str, Any]]]

_Item = TypeVar("_Item")


def pieces(items: Sequence[_Item], size: int = 500) -> Iterator[Sequence[_Item]]:
    """Cut a sequence into pieces that fit the parameters of one statement."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def lock_rows(tx: Transaction, batch: Batch) -> Rows:
    """Create and lock every row that the batch merges into; what belongs to a removed record leaves the batch.

    The order, by kind and then by id, is the same for every writer, so that no two wait for each other. What does not
    exist cannot be locked, hence the insert first (on SQLite the transaction has the only write lock already).
    """
    rows: Rows = {}
    for kind, table in schema.ENTITY_TABLES.items():
        rows[kind] = {}
        for ids in pieces(sorted(batch.ids[kind])):
            created = tx.insert(table).on_conflict_do_nothing()
            tx.conn.execute(created, [{"id": record_id, "versions": "{}"} for record_id in ids])
            locked = select(table).where(table.c.id.in_(ids)).order_by(table.c.id).with_for_update()
            rows[kind].update({row.id: row._asdict() for row in tx.conn.execute(locked)})
    _bury(tx, batch)
    return rows


def _bury(tx: Transaction, batch: Batch) -> None:
    """Leave out what was removed, and remove what turns out to be part of something removed."""
    touched = batch.parents.union(*batch.ids.values())
    tombs = set(_tombstones_among(tx, touched))
    if not tombs:
        return
    dead = set(tombs)
    for kind, name, _ in PARENTS:
        dead |= {e.id for e in batch.records.entities if e.kind == kind and e.fields.get(name) in dead}
    new = dead - tombs - batch.ids["eval"]
    if new:
        tx.conn.execute(insert(schema.tombstones), [{"id": record_id} for record_id in sorted(new)])
    for kind, ids in batch.ids.items():
        erase(tx.conn, kind, sorted(ids & dead))
    batch.drop(dead)


def _tombstones_among(tx: Transaction, ids: Iterable[str]) -> Iterator[str]:
    for piece in pieces(sorted(ids)):
        yield from tx.conn.scalars(select(schema.tombstones.c.id).where(schema.tombstones.c.id.in_(piece)))

