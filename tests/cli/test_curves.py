"""Drawings: what is drawn where, in any width, encoding and for any values."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.style import Style

from evsys_otel.cli.curves import Curve, draw_curves

ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)


def curve(label: str, values: list[float], steps: list[int] | None = None) -> Curve:
    steps = list(range(len(values))) if steps is None else steps
    return Curve(label, steps, values, values, values, values[-1])


def lines_of(*curves: Curve, width: int = 60, **options: bool) -> list[str]:
    return draw_curves("loss", curves, width=width, **options).plain.splitlines()


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right() -> None:
    """The first value stands at the left in the lowest row, the last at the right in the highest."""
    drawn = lines_of(curve("train", [0.0, 1.0, 2.0, 3.0]), width=40)
    rows = [line.split("┤")[-1].split("│")[-1] for line in drawn[1:9]]
    assert rows[0].strip("⠀ ")
    assert rows[0].startswith(" ")
    assert len(rows[0]) > len(rows[-1])
    assert rows[-1][0] not in " ⠀"


def test_axes_say_the_lowest_and_highest_value_and_the_first_and_last_step() -> None:
    """A reader finds both ends of both axes."""
    drawn = lines_of(curve("train", [0.25, 4.5], [10, 20_000]))
    assert drawn[1].lstrip().startswith("4.5")
    assert drawn[8].lstrip().startswith("0.25")
    assert drawn[-1].split() == ["10", "20,000"]


def test_a_second_curve_is_told_from_the_first_without_colour() -> None:
    """Splits differ by their sign, in the legend and in the drawing."""
    drawn = lines_of(curve("train", [3.0, 2.0, 1.0]), curve("val", [3.5, 2.5, 1.5]))
    assert "⠒⠒ train 1" in drawn[0]
    assert "○ val 1.5" in drawn[0]
    assert sum(line.count("○") for line in drawn[1:]) == 3


def test_colours_are_those_of_the_terminals_palette() -> None:
    """The line, its sign and the frame have styles that NO_COLOR and the terminal's theme govern."""
    drawn = draw_curves("loss", [curve("train", [3.0, 1.0]), curve("val", [2.0, 2.0])], width=40)
    colours = {style.color.number for span in drawn.spans if (style := Style.parse(str(span.style))).color}
    assert colours == {3, 6}


def test_a_terminal_without_unicode_gets_ascii() -> None:
    """Every character of the plain drawing is ASCII."""
    assert all(line.isascii() for line in lines_of(curve("train", [1.0, 2.0]), curve("val", [1.0, 3.0]), unicode=False))


@pytest.mark.parametrize("values", [[1e308, -1e308], [5e-324, 1e-323], [1.0, 1.0 + 2e-16], [7.0, 7.0], [7.0]])
def test_no_range_of_values_is_too_wide_or_too_narrow(values: list[float], capfd: pytest.CaptureFixture[str]) -> None:
    """Any finite values make a line; the drawing library has nothing to say about them."""
    drawn = lines_of(curve("train", values), width=40)
    assert any("⠀" < sign <= "⣿" for line in drawn[1:] for sign in line)
    assert len(drawn) == 11
    assert capfd.readouterr() == ("", "")


def test_a_width_beyond_the_terminals_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller says how wide a chart is, whatever the terminal."""
    monkeypatch.setenv("COLUMNS", "40")
    assert max(map(len, lines_of(curve("train", [1.0, 2.0]), width=90))) == 90


def test_values_that_are_not_finite_are_gaps() -> None:
    """NaN and infinities neither break the scale nor appear; all of them together are said to be."""
    drawn = lines_of(curve("train", [1.0, math.nan, math.inf, 2.0]))
    assert drawn[1].lstrip().startswith("2")
    assert lines_of(curve("train", [math.nan]))[1] == "  no finite values"


def test_where_the_drawing_library_does_not_load_the_values_are_still_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system for which it is not built gets the legend and the reason in place of the curve."""
    monkeypatch.setitem(sys.modules, "plotext", None)
    head, reason = lines_of(curve("train", [1.0, 2.0]))
    assert head == "loss   ⠒⠒ train 2"
    assert reason.startswith("  not drawn: import of plotext")


def test_a_logarithmic_axis_has_the_geometric_middle() -> None:
    """The label between 0.01 and 100 is 1."""
    assert any(line.lstrip().startswith("1 ┤") for line in lines_of(curve("train", [0.01, 100.0]), log=True))


@given(st.lists(ANY_FLOAT, min_size=1, max_size=50), st.integers(10, 200), st.booleans(), st.booleans())
def test_any_values_fit_any_width(values: list[float], width: int, log: bool, unicode: bool) -> None:
    """No drawing raises, and none is wider than it may be where there is room for an axis at all."""
    drawn = lines_of(curve("train", values), width=width, log=log, unicode=unicode)
    if width >= 30:
        assert max(map(len, drawn)) <= width


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_legend_that_does_not_fit_goes_beneath_the_title(width: int) -> None:
    """A narrow terminal gets two lines in place of one that wraps."""
    drawn = lines_of(curve("train", [1.0, 2.0]), curve("val", [1.0, 2.0]), width=width)
    assert (drawn[0] == "loss") == (width < 30)
