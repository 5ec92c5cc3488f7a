"""OTLP/JSON text goes in, the protobuf message comes out, exact to the bit of every number.

By the protobuf JSON mapping (https://protobuf.dev/programming-guides/json/) with OTLP's exceptions
(https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding): trace and span ids are hexadecimal, enums are
integers, names are lowerCamelCase, unknown fields are ignored. ``json_format`` expects base64 ids and reads -0 as 0.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from evsys_otel.bridge.limits import MAX_DEPTH

_M = TypeVar("_M", bound=Message)

_HEX_FIELDS = {"trace_id", "span_id", "parent_span_id"}
_WHOLE = re.compile(r"-?\d{1,20}")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?|NaN|-?Infinity")


class JsonError(ValueError):
    """The text is not JSON, or not of the message's shape; the message names the place."""


def parse_json(text: bytes, message: _M) -> _M:
    """Fill an empty message from JSON text and return it.

    Raises:
        JsonError: it is not UTF-8, not JSON, nested too deeply, or a field has a value that is not of its type.
    """
    try:
        # Whole numbers beyond 64 bits fit no field; -0 is a number of its own where a double is expected.
        tree = json.loads(text.decode(), parse_int=_whole, parse_constant=_no_constant)
    except RecursionError:
        raise JsonError("it is nested too deeply.") from None
    except ValueError as error:
        raise JsonError(f"{error}.") from None
    _fill(message, tree, "", MAX_DEPTH)
    return message


def _whole(digits: str) -> int | float:
    return -0.0 if digits == "-0" else int(digits) if len(digits) <= 20 else float(digits)


def _no_constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not JSON; write it as a string")


def _fill(message: Message, tree: Any, path: str, depth: int) -> None:
    if not isinstance(tree, dict):
        raise JsonError(f"{path or 'it'} is not an object.")
    if depth == 0:
        raise JsonError("it is nested too deeply.")
    fields = message.DESCRIPTOR.fields_by_camelcase_name
    for key, value in tree.items():
        field = fields.get(key)
        if field is None or value is None:
            continue
        where = f"{path}.{key}" if path else key
        if field.is_repeated:
            _extend(message, field, value, where, depth)
        elif field.message_type is not None:
            part = getattr(message, field.name)
            part.SetInParent()
            _fill(part, value, where, depth - 1)
        else:
            _assign(message, field, value, where)


def _extend(message: Message, field: Any, value: Any, where: str, depth: int) -> None:
    if not isinstance(value, list):
        raise JsonError(f"{where} is not an array.")
    items = getattr(message, field.name)
    if field.message_type is not None:
        for item in value:
            _fill(items.add(), item, where, depth - 1)
        return
    try:
        items.extend([_scalar(field, item) for item in value])
    except ValueError:
        raise JsonError(f"{where} has an item that is not of its type.") from None


def _assign(message: Message, field: Any, value: Any, where: str) -> None:
    try:
        setattr(message, field.name, _scalar(field, value))
    except ValueError:
        raise JsonError(f"{where} is not of its type.") from None


def _scalar(field: Any, value: Any) -> Any:
    """Return a value as the field takes it; ValueError where it does not (protobuf checks ranges and UTF-8)."""
    if field.enum_type is not None:
        named = field.enum_type.values_by_name.get(value) if isinstance(value, str) else None
        return named.number if named else _to_whole(value)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return _to_bytes(field, value) if field.type == FieldDescriptor.TYPE_BYTES else _of_type(value, str)
    return _CONVERTERS[field.cpp_type](value)


def _to_bytes(field: Any, value: Any) -> bytes:
    text = _of_type(value, str)
    try:
        if field.name in _HEX_FIELDS:
            return bytes.fromhex(text)
        padded = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
        return base64.b64decode(padded, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _to_whole(value: Any) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool):
        raise ValueError
    return int(_of_type(value, int))


def _to_float(value: Any) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError
    return float(value)


def _of_type(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError
    return value


_CONVERTERS: dict[int, Callable[[Any], Any]] = {
    FieldDescriptor.CPPTYPE_INT32: _to_whole,
    FieldDescriptor.CPPTYPE_INT64: _to_whole,
    FieldDescriptor.CPPTYPE_UINT32: _to_whole,
    FieldDescriptor.CPPTYPE_UINT64: _to_whole,
    FieldDescriptor.CPPTYPE_DOUBLE: _to_float,
    FieldDescriptor.CPPTYPE_FLOAT: _to_float,
    FieldDescriptor.CPPTYPE_BOOL: lambda value: _of_type(value, bool),
}
