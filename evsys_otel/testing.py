"""For tests of code that records: clocks that tick by themselves and ids that count."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator

from evsys_otel.sources import Sources


class TickingClock:
    """A clock that moves ``tick_nano`` nanoseconds each time it is read; ``now`` may be set."""

    def __init__(self, start_unix_nano: int = 1_700_000_000_000_000_000, tick_nano: int = 1_000) -> None:
        self.now = start_unix_nano
        self.tick_nano = tick_nano

    def __call__(self) -> int:
        """Return the time in nanoseconds since the epoch, a tick after the last."""
        self.now += self.tick_nano
        return self.now


class CountingIds:
    """Version 4 UUIDs and span ids that count from 1, the same in every test run."""

    def __init__(self) -> None:
        self._uuids: Iterator[int] = itertools.count(1)
        self._spans: Iterator[int] = itertools.count(1)

    def random_uuid(self) -> str:
        """Return the next UUID; its low 64 bits end in the count."""
        return str(uuid.UUID(int=next(self._uuids), version=4))

    def random_span_id(self) -> str:
        """Return the next span id, 16 hex digits."""
        return f"{next(self._spans):016x}"


def counting_sources(start_unix_nano: int = 1_700_000_000_000_000_000, tick_nano: int = 1_000) -> Sources:
    """Return sources without chance: the same calls give the same journal."""
    ids = CountingIds()
    return Sources(TickingClock(start_unix_nano, tick_nano), ids.random_uuid, ids.random_span_id)
