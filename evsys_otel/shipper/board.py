"""What the lanes of one journal report goes in, the journal's ``status`` file comes out."""

from __future__ import annotations

import copy
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

from evsys_otel.journal import LaneStatus, ShipperStatus, StatusFile

WRITE_SECONDS = 0.1
"""The shortest time between two writes; whoever waits for an acknowledgement polls the file."""
BEAT_SECONDS = 1.0
"""How old the file may grow when nothing happens."""
MAX_DAMAGE_RANGES = 100
"""The status file is of a fixed size; beyond this many the last range grows to cover the rest."""

DONE, RUNNING, BACKING_OFF, SWITCHED_OFF = "done", "running", "backing_off", "switched_off"


class Board:
    """The status of one journal's lanes, kept over restarts; thread-safe, never raises.

    Lanes of an earlier shipper that this one does not have stay as they were, for ``doctor`` to show.
    """

    def __init__(self, file: StatusFile, *, time_unix_nano: Callable[[], int] = time.time_ns) -> None:
        self._file = file
        self._now = time_unix_nano
        self._lock = threading.Lock()
        before = file.read()
        self._lanes = {lane.name: lane for lane in before.lanes} if before else {}
        self._status = ShipperStatus(
            pid=os.getpid(),
            started_unix_nano=self._now(),
            beat_unix_nano=self._now(),
            lanes=list(self._lanes.values()),
            damage=list(before.damage) if before else [],
            unknown=before.unknown if before else 0,
        )
        self._shipped_before = before.shipped_unix_nano if before else None
        self._dirty = True
        self._written = 0.0

    def lane(self, name: str, destination: str) -> LaneStatus:
        """Return a copy of the lane's status, made anew if the journal never had that lane."""
        with self._lock:
            if name not in self._lanes:
                self._lanes[name] = LaneStatus(
                    name=name, destination=destination, position=0, state=RUNNING, reason=None, parked=0, shortened=0,
                    rejected=0, last_progress_unix_nano=self._now(), crash_position=None,
                )
            self._change(name, destination=destination)
            return _copy(self._lanes[name])

    def update(self, name: str, **changes: Any) -> bool:
        """Set fields of a lane's status; return whether that changed any."""
        with self._lock:
            return self._change(name, **changes)

    def progress(self, name: str, **changes: Any) -> None:
        """Set fields of a lane that has just had something taken."""
        with self._lock:
            self._change(name, state=RUNNING, reason=None, last_progress_unix_nano=self._now(), **changes)

    def count(self, name: str, *, parked: int = 0, shortened: int = 0, rejected: int = 0) -> None:
        """Add to a lane's counts of what was not taken as it was."""
        if parked or shortened or rejected:
            with self._lock:
                lane = self._lanes[name]
                lane.parked += parked
                lane.shortened += shortened
                lane.rejected += rejected
                self._dirty = True

    def switch_off_others(self, prefix: str, own: Collection[str], reason: str) -> None:
        """Switch off what an earlier shipper had under names that begin so, and this one cannot have."""
        with self._lock:
            for name, lane in self._lanes.items():
                if name.startswith(prefix) and name not in own and lane.state != DONE:
                    self._change(name, state=SWITCHED_OFF, reason=reason, given_up=True)

    def note_damage(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Remember byte ranges of the journal that no lane could read."""
        with self._lock:
            known = {tuple(range_) for range_ in self._status.damage}
            merged = sorted(known | {tuple(range_) for range_ in ranges})
            if len(merged) != len(known):
                kept, rest = merged[:MAX_DAMAGE_RANGES], merged[MAX_DAMAGE_RANGES:]
                if rest:
                    kept[-1] = (kept[-1][0], rest[-1][1])
                self._status.damage = [(first, last) for first, last in kept]
                self._dirty = True

    def note_unknown(self, total: int) -> None:
        """Remember how many events of newer kinds one reader skipped from the journal's start."""
        with self._lock:
            if total > self._status.unknown:
                self._status.unknown = total
                self._dirty = True

    def mark_shipped(self, *, anew: bool) -> None:
        """Say that the journal is shipped: since earlier, unless ``anew``; from then on the days it is kept count."""
        with self._lock:
            if self._status.shipped_unix_nano is None:
                earlier = None if anew else self._shipped_before
                self._status.shipped_unix_nano = earlier or self._now()
                self._dirty = True

    def lanes(self) -> list[LaneStatus]:
        """Return copies of the status of all lanes that this journal ever had."""
        with self._lock:
            return [_copy(lane) for lane in self._lanes.values()]

    def write(self, *, at_once: bool = False) -> None:
        """Write the file if something changed or its beat is due, at most every :data:`WRITE_SECONDS`."""
        now = time.monotonic()
        age = now - self._written
        with self._lock:
            if not at_once and (age < WRITE_SECONDS or not (self._dirty or age >= BEAT_SECONDS)):
                return
            self._status.beat_unix_nano = self._now()
            self._status.lanes = list(self._lanes.values())
            self._dirty = not self._file.write(self._status)
            self._written = now

    def _change(self, name: str, **changes: Any) -> bool:
        lane = self._lanes[name]
        changed = False
        for field, value in changes.items():
            if getattr(lane, field) != value:
                setattr(lane, field, value)
                self._dirty = changed = True
        return changed


def _copy(lane: LaneStatus) -> LaneStatus:
    return copy.copy(lane)
