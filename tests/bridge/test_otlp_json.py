"""OTLP/JSON becomes the protobuf message that its sender meant, to the bit, or a refusal that names the place."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import struct
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from kit.event_sequences import event_sequences
from kit.wire import encoded_requests
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from evsys_otel.bridge.otlp_json import JsonError, parse_json
from evsys_otel.signals import SignalBuilder

IDS = {"traceId", "spanId", "parentSpanId"}


def as_otlp_json(message: Any) -> bytes:
    """Return a message as a collector writes it: protobuf's own JSON, ids in hexadecimal, enums as integers."""
    tree = json_format.MessageToDict(message, use_integers_for_enums=True)
    return json.dumps(_with_hex_ids(tree)).encode()


def _with_hex_ids(tree: Any) -> Any:
    if isinstance(tree, list):
        return [_with_hex_ids(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    return {
        key: base64.b64decode(value).hex() if key in IDS else _with_hex_ids(value) for key, value in tree.items()
    }


def point(**fields: Any) -> bytes:
    return json.dumps(
        {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "x", "gauge": {"dataPoints": [fields]}}]}]}]}
    ).encode()


def parsed_point(text: bytes) -> Any:
    message = parse_json(text, ExportMetricsServiceRequest())
    return message.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]


@given(event_sequences())
def test_every_request_of_ours_survives_json(sequence: Any) -> None:
    """What the shipper sends comes out of JSON as it went in, whatever was logged."""
    for request in encoded_requests(SignalBuilder(sequence.identity).build(sequence.events)):
        again = parse_json(as_otlp_json(request), type(request)())
        assert str(again) == str(request)  # as text, which like JSON knows one NaN alone


@pytest.mark.parametrize("text", ["-0", "-0.0", '"-0"', "-0e0"])
def test_minus_zero_keeps_its_sign(text: str) -> None:
    """A double of -0 is written as an integer by Go."""
    value = parsed_point(point(asDouble=7).replace(b"7", text.encode())).as_double
    assert math.copysign(1, value) == -1


@pytest.mark.parametrize(
    ("said", "bits"),
    [("NaN", math.nan), ("Infinity", math.inf), ("-Infinity", -math.inf), (1, 1.0), ("1.5e300", 1.5e300),
     (5e-324, 5e-324)],
)  # fmt: skip
def test_doubles_come_as_numbers_or_as_strings(said: Any, bits: float) -> None:
    """JSON has no NaN and no infinities: they are strings."""
    value = parsed_point(point(asDouble=said)).as_double
    assert struct.pack("<d", value) == struct.pack("<d", bits)


@pytest.mark.parametrize("said", [9007199254740993, "9007199254740993", "-9223372036854775808", 1e3, 0])
def test_64_bit_integers_come_as_strings_or_as_numbers(said: Any) -> None:
    """Beyond 2^53 nothing is rounded."""
    assert parsed_point(point(asInt=said)).as_int == int(said)


def test_ids_are_hexadecimal_in_either_case() -> None:
    """And not the base64 of protobuf's own mapping."""
    exemplar = {"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174"}
    got = parsed_point(point(exemplars=[exemplar])).exemplars[0]
    assert (got.trace_id.hex(), got.span_id.hex()) == (exemplar["traceId"].lower(), exemplar["spanId"])


def test_bytes_of_a_body_are_base64() -> None:
    """Only ids are not."""
    text = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"bytesValue":"+/8="}}]}]}]}'
    message = parse_json(text, ExportLogsServiceRequest())
    assert message.resource_logs[0].scope_logs[0].log_records[0].body.bytes_value == b"\xfb\xff"


def test_unknown_fields_and_nulls_are_ignored() -> None:
    """A newer sender's request is read as far as it is known, whatever the unknown holds."""
    span = b'{"name":"a","later":[1],"kind":null}'
    text = b'{"newer":{"traceId":"?"},"resourceSpans":[{"scopeSpans":[{"spans":[' + span + b"]}]}]}"
    message = parse_json(text, ExportTraceServiceRequest())
    assert message.resource_spans[0].scope_spans[0].spans[0].name == "a"


def test_an_empty_object_is_a_value_that_is_there() -> None:
    """An empty array value, and an empty string value, are not the same as none."""
    for said, kind in (({"arrayValue": {}}, "array_value"), ({"stringValue": ""}, "string_value"), ({}, None)):
        got = parsed_point(point(attributes=[{"key": "k", "value": said}])).attributes[0].value
        assert got.WhichOneof("value") == kind


DEEP = b'{"arrayValue":{"values":[' * 3000 + b"{}" + b"]}}" * 3000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "Expecting value"),
        (b"[]", "not an object"),
        (b'{"resourceMetrics":{}}', "resourceMetrics is not an array"),
        (b'{"resourceMetrics":[3]}', "resourceMetrics is not an object"),
        (b"\xff\xfe", "utf-8"),
        (point(asDouble="much"), "asDouble is not of its type"),
        (point(asDouble=True), "asDouble is not of its type"),
        (point(asInt=1.5), "asInt is not of its type"),
        (point(asInt="1" * 5000), "asInt is not of its type"),
        (point(asInt=2**63), "asInt is not of its type"),
        (point(asInt=7).replace(b"7", b"9" * 5000), "asInt is not of its type"),
        (point(asDouble=7).replace(b"7", b"NaN"), "NaN is not JSON"),
        (point(exemplars=[{"traceId": "xyz"}]), "traceId is not of its type"),
        (point(attributes=[{"key": "\ud800"}]), "key is not of its type"),
        (point(attributes=[{"key": 5}]), "key is not of its type"),
        (b'{"resourceMetrics":' + b"[" * 100_000, "nested too deeply"),
        (point(attributes=[{"key": "a", "value": 7}]).replace(b"7", DEEP), "nested too deeply"),
    ],
)  # fmt: skip
def test_what_is_not_otlp_is_refused_with_its_place(text: bytes, says: str) -> None:
    """Never another exception, and never a guess."""
    with pytest.raises(JsonError, match=says):
        parse_json(text, ExportMetricsServiceRequest())


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(
        ["resourceMetrics", "scopeMetrics", "metrics", "gauge", "dataPoints", "asInt", "asDouble", "name", "value",
         "attributes", "key", "stringValue", "intValue", "exemplars", "traceId", "flags", "aggregationTemporality"]
    ), inner), max_leaves=30,
))  # fmt: skip
def test_any_json_is_a_message_or_a_refusal(tree: Any) -> None:
    """Whatever its shape."""
    with contextlib.suppress(JsonError):
        parse_json(json.dumps(tree).encode(), ExportMetricsServiceRequest())
