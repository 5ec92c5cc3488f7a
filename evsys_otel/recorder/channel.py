"""The way into the journal: events of all threads go in, one after the other; what cannot be appended is counted.

What tells of a run (its start, its declarations, its end) waits in memory and is tried again before anything that comes
after it, so that a step in the journal is always a step of a declared stream of a started run.
"""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import msgspec

from evsys_otel.events import CheckpointLogged, EvalLogged, Event, Lost, RunUpdated
from evsys_otel.journal.frames import MAX_PAYLOAD_BYTES
from evsys_otel.recorder.guard import say_once
from evsys_otel.sources import Sources

MAX_WAITING_EXTRAS = 4_096
"""Evals, checkpoints and updates that wait in memory for the journal; declarations always do."""

_FACTS = (RunUpdated, EvalLogged, CheckpointLogged)
"""Events whose loss is a loss of values. That of a start, a declaration or an end is told by what it frames."""

LOOK_NANO = 2_000_000_000
"""How often, in the time of events, a log call looks whether the shipper lives."""
LOOK_CALLS = 1_000
"""The same in log calls for as long as the clock is behind the events."""


class Writer(Protocol):
    """What a channel needs of a journal."""

    position: int
    last_problem: str | None

    def append(self, payload: bytes) -> bool:
        """Append one event; False when it was refused."""
        ...

    def append_step(self, payload: bytes) -> bool:
        """Append one event; False when it was refused, also because too much waits for delivery."""
        ...

    def record_loss(self, lost: Lost) -> None:
        """Write down how much of one kind was lost so far."""
        ...

    def sync(self) -> None:
        """Bring what was appended to the disk."""
        ...

    def close(self) -> None:
        """Write no more."""
        ...


