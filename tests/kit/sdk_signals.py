"""Numbers go in, SDK spans, log records and metrics data like those of a run come out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    Gauge,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags, set_span_in_context
from opentelemetry.trace import NonRecordingSpan as Context

RESOURCE = Resource({"service.name": "evsys", "service.instance.id": "run-1"})
SCOPE = InstrumentationScope("evsys_otel", "0.1.0")
TRACE_ID = 0x1234_5678_9ABC_DEF0_1234_5678_9ABC_DEF0
RUN_ID = "0b1c2d3e-0000-4000-8000-000000000001"
START = 1_700_000_000_000_000_000


def make_context(span_id: int = 7) -> SpanContext:
    return SpanContext(TRACE_ID, span_id, is_remote=False, trace_flags=TraceFlags(1))


def make_span(number: int = 1, *, resource: Resource = RESOURCE, **attributes: Any) -> ReadableSpan:
    return ReadableSpan(
        f"run {number}",
        context=make_context(number),
        parent=make_context(99),
        resource=resource,
        attributes={"evsys.record": "run", "evsys.run.id": RUN_ID, "number": number, **attributes},
        links=[Link(make_context(5))],
        status=Status(StatusCode.ERROR, "it broke"),
        start_time=START,
        end_time=START + number,
        instrumentation_scope=SCOPE,
    )


def make_log(
    number: int = 1, *, body: Any = None, resource: Resource = RESOURCE, **attributes: Any
) -> ReadableLogRecord:
    record = LogRecord(
        timestamp=START + number,
        observed_timestamp=START + number,
        context=set_span_in_context(Context(make_context())),
        severity_number=SeverityNumber.INFO,
        body={"task_id": f"task-{number}", "reward": 0.5} if body is None else body,
        attributes={"evsys.run.id": RUN_ID, "evsys.ordinal": number, **attributes},
        event_name="evsys.prediction",
    )
    return ReadableLogRecord(record, resource, SCOPE)


def make_point(name: str, values: Sequence[float], *, first_step: int = 0, **attributes: Any) -> NumberDataPoint:
    exemplars = [
        Exemplar({"evsys.step": step}, value, START + step, 7, TRACE_ID)
        for step, value in enumerate(values, first_step)
    ]
    return NumberDataPoint(
        attributes={"evsys.run.id": RUN_ID, "evsys.metric.name": name, "evsys.split": "train", **attributes},
        start_time_unix_nano=0,
        time_unix_nano=START + len(values),
        value=values[-1],
        exemplars=exemplars,
    )


def make_metrics(points: dict[str, Sequence[NumberDataPoint]], *, resource: Resource = RESOURCE) -> MetricsData:
    metrics = [Metric(f"evsys.run.{name}", "", "", Gauge(list(found))) for name, found in points.items()]
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(SCOPE, metrics, "")], "")])


def make_series(
    names: int = 20, steps: int = 500, *, resource: Resource = RESOURCE, first_step: int = 0
) -> MetricsData:
    """One point of ``steps`` exemplars for each of ``names`` metrics."""
    points = {
        f"m{n}": [make_point(f"m{n}", [n + s / 7 for s in range(steps)], first_step=first_step)] for n in range(names)
    }
    return make_metrics(points, resource=resource)
