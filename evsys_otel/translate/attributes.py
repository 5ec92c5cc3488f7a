"""Attributes of any sender in, values that every store can hold out: what is malformed is left out and counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)
INT32_MAX = 2**31 - 1
MAX_ID_CHARACTERS = 128
MAX_NAME_BYTES = 1024
MAX_URI_BYTES = 2048
"""Names and URIs are parts of keys; PostgreSQL's index rows end at 2,704 bytes."""


def clean_text(text: str) -> str:
    """Return the text with NUL and lone surrogates, which databases refuse, as U+FFFD."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def cut_text(text: str, max_bytes: int) -> str:
    """Return the longest beginning of the text that has at most so many bytes in UTF-8."""
    if len(text) * 4 <= max_bytes:
        return text
    encoded = text.encode()
    return text if len(encoded) <= max_bytes else encoded[:max_bytes].decode(errors="ignore")


def clean_name(text: str) -> str:
    """Return the text clean and cut to 1 KiB: a name is part of keys."""
    return cut_text(clean_text(text), MAX_NAME_BYTES)


def is_time(value: Any) -> bool:
    """Return whether the value is a time in nanoseconds; 0 is "unknown" by the protocol."""
    return type(value) is int and 0 < value <= INT64_MAX


class Attributes:
    """Reads the attributes of one signal by type; absent and malformed ones are None, and the latter are counted."""

    __slots__ = ("_malformed", "_values")

    def __init__(self, values: Any) -> None:
        self._values: Mapping[str, Any] = values if isinstance(values, Mapping) else {}
        self._malformed: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    @property
    def malformed(self) -> int:
        """How many attributes were asked for and could not be used."""
        return len(self._malformed)

    def items(self) -> list[tuple[Any, Any]]:
        """All keys and values, as they came."""
        return list(self._values.items())

    def text(self, key: str) -> str | None:
        """A text of any length."""
        value = self._values.get(key)
        if isinstance(value, str):
            return clean_text(value)
        self._refuse(key, value)
        return None

    def name(self, key: str) -> str | None:
        """A text that is part of a key, cut to 1 KiB."""
        value = self._values.get(key)
        if isinstance(value, str):
            return clean_name(value)
        self._refuse(key, value)
        return None

    def uri(self, key: str) -> str | None:
        """A text that is part of a key, cut to 2 KiB."""
        value = self.text(key)
        return None if value is None else cut_text(value, MAX_URI_BYTES)

    def record_id(self, key: str) -> str | None:
        """An id: printable, not empty, at most 128 characters; that ours are UUIDs binds our sender only."""
        value = self._values.get(key)
        if isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARACTERS and value.isprintable():
            return value
        self._refuse(key, value)
        return None

    def integer(self, key: str, lowest: int = INT64_MIN, highest: int = INT64_MAX) -> int | None:
        """An integer within bounds; a float without a fraction is one, a bool is none."""
        value = self._values.get(key)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
            return int(value)
        self._refuse(key, value)
        return None

    def number(self, key: str) -> float | None:
        """A number as float64; NaN and the infinities are numbers, a bool is none."""
        value = self._values.get(key)
        number = as_number(value)
        if number is not None:
            return number
        self._refuse(key, value)
        return None

    def flag(self, key: str) -> bool | None:
        """A bool."""
        value = self._values.get(key)
        if isinstance(value, bool):
            return value
        self._refuse(key, value)
        return None

    def texts(self, key: str) -> list[str] | None:
        """A list of texts."""
        value = self._values.get(key)
        if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            return [clean_text(item) for item in value]
        self._refuse(key, value)
        return None

    def json(self, key: str) -> str | None:
        """A text that is JSON (RFC 8259: no NaN, no infinities)."""
        value = self.text(key)
        if value is None:
            return None
        try:
            msgspec.json.decode(value)
        except (ValueError, RecursionError):
            self._refuse(key, value)
            return None
        return value

    def _refuse(self, key: str, value: Any) -> None:
        if value is not None:
            self._malformed.add(key)


def as_number(value: Any) -> float | None:
    """Return a number as float64, None when it is none (a bool is none) or beyond a float's range."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
