"""A journal's folder in, its segments and their place in the journal out.

A segment's name is the journal-wide byte position of its first byte, in 20 digits.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".seg"
_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Segment:
    """The bytes ``start`` .. ``end`` of a journal; a segment that is not the ``last`` one does not grow."""

    path: Path
    start: int
    end: int
    last: bool


def segment_path(folder: Path, start: int) -> Path:
    """Return the path of the segment whose first byte is at ``start``."""
    return folder / f"{start:0{_DIGITS}d}{SUFFIX}"


def segment_starts(folder: Path) -> list[int]:
    """Return the starts of all segments in order. Raises OSError when the folder cannot be listed."""
    stems = (name.removesuffix(SUFFIX) for name in os.listdir(folder) if name.endswith(SUFFIX))
    return sorted(int(stem) for stem in stems if len(stem) == _DIGITS and stem.isdecimal() and stem.isascii())


def find_segment(folder: Path, position: int) -> Segment | None:
    """Return the segment that holds ``position``, else the next one, else the last; None when there is none.

    Raises OSError. The names are listed before the size is asked for: of all but the last segment it is final then.
    """
    starts = segment_starts(folder)
    number = max(bisect_right(starts, position) - 1, 0)
    while number < len(starts):
        segment = _segment(folder, starts, number)
        if segment.end > position or segment.last:
            return segment
        number += 1
    return None


def _segment(folder: Path, starts: list[int], number: int) -> Segment:
    path = segment_path(folder, starts[number])
    end = starts[number] + path.stat().st_size
    last = number + 1 == len(starts)
    return Segment(path, starts[number], end if last else min(end, starts[number + 1]), last)
