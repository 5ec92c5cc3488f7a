"""Any nested value in, the same as a tree of JSON's own types, or as JSON text, out; nothing here raises."""

from __future__ import annotations

import dataclasses
import enum
import math
import operator
import types
from collections.abc import Callable, Iterable, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from evsys_otel.normalize.scalars import INT64_MAX, INT64_MIN
from evsys_otel.normalize.secrets import REDACTED, IsSecret, redact_uri
from evsys_otel.normalize.texts import clean_name, clean_text

Tree = dict[str, "Tree"] | list["Tree"] | str | int | float | bool | None

MAX_DEPTH = 24
"""Levels of nesting that are kept; protobuf parsers refuse more than 32 of a log body's, wrappers included."""
MAX_NODES = 500_000
"""Values that one tree may have: shared parts of a small object can unfold without end."""
MAX_ARRAY_ELEMENTS = 1_000
"""Arrays up to this size are lists, larger ones are named by type, shape and dtype."""

CYCLE, TOO_DEEP, TOO_MANY = "<cycle>", "<depth>", "<more>"
ROWS_KEY = "evsys.rows"
MANY_ROWS = 50

_NON_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}
_encode = msgspec.json.Encoder().encode


def to_tree(value: object, *, is_secret: IsSecret | None = None, count_rows: bool = False) -> Tree:
    """Return the value as dicts with text keys, lists, text, finite floats, int64 ints, bools and None.

    Non-finite floats and integers beyond int64 become text, sets sorted lists, dates ISO 8601, dataclasses, pydantic
    models and namespaces dicts, what repeats itself ``<cycle>``, what is too deep ``<depth>``, the rest text.

    Args:
        value: anything.
        is_secret: tells the keys whose values are replaced; with it, user info in URIs is replaced too.
        count_rows: whether lists of more than 50 dicts or lists are replaced by ``{"evsys.rows": n}``.
    """
    return _Walk(is_secret, count_rows).visit(value, 0)


def encode_tree(tree: Tree) -> str:
    """Return a tree as JSON text."""
    return _encode(tree).decode()


def size_bytes(tree: Tree) -> int:
    """Return how large a tree's JSON text is."""
    return len(_encode(tree))


class _Walk:
    """One descent through one value."""

    def __init__(self, is_secret: IsSecret | None, count_rows: bool) -> None:
        self._is_secret = is_secret
        self._count_rows = count_rows
        self._path: set[int] = set()
        self._nodes = 0

    def visit(self, value: object, depth: int) -> Tree:
        self._nodes += 1
        if value is None or value is True or value is False:
            return value
        if self._nodes > MAX_NODES:
            return TOO_MANY
        kind = type(value)
        if kind is str:
            return self._text(value)
        if kind is int or kind is float:
            return _number(value)  # type: ignore[arg-type]
        try:
            if kind is dict or kind is list or kind is tuple:
                return self._enter(value, value, depth)
            return self._visit_object(value, depth)
        except Exception:  # noqa: BLE001 (a user's object may raise anything)
            return clean_text(value)

    def _visit_object(self, value: Any, depth: int) -> Tree:
        scalar = _scalar_of(value)
        if scalar is not None:
            return self.visit(scalar, depth)
        opened = _open(value)
        return self._text(value) if opened is None else self._enter(value, opened, depth)

    def _enter(self, value: object, opened: Any, depth: int) -> Tree:
        if id(value) in self._path:
            return CYCLE
        if depth >= MAX_DEPTH:
            return TOO_DEEP
        self._path.add(id(value))
        try:
            return self._map(opened, depth) if isinstance(opened, Mapping) else self._list(opened, depth)
        finally:
            self._path.discard(id(value))

    def _map(self, pairs: Mapping[object, object], depth: int) -> Tree:
        out: dict[str, Tree] = {}
        for key, value in pairs.items():
            name = _key(key)
            if name in out:  # 1 and "1" are two keys
                name = f"{name}#{len(out)}"
            out[name] = REDACTED if self._hides(name, value) else self.visit(value, depth + 1)
            if self._nodes > MAX_NODES:
                break
        return out

    def _list(self, items: Iterable[object], depth: int) -> Tree:
        if self._count_rows and isinstance(items, Sequence) and _are_rows(items):
            return {ROWS_KEY: len(items)}
        out: list[Tree] = []
        for item in items:
            out.append(self.visit(item, depth + 1))
            if self._nodes > MAX_NODES:
                break
        return _sorted(out) if isinstance(items, AbstractSet) else out

    def _text(self, value: object) -> str:
        text = clean_text(value)
        return text if self._is_secret is None else redact_uri(text)

    def _hides(self, name: str, value: object) -> bool:
        return self._is_secret is not None and value is not None and type(value) is not bool and self._is_secret(name)


def _number(value: int | float) -> Tree:
    if type(value) is int:
        return value if INT64_MIN <= value <= INT64_MAX else clean_text(value)
    return value if math.isfinite(value) else _NON_FINITE.get(value, "NaN")


def _scalar_of(value: Any) -> object:
    """Return what stands for an enum's member, a number of any library, a date or a text; None for anything else."""
    if isinstance(value, enum.Enum):
        return value.value if value.value is not value else clean_text(value)
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        return clean_text(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if hasattr(value, "shape"):
        if value.shape != ():
            return None
        item = value.item()
        return item if type(item) in {bool, int, float, str} else clean_text(item)
    if hasattr(type(value), "isoformat"):
        return clean_text(value.isoformat())
    if hasattr(type(value), "__index__"):
        return operator.index(value)
    return float(value) if type(value).__module__ in {"decimal", "_decimal", "fractions"} else None


def _open(value: Any) -> Mapping[object, object] | Iterable[object] | None:
    """Return what is inside a value: a mapping or a list of any kind; None for what has no inside that we know."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, type):
        return None
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    if isinstance(value, (list, tuple, AbstractSet)):
        return value
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    if isinstance(value, types.SimpleNamespace) or type(value).__module__ == "argparse":
        return dict(vars(value))
    return _open_by_method(value)


def _open_by_method(value: Any) -> Mapping[object, object] | Iterable[object] | None:
    if hasattr(type(value), "tolist") and hasattr(value, "shape"):
        if math.prod(value.shape) <= MAX_ARRAY_ELEMENTS:
            return list(value.tolist())
        return None
    for name in ("model_dump", "dict"):
        method: Callable[[], object] | None = getattr(value, name, None) if hasattr(type(value), name) else None
        opened = method() if callable(method) else None
        if isinstance(opened, Mapping):
            return opened
    return value if isinstance(value, (Sequence, ValuesView)) else None  # what only iterates may read a whole data set


def _key(key: object) -> str:
    if type(key) is str:
        return clean_name(key)
    if isinstance(key, enum.Enum):
        key = key.value
    if key is None or type(key) is bool:
        return encode_tree(key)
    return clean_name(key)


def _sorted(items: list[Tree]) -> list[Tree]:
    return sorted(items, key=lambda item: (type(item).__name__, item if type(item) in {int, float} else _encode(item)))


def _are_rows(items: Sequence[object]) -> bool:
    """Whether these are the rows of a table: many, and none of the first is a scalar."""
    return len(items) > MANY_ROWS and not any(
        item is None or isinstance(item, (str, int, float)) for item in (items[0], items[1], items[2])
    )
