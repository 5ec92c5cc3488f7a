"""Whatever is sent to a bridge, it answers with a clear refusal, within bounded memory, and serves the next request."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.bridges import JSON, PROTOBUF, Reply, post
from kit.otlp_messages import points, run_start
from kit.processes import wait_until
from kit.served import MIB, Served, served_bridge, speak
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from evsys_otel import conventions as c
from evsys_otel.store import open_store

EXAMPLES = int(os.environ.get("EVSYS_FUZZ", "40"))
"""Examples of each property; `make fuzz` takes many more."""

MANY = settings(
    max_examples=EXAMPLES, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip

MAX_REQUEST = 8 * MIB
LIMITS = f"Limits(max_request_bytes={MAX_REQUEST}, header_seconds=1.0, body_seconds=2.0, drain_seconds=2.0)"
GROWTH = 12 * MAX_REQUEST
"""A request's bytes, its message, its records: a small multiple of the largest request, however it was packed."""

SIGNALS = ("traces", "metrics", "logs")
REFUSED = {400, 413, 415}
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with served_bridge(f"sqlite:///{folder}/evsys.db", LIMITS, folder / "stderr") as running:
        assert post(f"{running.url}/v1/metrics", points(None, "warm", 1).SerializeToString()).status == 200
        call(running, points(None, "warm", 2).SerializeToString())
        yield running


@pytest.fixture(autouse=True)
def goes_on(served: Served, folder: Path) -> Iterator[None]:
    """After each of these tests the server takes requests on both ports, and has not complained of itself."""
    yield
    assert_serves(served)
    assert served.process.is_running()
    assert "Traceback" not in (folder / "stderr").read_text()


def assert_serves(served: Served) -> None:
    assert post(f"{served.url}/v1/traces", b"").status == 200
    assert call(served, b"") is None


def call(served: Served, body: bytes, method: str = METRICS, **options: Any) -> grpc.StatusCode | None:
    """Make a gRPC call; return its code, None when it was taken."""
    with grpc.insecure_channel(f"127.0.0.1:{served.grpc}") as channel:
        send = channel.unary_unary(method, request_serializer=None, response_deserializer=None)
        try:
            send(body, timeout=60, **options)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return None


def assert_refused(reply: Reply, *statuses: int) -> None:
    """It is one of these statuses, in a body that says why (google.rpc.Status, in the encoding asked in)."""
    assert reply.status in (statuses or REFUSED)
    assert reply.body


def nested(message: bytes, levels: int) -> bytes:
    """Wrap an AnyValue's bytes in arrays of one: no encoder would make a message that its decoder refuses."""
    for _ in range(levels):
        array = b"\x0a" + varint(len(message)) + message
        message = b"\x2a" + varint(len(array)) + array
    return message


def varint(number: int) -> bytes:
    """Return a number as protobuf writes it."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def log_request(log_record: bytes) -> bytes:
    """Return a request of one log record, given its bytes."""
    for tag in (b"\x12", b"\x12", b"\x0a"):
        log_record = tag + varint(len(log_record)) + log_record
    return log_record


def bomb(plain_bytes: int, pack: Callable[[], Any]) -> bytes:
    packer = pack()
    zeros = bytes(MIB)
    return b"".join([*(packer.compress(zeros) for _ in range(plain_bytes // MIB)), packer.flush()])


def gzip_packer() -> Any:
    return zlib.compressobj(9, zlib.DEFLATED, 31)


# What any bytes do


@MANY
@given(
    st.binary(max_size=400), st.sampled_from(SIGNALS),
    st.sampled_from([PROTOBUF, JSON, "text/plain", "", "application/json; charset=utf-16", "x" * 500]),
    st.sampled_from(["", "gzip", "deflate", "br", "zstd", "gzip, gzip", "identity"]),
)
def test_random_bodies(served: Served, body: bytes, signal: str, content_type: str, encoding: str) -> None:
    """Any body of any declared type is taken (a few are valid) or refused as the sender's fault."""
    reply = post(f"{served.url}/v1/{signal}", body, content_type, content_encoding=encoding)
    assert reply.status in REFUSED | {200}
    if content_type.partition(";")[0] not in {PROTOBUF, JSON}:
        assert_refused(reply, 415)


@MANY
@given(st.binary(max_size=400), st.sampled_from(SIGNALS))
def test_random_calls(served: Served, body: bytes, signal: str) -> None:
    """The same over gRPC: never INTERNAL or UNKNOWN, which are the server's fault."""
    service = {"traces": "trace.v1.TraceService", "metrics": "metrics.v1.MetricsService", "logs": "logs.v1.LogsService"}
    code = call(served, body, f"/opentelemetry.proto.collector.{service[signal]}/Export")
    assert code in {None, grpc.StatusCode.INVALID_ARGUMENT}


