"""Nested values of any size and shape in, JSON text out; of configurations, bounded and without secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from evsys_otel.normalize.secrets import secret_matcher
from evsys_otel.normalize.trees import MANY_ROWS, ROWS_KEY, Tree, encode_tree, size_bytes, to_tree

BYTES_KEY = "evsys.bytes"

_MAX_LIST_BYTES = 16 * 1024
_MAX_REPLACED = 64


def to_json(value: object, max_bytes: int | None = None) -> str:
    """Return any value as JSON text of its tree (see :func:`to_tree`); never raises.

    What is above ``max_bytes`` is bounded as a configuration is.
    """
    tree = to_tree(value)
    return encode_tree(tree if max_bytes is None else _bounded(tree, max_bytes))


def redact(value: object, words: Iterable[str], exceptions: Iterable[str] = ()) -> Any:
    """Return the value as plain dicts, lists and scalars, secrets replaced; never raises.

    A secret is the value of a key that has one of ``words`` (see :func:`secret_matcher`); None and bools give nothing
    away and stay. User info in URIs is replaced anywhere.
    """
    return to_tree(value, is_secret=secret_matcher(words, exceptions))


def bound_config(
    config: object, max_bytes: int, words: Iterable[str] = (), exceptions: Iterable[str] = ()
) -> str:
    """Return a configuration as JSON text of at most about ``max_bytes``, secrets replaced; never raises.

    Long lists of rows become ``{"evsys.rows": n}``; when it is too large still, its largest values become
    ``{"evsys.bytes": n}``, one after the other.
    """
    tree = to_tree(config, is_secret=secret_matcher(words, exceptions), count_rows=True)
    return encode_tree(_bounded(tree, max_bytes))


def _bounded(tree: Tree, max_bytes: int) -> Tree:
    whole = size_bytes(tree)
    if whole <= max_bytes:
        return tree
    tree = _count_long_lists(tree)
    for _ in range(_MAX_REPLACED):
        if size_bytes(tree) <= max_bytes:
            return tree
        if not isinstance(tree, (dict, list)) or not tree:
            break
        _replace_largest(tree)
    return {BYTES_KEY: whole}


def _count_long_lists(tree: Tree) -> Tree:
    if isinstance(tree, list):
        if len(tree) > MANY_ROWS and size_bytes(tree) > _MAX_LIST_BYTES:
            return {ROWS_KEY: len(tree)}
        return [_count_long_lists(item) for item in tree]
    if isinstance(tree, dict):
        return {key: _count_long_lists(value) for key, value in tree.items()}
    return tree


def _replace_largest(tree: dict[str, Tree] | list[Tree]) -> None:
    """Replace the largest value, found by going into the largest child for as long as it is most of its parent."""
    while True:
        key, child, size = max(_children(tree), key=lambda entry: entry[2])
        if not isinstance(child, (dict, list)) or not child:
            break
        largest = max(entry[2] for entry in _children(child))
        if largest * 2 < size:
            break
        tree = child
    tree[key] = {BYTES_KEY: size}


def _children(tree: dict[str, Tree] | list[Tree]) -> Iterator[tuple[Any, Tree, int]]:
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return ((key, child, size_bytes(child)) for key, child in pairs)
