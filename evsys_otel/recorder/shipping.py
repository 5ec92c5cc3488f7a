"""Looks after a journal's shipper from the training side: starts it, sees that it lives, starts it again."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from evsys_otel.journal import LaneStatus, ShipperStatus, StatusFile
from evsys_otel.recorder.guard import say_once
from evsys_otel.settings import Settings
from evsys_otel.spawn import can_spawn, spawn_shipper

START_SECONDS = 30.0
"""How long a started shipper may take to say its first word: it imports much, perhaps from a slow disk."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 120.0
HEALTHY_SECONDS = 60.0

Clock = Callable[[], float]
"""Seconds that the wall clock's being set back does not touch."""


class Shipping(Protocol):
    """What a session asks of whoever ships its journal."""

    def start(self) -> None:
        """Begin to ship."""
        ...

    def look(self) -> None:
        """See whether the shipper lives and start it again if not; cheap, and it never blocks."""
        ...

    def revive(self) -> bool:
        """Start a dead shipper again at once, as the process is about to end; whether one was started."""
        ...

    def status(self) -> ShipperStatus | None:
        """Return the shipper's own word, None before its first."""
        ...

    def active(self) -> bool:
        """Tell whether anybody ships or is about to."""
        ...

    def close(self) -> None:
        """Let go of the shipper at the process's end."""
        ...


class NoShipping:
    """Nobody ships: the journal waits for ``evsys-otel sync``."""

    def start(self) -> None:
        """Do nothing."""

    def look(self) -> None:
        """Do nothing."""

    def revive(self) -> bool:
        """Start nothing."""
        return False

    def status(self) -> ShipperStatus | None:
        """Return None."""
        return None

    def active(self) -> bool:
        """Nobody ships."""
        return False

    def close(self) -> None:
        """Do nothing."""


class ProcessShipping:
    """A shipper process, started again with a growing pause when it dies."""

    def __init__(self, folder: Path, settings: Settings, *, clock: Clock = time.monotonic) -> None:
        self._folder = folder
        self._settings = settings
        self._clock = clock
        self._file = StatusFile(folder)
        self._started = clock()
        self._earlier: int | None = None  # when the shipper before began, by its own clock
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._running = False
        self._busy = threading.Lock()

    def start(self) -> None:
        """Start the process; it takes some milliseconds."""
        self._note_start()
        self._running = spawn_shipper(self._folder, self._settings)

    def look(self) -> None:
        """Start a dead shipper again, in a thread, no sooner than the pause after its last start."""
        if not self._running or not self._busy.acquire(blocking=False):
            return
        try:
            since = self._clock() - self._started
            status = self._own_status()
            if since > HEALTHY_SECONDS and status is not None:
                self._pause_seconds = FIRST_PAUSE_SECONDS
            if since > self._pause_seconds and self._is_dead(status):
                self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
                self._start_aside()
        finally:
            self._busy.release()

    def revive(self) -> bool:
        """Start a dead shipper again, whatever the pause; whether it was dead."""
        dead = self._running and self._is_dead(self._own_status())
        if dead:
            self.start()
        return dead

    def status(self) -> ShipperStatus | None:
        """Return the last word of whoever shipped the journal."""
        return self._file.read()

    def active(self) -> bool:
        """Tell whether a shipper lives or is about to."""
        return self._running and not self._is_dead(self._own_status())

    def close(self) -> None:
        """Do nothing: the process outlives this one until all is delivered."""

    def _start_aside(self) -> None:
        say_once(("shipper", self._folder), "the shipper of %s died and is started again", self._folder)
        self._note_start()
        try:
            threading.Thread(target=self.start, name="evsys-otel-restart", daemon=True).start()
        except RuntimeError:  # no thread can be started any more: the interpreter is ending
            self.start()

    def _note_start(self) -> None:
        status = self._file.read()
        self._earlier = None if status is None else status.started_unix_nano
        self._started = self._clock()

    def _own_status(self) -> ShipperStatus | None:
        """Return the word of the shipper that was started last, None before its first."""
        status = self._file.read()
        return status if status is not None and status.started_unix_nano != self._earlier else None

    def _is_dead(self, status: ShipperStatus | None) -> bool:
        if status is None:
            return self._clock() - self._started > START_SECONDS
        return not process_lives(status.pid)


class StoppableThread(Protocol):
    """What the thread of ``pipeline.start_shipper_thread`` can do."""

    def is_alive(self) -> bool:
        """Tell whether it runs."""
        ...

    def stop(self) -> bool:
        """End it; whether it is gone."""
        ...


class ThreadShipping:
    """A shipper thread in this process, for exporter objects that cannot cross to another."""

    def __init__(self, folder: Path, settings: Settings, exporters: tuple[object, ...]) -> None:
        self._folder = folder
        self._settings = settings
        self._exporters = exporters
        self._file = StatusFile(folder)
        self._thread: StoppableThread | None = None

    def start(self) -> None:
        """Start the thread. Raises ConfigurationError when an exporter is none."""
        from evsys_otel.pipeline import start_shipper_thread

        self._thread = start_shipper_thread(self._folder, self._settings, self._exporters)

    def look(self) -> None:
        """Do nothing: the thread guards itself."""

    def revive(self) -> bool:
        """Start nothing."""
        return False

    def status(self) -> ShipperStatus | None:
        """Return the thread's last word."""
        return self._file.read()

    def active(self) -> bool:
        """Tell whether the thread lives."""
        return self._thread is not None and self._thread.is_alive()

    def close(self) -> None:
        """Stop the thread before the interpreter ends beneath it; what is left waits for ``sync``."""
        if self._thread is not None:
            self._thread.stop()


def choose_shipping(
    folder: Path | None, settings: Settings, *, exporters: tuple[object, ...], has_destination: bool
) -> Shipping:
    """Return who ships a journal: a process, a thread where exporter objects were handed in, or nobody."""
    if folder is None or settings.mode != "process":
        return NoShipping()
    if exporters:
        return ThreadShipping(folder, settings, exporters)
    if not has_destination or not can_spawn():
        return NoShipping()
    return ProcessShipping(folder, settings)


def process_lives(pid: int) -> bool:
    """Tell whether a process runs; a dead one that became our child does not, and is reaped where we are PID 1.

    Elsewhere its number may by now be that of a child of the user's, who waits for it.
    """
    if hasattr(os, "waitid"):
        keep = 0 if os.getpid() == 1 else os.WNOWAIT
        with contextlib.suppress(ChildProcessError):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | keep) is not None:
                return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def lanes_behind(status: ShipperStatus, position: int) -> list[LaneStatus]:
    """Return the lanes that are to reach a position of the journal and have not yet."""
    return [lane for lane in status.lanes if lane.position < position and lane.state != "switched_off"]


def is_acknowledged(status: ShipperStatus | None, position: int) -> bool:
    """Tell whether every lane that is not switched off has acknowledged a position; False before there are lanes."""
    return status is not None and bool(status.lanes) and not lanes_behind(status, position)
