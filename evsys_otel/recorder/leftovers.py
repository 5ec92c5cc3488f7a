"""The folder of journals goes in, what dead processes left unshipped comes out in words."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from evsys_otel.events import RunStarted
from evsys_otel.journal import JournalFolder, JournalReader, list_journals, owner_state

_logger = logging.getLogger(__name__)

MAX_JOURNALS = 50
PIECE_BYTES = 1024 * 1024
BEAT_NANO = 10 * 10**9
"""A shipper's sign of life that is younger means that somebody is at it."""


def unshipped_runs(root: Path, *, now_unix_nano: int | None = None) -> str | None:
    """Return how many runs wait for ``sync``, as in ``3 runs``; None for none.

    Of a journal the first mebibyte is read, of many journals the first 50: beyond, it is ``at least 3 runs``.
    """
    now = time.time_ns() if now_unix_nano is None else now_unix_nano
    try:
        left = [journal for journal in list_journals(root) if is_left(journal, now)]
        read = left[:MAX_JOURNALS]
        runs = sum(max(1, _count_runs(journal.path)) for journal in read)
    except Exception as error:  # noqa: BLE001 (a damaged folder of another process is no reason to fail here)
        _logger.debug("the journals below %s cannot be counted: %r", root, error)
        return None
    if not runs:
        return None
    is_exact = len(read) == len(left) and all(journal.end <= PIECE_BYTES for journal in read)
    return f"{'' if is_exact else 'at least '}{runs} run{'s' if runs > 1 else ''}"


def is_left(journal: JournalFolder, now_unix_nano: int) -> bool:
    """Tell whether a journal's process is dead, and nobody ships what it left."""
    status = journal.status
    if journal.identity is None or owner_state(journal.identity) != "dead":
        return False
    if status is None:
        return True
    return status.shipped_unix_nano is None and now_unix_nano - status.beat_unix_nano > BEAT_NANO


def _count_runs(folder: Path) -> int:
    return len({event.id for event in JournalReader(folder).read(PIECE_BYTES).events if isinstance(event, RunStarted)})