class NoJournal:
    """Stands in where no journal could be created: refuses everything, so that everything is counted as lost."""

    def __init__(self, problem: str) -> None:
        self.position = 0
        self.last_problem: str | None = problem

    def append(self, payload: bytes) -> bool:
        """Refuse."""
        return False

    append_step = append

    def record_loss(self, lost: Lost) -> None:
        """Keep nothing; the channel's own account is all there is."""

    def sync(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@dataclass(slots=True)
class Account:
    """What was lost of one kind, run and stream so far."""

    next_ordinal: int = 0
    calls: int = 0
    values: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event that could not be appended yet, and what to do once it is."""

    event: Event
    kind: str
    run: int | None
    then: Callable[[], None] | None

    @property
    def values(self) -> int:
        """How many values are lost with it."""
        return int(isinstance(self.event, _FACTS))


class Channel:
    """One journal under one lock, reentrant for the sake of signal handlers; thread-safe."""

    def __init__(self, writer: Writer, sources: Sources) -> None:
        self.lock = threading.RLock()
        self.writer = writer
        self.append_step = writer.append_step
        self.encode: Callable[[object], bytes] = msgspec.msgpack.Encoder().encode
        self.clock = sources.time_unix_nano
        self.last_time_unix_nano = 0
        self.next_look_unix_nano = self.clock() + LOOK_NANO
        self._calls_behind = 0
        self.silent = False
        self.waiting: deque[Waiting] = deque()
        self.keysets: dict[tuple[str, ...], int] = {}
        self._accounts: defaultdict[tuple[str, int | None, int | None], Account] = defaultdict(Account)
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)

    def next_number(self, kind: str) -> int:
        """Return the next number of a kind of record, counted from 0."""
        with self.lock:
            return next(self._numbers[kind])

    def next_time(self) -> int:
        """Return the time of the next event: now, or 1 ns after the last where the clock did not move on."""
        now = self.clock()
        if now <= self.last_time_unix_nano:
            now = self.after_last(now)
        self.last_time_unix_nano = now
        return now

    def after_last(self, now: int) -> int:
        """Return 1 ns after the last event's time; where the clock was set back, a look falls due by calls."""
        if self.last_time_unix_nano - now > LOOK_NANO:
            self._calls_behind += 1
            if self._calls_behind % LOOK_CALLS == 0:
                self.next_look_unix_nano = 0
        return self.last_time_unix_nano + 1

    def put(
        self, event: Event, kind: str = "event", run: int | None = None, *, then: Callable[[], None] | None = None
    ) -> bool:
        """Append an event, stamped with its time; what is refused waits and is tried again before the next event.

        ``then`` is called once the event is in the journal. Returns whether it is there now.
        """
        with self.lock:
            if self.silent:
                return False
            item = Waiting(event, kind, run, then)
            if self.catch_up() and self._write(item):
                return True
            self._keep(item)
            return False

    def put_rows(self, event: Event, run: int, ordinal: int, rows: int) -> bool:
        """Append predictions, or count them as lost: they are too large to wait in memory."""
        with self.lock:
            if self.silent:
                return False
            if self.catch_up() and self.writer.append(self.encode(self._stamped(event))):
                return True
            self.lose("prediction", run, None, next_ordinal=ordinal + rows, calls=1, values=rows)
            return False

    def catch_up(self) -> bool:
        """Append what waits, in its order; whether nothing waits any more. Call it under the lock."""
        while self.waiting:
            item = self.waiting[0]
            if not self._write(item):
                return False
            self.waiting.popleft()
            self._account(item.kind, item.run, None, calls=-1, values=-item.values)
        return True

    def lose(
        self, kind: str, run: int | None, stream: int | None, *, next_ordinal: int = 0, calls: int = 1, values: int = 1
    ) -> None:
        """Count a loss, in the journal's header too, and warn of the first. Call it under the lock."""
        self._account(kind, run, stream, next_ordinal=next_ordinal, calls=calls, values=values)
        say_once(
            ("lost", id(self)), "what is logged cannot be recorded and is counted as lost until it can: %s",
            self.writer.last_problem,
        )

    def move_loss(self, run: int, stream: int, *, next_ordinal: int, calls: int, values: int) -> None:
        """Attribute step values, lost before their stream could be declared, to the stream. Call it under the lock."""
        self._account("step", run, None, calls=-calls, values=-values)
        self._account("step", run, stream, next_ordinal=next_ordinal, calls=calls, values=values)

    def lost_values(self) -> int:
        """Return how many step values, predictions, evals, checkpoints and updates are not in the journal."""
        with self.lock:
            return sum(account.values for account in self._accounts.values())

    def silence(self) -> None:
        """Make this the copy of another process's channel: nothing is appended any more, no lock is waited for."""
        self.silent = True
        self.lock = threading.RLock()

    def _write(self, item: Waiting) -> bool:
        if not self.writer.append(self.encode(self._stamped(item.event))):
            return False
        if item.then is not None:
            item.then()
        return True

    def _keep(self, item: Waiting) -> None:
        has_room = not isinstance(item.event, _FACTS) or len(self.waiting) < MAX_WAITING_EXTRAS
        if has_room and len(self.encode(item.event)) < MAX_PAYLOAD_BYTES:  # else nothing after it would ever be taken
            self.waiting.append(item)
        ordinal = getattr(item.event, "ordinal", -1)
        self.lose(item.kind, item.run, None, next_ordinal=ordinal + 1, values=item.values)

    def _stamped(self, event: Event) -> Event:
        if not hasattr(event, "time_unix_nano"):
            return event
        return msgspec.structs.replace(event, time_unix_nano=self.next_time())

    def _account(
        self, kind: str, run: int | None, stream: int | None, *, next_ordinal: int = 0, calls: int, values: int
    ) -> None:
        account = self._accounts[kind, run, stream]
        account.next_ordinal = max(account.next_ordinal, next_ordinal)
        account.calls += calls
        account.values += values
        self.writer.record_loss(Lost(kind, run, stream, account.next_ordinal, account.calls, account.values))
