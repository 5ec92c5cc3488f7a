"""Encoded events in, an append-only journal on disk out; a disk that refuses is an answer here, never an exception."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
import zlib
from pathlib import Path

from evsys_otel.errors import JournalError
from evsys_otel.events import Lost
from evsys_otel.journal.frames import HEAD, MAGIC, MAX_PAYLOAD_BYTES
from evsys_otel.journal.header import HEADER_NAME, LossTable, encode_header
from evsys_otel.journal.identity import Identity
from evsys_otel.journal.kept import KeptFile
from evsys_otel.journal.segments import segment_path
from evsys_otel.journal.status import LOCK_NAME, STATUS_BYTES, STATUS_NAME, StatusFile

MIB = 1024 * 1024
SEGMENT_BYTES = 64 * MIB
MAX_WAITING_BYTES = 8 * 1024 * MIB

CHECK_BYTES = 64 * 1024
"""After so many bytes the writer makes sure that its file is still there and its descriptor still its own."""

LOOK_SECONDS = 0.1
"""The shortest time between two looks at how far the lanes are, once the bound of what may wait is reached."""

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
_CREATE = os.O_CREAT | os.O_EXCL

# The hot path: one append is to cost little more than its write.
_pack = HEAD.pack
_crc32 = zlib.crc32
_write = os.write
_HEAD_BYTES = HEAD.size


class JournalWriter:
    """The writing end of one journal; not thread-safe: the caller holds one lock around every call.

    What :meth:`append` took survives the death of the process at any later moment (not that of the machine: see
    :meth:`sync`). ``position`` is the journal's end in bytes, ``last_problem`` says why the last refusal was.
    """

    def __init__(
        self, folder: Path, segment: KeptFile, losses: LossTable, *, segment_bytes: int, max_waiting_bytes: int
    ) -> None:
        self.folder = folder
        self.position = 0
        self.last_problem: str | None = None
        self._segment = segment
        self._fd = segment.fd
        self._losses = losses
        self._segment_bytes = segment_bytes
        self._segment_start = 0
        self._next_check = min(segment_bytes, CHECK_BYTES)
        self._max_waiting_bytes = max_waiting_bytes
        self._step_limit = max_waiting_bytes
        self._next_look = 0.0
        self._status = StatusFile(folder)

    @classmethod
    def create(
        cls, root: Path, identity: Identity, *, segment_bytes: int = SEGMENT_BYTES,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> JournalWriter:
        """Create the journal ``root / identity.journal_id``; it appears whole or not at all.

        Raises:
            JournalError: the folder cannot be written, the disk is full, or the journal exists.
        """
        folder = root / identity.journal_id
        making = root / f".{identity.journal_id}.new"
        fds: list[int] = []
        try:
            making.mkdir(parents=True)
            fds.append(_fill(making / HEADER_NAME, encode_header(identity)))
            os.close(_fill(making / STATUS_NAME, bytes(STATUS_BYTES)))
            (making / LOCK_NAME).touch()
            fds.append(os.open(segment_path(making, 0), _APPEND | _CREATE, 0o644))
            os.rename(making, folder)
        except (OSError, ValueError) as error:
            for fd in fds:
                os.close(fd)
            shutil.rmtree(making, ignore_errors=True)
            raise JournalError(
                f"The journal {folder} cannot be created ({error}); make room there or set EVSYS_OTEL_DIR."
            ) from None
        header = KeptFile(folder / HEADER_NAME, fds[0], os.O_RDWR)
        segment = KeptFile(segment_path(folder, 0), fds[1], _APPEND)
        return cls(
            folder, segment, LossTable(header), segment_bytes=segment_bytes, max_waiting_bytes=max_waiting_bytes
        )

    def append(self, payload: bytes) -> bool:
        """Append one encoded event by one write(2); False when it was refused, and then nothing of it stays.

        Never raises. What one call refuses, the next may take: the disk is asked each time.
        """
        size = len(payload)
        end = self.position + _HEAD_BYTES + size
        if (end > self._next_check or not 0 < size <= MAX_PAYLOAD_BYTES) and not self._make_way(size):
            return False
        frame = _pack(MAGIC, size, _crc32(payload)) + payload
        try:
            written = _write(self._fd, frame)
        except OSError as error:
            if error.errno != errno.EBADF or not self._make_way(size):
                self._cut_back(0, str(error))
                return False
            written = self._write_again(frame)
        if written != _HEAD_BYTES + size:
            self._cut_back(written, f"only {written} of {len(frame)} bytes could be written")
            return False
        self.position += written
        return True

    def append_step(self, payload: bytes) -> bool:
        """Append one encoded step; refused also when more waits for delivery than is allowed. Never raises."""
        if self.position + len(payload) > self._step_limit and not self._has_room(len(payload)):
            return False
        return self.append(payload)

    def record_loss(self, lost: Lost) -> None:
        """Write into the header what was lost in all of one kind, run and stream; a full disk cannot refuse it.

        Never raises. It replaces what was recorded before of the same three.
        """
        self._losses.put(lost)

    def sync(self) -> None:
        """Bring what was appended to the disk, so that it survives the machine's death too. Never raises."""
        with contextlib.suppress(OSError):
            if self._fd >= 0:
                self._measure()
                os.fsync(self._fd)

    def close(self) -> None:
        """Close the files; a later append is refused."""
        self._fd = -1
        self._next_check = -1
        self._losses.close()
        self._segment.close()

    def _make_way(self, size: int) -> bool:
        """See after the file, and begin a new segment for a frame that this one shall not hold; False if refused."""
        if not 0 < size <= MAX_PAYLOAD_BYTES:
            self.last_problem = f"an event of {size} bytes is beyond the bound of {MAX_PAYLOAD_BYTES}"
            return False
        if self._fd < 0:
            self.last_problem = "the journal is closed"
            return False
        try:
            self._measure()
            if self.position + _HEAD_BYTES + size > self._segment_start + self._segment_bytes:
                self._begin_segment()
        except OSError as error:
            self.last_problem = str(error)
            return False
        self._next_check = min(self.position + CHECK_BYTES, self._segment_start + self._segment_bytes)
        return True

    def _begin_segment(self) -> None:
        if self.position == self._segment_start:
            return
        path = segment_path(self.folder, self.position)
        segment = KeptFile(path, os.open(path, _APPEND | _CREATE, 0o644), _APPEND)
        self._segment.close()
        self._segment, self._fd, self._segment_start = segment, segment.fd, self.position

    def _write_again(self, frame: bytes) -> int:
        try:
            return _write(self._fd, frame)
        except OSError:
            return 0

    def _cut_back(self, written: int, problem: str) -> None:
        """Take back what a failed write left. Where that fails too, readers step over it."""
        self.last_problem = problem
        with contextlib.suppress(OSError):
            try:
                if written:
                    os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            finally:
                self._measure()

    def _measure(self) -> None:
        """Take the end from the file: a signal handler that raises can part a write from its being counted."""
        self.position = self._segment_start + self._segment.check().st_size
        self._fd = self._segment.fd

    def _has_room(self, size: int) -> bool:
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._step_limit = self._delivered() + self._max_waiting_bytes
        if self.position + size <= self._step_limit:
            return True
        self.last_problem = f"more than {self._max_waiting_bytes} bytes wait for delivery"
        return False

    def _delivered(self) -> int:
        """Return where the last lane is; lanes that are switched off count only when there are no others."""
        status = self._status.read()
        lanes = status.lanes if status is not None else []
        running = [lane.position for lane in lanes if lane.state != "switched_off"]
        return min(running or [lane.position for lane in lanes], default=0)


def _fill(path: Path, data: bytes) -> int:
    """Create a file that holds ``data`` and return its descriptor. Raises OSError, also after a short write."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        written = os.write(fd, data)
        if written != len(data):
            raise OSError(f"only {written} of {len(data)} bytes could be written")
    except OSError:
        os.close(fd)
        raise
    return fd
