"""A folder of journals in, what each of them is out; and the removal of those that are shipped and old."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from evsys_otel.errors import JournalError
from evsys_otel.journal.header import HEADER_NAME, read_identity
from evsys_otel.journal.identity import Identity, owner_state
from evsys_otel.journal.segments import SUFFIX
from evsys_otel.journal.status import JournalLock, ShipperStatus, StatusFile

_logger = logging.getLogger(__name__)

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
UNTOUCHED_NANO = 300 * SECOND
"""A journal whose process cannot be asked after is left alone until nothing was written to it for so long."""
LEFTOVER_NANO = 3_600 * SECOND
"""After this long a folder that was half created or half removed is nobody's work any more."""


@dataclass(frozen=True, slots=True)
class JournalFolder:
    """One journal as it stands.

    ``identity`` is None where the header cannot be read, ``status`` where none was written. ``bytes`` is the size on
    disk, ``end`` the journal-wide position of the end, ``last_write_unix_nano`` when the recording process last wrote.
    """

    id: str
    path: Path
    identity: Identity | None
    bytes: int
    end: int
    last_write_unix_nano: int
    status: ShipperStatus | None


def list_journals(root: Path) -> list[JournalFolder]:
    """Return the journals below ``root`` by age, the oldest first; none where there is no such folder. Never raises."""
    try:
        paths = sorted(entry for entry in Path(root).iterdir() if not entry.name.startswith(".") and entry.is_dir())
    except OSError:
        return []
    return [journal for journal in map(_look_at, paths) if journal is not None]


def remove_shipped(root: Path, keep_days: float, keep_bytes: int, now_unix_nano: int) -> list[str]:
    """Remove the shipped journals below ``root`` that are older than ``keep_days`` or beyond ``keep_bytes`` in all.

    A journal that is not shipped to its end, whose process may live, or that is locked, stays. Returns the ids of the
    removed, the oldest first; never raises.
    """
    _remove_leftovers(root, now_unix_nano)
    shipped = [journal for journal in list_journals(root) if _is_done_with(journal, now_unix_nano)]
    removed: list[str] = []
    kept_bytes = 0
    for journal in sorted(shipped, key=_shipped_at, reverse=True):
        kept_bytes += journal.bytes
        is_old = now_unix_nano - _shipped_at(journal) > keep_days * DAY
        if (is_old or kept_bytes > keep_bytes) and _remove(journal):
            removed.append(journal.id)
            kept_bytes -= journal.bytes
    return removed[::-1]


def _look_at(path: Path) -> JournalFolder | None:
    size = end = last_write = 0
    try:
        for entry in os.scandir(path):
            stat = entry.stat(follow_symlinks=False)
            size += stat.st_size
            if entry.name == HEADER_NAME or entry.name.endswith(SUFFIX):
                last_write = max(last_write, stat.st_mtime_ns)
            stem = entry.name.removesuffix(SUFFIX)
            if stem != entry.name and stem.isdecimal():
                end = max(end, int(stem) + stat.st_size)
    except OSError as error:
        _logger.debug("%s cannot be looked at: %s", path, error)
        return None
    return JournalFolder(path.name, path, _identity(path), size, end, last_write, StatusFile(path).read())


def _identity(path: Path) -> Identity | None:
    try:
        return read_identity(path)
    except JournalError:
        return None


def _shipped_at(journal: JournalFolder) -> int:
    return (journal.status.shipped_unix_nano or 0) if journal.status is not None else 0


def _is_done_with(journal: JournalFolder, now_unix_nano: int) -> bool:
    """Whether all of it is delivered and no more can come; a process elsewhere may have written on since."""
    if journal.identity is None or journal.status is None or not _shipped_at(journal):
        return False
    if not any(lane.state == "done" and lane.position >= journal.end for lane in journal.status.lanes):
        return False
    state = owner_state(journal.identity)
    untouched = now_unix_nano - journal.last_write_unix_nano > UNTOUCHED_NANO
    return state == "dead" or (state == "unknown" and untouched)


def _remove(journal: JournalFolder) -> bool:
    """Take it out of sight, then delete it, so that nobody meets half a journal."""
    lock = JournalLock(journal.path)
    try:
        if not lock.acquire():
            return False
        gone = journal.path.with_name(f".{journal.id}.removed")
        os.rename(journal.path, gone)
        shutil.rmtree(gone, ignore_errors=True)
    except (OSError, JournalError) as error:
        _logger.warning("the shipped journal %s cannot be removed: %s", journal.path, error)
        return False
    finally:
        lock.release()
    return True


def _remove_leftovers(root: Path, now_unix_nano: int) -> None:
    with contextlib.suppress(OSError):
        for path in [*Path(root).glob(".*.new"), *Path(root).glob(".*.removed")]:
            if now_unix_nano - path.stat().st_mtime_ns > LEFTOVER_NANO:
                shutil.rmtree(path, ignore_errors=True)
