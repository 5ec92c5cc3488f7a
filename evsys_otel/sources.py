"""Where time and chance come from: the clock and the ids that a recorder draws, so that a test can put its own."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass


def _random_uuid() -> str:
    return str(uuid.uuid4())


def _random_span_id() -> str:
    return (int.from_bytes(os.urandom(8), "big") or 1).to_bytes(8, "big").hex()


@dataclass(frozen=True, slots=True)
class Sources:
    """A wall clock in nanoseconds since the epoch, random version 4 UUIDs, and random span ids (16 hex digits)."""

    time_unix_nano: Callable[[], int] = time.time_ns
    random_uuid: Callable[[], str] = _random_uuid
    random_span_id: Callable[[], str] = _random_span_id


SYSTEM_SOURCES = Sources()
