"""One journal and its sinks go in, lanes at work and the journal's status come out."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType

from evsys_otel.journal import JournalReader, LaneStatus, StatusFile
from evsys_otel.shipper.board import DONE, RUNNING, SWITCHED_OFF, Board
from evsys_otel.shipper.lanes import Lane
from evsys_otel.shipper.sinks import Sink
from evsys_otel.shipper.tail import Tail
from evsys_otel.shipper.watch import Watch

IDLE_JOIN_SECONDS = 0.2
"""Time for lanes that wait to end; those that are at work then are interrupted."""
BUSY_JOIN_SECONDS = 2.0
AT_WORK_SECONDS = 600.0
"""How long a lane may be at work without a step forward: it may have a long journal to read up to its position."""


class Shipment:
    """The lanes of one journal, whose lock the caller holds; ``turn`` it until it is settled or stuck.

    A context manager: entering starts the lanes, leaving stops them, whatever they are at.
    """

    def __init__(
        self,
        folder: Path,
        sinks: Sequence[Sink],
        watch: Watch,
        *,
        heartbeat_seconds: float = 0.0,
        again: frozenset[str] = frozenset(),
    ) -> None:
        self._reader = JournalReader(folder)
        self._watch = watch
        self._tail = Tail()
        self.board = Board(StatusFile(folder))
        end = self._reader.end_position()
        self._grew = not any(lane.state == DONE and lane.position >= end for lane in self.board.lanes())
        self.lanes = [
            Lane(
                sink, folder, self.board, self._tail,
                heartbeat_seconds=heartbeat_seconds, from_start=sink.name in again,
            )
            for sink in sinks
        ]
        self._moved = time.monotonic()
        self._places: list[tuple[int, str]] = []

    def __enter__(self) -> Shipment:
        self._look()
        self.board.write(at_once=True)  # who started this process waits for its first word
        for lane in self.lanes:
            lane.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tail.stop()
        self._join(IDLE_JOIN_SECONDS)
        for lane in self.lanes:
            if lane.is_alive():
                lane.sink.interrupt()
        self._join(BUSY_JOIN_SECONDS)
        self.board.write(at_once=True)
        self._watch.close()

    def _join(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for lane in self.lanes:
            lane.join(max(0.0, deadline - time.monotonic()))

    @property
    def writer_gone(self) -> bool:
        """Whether the writer's death has been noticed."""
        return self._tail.final

    def turn(self, seconds: float) -> None:
        """Wait a moment for the writer's death, look at the journal's end, write the status."""
        if self._tail.final:
            self._tail.pause(seconds)
        gone = self._tail.final or self._watch.wait(seconds)
        self._look(gone=gone)
        self.board.write()

    @property
    def settled(self) -> bool:
        """Whether the journal has come to its end and no lane can do more for it now."""
        lanes = self.own_lanes()
        end = self._tail.position
        done = [lane for lane in lanes if lane.state == DONE and lane.position >= end]
        off = [lane for lane in lanes if lane.state == SWITCHED_OFF]
        return len(done) + len(off) == len(lanes) and (bool(done) or self._tail.final)

    @property
    def ended(self) -> bool:
        """Whether no more is to be expected of the writer: it is gone, or closed the journal."""
        return self._tail.final or any(lane.state == DONE for lane in self.own_lanes())

    @property
    def parked(self) -> int:
        """How many records this journal's lanes have parked, earlier shipments included."""
        return sum(lane.parked for lane in self.board.lanes())

    @property
    def position(self) -> int:
        """Where the slowest of the lanes stands that are not switched off."""
        moving = [lane.position for lane in self.own_lanes() if lane.state != SWITCHED_OFF]
        return min(moving, default=self._tail.position)

    def is_stuck(self, patience_seconds: float) -> bool:
        """Whether, after the writer's end, no lane has moved for so long; a lane at work has its own time limits."""
        if any(lane.state == RUNNING for lane in self.own_lanes()):
            patience_seconds = max(patience_seconds, AT_WORK_SECONDS)
        return time.monotonic() - self._moved > patience_seconds

    def mark_if_shipped(self, needed: Collection[str] = ()) -> bool:
        """Say in the status that the journal is shipped, if every lane that it ever had is done; return whether it is.

        A lane that is given up (a traces-only back end has two) does not hold a journal back from the retention; one
        whose credentials are refused does. ``needed`` are beginnings of names; of each there must have been a lane.
        """
        lanes, end = self.board.lanes(), self._tail.position
        done = [lane for lane in lanes if lane.state == DONE and lane.position >= end]
        off = [lane for lane in lanes if lane.state == SWITCHED_OFF and lane.given_up]
        has_all = all(any(lane.name.startswith(name) for lane in lanes) for name in needed)
        shipped = bool(done) and len(done) + len(off) == len(lanes) and has_all
        if shipped:
            self.board.mark_shipped(anew=self._grew)
        return shipped

    def own_lanes(self) -> list[LaneStatus]:
        """Return the status of the lanes of this shipment."""
        own = {lane.sink.name for lane in self.lanes}
        return [lane for lane in self.board.lanes() if lane.name in own]

    def _look(self, *, gone: bool = False) -> None:
        self._tail.look(self._reader.end_position(), final=gone)
        places = [(lane.position, lane.state) for lane in self.own_lanes()]
        if places != self._places or not self.ended:
            self._places, self._moved = places, time.monotonic()
