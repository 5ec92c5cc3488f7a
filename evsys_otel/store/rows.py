"""Predictions and checkpoints go in, each key holds the newest: by attempt and time, then a rank of the content."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Table, tuple_

from evsys_otel.records import Checkpoint, Prediction
from evsys_otel.store import schema
from evsys_otel.store.database import Transaction
from evsys_otel.store.locks import pieces
from evsys_otel.store.texts import id_text, key_text, optional_text, rank_of

MAX_URI_BYTES = 2000

_PREDICTION_KEY = ("run_id", "kind", "step", "eval_id", "task_id", "sample_idx")
_CHECKPOINT_KEY = ("run_id", "uri", "step")
_ORDER = ("attempt", "time_unix_nano", "rank")


def write_predictions(tx: Transaction, predictions: Iterable[Prediction]) -> None:
    """Upsert predictions; of two with one attempt and time a whole one beats a shortened one."""
    _upsert(tx, schema.predictions, _PREDICTION_KEY, map(_prediction_row, predictions))


def write_checkpoints(tx: Transaction, checkpoints: Iterable[Checkpoint]) -> None:
    """Upsert checkpoints."""
    _upsert(tx, schema.checkpoints, _CHECKPOINT_KEY, map(_checkpoint_row, checkpoints))


def _prediction_row(said: Prediction) -> dict[str, Any]:
    content = {
        "instruction": optional_text(said.instruction), "model_output": optional_text(said.model_output),
        "expected": optional_text(said.expected), "reward": said.reward, "advantage": said.advantage,
        "metadata": optional_text(said.metadata),
    }
    return {
        "run_id": said.run_id, "kind": id_text(said.kind), "step": said.step,
        "eval_id": id_text(said.eval_id), "task_id": key_text(said.task_id), "sample_idx": said.sample_idx,
        **content, "shortened": int(said.shortened), "attempt": said.attempt, "time_unix_nano": said.time_unix_nano,
        "rank": rank_of(content, whole=not said.shortened),
    }


def _checkpoint_row(said: Checkpoint) -> dict[str, Any]:
    content = {
        "id": id_text(said.id), "label": optional_text(said.label), "is_final": int(said.is_final),
        "base_model": optional_text(said.base_model),
    }
    return {
        "run_id": said.run_id, "uri": key_text(said.uri, MAX_URI_BYTES), "step": said.step, **content,
        "attempt": said.attempt, "time_unix_nano": said.time_unix_nano, "rank": rank_of(content),
    }


def _upsert(tx: Transaction, table: Table, key: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> None:
    """Upsert the newest row of each key, in the order of keys (PostgreSQL deadlocks otherwise)."""
    newest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        identity = tuple(row[name] for name in key)
        held = newest.get(identity)
        if held is None or _order(row) > _order(held):
            newest[identity] = row
    statement = tx.insert(table)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=list(key),
        set_={column.name: new[column.name] for column in table.columns if column.name not in key},
        where=tuple_(*(new[name] for name in _ORDER)) > tuple_(*(table.c[name] for name in _ORDER)),
    )
    for piece in pieces([newest[identity] for identity in sorted(newest)]):
        tx.conn.execute(statement, piece)


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _ORDER)
