"""A journal and a sink go in; what the journal holds, delivered in order and acknowledged, comes out."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from evsys_otel.otlp import Refused, Taken, TryLater
from evsys_otel.otlp.protocol import untraced
from evsys_otel.shipper.backoff import SWITCHED_OFF_SECONDS, Backoff
from evsys_otel.shipper.board import BACKING_OFF, DONE, RUNNING, SWITCHED_OFF, Board
from evsys_otel.shipper.cursor import CHUNK_BYTES, Batch, Cursor
from evsys_otel.shipper.parked import ParkedFile
from evsys_otel.shipper.sinks import Delivery, Sink, Trouble
from evsys_otel.shipper.tail import Tail
from evsys_otel.signals import Signals

_logger = logging.getLogger(__name__)

IDLE_SECONDS = 60.0


class Stopped(BaseException):
    """The lane was asked to go."""


class Lane(threading.Thread):
    """One destination's own way through a journal: it waits for no other lane, and none waits for it.

    It reads from its acknowledged position, builds signals, delivers them and acknowledges. When the journal is closed
    or its writer gone, what was left open is ended as crashed, and the lane is done, until the journal grows again.
    It goes when the tail is stopped; what goes wrong before is in the status.
    """

    def __init__(
        self,
        sink: Sink,
        folder: Path,
        board: Board,
        tail: Tail,
        *,
        heartbeat_seconds: float = 0.0,
        from_start: bool = False,
        backoff: Backoff | None = None,
        time_unix_nano: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__(name=f"evsys-{sink.name}", daemon=True)
        self.sink = sink
        self.events = 0
        """Events delivered by this lane since it started."""
        self.values = 0
        """Step values among them."""
        self._folder = folder
        self._board = board
        self._tail = tail
        self._parked = ParkedFile(folder)
        self._backoff = backoff or Backoff()
        self._now = time_unix_nano
        self._beat_seconds = heartbeat_seconds if sink.heartbeats else 0.0
        self._beat_due = time.monotonic() + self._beat_seconds
        self._from_start = from_start
        status = board.lane(sink.name, sink.destination)
        self._acknowledged = 0 if from_start else status.position
        self._crash_position = None if from_start else status.crash_position
        self._set(state=RUNNING, reason=None, position=self._acknowledged, crash_position=self._crash_position)

    def run(self) -> None:
        """Ship until asked to go; an error of our own switches the lane off for a while."""
        with untraced(), contextlib.suppress(Stopped):
            while True:
                self._ship_or_stand()
        self.sink.close()

    def _ship_or_stand(self) -> None:
        try:
            self._ship()
        except Exception as error:
            _logger.exception("lane %s starts again at its acknowledged position", self.sink.name)
            self._stand(Refused(f"{type(error).__name__}: {error}", "sender"))

    def _ship(self) -> None:
        self._open()
        cursor = Cursor(self._folder, self.sink.builder)
        while True:
            self._beat_if_due(cursor)
            seen, final = self._tail.position, self._tail.final
            if not final and cursor.position < seen < cursor.position + CHUNK_BYTES:
                self._tail.linger(cursor.position + CHUNK_BYTES)
            batch = cursor.read(self._acknowledged, final=final)
            self._go_on_or_stop()
            if batch:
                self._take(batch, cursor)
            elif final or cursor.closed:
                self._finish(cursor)
                self._tail.wait_beyond(max(seen, cursor.position), IDLE_SECONDS, final=self._tail.final)
            else:
                self._tail.wait_beyond(max(seen, cursor.position), self._idle_seconds(), final=final)

    def _open(self) -> None:
        """Connect, and learn the position that the destination holds."""
        while True:
            self._go_on_or_stop()
            opened = self.sink.open(self._acknowledged)
            if not isinstance(opened, int):
                self._stand(opened)
                continue
            position = self._acknowledged if self._from_start else opened  # what is sent again is at the end before
            if position != self._acknowledged:
                self._acknowledged, self._crash_position = position, None
            self._set(state=RUNNING, reason=None, position=position, crash_position=self._crash_position)
            return

    def _take(self, batch: Batch, cursor: Cursor) -> None:
        """Deliver a batch and acknowledge it."""
        self._board.note_damage(cursor.damage)
        self._board.note_unknown(cursor.unknown)
        if batch.signals is None:
            return
        self._deliver(batch.signals, batch.position)
        self.events += batch.events
        self.values += batch.values
        self._acknowledged, self._crash_position = batch.position, None
        self._board.progress(self.sink.name, position=batch.position, crash_position=None)

    def _finish(self, cursor: Cursor) -> None:
        """End what the writer left open; the lane is done."""
        if self._crash_position != cursor.position:
            signals = cursor.crash()
            if signals:
                self._deliver(signals, cursor.position)
                self._crash_position = cursor.position
        self._set(state=DONE, reason=None, crash_position=self._crash_position)

    def _deliver(self, signals: Signals, position: int) -> None:
        """Deliver all of the signals, however long it takes."""
        rest: Signals = signals
        while True:
            self._go_on_or_stop()
            delivery = self.sink.deliver(rest, position)
            self._note(delivery)
            if isinstance(delivery.outcome, Taken):
                self._backoff.reset()
                return
            if delivery.rest is not None:
                rest = delivery.rest
            self._stand(delivery.outcome)

    def _note(self, delivery: Delivery) -> None:
        self._parked.append(delivery.parked)
        self._board.count(
            self.sink.name, parked=len(delivery.parked), shortened=delivery.shortened, rejected=delivery.rejected
        )

    def _stand(self, trouble: Trouble) -> None:
        """Say why the lane stands, and wait until it is time to try again."""
        self._go_on_or_stop()  # who is asked to go is not in trouble but interrupted
        if isinstance(trouble, TryLater):
            state, seconds = BACKING_OFF, self._backoff.next_seconds(trouble.after_seconds)
        else:
            state, seconds = SWITCHED_OFF, SWITCHED_OFF_SECONDS
        given_up = isinstance(trouble, Refused) and not trouble.offered
        if self._set(state=state, reason=trouble.reason, given_up=given_up):
            _logger.warning("lane %s is %s: %s", self.sink.name, state.replace("_", " "), trouble.reason)
        self._tail.pause(seconds)
        self._go_on_or_stop()

    def _beat_if_due(self, cursor: Cursor) -> None:
        """Send a sign of life of every open run; one that is not taken is not sent again."""
        if not self._beat_seconds or self._tail.final or cursor.closed or time.monotonic() < self._beat_due:
            return
        self._beat_due = time.monotonic() + self._beat_seconds
        signals = cursor.builder.heartbeat(self._now())
        if signals and cursor.position >= self._acknowledged:
            self.sink.deliver(signals, self._acknowledged)

    def _idle_seconds(self) -> float:
        return max(0.0, self._beat_due - time.monotonic()) if self._beat_seconds else IDLE_SECONDS

    def _set(self, **changes: object) -> bool:
        return self._board.update(self.sink.name, **changes)

    def _go_on_or_stop(self) -> None:
        if self._tail.stopped:
            raise Stopped
