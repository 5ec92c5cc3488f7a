"""Encoded events in, a durable journal on disk out, and back: what was appended survives the death of its process."""

from __future__ import annotations

from evsys_otel.journal.folders import JournalFolder, list_journals, remove_shipped
from evsys_otel.journal.identity import Identity, OwnerState, current_identity, owner_state
from evsys_otel.journal.reader import Chunk, JournalReader
from evsys_otel.journal.status import JournalLock, LaneStatus, ShipperStatus, StatusFile
from evsys_otel.journal.writer import JournalWriter

__all__ = [
    "Chunk",
    "Identity",
    "JournalFolder",
    "JournalLock",
    "JournalReader",
    "JournalWriter",
    "LaneStatus",
    "OwnerState",
    "ShipperStatus",
    "StatusFile",
    "current_identity",
    "list_journals",
    "owner_state",
    "remove_shipped",
]