@MANY
@given(st.binary(min_size=1, max_size=2000), st.booleans())
def test_random_bytes_in_place_of_http(served: Served, said: bytes, begins_well: bool) -> None:
    """What is no HTTP is answered 4xx, or nothing, and the connection is closed."""
    begin = b"POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n" if begins_well else b""
    heard = speak(served.http, begin + said)
    assert heard == b"" or heard.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200"))


@MANY
@given(st.binary(min_size=1, max_size=2000), st.booleans())
def test_random_bytes_in_place_of_http2(served: Served, said: bytes, begins_well: bool) -> None:
    """What is no HTTP/2 ends the connection, and others are served."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" if begins_well else b""
    with socket.create_connection(("127.0.0.1", served.grpc), timeout=10) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(preface + said)
    assert call(served, b"") is None


@MANY
@given(st.data())
def test_damaged_requests(served: Served, data: st.DataObject) -> None:
    """A request of ours that is cut off, or has bytes changed, is refused or taken for what it says."""
    whole = data.draw(st.sampled_from([points("p", "damaged", 1, 2, 3), run_start("p", "damaged")]))
    body = bytearray(whole.SerializeToString())
    if data.draw(st.booleans()):
        del body[data.draw(st.integers(0, len(body))) :]
    for _ in range(data.draw(st.integers(0, 4))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    signal = "metrics" if isinstance(whole, ExportMetricsServiceRequest) else "logs"
    assert post(f"{served.url}/v1/{signal}", bytes(body)).status in {200, 400}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20) | st.just("9" * 400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["resourceSpans", "scopeSpans", "spans", "traceId", "resource", "attributes", "key", "value",
                         "stringValue", "intValue", "arrayValue", "values", "startTimeUnixNano", "name", "__proto__"]),
        inner, max_size=6),
    max_leaves=30,
)  # fmt: skip


@MANY
@given(JSON_VALUES)
def test_random_json(served: Served, value: Any) -> None:
    """JSON of any shape is taken for the fields that it has, or refused for one that is not of its type."""
    assert post(f"{served.url}/v1/traces", json.dumps(value).encode(), JSON).status in {200, 400}


@pytest.mark.parametrize("length", range(1, 60, 7))
def test_truncated_protobuf(served: Served, length: int) -> None:
    """A body that ends before its end is refused, on both transports."""
    whole = run_start("p", "truncated").SerializeToString()
    assert_refused(post(f"{served.url}/v1/logs", whole[:-length]), 400)
    code = call(served, whole[:-length], "/opentelemetry.proto.collector.logs.v1.LogsService/Export")
    assert code is grpc.StatusCode.INVALID_ARGUMENT


# What is too much


@pytest.mark.parametrize(
    "text",
    [b"[" * 500_000, b'{"resourceSpans":' * 100_000, b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
     b"[" * 900 + b"]" * 900,
     b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":' + b'{"arrayValue":{"values":[' * 400 + b"{}"
     + b"]}}" * 400 + b"}]}]}]}"],
)  # fmt: skip
def test_deep_json(served: Served, text: bytes) -> None:
    """Nesting is bounded before it costs anything."""
    with served.watched() as peak:
        assert_refused(post(f"{served.url}/v1/traces", text, JSON), 400)
        assert_refused(post(f"{served.url}/v1/logs", text, JSON), 400)
    assert peak.growth < GROWTH


def test_deep_protobuf(served: Served) -> None:
    """As deep as a decoder lets pass is taken or ignored; deeper is refused."""
    for levels, expected in ((20, 200), (60, 400), (20_000, 400)):
        body = nested(b"\x0a\x01x", levels)
        event = c.EVENT_PREDICTION.encode()
        record = b"\x2a" + varint(len(body)) + body + b"\x62" + varint(len(event)) + event
        assert post(f"{served.url}/v1/logs", log_request(record)).status == expected


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_decompression_bombs(served: Served, encoding: str) -> None:
    """A gigabyte in a megabyte is refused when it passes the bound, on both transports, several at once too."""
    body = bomb(1024 * MIB, gzip_packer if encoding == "gzip" else lambda: zlib.compressobj(9))
    assert len(body) < MAX_REQUEST
    with served.watched() as peak, ThreadPoolExecutor(8) as threads:
        replies = threads.map(
            lambda _: post(f"{served.url}/v1/metrics", body, content_encoding=encoding), range(8)
        )
        assert {reply.status for reply in replies} <= {413, 503}
        assert call(served, body) is grpc.StatusCode.INVALID_ARGUMENT  # as its own compression would arrive
    assert peak.growth < 8 * GROWTH


def test_a_bomb_within_a_bomb(served: Served) -> None:
    """Only the one declared layer is opened."""
    inner = bomb(256 * MIB, gzip_packer)
    assert_refused(post(f"{served.url}/v1/metrics", gzip.compress(inner), content_encoding="gzip"), 400)


def test_grpc_compression_bomb(served: Served) -> None:
    """A client's own gzip of far more than the bound is refused without being unpacked."""
    with served.watched() as peak:
        code = call(served, bytes(256 * MIB), compression=grpc.Compression.Gzip)
        assert code in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert peak.growth < GROWTH


