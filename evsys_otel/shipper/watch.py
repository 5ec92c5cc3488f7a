"""The identity of a journal's writer goes in, the news of its death comes out."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import time
from typing import Protocol

from evsys_otel.journal import Identity, owner_state

_logger = logging.getLogger(__name__)


class Watch(Protocol):
    """Tells when the writer's process is dead, whoever inherited its descriptors, and whoever has its pid now."""

    def wait(self, seconds: float) -> bool:
        """Wait at most ``seconds``; return whether the process is dead."""
        ...

    def close(self) -> None:
        """Let go of the descriptor."""
        ...


def watch_owner(identity: Identity) -> Watch:
    """Return the best watch that this system has: pidfd on Linux, kqueue on macOS and BSD, else polling."""
    try:
        if hasattr(os, "pidfd_open"):
            return _after_check(PidfdWatch(identity.pid), identity)
        if hasattr(select, "kqueue"):
            return _after_check(KqueueWatch(identity.pid), identity)
    except ProcessLookupError:
        return DeadWatch()
    except OSError as error:  # a kernel or a sandbox that knows neither
        _logger.info("process %d is polled: %s", identity.pid, error)
    return PollingWatch(identity)


def _after_check(watch: Watch, identity: Identity) -> Watch:
    """Return ``watch`` unless the pid, now held by the kernel, is already another process's."""
    if owner_state(identity) == "dead":
        watch.close()
        return DeadWatch()
    return watch


class PidfdWatch:
    """A pidfd becomes readable when its process is dead, a zombie included (pidfd_open(2))."""

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def wait(self, seconds: float) -> bool:
        """Wait for the process's death."""
        return bool(self._poll.poll(seconds * 1000))

    def close(self) -> None:
        """Close the pidfd."""
        with contextlib.suppress(OSError):
            os.close(self._fd)


class KqueueWatch:
    """NOTE_EXIT of kqueue(2); the news is read once and remembered."""

    def __init__(self, pid: int) -> None:
        self._queue = select.kqueue()  # type: ignore[attr-defined,unused-ignore]
        self._dead = False
        event = select.kevent(  # type: ignore[attr-defined,unused-ignore]
            pid,
            filter=select.KQ_FILTER_PROC,  # type: ignore[attr-defined,unused-ignore]
            flags=select.KQ_EV_ADD,  # type: ignore[attr-defined,unused-ignore]
            fflags=select.KQ_NOTE_EXIT,  # type: ignore[attr-defined,unused-ignore]
        )
        self._queue.control([event], 0)

    def wait(self, seconds: float) -> bool:
        """Wait for the process's death."""
        if not self._dead:
            self._dead = bool(self._queue.control(None, 1, seconds))
        else:
            time.sleep(seconds)
        return self._dead

    def close(self) -> None:
        """Close the queue."""
        self._queue.close()


class PollingWatch:
    """Looks at the process's start time: a zombie and a reused pid are dead."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def wait(self, seconds: float) -> bool:
        """Look, and if it lives sleep for ``seconds`` and look again."""
        if owner_state(self._identity) == "dead":
            return True
        time.sleep(seconds)
        return owner_state(self._identity) == "dead"

    def close(self) -> None:
        """Nothing is held."""


class DeadWatch:
    """The process is known to be dead."""

    def wait(self, seconds: float) -> bool:
        """Return True at once."""
        return True

    def close(self) -> None:
        """Nothing is held."""


class OwnWatch:
    """The writer is this very process: it is not dead as long as anybody can ask."""

    def wait(self, seconds: float) -> bool:
        """Sleep and return False."""
        time.sleep(seconds)
        return False

    def close(self) -> None:
        """Nothing is held."""
