"""What both transports share: the services' names, their answers' messages, and silence about our own calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry import context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY  # the key that the SDK's own processors set
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from evsys_otel._version import __version__
from evsys_otel.otlp.destination import Destination, Signal
from evsys_otel.otlp.outcomes import Taken

USER_AGENT = f"evsys-otel/{__version__}"
MAX_REASON_CHARS = 300


@dataclass(frozen=True)
class Service:
    """One signal's service: its gRPC method, its answer, and the name of the count of rejected records."""

    method: str
    response: Any
    rejected: str


_PACKAGE = "/opentelemetry.proto.collector"
SERVICES: dict[Signal, Service] = {
    "traces": Service(f"{_PACKAGE}.trace.v1.TraceService/Export", ExportTraceServiceResponse, "rejected_spans"),
    "metrics": Service(
        f"{_PACKAGE}.metrics.v1.MetricsService/Export", ExportMetricsServiceResponse, "rejected_data_points"
    ),
    "logs": Service(f"{_PACKAGE}.logs.v1.LogsService/Export", ExportLogsServiceResponse, "rejected_log_records"),
}


def taken(service: Service, response: Any, destination: Destination) -> Taken:
    """Return the outcome of a good answer; a partial success is counted (it names no record, and is not resent)."""
    partial = response.partial_success
    return Taken(max(0, getattr(partial, service.rejected)), brief(partial.error_message, destination))


def brief(text: str, destination: Destination) -> str:
    """Return what a server or library said as one short line without credentials."""
    line = " ".join(destination.redact(text).split())
    return line if len(line) <= MAX_REASON_CHARS else line[: MAX_REASON_CHARS - 1] + "…"


def read_status(encoded: bytes) -> tuple[str, float | None]:
    """Return the message of a ``google.rpc.Status`` and the seconds that its RetryInfo wishes, if it is readable."""
    try:
        status = Status.FromString(encoded)
        for detail in status.details:
            if detail.Is(RetryInfo.DESCRIPTOR):
                return status.message, read_retry_info(detail.value)
    except DecodeError:
        return "", None
    return status.message, None


def read_retry_info(encoded: bytes) -> float | None:
    """Return the delay of a ``google.rpc.RetryInfo`` in seconds, None if unreadable."""
    try:
        delay = RetryInfo.FromString(encoded).retry_delay
    except DecodeError:
        return None
    return float(delay.seconds + delay.nanos / 1e9)


@contextmanager
def untraced() -> Iterator[None]:
    """Keep instrumentation of grpc, requests and logging from making telemetry of the calls made within."""
    token = context.attach(context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        yield
    finally:
        context.detach(token)
