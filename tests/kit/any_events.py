"""Any events that a journal may hold, with no regard for sense: hypothesis strategies, and journals in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Union, get_args, get_origin

import msgspec
from hypothesis import strategies as st

from evsys_otel.events import Event
from evsys_otel.journal import Chunk, JournalReader

INT64 = st.integers(-(2**63), 2**63 - 1)
_SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    int: INT64,
    str: st.text(max_size=30),
    float: st.floats(),
    bool: st.booleans(),
    bytes: st.binary(max_size=160),
    type(None): st.none(),
}


def any_events() -> st.SearchStrategy[Event]:
    """Events of every kind with any values."""
    return st.one_of([_structs(kind) for kind in get_args(Event)])


def read_all(folder: Path, position: int = 0, *, max_bytes: int = 4096, final: bool = True) -> Chunk:
    """Return everything from ``position`` on as one chunk, read in pieces."""
    reader = JournalReader(folder, position)
    whole = Chunk(position, position)
    while chunk := reader.read(max_bytes, final=final):
        assert chunk.start == whole.position
        whole.events += chunk.events
        whole.damage += chunk.damage
        whole.unknown += chunk.unknown
        whole.position = chunk.position
    return whole


def _structs(kind: type[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{field.name: _of_type(field.type) for field in msgspec.structs.fields(kind)})


def _of_type(kind: Any) -> st.SearchStrategy[Any]:
    if kind in _SCALARS:
        return _SCALARS[kind]
    if get_origin(kind) is list:
        return st.lists(_of_type(get_args(kind)[0]), max_size=3)
    if get_origin(kind) is Union or type(kind).__name__ == "UnionType":
        return st.one_of([_of_type(part) for part in get_args(kind)])
    return _structs(kind)
