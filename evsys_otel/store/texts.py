"""What a sender says goes in, what both databases can keep comes out: clean texts, bounded keys, numbers in range."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

MAX_KEY_BYTES = 1024
"""Longest name in a key column: a row of a PostgreSQL B-tree index holds about 2,700 bytes in all."""

MAX_ID_BYTES = 255
"""Longest id; ours are UUIDs, other senders' may be anything."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_INT64 = range(-(2**63), 2**63)
_NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def clean(text: str) -> str:
    """Return a text without NUL (PostgreSQL) and lone surrogates (both): each becomes U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def optional_text(text: str | None) -> str | None:
    """Return a clean text, None for None."""
    return None if text is None else clean(text)


def key_text(text: str, max_bytes: int = MAX_KEY_BYTES) -> str:
    """Return a clean text of at most ``max_bytes`` bytes; a longer one keeps its begin and ends in its digest.

    Two different texts thus stay two keys.
    """
    text = clean(text)
    if len(text) * 4 <= max_bytes:
        return text
    encoded = text.encode()
    if len(encoded) <= max_bytes:
        return text
    digest = hashlib.sha256(encoded).hexdigest()[:16]
    return encoded[: max_bytes - len(digest) - 1].decode(errors="ignore") + "~" + digest


def id_text(text: str) -> str:
    """Return an id as the store keeps it."""
    return key_text(text, MAX_ID_BYTES)


def attempt_id_text(text: str) -> str:
    """Return an attempt's id as the store keeps it: ours are 16 hex digits, and it is one of seven key columns."""
    return key_text(text, 64)


def canonical(value: Any) -> str:
    """Return JSON text that is equal for equal values: what orders contradictions whose versions are equal."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


def rank_of(values: Any, *, whole: bool = True) -> str:
    """Return what orders two rows of one key, attempt and time: a whole one above a shortened one, then a digest."""
    return f"{int(whole)}{hashlib.sha256(canonical(values).encode(errors='replace')).hexdigest()[:32]}"


def as_text(value: Any) -> str | None:
    """Return a field as clean text; maps and lists as JSON."""
    return clean(value if isinstance(value, str) else canonical(value))


def as_key(value: Any) -> str | None:
    """Return a field that refers to another record."""
    return id_text(value) if isinstance(value, str) and value else None


def as_int(value: Any) -> int | None:
    """Return a field as an integer of 64 bits, None when it is none."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number in _INT64 else None


def as_number(value: Any) -> float | None:
    """Return a field as a float, the three non-finite ones included, None when it is no number."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def as_tags(value: Any) -> str | None:
    """Return tags as the JSON text of a list of strings."""
    tags = value if isinstance(value, (list, tuple)) else [value]
    return canonical([clean(str(tag)) for tag in tags])


Coercion = Callable[[Any], "str | int | float | None"]


def parse_json(text: str | None, default: Any = None) -> Any:
    """Return what a JSON text says, the text itself where it is no JSON, ``default`` for None."""
    if text is None:
        return default
    try:
        return json.loads(text)
    except ValueError:
        return text


def parse_numbers(text: str | None) -> Any:
    """Return a JSON map of numbers; the strings that stand for non-finite ones become floats again. None is {}."""
    return _restored(parse_json(text, {}))


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _restored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_restored(item) for item in value]
    return _NON_FINITE.get(value, value) if isinstance(value, str) else value
