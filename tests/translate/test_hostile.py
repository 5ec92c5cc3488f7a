"""Whatever a message says, translating it raises nothing and gives only what a store can hold."""

from __future__ import annotations

import random

from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.event_sequences import event_sequences
from kit.storable import assert_storable
from kit.wire import encoded_requests, translate_request
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, Sum
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint as Point
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from evsys_otel import conventions as c
from evsys_otel.signals import SignalBuilder

OUR_KEYS = [value for name, value in vars(c).items() if name.isupper() and str(value).startswith("evsys.")]
EVENTS = [key for name, key in vars(c).items() if name.startswith("EVENT_")]
KEYS = st.sampled_from([*OUR_KEYS, *OUR_KEYS, *c.PREDICTION_BODY_KEYS, "event.name", "gpu", ""])
TOTALS = '{"part":1,"parts":1,"keysets":[{"split":"\\u0000","keyset":0,"names":["a"],"calls":3}]}'
TEXTS = st.sampled_from(["", "r1", "00000000-0000-4000-8000-000000000000", "a\0b", "x" * 200, "ü" * 1500]) | (
    st.sampled_from(["[" * 5000, "[" * 5000 + "]" * 5000, '{"a":1}', "NaN", TOTALS, '{"part":9,"parts":1}'])
    | st.sampled_from(["running", "crashed", "eval", "run", "experiment", "checkpoint", "prediction"])
)
INTS = st.sampled_from([0, 1, -1, 3, 2**31, 2**63 - 1, -(2**63)])
FLOATS = st.floats(width=64)
TIMES = st.sampled_from([0, 1, 10**18, 2**63 - 1, 2**63, 2**64 - 1])
MANY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _nested(values: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[AnyValue]:
    arrays = st.lists(values, max_size=3).map(lambda items: AnyValue(array_value=ArrayValue(values=items)))
    maps = st.lists(st.tuples(KEYS, values), max_size=4).map(
        lambda items: AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key=k, value=v) for k, v in items]))
    )
    return arrays | maps


VALUES = st.recursive(
    st.just(AnyValue())
    | TEXTS.map(lambda value: AnyValue(string_value=value))
    | INTS.map(lambda value: AnyValue(int_value=value))
    | FLOATS.map(lambda value: AnyValue(double_value=value))
    | st.booleans().map(lambda value: AnyValue(bool_value=value))
    | st.binary(max_size=4).map(lambda value: AnyValue(bytes_value=value)),
    _nested,
    max_leaves=6,
)
ATTRIBUTES = st.lists(st.builds(KeyValue, key=KEYS, value=VALUES), max_size=12)
GOOD_IDS = st.just([KeyValue(key=key, value=AnyValue(string_value="r1")) for key in (c.RUN_ID, c.EXPERIMENT_ID)])
LIKELY = st.builds(lambda ids, others: [*ids, *others], GOOD_IDS | st.just([]), ATTRIBUTES)

LOGS = st.builds(
    LogRecord, event_name=st.sampled_from([*EVENTS, "", "other"]), time_unix_nano=TIMES,
    observed_time_unix_nano=TIMES, attributes=LIKELY, body=VALUES,
)  # fmt: skip
SPANS = st.builds(
    Span, start_time_unix_nano=TIMES, end_time_unix_nano=TIMES, attributes=LIKELY,
    status=st.builds(Status, code=st.sampled_from([0, 1, 2]), message=TEXTS),
)  # fmt: skip
NUMBERS = st.one_of(
    st.just({}), INTS.map(lambda value: {"as_int": value}), FLOATS.map(lambda value: {"as_double": value})
)
STEPS = st.just([KeyValue(key=c.STEP, value=AnyValue(int_value=3))])
EXEMPLARS = st.builds(
    lambda time, number, attributes: Exemplar(time_unix_nano=time, filtered_attributes=attributes, **number),
    TIMES, NUMBERS, STEPS | ATTRIBUTES,
)  # fmt: skip
POINTS = st.builds(
    lambda time, number, attributes, exemplars: Point(
        time_unix_nano=time, attributes=attributes, exemplars=exemplars, **number
    ),
    TIMES, NUMBERS, LIKELY, st.lists(EXEMPLARS, max_size=4),
)  # fmt: skip
METRICS = st.one_of(
    st.builds(Metric, name=TEXTS, gauge=st.builds(Gauge, data_points=st.lists(POINTS, max_size=3))),
    st.builds(Metric, name=TEXTS, sum=st.builds(Sum, data_points=st.lists(POINTS, max_size=3))),
    st.builds(Metric, name=TEXTS),
    st.just(Metric(name="h", histogram=Histogram(data_points=[HistogramDataPoint(count=1)]))),
)


@MANY
@given(ATTRIBUTES, st.lists(LOGS, max_size=4))
def test_hostile_logs(resource: list[KeyValue], logs: list[LogRecord]) -> None:
    """Log records of any content raise nothing."""
    request = ExportLogsServiceRequest()
    request.resource_logs.add(resource={"attributes": resource}).scope_logs.add(log_records=logs)
    assert_storable(translate_request(request))


@MANY
@given(ATTRIBUTES, st.lists(SPANS, max_size=4))
def test_hostile_spans(resource: list[KeyValue], spans: list[Span]) -> None:
    """Spans of any content raise nothing."""
    request = ExportTraceServiceRequest()
    request.resource_spans.add(resource={"attributes": resource}).scope_spans.add(spans=spans)
    assert_storable(translate_request(request))


@MANY
@given(ATTRIBUTES, st.lists(METRICS, max_size=4))
def test_hostile_metrics(resource: list[KeyValue], metrics: list[Metric]) -> None:
    """Metrics of any content raise nothing."""
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add(resource={"attributes": resource}).scope_metrics.add(metrics=metrics)
    assert_storable(translate_request(request))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(event_sequences(20), st.integers(0, 2**32))
def test_damaged_messages_of_ours(sequence: object, seed: int) -> None:
    """Our own messages with bytes changed at random are refused by the decoder or translated."""
    chance = random.Random(seed)
    signals = SignalBuilder(sequence.identity).build(sequence.events)  # type: ignore[attr-defined]
    for request in encoded_requests(signals):
        whole = request.SerializeToString()
        for _ in range(10):
            damaged = bytearray(whole)
            for _ in range(chance.randint(1, 4)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            try:
                parsed = type(request).FromString(bytes(damaged))
            except DecodeError:
                continue
            assert_storable(translate_request(parsed))


def test_a_deep_body_raises_nothing() -> None:
    """A body as deep as a decoder lets pass raises nothing."""
    body = AnyValue(string_value="x")
    for _ in range(45):  # the decoder refuses 100 messages within one another, two a level
        body = AnyValue(array_value=ArrayValue(values=[body]))
    request = ExportLogsServiceRequest()
    record = LogRecord(event_name=c.EVENT_PREDICTION, time_unix_nano=1, body=body)
    request.resource_logs.add().scope_logs.add(log_records=[record])
    assert translate_request(request).ignored == 1
