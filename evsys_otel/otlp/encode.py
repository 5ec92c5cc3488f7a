"""SDK signals go in, OTLP request messages by the official encoders come out.

The one place that imports the log encoder, whose module bears a private name (a test watches that it is there).
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as _encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics as _encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as _encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.trace import ReadableSpan


def encode_spans(spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
    """Return one request of these spans. Raises whatever the encoder raises for a value that protobuf cannot hold."""
    return _encode_spans(spans)


def encode_logs(logs: Sequence[ReadableLogRecord]) -> ExportLogsServiceRequest:
    """Return one request of these log records. Raises whatever the encoder raises."""
    return _encode_logs(logs)


def encode_metrics(data: MetricsData) -> ExportMetricsServiceRequest:
    """Return one request of these metrics, whose resources (and scopes within one) must differ: the encoder keeps the
    last of equal ones. Raises whatever a value raises that protobuf cannot hold.
    """
    try:
        return _encode_metrics(data)
    except Exception as error:
        cause = getattr(error, "original_exception", None)
        if cause is None:
            raise
        raise ValueError(str(cause)) from None  # the encoder's own text repeats the whole metric
