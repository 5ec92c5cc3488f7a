"""Looks at a journal's size go in, wake-ups of the lanes that read it come out."""

from __future__ import annotations

import threading
import time

LINGER_SECONDS = 0.3
"""How long a lane gathers small traffic while the journal grows; a journal that rests is delivered at once."""


class Tail:
    """The journal's end, looked at by one thread for all lanes; thread-safe.

    ``final`` says that nobody writes any more, so that what is incomplete at the end stays incomplete.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._position = 0
        self._rests = True
        self._final = False
        self._stopped = False

    @property
    def position(self) -> int:
        """The journal-wide byte position of the end when it was last looked at."""
        return self._position

    @property
    def final(self) -> bool:
        """Whether the writer is gone."""
        return self._final

    @property
    def stopped(self) -> bool:
        """Whether the lanes are asked to go."""
        return self._stopped

    def look(self, position: int, *, final: bool) -> None:
        """Take note of the journal's end; ``final`` when its writer is gone."""
        with self._changed:
            grew = position != self._position
            changed = grew or final != self._final or self._rests == grew
            self._position, self._final, self._rests = position, final, not grew
            if changed:
                self._changed.notify_all()

    def stop(self) -> None:
        """Wake every waiting lane for good."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def wait_beyond(self, position: int, seconds: float, *, final: bool) -> None:
        """Wait until the end is beyond ``position``, or ``final`` is no longer what it was, or the time is up."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or self._position > position or self._final != final, timeout=seconds
            )

    def linger(self, enough: int) -> None:
        """Wait while the journal grows, at most :data:`LINGER_SECONDS` and until its end is at ``enough``."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or self._final or self._rests or self._position >= enough,
                timeout=LINGER_SECONDS,
            )

    def pause(self, seconds: float) -> None:
        """Sleep, but no longer than until the lanes are asked to go."""
        end = time.monotonic() + seconds
        with self._changed:
            while not self._stopped and (left := end - time.monotonic()) > 0:
                self._changed.wait(timeout=left)
