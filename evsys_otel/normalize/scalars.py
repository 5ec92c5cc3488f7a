"""Any value in, an int64 step or a float64 metric value out, or None where it is no such thing."""

from __future__ import annotations

import math
import operator

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1

_NO_NUMBERS = frozenset("cUSOMmT")
"""NumPy's kinds of dtypes that are no real numbers, though ``float`` would take some of them."""


def to_step(value: object) -> int | None:
    """Return a step as a Python int in int64: integers of any library and floats without fraction; never raises."""
    step = value if type(value) is int else _step_of(value)
    return step if step is not None and INT64_MIN <= step <= INT64_MAX else None


def to_number(value: object) -> float | None:
    """Return a metric's value as a Python float; never raises.

    Integers, floats, bools, Decimal, Fraction, NumPy and torch scalars and arrays of one element are numbers; an
    integer beyond float64 is infinite. Strings, None, complex numbers and larger arrays are none.
    """
    if type(value) is float:
        return value
    try:
        if getattr(getattr(value, "dtype", None), "kind", "") in _NO_NUMBERS:
            return None
        if getattr(value, "shape", ()) != ():
            value = value.item()  # type: ignore[attr-defined]  # raises for any number of elements but one
        if not (hasattr(type(value), "__float__") or hasattr(type(value), "__index__")):
            return None  # text and buffers, which float() would parse
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        return _infinite(value)
    except Exception:  # noqa: BLE001 (a user's object may raise anything)
        return None


def _step_of(value: object) -> int | None:
    if type(value) is bool or "bool" in _dtype(value):
        return None
    try:
        return int(operator.index(value))  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 (the same)
        number = to_number(value)
        return int(number) if number is not None and number.is_integer() else None


def _dtype(value: object) -> str:
    try:
        return str(getattr(value, "dtype", ""))
    except Exception:  # noqa: BLE001 (the same)
        return ""


def _infinite(value: object) -> float | None:
    try:
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]
    except Exception:  # noqa: BLE001 (the same)
        return None