def test_bodies_beyond_the_bound(served: Served) -> None:
    """Announced, chunked without end, or in a gRPC message: refused as soon as it is known."""
    with served.watched() as peak:
        assert_refused(post(f"{served.url}/v1/metrics", bytes(MAX_REQUEST + 1)), 413)
        announced = b"POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
        assert speak(served.http, announced + b"content-length: 99999999999999\r\n\r\nx").startswith(b"HTTP/1.1 413")
        chunk = b"100000\r\n" + bytes(MIB) + b"\r\n"
        heard = speak(served.http, announced + b"transfer-encoding: chunked\r\n\r\n" + chunk * 64)
        assert heard == b"" or heard.startswith(b"HTTP/1.1 413")
        assert call(served, bytes(MAX_REQUEST + 1)) in {
            grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED,
        }  # fmt: skip
    assert peak.growth < GROWTH


def test_100000_attributes(served: Served) -> None:
    """On a resource, a point, a span or a log record, in protobuf and JSON."""
    many = [KeyValue(key=f"k{number}", value=AnyValue(int_value=number)) for number in range(100_000)]
    on_resource, on_point = points("p", "many", 1), points("p", "many", 1)
    on_resource.resource_metrics[0].resource.attributes.extend(many)
    on_point.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0].attributes.extend(many)
    with served.watched() as peak:
        for request in (on_resource, on_point):
            assert_refused(post(f"{served.url}/v1/metrics", request.SerializeToString()), 400)
            assert call(served, request.SerializeToString()) is grpc.StatusCode.INVALID_ARGUMENT
        attributes = [{"key": f"k{number}", "value": {"intValue": number}} for number in range(100_000)]
        for signal, inner in (("Spans", "spans"), ("Logs", "logRecords")):
            tree = {f"resource{signal}": [{f"scope{signal}": [{inner: [{"attributes": attributes}]}]}]}
            path = "traces" if signal == "Spans" else "logs"
            assert_refused(post(f"{served.url}/v1/{path}", json.dumps(tree).encode(), JSON), 400)
    assert peak.growth < GROWTH


def test_as_many_empty_messages_as_fit(served: Served) -> None:
    """Two bytes each that become an object each: within a small multiple of a request's memory."""
    many = 100_000
    with served.watched() as peak:
        for body in (b"\x0a\x00" * many, b"\x0a\x02\x12\x00" * many):
            for signal in SIGNALS:
                assert post(f"{served.url}/v1/{signal}", body).status in {200, 400, 413}
        scope = b"\x12\x00" * many  # log records
        resource = b"\x12" + varint(len(scope)) + scope
        body = b"\x0a" + varint(len(resource)) + resource
        assert post(f"{served.url}/v1/logs", body).status in {200, 400, 413}
    assert peak.growth < GROWTH


# What is wrong


