"""A metric's buckets in, a chart drawn by plotext out: one line, others as marks on it, each told without colour."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evsys_otel.cli.formats import format_number

if TYPE_CHECKING:
    from rich.text import Text

_MARKS, _PLAIN_MARKS = "○◇+△", "xo+^"
_LINE_COLOUR, _MARK_COLOURS = 6, (3, 5, 2, 4)
"""Numbers in the terminal's own palette: cyan; yellow, magenta, green, blue."""
_PLAIN_FRAME = str.maketrans("┤│└┬─", "||+--")
_LEAST_COLUMNS = 8
"""Columns that a curve keeps however narrow the terminal is."""

Bucket = tuple[int, float, float, float]
Labels = tuple[list[float], list[str]]
"""Where labels stand along an axis, from 0 to 1, and what they say."""


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

    def finite(self) -> list[Bucket]:
        """Return the buckets that can be drawn."""
        rows = zip(self.steps, self.low, self.high, self.last, strict=True)
        return [row for row in rows if all(map(math.isfinite, row[1:]))]


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values of [low, high] to [0, 1]: what plotext draws is then the same whatever the values are."""

    low: float
    high: float
    log: bool = False

    @property
    def middle(self) -> float:
        """Return the value that stands halfway."""
        return math.sqrt(self.low) * math.sqrt(self.high) if self.log else self.low / 2 + self.high / 2

    def __call__(self, value: float) -> float:
        """Return where a value stands, in the middle when there is only one."""
        at, low, high = (math.log(v) if self.log else v for v in (value, self.low, self.high))
        span = high / 2 - low / 2  # Halves, since the difference of two finite numbers may be infinite.
        return min(max((at / 2 - low / 2) / span, 0.0), 1.0) if span > 0 else 0.5


def draw_curves(
    title: str, curves: Sequence[Curve], *, width: int, height: int = 8, log: bool = False, unicode: bool = True
) -> Text:
    """Return a chart of at most ``width`` characters and ``height`` + 4 lines.

    The first curve is a line through each bucket's span; the others are marks at each bucket's last value. ``log``
    makes the axis of values logarithmic where all of them are above 0.
    """
    from rich.text import Text

    marks = _MARKS if unicode else _PLAIN_MARKS
    head = _legend(title, curves, marks, width, unicode=unicode)
    drawn = [curve.finite() for curve in curves]
    points = [row for rows in drawn for row in rows]
    if not points:
        return Text("\n").join([head, Text("  no finite values", "dim")])
    low, high = min(row[1] for row in points), max(row[2] for row in points)
    x = Scale(min(row[0] for row in points), max(row[0] for row in points))
    y = Scale(low, high, log=log and low > 0)
    gutter = max(map(len, _value_labels(y)[1]))
    size = (max(width, gutter + 1 + _LEAST_COLUMNS), height + 2)
    try:
        drawing = _draw(drawn, x, y, size, marks=marks, line="braille" if unicode else "*")
    except ImportError as error:  # Its compiled part is ready-made for most systems, not for all.
        return Text("\n").join([head, Text(f"  not drawn: {str(error).splitlines()[0]}", "dim")])
    lines = Text.from_ansi(drawing if unicode else drawing.translate(_PLAIN_FRAME)).split()
    for number, line in enumerate(lines):
        line.stylize("dim", 0, gutter + 1 if number < height else len(line))
        line.rstrip()
    return Text("\n", no_wrap=True, overflow="crop").join([head, *lines])


def _draw(
    drawn: Sequence[Sequence[Bucket]], x: Scale, y: Scale, size: tuple[int, int], *, marks: str, line: str
) -> str:
    """Return what plotext draws, in the terminal's escape codes."""
    import plotext

    plotext.terminal.limit(False, False)
    figure = plotext.figure.clear().theme("colorless").plot_size(*size).legend(False)
    figure.axes(False, axis="x", side="upper").axes(False, axis="y", side="right")
    for axis, labels in (("x", _step_labels(x)), ("y", _value_labels(y))):
        figure.ruler(axis).lim(0, 1).ticks(*labels)
    across, up = zip(*_trace(drawn[0], x, y), strict=True) if drawn[0] else ((), ())
    figure.draw(figure.signal(across, up, marker=plotext.marker(line, _LINE_COLOUR)).lines(True))
    for index, rows in enumerate(drawn[1:]):
        mark = plotext.marker(marks[index % len(marks)], _MARK_COLOURS[index % len(_MARK_COLOURS)])
        figure.draw(figure.signal([x(row[0]) for row in rows], [y(row[3]) for row in rows], marker=mark))
    drawing: str = figure.build().string()
    return drawing


def _trace(rows: Sequence[Bucket], x: Scale, y: Scale) -> Iterator[tuple[float, float]]:
    """Yield the points of a line that goes through each bucket's extremes and on from its last value."""
    for step, low, high, last in rows:
        for value in (last, low, high, last) if low != high else (last,):
            yield x(step), y(value)


def _legend(title: str, curves: Sequence[Curve], marks: str, width: int, *, unicode: bool) -> Text:
    """Return the title and each curve's sign and last value, beside it or beneath it."""
    from rich.text import Text

    signs = [("⠒⠒" if unicode else "**", f"color({_LINE_COLOUR})")]
    signs += [(mark, f"color({colour})") for mark, colour in zip(marks, _MARK_COLOURS, strict=True)] * len(curves)
    legend = Text("   ").join(
        Text.assemble(sign, f" {curve.label} {format_number(curve.final)}")
        for sign, curve in zip(signs, curves, strict=False)
    )
    apart = "   " if len(title) + 3 + len(legend) <= width else "\n  "
    return Text.assemble((title, "bold"), apart, legend)


def _value_labels(y: Scale) -> Labels:
    if y.low == y.high:
        return [0.5], [f"{format_number(y.low)} "]
    return [0.0, 0.5, 1.0], [f"{format_number(value)} " for value in (y.low, y.middle, y.high)]


def _step_labels(x: Scale) -> Labels:
    if x.low == x.high:
        return [0.5], [f"{x.low:,}"]
    return [0.0, 1.0], [f"{x.low:,}", f"{x.high:,}"]
