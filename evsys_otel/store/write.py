"""Records go in, one transaction's worth of upserts comes out, in an order that all writers share."""

from __future__ import annotations

from collections.abc import Sequence

from evsys_otel.records import Records
from evsys_otel.store.attempts import write_attempts
from evsys_otel.store.batch import Batch, gather
from evsys_otel.store.database import Transaction
from evsys_otel.store.entities import write_entities
from evsys_otel.store.locks import Rows, lock_rows
from evsys_otel.store.numbers import NumberBook
from evsys_otel.store.parts import JoinedParts, Part
from evsys_otel.store.receipts import write_receipts
from evsys_otel.store.rows import write_checkpoints, write_predictions
from evsys_otel.store.schema import journals
from evsys_otel.store.totals import write_totals
from evsys_otel.store.values import write_values


def write_records(tx: Transaction, book: NumberBook, records: Records) -> None:
    """Upsert the records; any order, repetition and grouping of the same records ends in the same state."""
    batch = gather(records)
    _write_batch(tx, book, batch, lock_rows(tx, batch))


def write_parts(tx: Transaction, book: NumberBook, parts: Sequence[Part]) -> None:
    """Upsert what each part says of its own project's records.

    Raises:
        OwnedElsewhereError: some parts must be left out; undo the transaction and call again.
    """
    joined = JoinedParts(parts)
    rows = lock_rows(tx, joined.batch)
    joined.own(rows, tx.now_unix_nano)
    _write_batch(tx, book, joined.batch, rows)


def _write_batch(tx: Transaction, book: NumberBook, batch: Batch, rows: Rows) -> None:
    said = batch.records
    attempts = write_attempts(tx, said, batch.ids["run"])
    write_entities(tx, rows, said.entities, attempts)
    write_values(tx, book.series, said.series)
    write_receipts(tx, book.streams, said)
    write_totals(tx, said.totals)
    write_predictions(tx, said.predictions)
    write_checkpoints(tx, said.checkpoints)


def write_position(tx: Transaction, journal_id: str, position: int) -> None:
    """Acknowledge a journal up to a position, which never goes back."""
    upsert = tx.insert(journals).values(id=journal_id, position=position)
    tx.conn.execute(upsert.on_conflict_do_update(
        index_elements=["id"], set_={"position": upsert.excluded.position},
        where=upsert.excluded.position > journals.c.position,
    ))  # fmt: skip