@pytest.mark.parametrize("bad", ["", "\x00", "a\nb", "x" * 129, "\u202e", 7])
def test_invalid_ids(served: Served, folder: Path, bad: Any) -> None:
    """A record whose id cannot be one is ignored, whatever else it says; nothing is stored under it."""
    for request in (run_start("p", bad), points("p", bad, 1)):
        signal = "metrics" if isinstance(request, ExportMetricsServiceRequest) else "logs"
        assert post(f"{served.url}/v1/{signal}", request.SerializeToString()).status == 200
    with open_store(f"sqlite:///{folder}/evsys.db") as store:
        assert {run["id"] for run in store.list_runs()} <= {"warm", "damaged"} | {
            run["id"] for run in store.list_runs() if run["id"].isprintable() and 0 < len(run["id"]) <= 128
        }
        assert store.get_run(str(bad)) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("traceId", "xyz"), ("traceId", 7), ("spanId", "0"), ("startTimeUnixNano", "soon"), ("startTimeUnixNano", -1),
     ("startTimeUnixNano", 2**64), ("kind", {}), ("name", 7), ("attributes", {}), ("attributes", [7]), ("status", [])],
)  # fmt: skip
def test_json_fields_that_are_not_of_their_type(served: Served, field: str, value: Any) -> None:
    """The answer, in JSON too, names the field."""
    tree = {"resourceSpans": [{"scopeSpans": [{"spans": [{field: value}]}]}]}
    reply = post(f"{served.url}/v1/traces", json.dumps(tree).encode(), JSON)
    assert_refused(reply, 400)
    assert field in json.loads(reply.body)["message"]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"GET /v1/metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 405),
        (b"POST /v1/other HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", 404),
        (b"POST /../../etc/passwd HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", 404),
        (b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", 400),
        (b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST /v1/logs HTTP/9.9\r\nhost: x\r\n\r\n", 415),
        (b"POST /v1/logs HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n", 400),
        (b"POST /v1/logs HTTP/1.1\r\nhost: x\r\nx: " + b"y" * MIB + b"\r\n\r\n", 400),
        (b"POST /v1/logs HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 100_000 + b"\r\n", 400),
        (b"POST /" + b"a" * MIB + b" HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    ],
)
def test_malformed_http(served: Served, said: bytes, status: int) -> None:
    """Wrong methods and paths, contradicting lengths, huge headers: a 4xx, however large."""
    with served.watched() as peak:
        heard = speak(served.http, said)
    answered = heard.split(b"\r\n", 1)[0].split(b" ")
    # A connection that is reset because more was sent than was read may lose the answer on its way.
    assert not heard or int(answered[1]) in {status, 431}
    assert heard or len(said) > 60_000
    assert peak.growth < GROWTH


def test_huge_metadata_and_unknown_methods_over_grpc(served: Served) -> None:
    """Refused by the library's own bounds."""
    metadata = [("x", "y" * 500_000)]
    assert call(served, b"", metadata=metadata) in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}
    assert call(served, b"", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Delete") is (
        grpc.StatusCode.UNIMPLEMENTED
    )


@pytest.mark.parametrize("count", [0, 2])
def test_calls_without_one_message(served: Served, count: int) -> None:
    """A call of no message is refused; of several the first counts."""
    with grpc.insecure_channel(f"127.0.0.1:{served.grpc}") as channel:
        stream = channel.stream_unary(METRICS, request_serializer=None, response_deserializer=None)
        if count == 0:
            with pytest.raises(grpc.RpcError) as caught:
                stream(iter([]), timeout=20)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
        else:
            with contextlib.suppress(grpc.RpcError):
                stream(iter([b""] * count), timeout=20)


# What is slow


def test_slow_loris(served: Served) -> None:
    """Hundreds of connections that say a byte now and then are closed at their deadline, and hold up nobody."""
    begin = b"POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 100\r\n"
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", served.http))) for _ in range(300)]
        for number, connection in enumerate(slow):
            connection.sendall((b"", begin[:20], begin, begin + b"\r\n" + b"x" * 10)[number % 4])
        assert_serves(served)
        deadline = time.monotonic() + 30
        answers = [read_to_end(connection, deadline) for connection in slow]
    assert {answer.split(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 408 Request Timeout"}


def read_to_end(connection: socket.socket, deadline: float) -> bytes:
    """Return what comes until the server closes; drip a byte meanwhile, as such a client does."""
    heard = b""
    connection.settimeout(0.5)
    while time.monotonic() < deadline:
        try:
            piece = connection.recv(65536)
        except TimeoutError:
            with contextlib.suppress(OSError):
                connection.sendall(b"x")
            continue
        except OSError:
            return heard
        if not piece:
            return heard
        heard += piece
    raise AssertionError("the server keeps a slow connection for ever")


def test_slow_calls(served: Served) -> None:
    """A gRPC call whose message does not come ends at its deadline, and idle connections hold up nobody."""

    def never() -> Iterator[bytes]:
        time.sleep(20)
        yield b""

    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(("127.0.0.1", served.grpc)))
        with grpc.insecure_channel(f"127.0.0.1:{served.grpc}") as channel:
            stream = channel.stream_unary(METRICS, request_serializer=None, response_deserializer=None)
            waiting = stream.future(never(), timeout=15)
            assert_serves(served)
            assert waiting.exception().code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert "2 s" in waiting.exception().details()  # the server's word, not the client's own deadline


def test_senders_that_go_away(served: Served) -> None:
    """In the middle of a body, or before the answer."""
    body = points("p", "gone", *range(100)).SerializeToString()
    begin = b"POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
    begin += b"content-length: %d\r\n\r\n"
    for sent in (body, body[:-10]) * 20:
        with socket.create_connection(("127.0.0.1", served.http)) as connection:
            connection.sendall(begin % len(body) + sent)
    wait_until(lambda: re.search(rb"\nevsys_bridge_queue_size_bytes(\{.*\})? 0(\.0)?\n", metrics(served)))


def metrics(served: Served) -> bytes:
    return speak(served.http, b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", end=False)


def test_all_of_this_left_no_more_behind_than_a_request(served: Served) -> None:
    """After everything above the process is as large as after a few requests."""
    assert served.process.memory_info().rss < 400 * MIB
    assert len(served.process.open_files()) + len(served.process.net_connections()) < 60
