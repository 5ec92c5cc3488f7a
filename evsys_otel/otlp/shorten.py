"""A request of one record that is too large goes in, the same with its longest texts cut and marked comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from evsys_otel import conventions

LEAST_TEXT_BYTES = 1024
"""Texts up to this length are never cut: ids, names, numbers as text."""

JSON_TEXTS = frozenset({conventions.RUN_CONFIG, conventions.EVAL_METRICS, conventions.EVAL_BREAKDOWNS, "metadata"})
"""Keys whose text means nothing when cut: too long, it is replaced by its length."""

WHOLE_TEXTS = frozenset({conventions.RUN_TOTALS})
"""Keys whose text is never touched: receipts are told from it."""

_MARK_BYTES = 64
_TEXT_FIELDS = ("name", "message", "string_value")


@dataclass
class _Text:
    """A text in a message, and the key that it stands under."""

    owner: Any
    field: str
    key: str
    size: int

    def cut(self, max_bytes: int) -> None:
        if self.key in JSON_TEXTS:
            setattr(self.owner, self.field, f'{{"evsys.bytes":{self.size}}}')
            return
        kept = getattr(self.owner, self.field).encode()[:max_bytes]
        setattr(self.owner, self.field, kept.decode("utf-8", "ignore"))


def shorten(request: Any, max_bytes: int) -> bool:
    """Cut the longest texts of the request's one record in place until it has ``max_bytes``; whether that was possible.

    The longest are cut first, all to one length, at a character's boundary, and the record is marked with
    ``evsys.shortened``. Metrics have no texts to cut.
    """
    record = _only_record(request)
    if record is None:
        return False
    texts = [text for text in _texts_of(record, "") if text.size > LEAST_TEXT_BYTES and text.key not in WHOLE_TEXTS]
    fixed = request.ByteSize() - sum(text.size for text in texts)
    limit = _common_limit([text.size for text in texts], max_bytes - fixed - _MARK_BYTES)
    if limit < LEAST_TEXT_BYTES:
        return False
    for text in texts:
        if text.size > limit:
            text.cut(limit)
    record.attributes.add(key=conventions.SHORTENED).value.bool_value = True
    return bool(request.ByteSize() <= max_bytes)


def _common_limit(sizes: list[int], budget: int) -> int:
    """Return the greatest length such that the texts, each cut to it, fit into the budget; negative if none does."""
    remaining = budget
    for index, size in enumerate(sorted(sizes)):
        share = remaining // (len(sizes) - index)
        if size > share:
            return share
        remaining -= size
    return max(sizes, default=0) if budget >= 0 else -1


def _only_record(request: Any) -> Any:
    """Return the span or log record of a request that holds one."""
    for outer in getattr(request, "resource_spans", ()):
        return outer.scope_spans[0].spans[0]
    for outer in getattr(request, "resource_logs", ()):
        return outer.scope_logs[0].log_records[0]
    return None


def _texts_of(message: Any, key: str) -> Iterator[_Text]:
    """Yield every text of a record: names, status message, attributes and body at any depth; never a key."""
    for field, value in message.ListFields():
        if field.name in _TEXT_FIELDS:
            yield _Text(message, field.name, key, len(value.encode()))
        elif field.message_type is not None:
            for child in [value] if isinstance(value, Message) else value:
                yield from _texts_of(child, getattr(child, "key", "") or key)
