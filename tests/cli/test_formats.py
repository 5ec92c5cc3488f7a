"""Short texts for people, and strict JSON for programs."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import pytest

from evsys_otel.cli import formats
from evsys_otel.cli.plain import to_json


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.97222222, "0.9722"), (400_000.0, "400,000"), (1e-5, "1e-05"), (math.nan, "nan"), (math.inf, "inf"), (None, "-"),
     (3, "3"), (-0.5, "-0.5"), (1e300, "1e+300")],
)  # fmt: skip
def test_numbers_are_short(value: float | None, text: str) -> None:
    """Four significant digits, whole numbers in full."""
    assert formats.format_number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "now"), (5, "5 s ago"), (59, "59 s ago"), (125, "2 min ago"), (7300, "2 h ago"), (3e6, "4 w ago")],
)
def test_ages_are_in_their_largest_unit(seconds: float, text: str) -> None:
    """An age is one number and one unit."""
    assert formats.format_age(10**18, 10**18 + int(seconds * 1e9)) == text


def test_a_clock_set_back_makes_no_negative_age() -> None:
    """A time in the future is now."""
    assert formats.format_age(10**18 + 10**12, 10**18) == "now"
    assert formats.format_age(None, 10**18) == "-"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (8 * 1024**2, "8.0 MiB"), (500 * 1024, "500 KiB")]
)
def test_bytes_are_in_their_largest_unit(count: int, text: str) -> None:
    """Binary units, as the settings have."""
    assert formats.format_bytes(count) == text


def test_one_of_a_thing_is_singular() -> None:
    """Nobody reads "1 runs"."""
    assert [formats.format_count(count, "run") for count in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]


def test_json_is_strict_and_keeps_what_json_lacks_as_texts() -> None:
    """NaN and the infinities are texts; dataclasses are maps; anything else is at least a text."""

    @dataclass
    class Point:
        x: float
        rest: Any

    text = to_json(Point(math.nan, {"a": [math.inf, -math.inf, 1, True, None], 3: {1}, "o": object}))
    assert json.loads(text)["x"] == "NaN"
    assert json.loads(text)["rest"]["a"] == ["Infinity", "-Infinity", 1, True, None]
    assert json.loads(text)["rest"]["3"] == [1]
