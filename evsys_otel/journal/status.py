"""What a shipper says of its lanes in, the same for whoever asks out; and the lock that lets one ship at a time.

The status file has its full size from the journal's creation on and is rewritten in place, two slots in turn, so that a
full disk cannot refuse it and a reader always finds one of them whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import zlib
from pathlib import Path
from types import TracebackType

import msgspec

from evsys_otel.errors import JournalError
from evsys_otel.normalize import clean_text

STATUS_NAME = "status"
STATUS_BYTES = 64 * 1024
LOCK_NAME = "lock"

_SLOT_BYTES = STATUS_BYTES // 2
_HEAD = struct.Struct("<QII")
_MAX_TEXT_BYTES = 512
_MAX_LANES = 24
_MAX_RANGES = 100
_READ_ATTEMPTS = 5


class LaneStatus(msgspec.Struct):
    """How far one lane is, journal-wide byte ``position`` acknowledged; ``destination`` holds no credentials.

    ``state`` is ``running``, ``backing_off``, ``switched_off`` or ``done``; ``given_up`` says of one that is switched
    off that nothing is owed to its destination, which has no such service or is gone.
    """

    name: str
    destination: str
    position: int
    state: str
    reason: str | None
    parked: int
    shortened: int
    rejected: int
    last_progress_unix_nano: int
    crash_position: int | None
    given_up: bool = False


class ShipperStatus(msgspec.Struct):
    """What the shipper of a journal last said; ``damage`` are byte ranges, ``unknown`` counts events of newer kinds."""

    pid: int
    started_unix_nano: int
    beat_unix_nano: int
    lanes: list[LaneStatus]
    damage: list[tuple[int, int]] = []
    unknown: int = 0
    shipped_unix_nano: int | None = None


class StatusFile:
    """The status of the journal in ``folder``: one writer at a time (who holds the lock), any number of readers."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / STATUS_NAME
        self._sequence: int | None = None

    def read(self) -> ShipperStatus | None:
        """Return what was last written, None when nothing was or it cannot be read; never raises."""
        return self._read()[1]

    def write(self, status: ShipperStatus) -> bool:
        """Write in place of the older of the two slots; False when that failed, which changes nothing. Never raises."""
        try:
            if self._sequence is None:
                self._sequence = self._read()[0]
            sequence = self._sequence + 1
            body = _encode(status)
            slot = _HEAD.pack(sequence, len(body), zlib.crc32(body, sequence & 0xFFFF_FFFF)) + body
            self._put(slot, (sequence % 2) * _SLOT_BYTES)
        except (OSError, ValueError, TypeError, OverflowError, msgspec.MsgspecError):
            return False
        self._sequence = sequence
        return True

    def _put(self, slot: bytes, offset: int) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if os.pwrite(fd, slot, offset) != len(slot):
                raise OSError("short write")
        finally:
            os.close(fd)

    def _read(self) -> tuple[int, ShipperStatus | None]:
        """Return the newest sequence and its status; a slot that is being written now counts as damaged."""
        for _ in range(_READ_ATTEMPTS):
            try:
                data = self._path.read_bytes()
            except OSError:
                break
            slots = [data[start : start + _SLOT_BYTES] for start in (0, _SLOT_BYTES)]
            found = [slot for slot in map(_decode, slots) if slot is not None]
            if found:
                return max(found, key=lambda slot: slot[0])
            if not any(data):
                break
        return 0, None


def _encode(status: ShipperStatus) -> bytes:
    body = msgspec.json.encode(_bounded(status))
    if len(body) > _SLOT_BYTES - _HEAD.size:
        raise ValueError("the status is too large")
    return body


def _bounded(status: ShipperStatus) -> ShipperStatus:
    lanes = [
        msgspec.structs.replace(
            lane,
            destination=clean_text(lane.destination, _MAX_TEXT_BYTES),
            reason=None if lane.reason is None else clean_text(lane.reason, _MAX_TEXT_BYTES),
        )
        for lane in status.lanes[:_MAX_LANES]
    ]
    return msgspec.structs.replace(status, lanes=lanes, damage=status.damage[:_MAX_RANGES])


def _decode(slot: bytes) -> tuple[int, ShipperStatus] | None:
    with contextlib.suppress(struct.error, ValueError, msgspec.MsgspecError):
        sequence, length, crc = _HEAD.unpack_from(slot)
        body = slot[_HEAD.size : _HEAD.size + length]
        if sequence and len(body) == length and zlib.crc32(body, sequence & 0xFFFF_FFFF) == crc:
            return sequence, msgspec.json.decode(body, type=ShipperStatus)
    return None


class JournalLock:
    """The right to ship the journal in ``folder``, by flock(2): it goes with its holder's death. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_NAME
        self._fd: int | None = None

    def acquire(self) -> bool:
        """Take the lock if nobody has it; False when somebody does, or when the journal has just been removed.

        Raises:
            JournalError: the lock cannot be opened, or the file system knows no locks.
        """
        if self._fd is not None:
            return True
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalError(f"{self._path} cannot be opened ({error}); the journal cannot be shipped.") from None
        if not self._lock(fd):
            os.close(fd)
            return False
        self._fd = fd
        _held.add(self)
        return True

    def release(self) -> None:
        """Let the lock go; nothing happens without it."""
        _held.discard(self)
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __enter__(self) -> JournalLock:
        if not self.acquire():
            raise JournalError(f"{self._path.parent} is shipped by another process; wait for it to end.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _lock(self, fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.path.samestat(os.fstat(fd), os.stat(self._path))
        except (BlockingIOError, FileNotFoundError):
            return False
        except OSError as error:
            os.close(fd)
            raise JournalError(f"{self._path} cannot be locked ({error}); use a file system that has locks.") from None


_held: set[JournalLock] = set()


def _drop_inherited() -> None:
    """Close, in a forked child, its copies of the parent's locks: else they would outlive the parent."""
    for lock in tuple(_held):
        lock.release()


os.register_at_fork(after_in_child=_drop_inherited)
