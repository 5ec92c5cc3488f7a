"""What became of a request goes in, the answer by the OTLP specification comes out, on gRPC and on HTTP.

Three outcomes, as the specification has them (https://opentelemetry.io/docs/specs/otlp/, "Failures"): taken, perhaps in
part; try later; never. Whatever may heal is for later, whosever fault it is: collectors drop on INTERNAL, UNKNOWN, 500.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import grpc
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

Signal = Literal["traces", "metrics", "logs"]
Coding = Literal["protobuf", "json"]
Fault = Literal["malformed", "too_large", "too_slow", "media_type", "unauthenticated", "forbidden"]

MEDIA_TYPES: dict[Coding, str] = {"protobuf": "application/x-protobuf", "json": "application/json"}

BUSY_SECONDS = 1.0
"""When to try again while the queue is full or the server goes down."""

OUTAGE_SECONDS = 5.0
"""When to try again while the store cannot be reached."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Committed, but for ``rejected`` records of it."""

    rejected: int = 0
    message: str = ""


class TryLater(Exception):  # noqa: N818 (an outcome, not a mistake)
    """The same request may be taken after ``after_seconds``; nothing of it is in the store."""

    def __init__(self, reason: str, after_seconds: float = BUSY_SECONDS) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_seconds = after_seconds


class Refused(Exception):  # noqa: N818
    """The request is never taken as it is; nothing of it is in the store."""

    def __init__(self, fault: Fault, reason: str) -> None:
        super().__init__(reason)
        self.fault = fault
        self.reason = reason


GRPC_CODES: dict[Fault, grpc.StatusCode] = {
    "malformed": grpc.StatusCode.INVALID_ARGUMENT,
    "too_large": grpc.StatusCode.INVALID_ARGUMENT,  # RESOURCE_EXHAUSTED would be read as a quota
    "too_slow": grpc.StatusCode.DEADLINE_EXCEEDED,
    "media_type": grpc.StatusCode.INVALID_ARGUMENT,
    "unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "forbidden": grpc.StatusCode.PERMISSION_DENIED,
}

HTTP_CODES: dict[Fault, int] = {
    "malformed": 400, "too_large": 413, "too_slow": 408, "media_type": 415, "unauthenticated": 401, "forbidden": 403,
}  # fmt: skip

_RESPONSES: dict[Signal, tuple[Any, str]] = {
    "traces": (ExportTraceServiceResponse, "rejected_spans"),
    "metrics": (ExportMetricsServiceResponse, "rejected_data_points"),
    "logs": (ExportLogsServiceResponse, "rejected_log_records"),
}


def response_of(signal: Signal, taken: Taken) -> Message:
    """Return the export response; without a rejection its ``partial_success`` is unset, as the specification asks."""
    kind, counter = _RESPONSES[signal]
    response: Message = kind()
    if taken.rejected or taken.message:
        partial = response.partial_success  # type: ignore[attr-defined]
        setattr(partial, counter, taken.rejected)
        partial.error_message = taken.message
    return response


def grpc_failure(outcome: TryLater | Refused) -> tuple[grpc.StatusCode, bytes]:
    """Return the status code, and the google.rpc.Status for the trailer ``grpc-status-details-bin``."""
    code = grpc.StatusCode.UNAVAILABLE if isinstance(outcome, TryLater) else GRPC_CODES[outcome.fault]
    return code, _status_of(outcome, code).SerializeToString()


def http_failure(outcome: TryLater | Refused, coding: Coding) -> tuple[int, dict[str, str], bytes]:
    """Return the HTTP status, the headers, and a google.rpc.Status in the request's encoding."""
    headers = {"content-type": MEDIA_TYPES[coding]}
    if isinstance(outcome, TryLater):
        status, code = 503, grpc.StatusCode.UNAVAILABLE
        headers["retry-after"] = str(math.ceil(outcome.after_seconds))
    else:
        status, code = HTTP_CODES[outcome.fault], GRPC_CODES[outcome.fault]
        if outcome.fault == "unauthenticated":
            headers["www-authenticate"] = "Bearer"
    return status, headers, encode(_status_of(outcome, code), coding)


def encode(message: Message, coding: Coding) -> bytes:
    """Return a response or a status as the request was encoded."""
    if coding == "protobuf":
        return message.SerializeToString()
    return json_format.MessageToJson(message, indent=None).encode()


def _status_of(outcome: TryLater | Refused, code: grpc.StatusCode) -> status_pb2.Status:
    status = status_pb2.Status(code=code_pb2.Code.Value(code.name), message=outcome.reason)
    if isinstance(outcome, TryLater):
        seconds = int(outcome.after_seconds)
        delay = Duration(seconds=seconds, nanos=int((outcome.after_seconds - seconds) * 1e9))
        detail = AnyMessage()
        detail.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
        status.details.append(detail)
    return status
