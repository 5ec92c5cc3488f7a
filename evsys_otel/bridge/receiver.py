"""One request goes in, from gRPC or HTTP alike; one of three outcomes comes out, success only after the commit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Union

from evsys_otel.bridge.auth import NOTHING, Denied, Grant, Tokens
from evsys_otel.bridge.decode import decode, decompress
from evsys_otel.bridge.isolation import Admission, admit, admit_all
from evsys_otel.bridge.limits import Budget, Limits, Reservation, check_attributes
from evsys_otel.bridge.opening import StoreDoor
from evsys_otel.bridge.replies import OUTAGE_SECONDS, Coding, Refused, Signal, Taken, TryLater
from evsys_otel.bridge.runs import watch_runs
from evsys_otel.bridge.telemetry import Telemetry
from evsys_otel.bridge.writer import Busy, GroupWriter, merge
from evsys_otel.errors import StoreError, StoreUnavailable
from evsys_otel.records import Records
from evsys_otel.store import Part
from evsys_otel.translate import translate_otlp_logs, translate_otlp_metrics, translate_otlp_traces

_logger = logging.getLogger(__name__)

Outcome = Union[Taken, TryLater, Refused]  # noqa: UP007 (evaluated on 3.10 too)

_THREADS = 4
"""Requests decoded at once; more would only share the same interpreter."""

_TRANSLATORS: dict[Signal, Callable[[Any], Records]] = {
    "traces": translate_otlp_traces, "metrics": translate_otlp_metrics, "logs": translate_otlp_logs,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request's body as it came, with how it is encoded."""

    signal: Signal
    coding: Coding
    encoding: str
    body: bytes


class Receiver:
    """What both servers share: who may ask, how much may wait, and the way from a body to the store."""

    def __init__(self, door: StoreDoor, tokens: Tokens, limits: Limits) -> None:
        self.limits = limits
        self.budget = Budget(limits)
        self.draining = False
        self._door = door
        self._tokens = tokens
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="evsys-otel-bridge")
        self.telemetry = Telemetry(lambda: self._writer.waiting, lambda: self.budget.bytes)
        watch_runs(self.telemetry.meter, door.open, self.telemetry.shows)
        self._admit = admit if tokens.are_needed else admit_all
        self._writer = GroupWriter(self._write_parts if tokens.are_needed else self._write, self.telemetry.note_write)

    def authorize(self, authorization: str | None) -> Grant:
        """Return what the sender of this ``Authorization`` header may do; asked before the body is read.

        Raises:
            Refused: there is no token, or it is not known.
            TryLater: the server goes down.
        """
        if self.draining:
            raise TryLater("The server goes down; the same request will be taken by the next one.")
        grant = self._tokens.grant(authorization)
        if isinstance(grant, Denied):
            raise Refused("unauthenticated", f"The bearer token is {grant.reason}.")
        return grant

    def render_metrics(self, authorization: str | None) -> bytes:
        """Return the page of metrics: the server's own for everybody, runs for whose projects the token is."""
        grant = self._tokens.grant(authorization)
        return self.telemetry.render(NOTHING if isinstance(grant, Denied) else grant)

    async def take(self, incoming: Incoming, grant: Grant, reservation: Reservation) -> Taken:
        """Decode, translate and commit a request. Raises TryLater or Refused when nothing of it was committed."""
        loop = asyncio.get_running_loop()
        admission, written = await loop.run_in_executor(self._threads, self._submit, incoming, grant, reservation)
        return admission.settle([] if written is None else await asyncio.wrap_future(written))

    async def settle(self, signal: Signal, protocol: str, work: Awaitable[Taken]) -> Outcome:
        """Await a request's work and return its outcome, counted; the one place where exceptions become answers."""
        outcome = await self._outcome_of(work)
        if isinstance(outcome, Taken):
            self.telemetry.count_rejected(signal, outcome.rejected)
            kind = "taken"
        else:
            kind = "later" if isinstance(outcome, TryLater) else outcome.fault
        self.telemetry.count_request(signal, protocol, kind)
        return outcome

    async def is_ready(self) -> bool:
        """Return whether a request would be taken now: the store answers, and the server does not go down."""
        if self.draining:
            return False
        loop = asyncio.get_running_loop()
        try:
            await asyncio.wait_for(loop.run_in_executor(None, self._door.check), OUTAGE_SECONDS)
        except (StoreError, asyncio.TimeoutError):
            return False
        return True

    def close(self) -> None:
        """Commit what was submitted, and stop."""
        self._threads.shutdown()
        self._writer.close()
        self.telemetry.close()

    def _submit(
        self, incoming: Incoming, grant: Grant, reservation: Reservation
    ) -> tuple[Admission, Future[Sequence[bool]] | None]:
        """Do the part of a request that takes the interpreter's time; runs in a thread."""
        body = decompress(incoming.body, incoming.encoding, reservation)
        message = decode(incoming.signal, incoming.coding, body)
        check_attributes(message, self.limits.max_attributes)
        admission = self._admit(message, _TRANSLATORS[incoming.signal], grant)
        self.telemetry.count_ignored(incoming.signal, admission.ignored)
        if not admission.parts:
            return admission, None
        try:
            return admission, self._writer.submit(admission.parts)
        except Busy:
            raise TryLater("Too many records wait for the store; the same request will be taken later.") from None

    def _write(self, parts: Sequence[Part]) -> list[bool]:
        """Write what whoever can connect may write: the records alone say whose they are."""
        self._door.open().write(merge(parts))
        return [True] * len(parts)

    def _write_parts(self, parts: Sequence[Part]) -> list[bool]:
        return self._door.open().write_parts(parts)

    async def _outcome_of(self, work: Awaitable[Taken]) -> Outcome:
        try:
            return await work
        except (TryLater, Refused) as outcome:
            return outcome
        except StoreUnavailable as error:
            return TryLater(str(error), OUTAGE_SECONDS)
        except StoreError as error:
            return Refused("malformed", str(error))
        except Exception as error:
            # Nothing was committed, and a newer version may know better: the sender keeps what it has.
            _logger.exception("a request failed because of %s", type(error).__name__)
            return TryLater(f"The server failed ({type(error).__name__}).", OUTAGE_SECONDS)
