"""What signals say, one by one, in; the batch's records out, with what many of them repeat said once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from evsys_otel import conventions as c
from evsys_otel.records import Entity, EntityKind, FieldValue, Receipt, Records, Seen, SeriesKind
from evsys_otel.translate.statement import Attempt, Statement

_Fields = tuple[tuple[str, FieldValue], ...]


class Collector:
    """Collects the records of one batch of signals; what it merges, the store would merge to the same."""

    def __init__(self) -> None:
        self.records = Records()
        self._mentions: dict[tuple[EntityKind, str, str | None, _Fields], tuple[int, int]] = {}
        self._seen: dict[tuple[str, Attempt, bool, bool], Seen] = {}
        self._ordinals: dict[tuple[str, Attempt, SeriesKind], set[int]] = {}

    def ignore(self, count: int = 1) -> None:
        """Count what is not ours or cannot be used."""
        self.records.ignored += count

    def mention(self, said: Statement, first_unix_nano: int, last_unix_nano: int) -> None:
        """Take the names and ids of what a signal stands under, said between these times: the least that is known."""
        name, above = said.attributes.name, ("experiment_id", said.experiment_id)
        mentioned: tuple[tuple[EntityKind, _Fields], ...] = (
            ("experiment", (("name", name(c.EXPERIMENT_NAME)),)),
            ("group", (above, ("name", name(c.GROUP_NAME)))),
            ("run", (above, ("group_id", said.group_id), ("name", name(c.RUN_NAME)))),
        )
        for kind, fields in mentioned:
            record_id = said.id_of(kind)
            if record_id is not None:
                key = (kind, record_id, said.source.project_id, fields)
                first, last = self._mentions.get(key, (first_unix_nano, last_unix_nano))
                self._mentions[key] = (min(first, first_unix_nano), max(last, last_unix_nano))

    def see(
        self, run_id: str, attempt: Attempt, time_unix_nano: int, step: int | None = None, *, heartbeat: bool = False
    ) -> None:
        """Take a sign of life: of each attempt the newest is kept, and the newest that has a step."""
        key = (run_id, attempt, heartbeat, step is None)
        known = self._seen.get(key)
        if known is None or (known.time_unix_nano, known.step or 0) < (time_unix_nano, step or 0):
            self._seen[key] = Seen(run_id, attempt.number, time_unix_nano, step, heartbeat, attempt.id)

    def receive(self, run_id: str, attempt: Attempt, kind: SeriesKind, ordinal: int | None) -> None:
        """Take the number of an eval, prediction or checkpoint, if it has one."""
        if ordinal is not None:
            self._ordinals.setdefault((run_id, attempt, kind), set()).add(ordinal)

    def finish(self) -> Records:
        """Return the records; the collector is then used up."""
        records = self.records
        records.entities[:0] = [*self._mentioned()]
        records.seen += self._seen.values()
        for (run_id, attempt, kind), ordinals in self._ordinals.items():
            records.receipts += [
                Receipt(run_id, attempt.number, kind, *interval, attempt.id) for interval in _intervals(ordinals)
            ]
        return records

    def _mentioned(self) -> Iterator[Entity]:
        """Yield each mention at its earliest and its latest time: one says since when, the other what is newest."""
        for (kind, record_id, project_id, fields), times in self._mentions.items():
            told: dict[str, FieldValue] = {name: value for name, value in fields if value is not None}
            if told:
                yield from (Entity(kind, record_id, 0, False, time, project_id, told) for time in sorted({*times}))


def _intervals(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return first and count of each unbroken row of the numbers."""
    rows = groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0])
    return [(row[0][1], len(row)) for row in ([*pairs] for _, pairs in rows)]
