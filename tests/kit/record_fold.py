"""An order-independent fold of records in memory: what any store must hold after them, whatever their order."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from typing import Any

from evsys_otel.records import Prediction, Records

Key = tuple[Any, ...]


def plain(value: Any) -> Any:
    """Return a value that can be compared bit by bit and sorted: floats as their bytes."""
    if isinstance(value, float):
        return ("float", struct.pack("<d", value))
    if isinstance(value, (list, tuple)):
        return tuple(plain(item) for item in value)
    return value


@dataclass
class FoldedRecords:
    """The state that records lead to; every member is compared by value, floats by their bits."""

    entities: dict[Key, dict[str, Any]] = field(default_factory=dict)
    values: dict[Key, tuple[int, int, bytes]] = field(default_factory=dict)
    ordinals: dict[Key, set[int]] = field(default_factory=dict)
    receipts: dict[Key, set[int]] = field(default_factory=dict)
    predictions: dict[Key, Any] = field(default_factory=dict)
    checkpoints: dict[Key, Any] = field(default_factory=dict)
    totals: dict[Key, tuple[int, dict[int, Any]]] = field(default_factory=dict)
    seen: dict[Key, Any] = field(default_factory=dict)
    first: dict[Key, int] = field(default_factory=dict)

    def facts(self) -> dict[Key, dict[str, Any]]:
        """Return what the entities' fields hold, without what ordered them."""
        return {key: {name: value for name, (_, value) in fields.items()} for key, fields in self.entities.items()}


def fold_records(batches: Iterable[Records]) -> FoldedRecords:
    """Return the state after all records of the batches, by the design's rules: newest wins, receipts unite."""
    state = FoldedRecords()
    for records in batches:
        _fold_entities(state, records)
        _fold_series(state, records)
        _fold_children(state, records)
        _fold_totals(state, records)
        _fold_seen(state, records)
    return state


def _newest(table: dict[Any, Any], key: Any, candidate: tuple[Any, ...]) -> None:
    known = table.get(key)
    if known is None or _order(known) < _order(candidate):
        table[key] = candidate


def _order(candidate: tuple[Any, ...]) -> tuple[Any, str]:
    return candidate[:-1], repr(candidate[-1])


def _fold_entities(state: FoldedRecords, records: Records) -> None:
    for entity in records.entities:
        fields = state.entities.setdefault((entity.kind, entity.id), {})
        since = state.first.get((entity.kind, entity.id), entity.time_unix_nano)
        state.first[entity.kind, entity.id] = min(since, entity.time_unix_nano)
        rank = (entity.attempt, entity.is_end, entity.time_unix_nano)
        told = {**entity.fields, **({"project_id": entity.project_id} if entity.project_id else {})}
        for name, value in told.items():
            _newest(fields, name, (rank, plain(value)))


def _fold_series(state: FoldedRecords, records: Records) -> None:
    for series in records.series:
        assert len(series.steps) == len(series.times) == len(series.values) >= 1
        for step, time, value in zip(series.steps, series.times, series.values, strict=True):
            key = (series.run_id, series.split, series.name, step)
            _newest(state.values, key, (series.attempt, time, struct.pack("<d", value)))
        if series.ordinal is not None:
            key = (series.run_id, series.attempt, series.split, series.keyset, series.name)
            assert (series.attempt > 1) == bool(series.attempt_id)
            numbers = range(series.ordinal, series.ordinal + len(series.steps))
            state.ordinals.setdefault(key, set()).update(numbers)


def _fold_children(state: FoldedRecords, records: Records) -> None:
    for row in records.predictions:
        _newest(state.predictions, _prediction_key(row), (row.attempt, row.time_unix_nano, plain(astuple(row))))
    for point in records.checkpoints:
        key = (point.run_id, point.uri, point.step)
        _newest(state.checkpoints, key, (point.attempt, point.time_unix_nano, plain(astuple(point))))
    for receipt in records.receipts:
        numbers = range(receipt.first, receipt.first + receipt.count)
        state.receipts.setdefault((receipt.run_id, receipt.attempt, receipt.kind), set()).update(numbers)


def _prediction_key(row: Prediction) -> Key:
    return (row.run_id, row.eval_id, row.kind, row.step, row.task_id, row.sample_idx)


def _fold_totals(state: FoldedRecords, records: Records) -> None:
    for totals in records.totals:
        key = (totals.run_id, totals.attempt)
        time, parts = state.totals.get(key, (0, {}))
        if totals.time_unix_nano > time:
            time, parts = totals.time_unix_nano, {}
        if totals.time_unix_nano == time:
            parts[totals.part] = plain(astuple(totals))
        state.totals[key] = (time, parts)


def _fold_seen(state: FoldedRecords, records: Records) -> None:
    for seen in records.seen:
        key = (seen.run_id, seen.attempt, seen.heartbeat)
        _newest(state.seen, (*key, "time"), (seen.time_unix_nano, None))
        if seen.step is not None:
            _newest(state.seen, (*key, "step"), (seen.time_unix_nano, seen.step))
