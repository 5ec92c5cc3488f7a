"""A folder of journals in; what waits in it to be shipped, what was parked and which lanes are off, out."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evsys_otel.journal import JournalFolder, ShipperStatus

SWITCHED_OFF = "switched_off"
FRESH_UNIX_NANO = 30 * 1_000_000_000
"""How old the beat of a shipper that works may be."""


@dataclass(frozen=True, slots=True)
class WaitingJournal:
    """One journal: whether its process lives, how much is not delivered, and what its destinations refused."""

    id: str
    path: str
    state: str
    waiting_bytes: int
    last_write_unix_nano: int
    parked: int = 0
    shortened: int = 0
    rejected: int = 0
    damaged_bytes: int = 0
    unknown_events: int = 0
    switched_off: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WaitingSummary:
    """All journals of a folder at once: how many wait for `sync`, with how many bytes, and what was refused."""

    waiting: int = 0
    waiting_bytes: int = 0
    running: int = 0
    parked: int = 0
    switched_off: int = 0
    damaged_bytes: int = 0


def waiting_journals(root: Path) -> WaitingSummary:
    """Return the summary of every journal below ``root``; of a folder that does not exist an empty one."""
    journals = examine_journals(root)
    left = [journal for journal in journals if journal.state == "waiting"]
    return WaitingSummary(
        waiting=len(left),
        waiting_bytes=sum(journal.waiting_bytes for journal in left),
        running=sum(journal.state == "running" for journal in journals),
        parked=sum(journal.parked for journal in journals),
        switched_off=sum(bool(journal.switched_off) for journal in journals),
        damaged_bytes=sum(journal.damaged_bytes for journal in journals),
    )


def examine_journals(root: Path) -> list[WaitingJournal]:
    """Return what each journal below ``root`` says of itself, the oldest first."""
    if not root.is_dir():
        return []
    from evsys_otel.journal import list_journals

    return [_examine(folder) for folder in list_journals(root)]


def _examine(folder: JournalFolder) -> WaitingJournal:
    status = folder.status
    lanes = status.lanes if status is not None else []
    shipped = status is not None and status.shipped_unix_nano is not None
    reached = min((lane.position for lane in lanes if lane.state != SWITCHED_OFF), default=0)
    return WaitingJournal(
        id=folder.id,
        path=str(folder.path),
        state="shipped" if shipped else _owner(folder),
        waiting_bytes=0 if shipped else max(folder.bytes - reached, 0),
        last_write_unix_nano=folder.last_write_unix_nano,
        parked=sum(lane.parked for lane in lanes),
        shortened=sum(lane.shortened for lane in lanes),
        rejected=sum(lane.rejected for lane in lanes),
        damaged_bytes=sum(end - start for start, end in status.damage) if status is not None else 0,
        unknown_events=status.unknown if status is not None else 0,
        switched_off=[
            f"{lane.name} ({lane.destination}): {lane.reason}" for lane in lanes if lane.state == SWITCHED_OFF
        ],
    )


def _owner(folder: JournalFolder) -> str:
    """Tell a journal that somebody still writes or ships from one that is left behind."""
    if folder.identity is None:
        return "unreadable"
    from evsys_otel.journal import owner_state

    return "running" if owner_state(folder.identity) == "alive" or _is_shipped_now(folder.status) else "waiting"


def _is_shipped_now(status: ShipperStatus | None) -> bool:
    """Return whether a shipper is at it, as it is for a while after the training's end."""
    if status is None or time.time_ns() - status.beat_unix_nano > FRESH_UNIX_NANO:
        return False
    try:
        os.kill(status.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's process, or a number that is none
        pass
    return True
