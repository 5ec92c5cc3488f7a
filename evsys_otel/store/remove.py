"""An experiment, group or run is removed for good: what arrives again of it stays removed."""

from __future__ import annotations

from sqlalchemy import Table, select
from sqlalchemy.sql import ColumnElement

from evsys_otel.errors import NotFoundError
from evsys_otel.records import EntityKind
from evsys_otel.store import schema
from evsys_otel.store.database import Transaction
from evsys_otel.store.erase import COUNTED, erase
from evsys_otel.store.locks import pieces

_ORDER: tuple[EntityKind, ...] = ("experiment", "group", "run")


def remove(tx: Transaction, record_id: str) -> dict[str, int]:
    """Remove what has this id and all that belongs to it; return the rows removed by kind.

    Raises:
        NotFoundError: no experiment, group or run has this id.
    """
    doomed = _doomed(tx, record_id)
    if not any(doomed.values()):
        raise NotFoundError(f"No experiment, group or run has the id {record_id}; see evsys-otel ls.")
    counts = dict.fromkeys(COUNTED, 0)
    for kind in _ORDER:
        for piece in pieces(doomed[kind]):
            buried = tx.insert(schema.tombstones).on_conflict_do_nothing()
            tx.conn.execute(buried, [{"id": each} for each in piece])
        for name, count in erase(tx.conn, kind, doomed[kind]).items():
            counts[name] += count
    return counts


def _doomed(tx: Transaction, record_id: str) -> dict[EntityKind, list[str]]:
    """Lock and return what is to go, in the order in which writers lock: a writer of it has ended, or will wait."""
    groups, runs = schema.groups.c, schema.runs.c
    of_run = (runs.id == record_id) | (runs.group_id == record_id) | (runs.experiment_id == record_id)
    return {
        "experiment": _locked(tx, schema.experiments, schema.experiments.c.id == record_id),
        "group": _locked(tx, schema.groups, (groups.id == record_id) | (groups.experiment_id == record_id)),
        "run": _locked(tx, schema.runs, of_run),
    }


def _locked(tx: Transaction, table: Table, where: ColumnElement[bool]) -> list[str]:
    return list(tx.conn.scalars(select(table.c.id).where(where).order_by(table.c.id).with_for_update()))
