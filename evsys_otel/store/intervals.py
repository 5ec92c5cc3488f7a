"""Sets of whole numbers as intervals (first, last), both included: union, difference and size."""

from __future__ import annotations

from collections.abc import Iterable

Interval = tuple[int, int]


def unite(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the union as the fewest intervals, ascending; neighbours without a gap are one."""
    united: list[Interval] = []
    for first, last in sorted(intervals):
        if united and first <= united[-1][1] + 1:
            united[-1] = (united[-1][0], max(united[-1][1], last))
        elif first <= last:
            united.append((first, last))
    return united


def lacking(count: int, held: Iterable[Interval]) -> list[Interval]:
    """Return which of the numbers 0 to ``count - 1`` are not in ``held``."""
    gaps: list[Interval] = []
    expected = 0
    for first, last in unite(held):
        if first > expected:
            gaps.append((expected, min(first, count) - 1))
        expected = max(expected, last + 1)
        if expected >= count:
            break
    if expected < count:
        gaps.append((expected, count - 1))
    return [gap for gap in gaps if gap[0] <= gap[1]]


def size(intervals: Iterable[Interval]) -> int:
    """Return how many numbers disjoint intervals hold."""
    return sum(last - first + 1 for first, last in intervals)
