"""OTLP messages in, decoded from protobuf; records out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, Metric, NumberDataPoint
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from evsys_otel.conventions import STEP
from evsys_otel.records import Records
from evsys_otel.translate.collector import Collector
from evsys_otel.translate.logs import LogFacts, take_log
from evsys_otel.translate.metrics import Exemplars, PointFacts, take_point
from evsys_otel.translate.spans import SpanFacts, take_span
from evsys_otel.translate.statement import Source


def translate_otlp_traces(request: ExportTraceServiceRequest) -> Records:
    """Return the records that a request's spans tell; foreign ones are ignored and counted. Never raises."""
    collector = Collector()
    for resource_spans in request.resource_spans:
        source = Source.read(_mapping(resource_spans.resource.attributes))
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                take_span(collector, _read_span(span), source)
    return collector.finish()


def translate_otlp_logs(request: ExportLogsServiceRequest) -> Records:
    """Return the records that a request's log events tell; foreign ones are ignored and counted. Never raises."""
    collector = Collector()
    for resource_logs in request.resource_logs:
        source = Source.read(_mapping(resource_logs.resource.attributes))
        for scope_logs in resource_logs.scope_logs:
            for record in scope_logs.log_records:
                take_log(collector, _read_log(record), source)
    return collector.finish()


def translate_otlp_metrics(request: ExportMetricsServiceRequest) -> Records:
    """Return the step values that a request's points tell; foreign ones are ignored and counted. Never raises."""
    collector = Collector()
    for resource_metrics in request.resource_metrics:
        source = Source.read(_mapping(resource_metrics.resource.attributes))
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                _take_metric(collector, metric, source)
    return collector.finish()


def project_of(resource: Resource) -> str | None:
    """Return the project that a resource names, as its signals' records will have it."""
    return Source.read(_mapping(resource.attributes)).project_id


def _read_span(span: Span) -> SpanFacts:
    failure = span.status.message if span.status.code == Status.STATUS_CODE_ERROR else None
    return SpanFacts(span.start_time_unix_nano, span.end_time_unix_nano, _mapping(span.attributes), failure)


def _read_log(record: LogRecord) -> LogFacts:
    time_unix_nano = record.time_unix_nano or record.observed_time_unix_nano
    return LogFacts(record.event_name, time_unix_nano, _mapping(record.attributes), _value(record.body))


def _take_metric(collector: Collector, metric: Metric, source: Source) -> None:
    kind = metric.WhichOneof("data")
    if kind is None:
        return
    points = getattr(metric, kind).data_points
    if kind not in {"gauge", "sum"}:
        collector.ignore(len(points))
        return
    for point in points:
        take_point(collector, metric.name, _read_point(point), source)


def _read_point(point: NumberDataPoint) -> PointFacts:
    kind = point.WhichOneof("value")
    value = None if kind is None else getattr(point, kind)
    return PointFacts(_mapping(point.attributes), point.time_unix_nano, value, _read_exemplars(point.exemplars))


def _read_exemplars(exemplars: Sequence[Exemplar]) -> Exemplars:
    if not exemplars:
        return Exemplars(None, [], [], [])
    return Exemplars(
        _mapping(exemplars[0].filtered_attributes),
        [_step_of(exemplar.filtered_attributes) for exemplar in exemplars],
        [exemplar.time_unix_nano for exemplar in exemplars],
        [exemplar.as_double or _rare_value(exemplar) for exemplar in exemplars],
    )


def _step_of(attributes: Iterable[KeyValue]) -> int | None:
    for attribute in attributes:
        if attribute.key == STEP:
            step = attribute.value.int_value
            return step if step or attribute.value.HasField("int_value") else None
    return None


def _rare_value(exemplar: Exemplar) -> float | int | None:
    """Return the value of an exemplar whose double is 0: that 0, signed as it is, an integer, or none at all."""
    kind = exemplar.WhichOneof("value")
    return None if kind is None else getattr(exemplar, kind)


def _mapping(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {attribute.key: _value(attribute.value) for attribute in attributes}


def _value(value: AnyValue) -> Any:
    """Return an attribute's or a body's value as Python's; the decoder has bounded its depth (100 levels)."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _mapping(value.kvlist_value.values)
    return getattr(value, kind)
