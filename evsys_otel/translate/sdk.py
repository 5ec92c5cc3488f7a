"""Objects of the OpenTelemetry SDK in, records out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import Gauge, Metric, MetricsData, Sum
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from evsys_otel.conventions import STEP
from evsys_otel.records import Records
from evsys_otel.translate.collector import Collector
from evsys_otel.translate.logs import LogFacts, take_log
from evsys_otel.translate.metrics import Exemplars, PointFacts, take_point
from evsys_otel.translate.spans import SpanFacts, take_span
from evsys_otel.translate.statement import Source


def translate_spans(spans: Iterable[ReadableSpan]) -> Records:
    """Return the records that ended spans tell; foreign ones are ignored and counted. Never raises."""
    collector, sources = Collector(), _Sources()
    for span in spans:
        facts = SpanFacts(span.start_time, span.end_time, span.attributes, _failure_of(span))
        take_span(collector, facts, sources.of(span.resource))
    return collector.finish()


def translate_logs(logs: Iterable[ReadableLogRecord]) -> Records:
    """Return the records that log events tell; foreign ones are ignored and counted. Never raises."""
    collector, sources = Collector(), _Sources()
    for log in logs:
        record = log.log_record
        time_unix_nano = record.timestamp or record.observed_timestamp
        facts = LogFacts(record.event_name, time_unix_nano, record.attributes, record.body)
        take_log(collector, facts, sources.of(log.resource))
    return collector.finish()


def translate_metrics(data: MetricsData) -> Records:
    """Return the step values that data points tell; foreign ones are ignored and counted. Never raises."""
    collector = Collector()
    for resource_metrics in data.resource_metrics:
        source = Source.read(resource_metrics.resource.attributes)
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                _take_metric(collector, metric, source)
    return collector.finish()


class _Sources:
    """Reads each resource once a batch: objects of one resource share it."""

    def __init__(self) -> None:
        self._read: dict[int, tuple[Any, Source]] = {}  # with the resource itself: a freed one's id may come again

    def of(self, resource: Any) -> Source:
        known = self._read.get(id(resource))
        if known is None:
            known = self._read[id(resource)] = (resource, Source.read(getattr(resource, "attributes", None)))
        return known[1]


def _failure_of(span: ReadableSpan) -> str | None:
    return span.status.description or "" if span.status.status_code is StatusCode.ERROR else None


def _take_metric(collector: Collector, metric: Metric, source: Source) -> None:
    points = metric.data.data_points
    if not isinstance(metric.data, (Gauge, Sum)):
        return collector.ignore(len(points))
    for point in points:
        take_point(collector, metric.name, _read_point(point), source)
    return None


def _read_point(point: Any) -> PointFacts:
    return PointFacts(point.attributes, point.time_unix_nano, point.value, _read_exemplars(point.exemplars))


def _read_exemplars(exemplars: Sequence[Any]) -> Exemplars:
    step = STEP
    if not exemplars:
        return Exemplars(None, [], [], [])
    return Exemplars(
        exemplars[0].filtered_attributes,
        [(exemplar.filtered_attributes or {}).get(step) for exemplar in exemplars],
        [exemplar.time_unix_nano for exemplar in exemplars],
        [exemplar.value for exemplar in exemplars],
    )
