"""The folder of journals goes in, the number of runs that dead processes left unshipped comes out."""

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


def count_unshipped_runs(root: Path, *, now_unix_nano: int | None = None) -> int:
    """Return how many runs wait for ``sync``; of each journal the first mebibyte is counted, at least one run."""
    now = time.time_ns() if now_unix_nano is None else now_unix_nano
    try:
        journals = [journal for journal in list_journals(root) if is_left(journal, now)]
        return sum(max(1, _count_runs(journal.path)) for journal in journals[:MAX_JOURNALS])
    except Exception as error:  # noqa: BLE001 (a damaged folder of another process is no reason to fail here)
        _logger.debug("the journals below %s cannot be counted: %r", root, error)
        return 0


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
