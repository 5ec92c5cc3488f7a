"""A journal and a builder go in, batches of signals in journal order come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evsys_otel.events import Event, JournalClosed, StepLogged
from evsys_otel.journal import Identity, JournalReader
from evsys_otel.journal.frames import HEAD, MAGIC, frame_bytes
from evsys_otel.journal.segments import find_segment
from evsys_otel.signals import SignalBuilder, Signals

CHUNK_BYTES = 256 * 1024
"""Journal bytes that are built and delivered at once: about 25,000 step values, some 20 MB as SDK objects."""
VALUE_BYTES = 8


@dataclass(frozen=True)
class Batch:
    """What a piece of the journal became; empty when ``position`` is where it ``start``\\ ed."""

    start: int
    position: int
    signals: Signals | None
    events: int = 0
    values: int = 0

    def __bool__(self) -> bool:
        return self.position > self.start


class Cursor:
    """A place in a journal, together with all that must be known of the events before it.

    It begins at the journal's start: what a lane acknowledged earlier is read again, but no signals are made of it.
    """

    def __init__(self, folder: Path, make_builder: Callable[[Identity], SignalBuilder]) -> None:
        self._reader = JournalReader(folder)
        self.builder = make_builder(self._reader.identity)
        self.closed = False
        """Whether the last event so far says that the writer is done."""
        self.unknown = 0
        """Events of newer kinds that were skipped so far."""
        self.damage: list[tuple[int, int]] = []
        """Byte ranges that could not be read so far."""

    @property
    def position(self) -> int:
        """Journal-wide byte position after the last event read."""
        return self._reader.position

    def read(self, acknowledged: int, *, final: bool) -> Batch:
        """Return the next batch, without signals where it was ``acknowledged`` before; ``final``: nobody writes now."""
        start = self._reader.position
        replaying = start < acknowledged
        chunk = self._reader.read(min(CHUNK_BYTES, acknowledged - start) if replaying else CHUNK_BYTES, final=final)
        self.unknown += chunk.unknown
        self._note(chunk.damage)
        if chunk.events:
            self.closed = isinstance(chunk.events[-1], JournalClosed)
        if chunk.position <= acknowledged:
            self.builder.skip(chunk.events)
            return Batch(start, chunk.position, None)
        signals = self.builder.build(chunk.events)
        return Batch(start, chunk.position, signals, len(chunk.events), _count_values(chunk.events))

    def _note(self, damage: Sequence[tuple[int, int]]) -> None:
        """Remember ranges; neighbours are one, so that their number does not hang on where reads began."""
        for first, last in damage:
            if self.damage and self.damage[-1][1] == first:
                first = self.damage.pop()[0]
            self.damage.append((first, last))

    def crash(self) -> Signals:
        """Return the ends, as ``crashed``, of all that the writer left open."""
        damage = sum(not _is_unfinished(self._reader.folder, first) for first, _ in self.damage)
        return self.builder.crash(self._reader.losses(), damage=damage)


def _is_unfinished(folder: Path, position: int) -> bool:
    """Whether a range begins with a frame that its process had no time to finish: its call had not returned."""
    segment = find_segment(folder, position)
    if segment is None or not segment.last:
        return False
    with segment.path.open("rb") as file:
        file.seek(position - segment.start)
        head = file.read(HEAD.size)
    size = frame_bytes(head)
    return MAGIC.startswith(head[: len(MAGIC)]) and (len(head) < HEAD.size or position + size > segment.end)


def _count_values(events: Sequence[Event]) -> int:
    return sum(len(event.values) for event in events if type(event) is StepLogged) // VALUE_BYTES
