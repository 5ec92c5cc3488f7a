"""SDK signals of one kind go in, requests of bounded size are sent, and what became of each record comes out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic

from evsys_otel.otlp.kinds import S, SignalKind, T
from evsys_otel.otlp.outcomes import Outcome, Refused, Taken, TryLater
from evsys_otel.otlp.pacing import Pacer
from evsys_otel.otlp.sender import Sender
from evsys_otel.otlp.shorten import shorten

DOUBTS_BEFORE_SEARCH = 3
"""After so many doubtful answers in a row the fault is looked for in the records."""
MAX_SUSPECTS = 3
"""After so many records that failed alone, with none taken between, one that was taken before is sent once more."""
MAX_REASON_CHARS = 300
FILL = 0.97
"""How full requests are packed by estimate, which leaves out the resource; what is measured too large is halved."""


@dataclass(frozen=True)
class Limits:
    """Bytes of a request that holds several records, and of a single record."""

    request_bytes: int
    record_bytes: int


@dataclass(frozen=True)
class Parked:
    """A record that the receiver refuses, or that cannot be encoded: what it is, and why."""

    description: str
    reason: str


@dataclass
class DeliveryResult(Generic[S]):
    """What became of a delivery: ``rest`` are the signals, as they were handed in, that have to be delivered again.

    ``taken`` counts spans, log records or points; ``rejected`` is what partial successes dropped of them.
    """

    outcome: Outcome = field(default_factory=Taken)
    rest: list[S] = field(default_factory=list)
    taken: int = 0
    parked: list[Parked] = field(default_factory=list)
    shortened: int = 0
    rejected: int = 0


class SignalSender(Generic[S, T]):
    """Delivers one signal to one destination, for one thread; :meth:`close` may come from another.

    Requests that hold several records stay within the limit. A refused record is found by halving and parked alone; one
    refused for its sender, or for now, ends the delivery with the rest. Nothing is retried here: who calls does.
    """

    def __init__(self, kind: SignalKind[S, T], sender: Sender, limits: Limits, pacer: Pacer) -> None:
        self._kind = kind
        self._sender = sender
        self._limits = limits
        self._pacer = pacer
        self._doubt: Doubt[T] = Doubt()

    def deliver(self, signals: Iterable[S]) -> DeliveryResult[S]:
        """Send the signals in order; never raises, blocks at most for the timeout of each request and the pace."""
        return _Delivery(self._kind, self._limits, self._doubt, self._send, self._kind.unpack(signals)).run()

    def close(self) -> None:
        """End a request or a wait under way; what is delivered after is for later."""
        self._pacer.stop()
        self._sender.close()

    def _send(self, request: bytes) -> Outcome:
        if not self._pacer.wait(len(request)):
            return TryLater("the sender is closed")
        return self._sender.send(request)


@dataclass
class Doubt(Generic[T]):
    """What is remembered between deliveries, for answers that may be a record's own fault: how many came in a row.

    ``witness`` is a record that was taken. Only its being taken once more tells a record's fault from an outage: a
    receiver whose database is down may well answer an empty request.
    """

    answers: int = 0
    witness: T | None = None


class _Delivery(Generic[S, T]):
    """One delivery: a stack of groups of records, each to be one request.

    After several doubtful answers (INTERNAL, 500) it searches: doubtful groups are halved like refused ones, and a
    record that fails alone is set aside. It is parked if it fails once more after the others, and the witness is taken
    after that. In an outage the witness is not taken either, and the search ends with nothing parked; so it does
    where nothing was ever taken.
    """

    def __init__(
        self,
        kind: SignalKind[S, T],
        limits: Limits,
        doubt: Doubt[T],
        send: Callable[[bytes], Outcome],
        items: Sequence[T],
    ) -> None:
        self._kind = kind
        self._limits = limits
        self._doubt = doubt
        self._send = send
        self._searching = doubt.answers >= DOUBTS_BEFORE_SEARCH
        self._suspects: list[tuple[T, str]] = []
        self._suspects_in_a_row = 0
        self._last_doubt: Outcome = Taken()
        self._stack = list(pack(items, kind.estimate, limits))[::-1]
        self._result: DeliveryResult[S] = DeliveryResult()

    def run(self) -> DeliveryResult[S]:
        """Work off all groups, then the suspects; or stop with the rest."""
        if self._work_off() and self._judge():
            self._doubt.answers = 0
        return self._result

    def _judge(self) -> bool:
        """Send the suspects once more, now that all others were; park those that fail in a receiver that is well."""
        self._stack = [[suspect] for suspect, _ in reversed(self._suspects)]
        self._suspects = []
        if not self._work_off():
            return False
        if self._suspects and not self._is_receiver_well():
            self._stop((), self._last_doubt)
            return False
        for record, reason in self._suspects:
            self._park(record, reason)
        return True

    def _work_off(self) -> bool:
        while self._stack:
            group = self._stack.pop()
            if not self._settle(group, self._try(group)):
                return False
        return True

    def _try(self, group: Sequence[T]) -> Outcome:
        """Encode a group and send it; what cannot become one request is refused here, as the receiver would do."""
        shortened = 0
        try:
            request = self._kind.encode(group)
            size = request.ByteSize()
            if len(group) > 1 and size > self._limits.request_bytes:
                return Refused("several records are too large for one request", "record")
            if len(group) == 1 and size > self._limits.record_bytes:
                shortened = int(shorten(request, self._limits.record_bytes))
                if not shortened:
                    return Refused(f"it has {size} bytes, and its texts cannot be shortened enough", "record")
            encoded = request.SerializeToString()
        except Exception as error:  # noqa: BLE001 (the encoders raise many kinds, each for some value)
            return Refused(f"it cannot be encoded: {type(error).__name__}: {error}", "record")
        outcome = self._send(encoded)
        if isinstance(outcome, Taken):
            self._result.taken += max(0, len(group) - outcome.rejected)
            self._result.rejected += outcome.rejected
            self._result.shortened += shortened
            if not (outcome.rejected or shortened):
                self._doubt.witness = group[0]
        return outcome

    def _settle(self, group: Sequence[T], outcome: Outcome) -> bool:
        """Do what the outcome asks for; return whether to go on."""
        if isinstance(outcome, Taken):
            self._suspects_in_a_row = 0
            return True
        if isinstance(outcome, Refused) and outcome.scope == "record":
            self._split_or(self._park, group, outcome.reason)
            return True
        if isinstance(outcome, TryLater) and outcome.doubtful and self._may_search():
            self._last_doubt = outcome
            self._split_or(self._suspect, group, outcome.reason)
            return True
        self._stop(group, outcome)
        return False

    def _may_search(self) -> bool:
        """Whether a doubtful answer is looked into: not before it came repeatedly, nor in what must be an outage."""
        if not self._searching or self._suspects_in_a_row < MAX_SUSPECTS:
            return self._searching
        self._suspects_in_a_row = 0
        return self._is_receiver_well()

    def _split_or(self, act: Callable[[T, str], None], group: Sequence[T], reason: str) -> None:
        if len(group) == 1:
            act(group[0], reason)
            return
        half = len(group) // 2
        self._stack += [group[half:], group[:half]]

    def _park(self, record: T, reason: str) -> None:
        line = " ".join(reason.split())[:MAX_REASON_CHARS]
        self._result.parked.append(Parked(self._kind.describe(record), line))

    def _suspect(self, record: T, reason: str) -> None:
        self._suspects.append((record, reason))
        self._suspects_in_a_row += 1

    def _is_receiver_well(self) -> bool:
        """Whether what was taken before is looked at now, too: taken again, or refused for what it is."""
        if self._doubt.witness is None:
            return False
        outcome = self._send(self._kind.encode([self._doubt.witness]).SerializeToString())
        return isinstance(outcome, Taken) or (isinstance(outcome, Refused) and outcome.scope == "record")

    def _stop(self, group: Sequence[T], outcome: Outcome) -> None:
        """Leave the rest for later."""
        if isinstance(outcome, TryLater) and outcome.doubtful:
            self._doubt.answers = 0 if self._searching else self._doubt.answers + 1
        self._result.outcome = outcome
        suspects = [suspect for suspect, _ in self._suspects]
        waiting = itertools.chain(suspects, group, *reversed(self._stack))
        self._result.rest = self._kind.pack(list(waiting))


def pack(items: Sequence[T], estimate: Callable[[T], int], limits: Limits) -> Iterator[Sequence[T]]:
    """Yield the items in order as groups that are likely to fit into one request; a record too large stands alone."""
    bound = limits.request_bytes * FILL
    group: list[T] = []
    size = 0
    for item in items:
        more = estimate(item)
        if group and size + more > min(bound, limits.record_bytes):
            yield group
            group, size = [], 0
        group.append(item)
        size += more
    if group:
        yield group
