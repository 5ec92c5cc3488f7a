"""Any value in, text that every hop can hold out: UTF-8, without NUL and lone surrogates."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

MAX_NAME_BYTES = 1_024

_UNENCODABLE = re.compile("[\0\ud800-\udfff]")
_REPLACEMENT = "\ufffd"


def clean_text(value: object, max_bytes: int | None = None) -> str:
    """Return the value as text, cut at a character's boundary where it is above ``max_bytes``; never raises.

    NUL and lone surrogates become U+FFFD (msgspec and protobuf refuse the latter, PostgreSQL the former). Bytes are
    read as UTF-8. An object whose ``__str__`` and ``__repr__`` raise becomes its type's name.
    """
    text = value if type(value) is str else _text_of(value)
    if not text.isascii() or "\0" in text:
        text = _UNENCODABLE.sub(_REPLACEMENT, text)
    if max_bytes is None or len(text) * 4 <= max_bytes:
        return text
    data = text.encode()
    return text if len(data) <= max_bytes else data[:max_bytes].decode(errors="ignore")


def clean_name(value: object) -> str:
    """Return the value as a name of at most 1 KiB; never raises."""
    return clean_text(value, MAX_NAME_BYTES)


def _text_of(value: object) -> str:
    try:
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value).decode(errors="replace")
    except Exception:  # noqa: BLE001 (a released memoryview)
        return _name_of(value)
    converters: tuple[Callable[[Any], str], ...] = (str, repr, hex)
    for convert in converters:  # hex: for integers of more digits than str() turns into decimals
        try:
            return str.__str__(convert(value))
        except Exception:  # noqa: BLE001, S112, PERF203 (a user's object may raise anything)
            continue
    return _name_of(value)


def _name_of(value: object) -> str:
    return f"<{type(value).__name__}>"
