"""Signals of a run go in, one row for each attempt heard of comes out: its newest event, signal, end and step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple

from sqlalchemy import RowMapping, select

from evsys_otel.records import Checkpoint, Prediction, Receipt, Records, Totals
from evsys_otel.store.database import Transaction
from evsys_otel.store.locks import pieces
from evsys_otel.store.schema import attempts as table

_NEVER = 0
_IDENTITY = ("run_id", "attempt", "attempt_id")


class AttemptKey(NamedTuple):
    """Which recording of a run: its number, and what tells it from another of that number, '' for a first one."""

    number: int
    id: str


FIRST_ATTEMPT = AttemptKey(1, "")


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of one attempt; times are nanoseconds, 0 for never.

    ``event_unix_nano`` is that of the trainer's newest event, ``signal_unix_nano`` counts heartbeats too,
    ``end_unix_nano`` is the newest end, ``received_unix_nano`` the store's clock when something last arrived.
    """

    run_id: str
    attempt: int
    attempt_id: str
    event_unix_nano: int = _NEVER
    signal_unix_nano: int = _NEVER
    end_unix_nano: int = _NEVER
    step_unix_nano: int = _NEVER
    last_step: int | None = None
    received_unix_nano: int = _NEVER

    @property
    def key(self) -> AttemptKey:
        """Which of its run's attempts it is."""
        return AttemptKey(self.attempt, self.attempt_id)

    @property
    def ended(self) -> bool:
        """Whether it ended and did nothing afterwards."""
        return self.end_unix_nano != _NEVER and self.event_unix_nano <= self.end_unix_nano

    def united(self, other: Attempt) -> Attempt:
        """Return what both say together."""
        newest = max(self, other, key=_by_step)
        return Attempt(
            self.run_id, self.attempt, self.attempt_id,
            max(self.event_unix_nano, other.event_unix_nano), max(self.signal_unix_nano, other.signal_unix_nano),
            max(self.end_unix_nano, other.end_unix_nano), newest.step_unix_nano, newest.last_step,
            max(self.received_unix_nano, other.received_unix_nano),
        )


def _by_step(each: Attempt) -> tuple[int, bool, int]:
    return each.step_unix_nano, each.last_step is not None, each.last_step or 0


def attempt_of(row: RowMapping) -> Attempt:
    """Return a row as an attempt."""
    return Attempt(**{field.name: row[field.name] for field in fields(Attempt)})


def write_attempts(tx: Transaction, said: Records, run_ids: Iterable[str]) -> dict[str, dict[AttemptKey, Attempt]]:
    """Unite what the records say with what is held; return every known attempt of these, the touched runs."""
    heard = _heard_of(said, tx.now_unix_nano)
    known: dict[str, dict[AttemptKey, Attempt]] = {run_id: {} for run_id in run_ids}
    for piece in pieces(sorted(known)):
        for row in tx.conn.execute(select(table).where(table.c.run_id.in_(piece))).mappings():
            held_row = attempt_of(row)
            known[held_row.run_id][held_row.key] = held_row
    changed: list[dict[str, Any]] = []
    for (run_id, key), news in sorted(heard.items()):
        held = known[run_id].get(key)
        united = known[run_id][key] = news if held is None else held.united(news)
        if united != held:
            changed.append(asdict(united))
    if changed:
        upsert = tx.insert(table)
        rest = {name: upsert.excluded[name] for name in changed[0] if name not in _IDENTITY}
        tx.conn.execute(upsert.on_conflict_do_update(index_elements=[*_IDENTITY], set_=rest), changed)
    return known


def _heard_of(said: Records, now_unix_nano: int) -> dict[tuple[str, AttemptKey], Attempt]:
    heard: dict[tuple[str, AttemptKey], Attempt] = {}
    for news in _news(said):
        if news.attempt >= 1:  # 0 is what a child mentions of its parent
            key = (news.run_id, news.key)
            heard[key] = heard[key].united(news) if key in heard else news
    return {key: replace(news, received_unix_nano=now_unix_nano) for key, news in heard.items()}


def _news(said: Records) -> Iterable[Attempt]:
    for entity in said.entities:
        if entity.kind == "run":
            end = entity.time_unix_nano if entity.is_end else _NEVER
            yield Attempt(entity.id, entity.attempt, entity.attempt_id, end_unix_nano=end)
        elif entity.kind == "eval" and "run_id" in entity.fields:
            yield Attempt(str(entity.fields["run_id"]), entity.attempt, entity.attempt_id)
    for series in said.series:
        # Instruments that number nothing may speak after the end: their values are no sign of the trainer.
        time = max(series.times) if series.keyset is not None else _NEVER
        yield Attempt(series.run_id, series.attempt, series.attempt_id, time, time)
    rows: Iterable[Prediction | Checkpoint] = (*said.predictions, *said.checkpoints)
    for row in rows:
        yield Attempt(row.run_id, row.attempt, row.attempt_id, row.time_unix_nano, row.time_unix_nano)
    counts: Iterable[Receipt | Totals] = (*said.receipts, *said.totals)
    for count in counts:
        yield Attempt(count.run_id, count.attempt, count.attempt_id)
    for sign in said.seen:
        event = _NEVER if sign.heartbeat else sign.time_unix_nano
        step_time = _NEVER if sign.step is None else sign.time_unix_nano
        yield Attempt(
            sign.run_id, sign.attempt, sign.attempt_id, event, sign.time_unix_nano, _NEVER, step_time, sign.step
        )
