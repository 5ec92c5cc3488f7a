"""Signals in, the OTLP messages that a network may make of them out: split, doubled, in any order."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from evsys_otel.records import Records
from evsys_otel.signals import Signals
from evsys_otel.translate import (
    translate_logs,
    translate_metrics,
    translate_otlp_logs,
    translate_otlp_metrics,
    translate_otlp_traces,
    translate_spans,
)

Request = ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest


def encoded_requests(signals: Signals) -> list[Request]:
    """Return the signals as the official encoders put them, one request a signal and, for metrics, a run."""
    requests: list[Request] = [encode_metrics(data) for data in signals.metrics]
    if signals.spans:
        requests.append(encode_spans(signals.spans))
    if signals.logs:
        requests.append(encode_logs(signals.logs))
    return requests


def shuffled_requests(signals: Iterable[Signals], data: st.DataObject) -> Iterator[Request]:
    """Yield requests that hold the signals split between points and records, some twice, in any order and grouping."""
    chance = random.Random(data.draw(st.integers(0, 2**32), label="network"))
    for kind in (ExportTraceServiceRequest, ExportMetricsServiceRequest, ExportLogsServiceRequest):
        whole = [request for told in signals for request in encoded_requests(told) if isinstance(request, kind)]
        items = [item for request in whole for item in split_request(request)]
        items += [item for item in items if chance.random() < 0.2]
        chance.shuffle(items)
        while items:
            request = kind()
            for _ in range(chance.choice([1, 1, 2, 3, 10, 100])):
                if items:
                    request.MergeFrom(items.pop())
            yield kind.FromString(request.SerializeToString())


def split_request(request: Request) -> Iterator[Any]:
    """Yield one request for each span, log record or data point."""
    if isinstance(request, ExportMetricsServiceRequest):
        yield from _split_metrics(request)
    elif isinstance(request, ExportTraceServiceRequest):
        for of_resource in request.resource_spans:
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    part = ExportTraceServiceRequest()
                    target = part.resource_spans.add(resource=of_resource.resource)
                    target.scope_spans.add(scope=of_scope.scope, spans=[span])
                    yield part
    else:
        for of_resource in request.resource_logs:
            for of_scope in of_resource.scope_logs:
                for record in of_scope.log_records:
                    part = ExportLogsServiceRequest()
                    target = part.resource_logs.add(resource=of_resource.resource)
                    target.scope_logs.add(scope=of_scope.scope, log_records=[record])
                    yield part


def _split_metrics(request: ExportMetricsServiceRequest) -> Iterator[ExportMetricsServiceRequest]:
    for of_resource in request.resource_metrics:
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                for point in metric.gauge.data_points:
                    part = ExportMetricsServiceRequest()
                    target = part.resource_metrics.add(resource=of_resource.resource)
                    target.scope_metrics.add(scope=of_scope.scope).metrics.add(name=metric.name).gauge.data_points.append(point)
                    yield part


def translate_request(request: Request) -> Records:
    """Return what the translator makes of a request."""
    if isinstance(request, ExportTraceServiceRequest):
        return translate_otlp_traces(request)
    if isinstance(request, ExportMetricsServiceRequest):
        return translate_otlp_metrics(request)
    return translate_otlp_logs(request)


def translate_in_process(signals: Signals) -> list[Records]:
    """Return what the translator makes of the SDK's objects."""
    metrics = [translate_metrics(data) for data in signals.metrics]
    return [translate_spans(signals.spans), *metrics, translate_logs(signals.logs)]
