"""A metric's buckets in, a drawing in braille dots out: one line, others as marks on it, each told without colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from evsys_otel.cli.formats import format_number

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_MARKS = "○◇+△"
_PLAIN_MARKS = "xo+^"
_LINE_STYLE = "cyan"
_MARK_STYLES = ("yellow", "magenta", "green", "blue")


@dataclass(frozen=True, slots=True)
class Curve:
    """One series, already reduced to buckets: each has a step, the lowest and highest value in it, and its last.

    Lists have one length. Values may be non-finite: such a bucket is a gap.
    """

    label: str
    steps: Sequence[int]
    low: Sequence[float]
    high: Sequence[float]
    last: Sequence[float]
    final: float | None = None

    def finite(self) -> list[tuple[int, float, float, float]]:
        """Return the buckets that can be drawn."""
        rows = zip(self.steps, self.low, self.high, self.last, strict=True)
        return [row for row in rows if all(map(math.isfinite, row[1:]))]


class Canvas:
    """Cells of two by four dots, with a style each; (0, 0) is the lower left dot."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self._dots = [[0] * columns for _ in range(rows)]
        self._marks: dict[tuple[int, int], tuple[str, str]] = {}

    def dot(self, x: int, y: int) -> None:
        """Set one dot."""
        row = self.rows - 1 - y // 4
        self._dots[row][x // 2] |= _DOTS[3 - y % 4][x % 2]

    def line(self, x0: int, y0: int, x1: int, y1: int) -> None:
        """Set the dots of a straight line."""
        count = max(abs(x1 - x0), abs(y1 - y0), 1)
        for i in range(count + 1):
            self.dot(round(x0 + (x1 - x0) * i / count), round(y0 + (y1 - y0) * i / count))

    def mark(self, x: int, y: int, character: str, style: str) -> None:
        """Put a character over the cell that holds the dot."""
        self._marks[self.rows - 1 - y // 4, x // 2] = (character, style)

    def row(self, index: int, *, unicode: bool) -> list[tuple[str, str]]:
        """Return a row as pieces of (text, style), as few as can be."""
        cells = []
        for column, dots in enumerate(self._dots[index]):
            plain = (chr(0x2800 + dots) if unicode else "*") if dots else " "
            cells.append(self._marks.get((index, column), (plain, _LINE_STYLE)))
        runs = groupby(cells, key=lambda cell: cell[1])
        return [("".join(character for character, _ in run), style) for style, run in runs]


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values of [low, high] to 0 .. size - 1."""

    low: float
    high: float
    size: int
    transform: Callable[[float], float] = float

    def __call__(self, value: float) -> int:
        """Return the dot of a value."""
        low, high = self.transform(self.low), self.transform(self.high)
        # Halves, since the difference of two finite numbers may be infinite.
        span = high / 2 - low / 2
        if span <= 0:
            return self.size // 2
        share = (self.transform(value) / 2 - low / 2) / span
        return min(max(round(share * (self.size - 1)), 0), self.size - 1)


Line = list[tuple[str, str]]
"""One line of a drawing: pieces of text with a style each."""


def draw_curves(
    title: str, curves: Sequence[Curve], *, width: int, height: int = 8, log: bool = False, unicode: bool = True
) -> list[Line]:
    """Return the lines of a chart of at most ``width`` characters and ``height`` + 3 lines.

    The first curve is a line through each bucket's span; the others are marks at each bucket's last value. ``log``
    makes the axis of values logarithmic where all of them are above 0.
    """
    marks = _MARKS if unicode else _PLAIN_MARKS
    head = _legend(title, curves, marks, unicode=unicode)
    drawn = [curve.finite() for curve in curves]
    points = [row for rows in drawn for row in rows]
    if not points:
        return [*_fold(head, width), [("  no finite values", "dim")]]
    low, high = min(row[1] for row in points), max(row[2] for row in points)
    log = log and low > 0
    labels = _value_labels(low, high, height, log=log)
    gutter = max(map(len, labels.values())) + 1
    canvas = Canvas(max(width - gutter - 1, 8), height)
    x = Scale(min(row[0] for row in points), max(row[0] for row in points), canvas.columns * 2)
    y = Scale(low, high, height * 4, math.log if log else float)
    _trace(canvas, drawn[0], x, y)
    for index, rows in enumerate(drawn[1:]):
        for step, _, _, last in rows:
            canvas.mark(x(step), y(last), marks[index % len(marks)], _MARK_STYLES[index % len(_MARK_STYLES)])
    body = [_framed(canvas, row, labels.get(row, ""), gutter, unicode=unicode) for row in range(height)]
    return [*_fold(head, width), *body, *_step_axis(int(x.low), int(x.high), gutter, canvas.columns, unicode=unicode)]


def _trace(canvas: Canvas, rows: list[tuple[int, float, float, float]], x: Scale, y: Scale) -> None:
    before: tuple[int, int] | None = None
    for step, low, high, last in rows:
        here = (x(step), y(last))
        canvas.line(here[0], y(low), here[0], y(high))
        if before is not None:
            canvas.line(*before, *here)
        before = here


def _legend(title: str, curves: Sequence[Curve], marks: str, *, unicode: bool) -> Line:
    line: Line = [(title, "bold")]
    for index, curve in enumerate(curves):
        sign = ("⠒⠒" if unicode else "**") if index == 0 else marks[(index - 1) % len(marks)]
        style = _LINE_STYLE if index == 0 else _MARK_STYLES[(index - 1) % len(_MARK_STYLES)]
        line += [("   ", ""), (sign, style), (f" {curve.label} {format_number(curve.final)}", "")]
    return line


def _fold(line: Line, width: int) -> list[Line]:
    """Put the title on a line of its own where the legend does not fit beside it."""
    if sum(len(text) for text, _ in line) <= width or len(line) == 1:
        return [line]
    return [line[:1], [("  ", ""), *line[2:]]]


def _value_labels(low: float, high: float, height: int, *, log: bool) -> dict[int, str]:
    middle = math.sqrt(low) * math.sqrt(high) if log else low / 2 + high / 2
    if low == high:
        return {height - 1 - (height * 4 // 2) // 4: format_number(low)}
    return {0: format_number(high), (height - 1) // 2: format_number(middle), height - 1: format_number(low)}


def _framed(canvas: Canvas, row: int, label: str, gutter: int, *, unicode: bool) -> Line:
    edge = ("┤" if label else "│") if unicode else "|"
    return [(label.rjust(gutter - 1) + " ", "dim"), (edge, "dim"), *canvas.row(row, unicode=unicode)]


def _step_axis(first: int, last: int, gutter: int, columns: int, *, unicode: bool) -> list[Line]:
    rule = ("└" + "─" * columns) if unicode else "+" + "-" * columns
    left, right = f"{first:,}", f"{last:,}" if last != first else ""
    steps = f"{left}{right.rjust(max(columns - len(left), len(right) + 1))}" if right else left
    return [[(" " * gutter + rule, "dim")], [(" " * (gutter + 1) + steps, "dim")]]
