"""A request's body goes in, as it came; the OTLP message comes out, or a refusal that says what is wrong with it."""

from __future__ import annotations

import zlib
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from evsys_otel.bridge.limits import Reservation, refuse_size
from evsys_otel.bridge.otlp_json import JsonError, parse_json
from evsys_otel.bridge.replies import Coding, Refused, Signal

_REQUESTS: dict[Signal, Any] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
_PIECE_BYTES = 1024 * 1024


def sniff_encoding(body: bytes) -> str:
    """Return how a gRPC message is compressed: it does not say, and no OTLP message begins as these do.

    An export request begins with the tag of field 1 (0x0a); 0x1f would be a wire type that there is not, and 0x78 a
    field 15 that no version has.
    """
    if body[:2] == b"\x1f\x8b":
        return "gzip"
    if body[:1] == b"\x78" and len(body) > 1 and (body[0] * 256 + body[1]) % 31 == 0:
        return "deflate"
    return "identity"


def decompress(body: bytes, encoding: str, reservation: Reservation) -> bytes:
    """Return the plain body, whose bytes are taken from the budget as they come out.

    Raises:
        Refused: the encoding is none that OTLP has, the bytes are not of it, or there are too many decompressed.
        TryLater: the budget is used up.
    """
    if encoding in {"identity", "none", ""}:
        return body
    if encoding not in _WINDOW_BITS:
        raise Refused("media_type", f"The content encoding {encoding[:40]!r} is not known here; use gzip or none.")
    inflater = zlib.decompressobj(_WINDOW_BITS[encoding])
    pieces, size, rest = [], 0, body
    try:
        while not inflater.eof:
            piece = inflater.decompress(rest, _PIECE_BYTES)
            rest = inflater.unconsumed_tail
            if not piece and not rest and not inflater.eof:
                raise Refused("malformed", f"The {encoding} body ends before its end.")
            size += len(piece)
            refuse_size(size, reservation.max_request_bytes)
            reservation.add(len(piece))
            pieces.append(piece)
    except zlib.error as error:
        raise Refused("malformed", f"The body is not {encoding} ({error}).") from None
    return b"".join(pieces)


def decode(signal: Signal, coding: Coding, body: bytes) -> Any:
    """Return the export request of a plain body. Raises Refused when it is none."""
    try:
        if coding == "json":
            return parse_json(body, _REQUESTS[signal]())
        return _REQUESTS[signal].FromString(body)
    except DecodeError:
        raise Refused("malformed", f"The body is no OTLP {signal} request in protobuf.") from None
    except JsonError as error:
        raise Refused("malformed", f"The body is no OTLP {signal} request in JSON: {error}") from None
