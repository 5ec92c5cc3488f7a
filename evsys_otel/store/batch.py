"""Records go in, what one write is about comes out: clean keys, and the ids of every record that it touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, Union

from evsys_otel.records import (
    Checkpoint,
    Entity,
    EntityKind,
    FieldValue,
    Prediction,
    Receipt,
    Records,
    Seen,
    StepSeries,
    Totals,
)
from evsys_otel.store.schema import ENTITY_FIELDS
from evsys_otel.store.texts import attempt_id_text, id_text

_AnyOfRun = Union[StepSeries, Prediction, Checkpoint, Receipt, Totals, Seen]  # noqa: UP007 (evaluated on 3.10 too)
_OfRun = TypeVar("_OfRun", StepSeries, Prediction, Checkpoint, Receipt, Totals, Seen)

PARENTS: tuple[tuple[EntityKind, str, EntityKind], ...] = (
    ("group", "experiment_id", "experiment"),
    ("run", "experiment_id", "experiment"),
    ("run", "group_id", "group"),
    ("eval", "run_id", "run"),
)
"""Which field of a kind refers to which other kind; parents come before what they contain."""


@dataclass(slots=True)
class Batch:
    """One write's records with clean keys; ``ids`` are those of each kind that it touches."""

    records: Records
    ids: dict[EntityKind, set[str]] = field(default_factory=dict)
    parents: set[str] = field(default_factory=set)

    def drop(self, dead: set[str]) -> None:
        """Leave out what belongs to removed records."""
        said = self.records
        said.entities = [entity for entity in said.entities if entity.id not in dead]
        for name in ("series", "predictions", "checkpoints", "receipts", "totals", "seen"):
            setattr(said, name, [record for record in getattr(said, name) if record.run_id not in dead])
        for ids in self.ids.values():
            ids -= dead


def gather(records: Records) -> Batch:
    """Return the batch of these records; they themselves stay as they are."""
    entities = [_clean_entity(entity) for entity in records.entities]
    batch = Batch(Records(
        entities, _with_clean_ids(records.series), _with_clean_ids(records.predictions),
        _with_clean_ids(records.checkpoints), _with_clean_ids(records.receipts), _with_clean_ids(records.totals),
        _with_clean_ids(records.seen),
    ))  # fmt: skip
    batch.ids = {kind: {entity.id for entity in entities if entity.kind == kind} for kind in ENTITY_FIELDS}
    batch.ids["run"] |= _run_ids(batch.records)
    for kind, name, _ in PARENTS:
        batch.parents |= {str(e.fields[name]) for e in entities if e.kind == kind and name in e.fields}
    batch.ids["run"] |= {str(e.fields["run_id"]) for e in entities if e.kind == "eval" and "run_id" in e.fields}
    return batch


def _with_clean_ids(records: Sequence[_OfRun]) -> list[_OfRun]:
    cleaned = []
    for record in records:
        run_id, attempt_id = id_text(record.run_id), attempt_id_text(record.attempt_id)
        same = run_id == record.run_id and attempt_id == record.attempt_id
        cleaned.append(record if same else replace(record, run_id=run_id, attempt_id=attempt_id))
    return cleaned


def _run_ids(said: Records) -> set[str]:
    groups: tuple[Sequence[_AnyOfRun], ...] = (
        said.series, said.predictions, said.checkpoints, said.receipts, said.totals, said.seen,
    )  # fmt: skip
    return {record.run_id for group in groups for record in group}


def _clean_entity(entity: Entity) -> Entity:
    """Return the entity with storable fields: a field that its column cannot hold, or None, was not said."""
    said = dict(entity.fields)
    if entity.project_id is not None:
        said["project_id"] = entity.project_id
    kept: dict[str, FieldValue] = {}
    for name, coerce in ENTITY_FIELDS[entity.kind].items():
        value = None if said.get(name) is None else coerce(said[name])
        if value is not None:
            kept[name] = value
    return replace(
        entity, id=id_text(entity.id), attempt_id=attempt_id_text(entity.attempt_id), fields=kept
    )
