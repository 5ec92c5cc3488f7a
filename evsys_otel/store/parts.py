"""What several senders say goes in, one batch comes out, and nothing in it that belongs to another project.

The project of an experiment, group, run or eval is the first that wrote to it. That is decided under the locks of the
write itself, so that of two projects that claim one id at once one is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from evsys_otel.records import Entity, EntityKind, Records
from evsys_otel.store.batch import PARENTS, Batch, gather
from evsys_otel.store.locks import Rows
from evsys_otel.store.schema import ENTITY_FIELDS
from evsys_otel.store.texts import as_key


@dataclass(frozen=True, slots=True)
class Part:
    """What a sender says in the name of one project; None is a sender that names none."""

    records: Records
    project_id: str | None


class OwnedElsewhereError(Exception):
    """Some ids belong to another project; ``refused`` are those of each part. The transaction must be undone."""

    def __init__(self, refused: list[set[str]]) -> None:
        super().__init__("some ids belong to another project")
        self.refused = refused


class JoinedParts:
    """The parts as one ``batch``, without the ids that were refused to each of them."""

    def __init__(self, parts: Sequence[Part], refused: Sequence[Set[str]]) -> None:
        self.batch = Batch(Records(), {kind: set() for kind in ENTITY_FIELDS})
        self._batches = [_without(part.records, ids) for part, ids in zip(parts, refused, strict=True)]
        self._claims: dict[tuple[EntityKind, str], list[tuple[int, str | None]]] = {}
        for index, (part, batch) in enumerate(zip(parts, self._batches, strict=True)):
            project_id = as_key(part.project_id)
            for kind, record_id in _claimed(batch):
                self._claims.setdefault((kind, record_id), []).append((index, project_id and str(project_id)))
                self.batch.ids[kind].add(record_id)
            self.batch.records.extend(batch.records)
            self.batch.parents |= batch.parents

    def own(self, rows: Rows, now_unix_nano: int) -> None:
        """Check every claim against the locked rows; what has no owner yet gets one with this write.

        Raises:
            OwnedElsewhereError: a part claims what belongs to another project.
        """
        refused: list[set[str]] = [set() for _ in self._batches]
        for (kind, record_id), claims in self._claims.items():
            owner = rows[kind][record_id]["project_id"] or next((project for _, project in claims if project), None)
            for index, project_id in claims:
                if owner is not None and project_id != owner:
                    refused[index].add(record_id)
        if any(refused):
            raise OwnedElsewhereError([_with_children(*pair) for pair in zip(self._batches, refused, strict=True)])
        self.batch.records.entities += self._adopted(rows, now_unix_nano)

    def _adopted(self, rows: Rows, now_unix_nano: int) -> list[Entity]:
        """Return what makes an owner of the first project to claim a record of which nothing else says whose it is."""
        told = {(entity.kind, entity.id) for entity in self.batch.records.entities if "project_id" in entity.fields}
        return [
            Entity(kind, record_id, 0, False, now_unix_nano, claims[0][1], {"project_id": claims[0][1]})
            for (kind, record_id), claims in self._claims.items()
            if claims[0][1] and (kind, record_id) not in told and record_id in self.batch.ids[kind]
            if not rows[kind][record_id]["project_id"]
        ]


def _without(records: Records, refused: Set[str]) -> Batch:
    batch = gather(records)
    if not refused:
        return batch
    batch.drop(set(refused))
    return gather(batch.records)


def _claimed(batch: Batch) -> Iterator[tuple[EntityKind, str]]:
    """Yield, once each, what the batch writes to, what it puts something under included."""
    claimed = {(kind, record_id) for kind, ids in batch.ids.items() for record_id in ids}
    for kind, name, parent in PARENTS:
        own = (entity.fields for entity in batch.records.entities if entity.kind == kind)
        claimed |= {(parent, str(fields[name])) for fields in own if name in fields}
    yield from claimed


def _with_children(batch: Batch, refused: set[str]) -> set[str]:
    """Return the refused ids and those of the records that this batch puts under them."""
    for kind, name, _ in PARENTS:
        refused |= {e.id for e in batch.records.entities if e.kind == kind and e.fields.get(name) in refused}
    return refused
