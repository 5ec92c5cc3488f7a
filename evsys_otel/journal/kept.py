"""A file and its descriptor in, a descriptor that is that file's out, whatever other code of the process closes.

Code that daemonises closes descriptors by their numbers, and the next file opened gets such a number: what is written
to it without a look would end in a checkpoint of the user's.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

_LEAST_NUMBERS = (4_096, 768)
"""Descriptors are numbered from below: one up here is another file's only in a process that holds so many."""


class KeptFile:
    """An open file of ours; ``fd`` is its descriptor as of the last :meth:`check`. Not thread-safe."""

    fd: int

    def __init__(self, path: Path, fd: int, flags: int) -> None:
        self._path = path
        self._flags = flags
        self._take(fd)

    def check(self) -> os.stat_result:
        """Return the file's state, after opening it again where its descriptor is closed or another file's by now.

        Raises OSError, also when the file has been removed.
        """
        state = self._state()
        if state is None:
            self._take(os.open(self._path, self._flags | os.O_CLOEXEC))
            state = os.fstat(self.fd)
        if state.st_nlink == 0:
            os.stat(self._path)  # raises for a removed file, not where a file system counts no links
        return state

    def close(self) -> None:
        """Close the descriptor if it is still the file's."""
        with contextlib.suppress(OSError):
            if self._state() is not None:
                os.close(self.fd)
        self.fd = -1

    def _take(self, fd: int) -> None:
        self.fd = _to_high_number(fd)
        self._opened = os.fstat(self.fd)

    def _state(self) -> os.stat_result | None:
        try:
            state = os.fstat(self.fd)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            return None
        return state if os.path.samestat(state, self._opened) else None


def _to_high_number(fd: int) -> int:
    for least in _LEAST_NUMBERS:
        with contextlib.suppress(OSError):  # a process that may not have so many
            high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least)
            os.close(fd)
            return high
    return fd
