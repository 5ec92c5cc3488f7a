"""The three signals go in, what differs between them comes out: how each is taken apart, encoded, measured, named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.trace import ReadableSpan

from evsys_otel import conventions
from evsys_otel.otlp.destination import Signal
from evsys_otel.otlp.encode import encode_logs, encode_metrics, encode_spans
from evsys_otel.otlp.points import Point, pack_points, unpack_points

T = TypeVar("T")
"""The unit that a request is split between: a span, a log record, a point."""
S = TypeVar("S")
"""What signals are handed in as: spans, log records, metrics data."""

RECORD_BYTES = 128
"""What a span, log record or point has besides its attributes, about."""
EXEMPLAR_BYTES = 72
"""An exemplar with its step, about (facts of the encoding: 67-68)."""
VALUE_BYTES = 12

_SHOWN = (
    conventions.RUN_ID, conventions.EXPERIMENT_ID, conventions.EVAL_ID, conventions.SPLIT, conventions.STEP,
    conventions.ORDINAL,
)


@dataclass(frozen=True)
class SignalKind(Generic[S, T]):
    """One signal's part of the delivery.

    ``estimate`` need not be exact: what it says is used to pack, and the encoded size is measured after.
    """

    signal: Signal
    unpack: Callable[[Iterable[S]], list[T]]
    pack: Callable[[Sequence[T]], list[S]]
    encode: Callable[[Sequence[T]], Message]
    estimate: Callable[[T], int]
    describe: Callable[[T], str]


def _size(value: Any) -> int:
    """Return about how many bytes an attribute's or body's value takes."""
    if isinstance(value, str):
        return VALUE_BYTES + (len(value) if value.isascii() else len(value.encode("utf-8", "replace")))
    if isinstance(value, Mapping):
        return VALUE_BYTES + sum(_size(str(key)) + _size(item) for key, item in value.items())
    if isinstance(value, bytes):
        return VALUE_BYTES + len(value)
    if isinstance(value, Sequence):
        return VALUE_BYTES + sum(map(_size, value))
    return VALUE_BYTES


def _estimate_span(span: ReadableSpan) -> int:
    status = len(span.status.description or "")
    return RECORD_BYTES + _size(span.name) + status + _size(span.attributes or {}) + RECORD_BYTES * len(span.links)


def _estimate_log(log: ReadableLogRecord) -> int:
    return RECORD_BYTES + _size(log.log_record.attributes or {}) + _size(log.log_record.body)


def _estimate_point(item: Point) -> int:
    exemplars = len(getattr(item.point, "exemplars", ()))
    return RECORD_BYTES + _size(item.point.attributes or {}) + EXEMPLAR_BYTES * exemplars


def _describe(name: str, attributes: Mapping[str, Any] | None) -> str:
    """Return a line that names a record: its ids and place, none of its texts."""
    found = attributes or {}
    facts = [f"{key.removeprefix('evsys.')}={found[key]}" for key in _SHOWN if key in found]
    return " ".join([name[:200], *facts])[:500]


def _describe_span(span: ReadableSpan) -> str:
    return _describe(f"span {span.name}", span.attributes)


def _describe_log(log: ReadableLogRecord) -> str:
    return _describe(f"log event {log.log_record.event_name or ''}".strip(), log.log_record.attributes)


def _describe_point(item: Point) -> str:
    line = _describe(f"point of {item.metric.name}", item.point.attributes)
    steps = [
        step
        for exemplar in getattr(item.point, "exemplars", ())
        if (step := (exemplar.filtered_attributes or {}).get(conventions.STEP)) is not None
    ]
    return f"{line} steps={steps[0]}..{steps[-1]} values={len(steps)}" if steps else line


TRACES: SignalKind[ReadableSpan, ReadableSpan] = SignalKind(
    "traces", list, list, encode_spans, _estimate_span, _describe_span
)
METRICS: SignalKind[MetricsData, Point] = SignalKind(
    "metrics",
    unpack_points,
    lambda points: [pack_points(points)] if points else [],
    lambda points: encode_metrics(pack_points(points)),
    _estimate_point,
    _describe_point,
)
LOGS: SignalKind[ReadableLogRecord, ReadableLogRecord] = SignalKind(
    "logs", list, list, encode_logs, _estimate_log, _describe_log
)

KINDS: dict[Signal, SignalKind[Any, Any]] = {"traces": TRACES, "metrics": METRICS, "logs": LOGS}
