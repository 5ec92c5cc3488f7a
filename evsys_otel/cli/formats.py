"""Plain values in, the short texts that people read out: numbers, ages, bytes, ids, statuses."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any

STATUS_STYLES = {
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "crashed": "red",
    "stale": "yellow",
    "silent": "yellow",
    "whole": "green",
    "missing": "bold red",
    "behind": "yellow",
    "unknown": "dim",
    "ok": "green",
    "warn": "yellow",
    "fail": "bold red",
}
"""Colour of each of the package's words for a state; none of them is told by colour alone."""

_AGES = ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h"), (14 * 86_400, 86_400, "d"), (math.inf, 7 * 86_400, "w"))
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def short_id(identifier: str) -> str:
    """Return the first block of an id, which is nearly always unique; every command takes a unique prefix."""
    return identifier[:8]


def format_number(value: float | None) -> str:
    """Return a number in at most four significant digits, whole numbers in full, `-` for none."""
    if value is None:
        return "-"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.4g}"


def format_duration(seconds: float) -> str:
    """Return a length of time in its largest unit."""
    seconds = max(seconds, 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for limit, size, unit in _AGES:
        if seconds < limit:
            return f"{seconds // size:.0f} {unit}" if seconds >= 10 else f"{seconds:.1f} {unit}"
    raise AssertionError(seconds)


def format_age(unix_nano: int | None, now_unix_nano: int) -> str:
    """Return how long ago a time was, `-` when it is not known."""
    if unix_nano is None:
        return "-"
    seconds = (now_unix_nano - unix_nano) / 1e9
    return "now" if seconds < 1 else f"{format_duration(int(seconds)).replace('.0 ', ' ')} ago"


def format_time(unix_nano: int | None) -> str:
    """Return a time to the second, in UTC."""
    if unix_nano is None:
        return "-"
    return datetime.fromtimestamp(unix_nano // 1_000_000_000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def format_bytes(count: float) -> str:
    """Return a number of bytes in its largest unit."""
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError(count)


def format_count(count: int, noun: str) -> str:
    """Return a number with its noun, plural where it is one."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def format_leaf(value: Any) -> str:
    """Return a config's leaf as a person writes it: numbers short, texts as they are, the rest as JSON."""
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else "null"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return value
    from evsys_otel.cli.plain import to_json

    return to_json(value)


def styled_status(word: str) -> str:
    """Return a state's word in its colour, as rich markup."""
    style = STATUS_STYLES.get(word.split(" ", 1)[0])
    return f"[{style}]{word}[/]" if style else word
