"""What commands gather in, JSON text out: dataclasses as maps, and the numbers that JSON lacks as texts."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any


def to_plain(value: Any) -> Any:
    """Return maps, lists, texts, numbers, booleans and None only; NaN and the infinities become texts.

    They are written `NaN`, `Infinity` and `-Infinity`, as everywhere in this package, since JSON has none of the three.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _non_finite(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [to_plain(item) for item in value]
    return str(value)


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Return the value as strict JSON text."""
    return json.dumps(to_plain(value), ensure_ascii=False, allow_nan=False, indent=indent)


def _non_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
