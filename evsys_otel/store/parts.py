"""What several senders say goes in, one batch comes out; whoever writes to another project's records is refused.

The project of an experiment, group, run or eval is the first that wrote to it. That is decided under the locks of the
write itself, so that of two projects that claim one id at once one is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evsys_otel.records import Entity, EntityKind, Records
from evsys_otel.store.batch import PARENTS, Batch, gather
from evsys_otel.store.locks import Rows
from evsys_otel.store.schema import ENTITY_FIELDS
from evsys_otel.store.texts import as_key


@dataclass(frozen=True, slots=True)
class Part:
    """What a sender says in the name of one project, to be written whole or not at all; None is for no project."""

    records: Records
    project_id: str | None


class OwnedElsewhereError(Exception):
    """Parts, by their ``numbers``, write to what belongs to another project. The transaction must be undone."""

    def __init__(self, numbers: set[int]) -> None:
        super().__init__("records belong to another project")
        self.numbers = numbers


class JoinedParts:
    """The parts as one ``batch``."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.batch = Batch(Records(), {kind: set() for kind in ENTITY_FIELDS})
        self._claims: dict[tuple[EntityKind, str], list[tuple[int, str | None]]] = {}
        for number, part in enumerate(parts):
            project_id, batch = as_key(part.project_id), gather(part.records)
            for kind, record_id in _claimed(batch):
                self._claims.setdefault((kind, record_id), []).append((number, project_id and str(project_id)))
                self.batch.ids[kind].add(record_id)
            self.batch.records.extend(batch.records)
            self.batch.parents |= batch.parents

    def own(self, rows: Rows, now_unix_nano: int) -> None:
        """Check every claim against the locked rows; what has no owner yet gets one with this write.

        Raises:
            OwnedElsewhereError: a part claims what belongs to another project.
        """
        refused: set[int] = set()
        for (kind, record_id), claims in self._claims.items():
            owner = rows[kind][record_id]["project_id"] or next((project for _, project in claims if project), None)
            refused |= {number for number, project_id in claims if owner is not None and project_id != owner}
        if refused:
            raise OwnedElsewhereError(refused)
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


def _claimed(batch: Batch) -> Iterator[tuple[EntityKind, str]]:
    """Yield, once each, what the batch writes to, what it puts something under included."""
    claimed = {(kind, record_id) for kind, ids in batch.ids.items() for record_id in ids}
    for kind, name, parent in PARENTS:
        own = (entity.fields for entity in batch.records.entities if entity.kind == kind)
        claimed |= {(parent, str(fields[name])) for fields in own if name in fields}
    yield from claimed
