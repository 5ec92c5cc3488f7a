"""A journal's folder in, its events in their order out, with word of every byte that could not be read."""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from evsys_otel.events import Event, Lost
from evsys_otel.journal.frames import HEAD, MAGIC, frame_bytes, is_whole
from evsys_otel.journal.header import read_identity, read_losses
from evsys_otel.journal.segments import Segment, find_segment, segment_path, segment_starts

_logger = logging.getLogger(__name__)

READ_BYTES = 4 * 1024 * 1024
_SEARCH_BYTES = 1024 * 1024

_decode = msgspec.msgpack.Decoder(Event).decode
_decode_raw = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_tag = msgspec.msgpack.Decoder(int).decode
_KNOWN_TAGS = frozenset(kind.__struct_config__.tag for kind in Event.__args__)  # type: ignore[attr-defined]


@dataclass(slots=True)
class Chunk:
    """Consecutive events of a journal, false when reading came no further.

    ``start`` and ``position`` are journal-wide bytes: where reading began, and the end of what was read or stepped
    over. ``damage`` are the byte ranges that could not be read, ``unknown`` counts events of newer kinds.
    """

    start: int
    position: int
    events: list[Event] = field(default_factory=list)
    damage: list[tuple[int, int]] = field(default_factory=list)
    unknown: int = 0

    def __bool__(self) -> bool:
        return self.position > self.start


class JournalReader:
    """Reads one journal from ``position`` (where a frame begins) on, also while it is written; for one thread.

    Raises:
        JournalError: the folder holds no journal whose header can be read.
    """

    def __init__(self, folder: Path, position: int = 0) -> None:
        self.folder = Path(folder)
        self.identity = read_identity(self.folder)
        self.position = position

    def read(self, max_bytes: int = READ_BYTES, *, final: bool = False) -> Chunk:
        """Return the next events, about ``max_bytes`` of them and at least one; an empty chunk at the end.

        Never raises on damage: it is stepped over to the next whole frame and reported. What is not whole at the very
        end is being written, unless ``final``: then it is damage too.
        """
        chunk = Chunk(self.position, self.position)
        try:
            while not (chunk.events or chunk.unknown) and self._advance(chunk, max(max_bytes, HEAD.size), final):
                pass
        except OSError as error:
            _logger.debug("%s cannot be read now: %s", self.folder, error)
        self.position = chunk.position
        return chunk

    def losses(self) -> list[Lost]:
        """Return what the writer could not append, as its header says now; never raises."""
        return read_losses(self.folder)

    def end_position(self) -> int:
        """Return where the journal ends now, a frame that is being written included; never raises."""
        try:
            starts = segment_starts(self.folder)
            return starts[-1] + segment_path(self.folder, starts[-1]).stat().st_size if starts else 0
        except OSError:
            return self.position

    def _advance(self, chunk: Chunk, max_bytes: int, final: bool) -> bool:
        """Read one window, or step over one range of damage; False when there is nothing more to read now."""
        segment = find_segment(self.folder, chunk.position)
        if segment is None:
            return False
        if segment.start > chunk.position:
            _step_over(chunk, segment.start)
        if segment.end <= chunk.position:
            return False
        fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if self._read_window(fd, segment, chunk, max_bytes):
                return True
            following = _find_frame(fd, segment, chunk.position + 1)
        finally:
            os.close(fd)
        if following is None and segment.last and not final:
            return False
        _step_over(chunk, segment.end if following is None else following)
        return True

    def _read_window(self, fd: int, segment: Segment, chunk: Chunk, max_bytes: int) -> bool:
        offset, left = chunk.position - segment.start, segment.end - chunk.position
        data = os.pread(fd, min(max_bytes, left), offset)
        needed = frame_bytes(data)
        if len(data) < needed <= left:
            data = os.pread(fd, needed, offset)
        return _take_frames(data, chunk)


def _take_frames(data: bytes, chunk: Chunk) -> bool:
    """Append the events of the whole frames that ``data`` begins with; whether there was one."""
    append, unpack, crc32, decode, head = chunk.events.append, HEAD.unpack_from, zlib.crc32, _decode, HEAD.size
    base, offset, last = chunk.position, 0, len(data) - head
    while offset <= last:
        magic, length, crc = unpack(data, offset)
        body = offset + head
        payload = data[body : body + length]
        if magic != MAGIC or len(payload) != length or not length or crc32(payload) != crc:
            break
        try:
            append(decode(payload))
        except Exception:  # noqa: BLE001 (a checksum is no proof of what a decoder will meet)
            if _is_of_newer_kind(payload):
                chunk.unknown += 1
            else:
                chunk.position = base + offset
                _step_over(chunk, base + body + length)
        offset = body + length
    chunk.position = base + offset
    return offset > 0


def _is_of_newer_kind(payload: bytes) -> bool:
    try:
        return _decode_tag(_decode_raw(payload)[0]) not in _KNOWN_TAGS
    except Exception:  # noqa: BLE001 (the same)
        return False


def _step_over(chunk: Chunk, to: int) -> None:
    first = chunk.position
    if chunk.damage and chunk.damage[-1][1] == first:
        first = chunk.damage.pop()[0]
    chunk.damage.append((first, to))
    chunk.position = to


def _find_frame(fd: int, segment: Segment, position: int) -> int | None:
    """Return where the first whole frame at or after ``position`` begins, None when there is none in the segment."""
    for candidate in _find_magic(fd, position - segment.start, segment.end - segment.start):
        size = frame_bytes(os.pread(fd, HEAD.size, candidate))
        if size and candidate + size <= segment.end - segment.start and is_whole(os.pread(fd, size, candidate)):
            return segment.start + candidate
    return None


def _find_magic(fd: int, offset: int, end: int) -> Iterator[int]:
    while offset < end:
        window = os.pread(fd, min(_SEARCH_BYTES, end - offset), offset)
        if len(window) < len(MAGIC):
            return
        found = window.find(MAGIC)
        while found >= 0:
            yield offset + found
            found = window.find(MAGIC, found + 1)
        offset += len(window) - len(MAGIC) + 1
