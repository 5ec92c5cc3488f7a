"""Both servers by the OTLP specification, over real sockets: what each request is answered, and what is stored."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from kit.bridges import JSON, PROTOBUF, RunningBridge, get, post, running_bridge
from kit.event_sequences import make_identity
from kit.otlp_messages import TIME, foreign_spans, points, run_start, together
from kit.otlp_receiver import METHODS, RESPONSE_TYPES
from kit.processes import wait_until
from kit.programs import RUN_ID, closing, opening, steps
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.trace.export import SpanExportResult

from evsys_otel.bridge.limits import Limits
from evsys_otel.conventions import STEP
from evsys_otel.signals import SignalBuilder, Signals
from evsys_otel.store import Store, open_store

RUN = str(uuid.UUID(int=7, version=4))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/evsys.db"


@pytest.fixture
def bridge(url: str) -> Iterator[RunningBridge]:
    with running_bridge(url) as running:
        yield running


@pytest.fixture
def store(url: str, bridge: RunningBridge) -> Iterator[Store]:
    with open_store(url) as opened:
        yield opened


def call(
    bridge: RunningBridge, signal: str, body: bytes, **metadata: str
) -> tuple[grpc.StatusCode, Any, Status | None]:
    """Send a message over gRPC and return the code, the response or the details, and the status of the trailer."""
    with grpc.insecure_channel(bridge.grpc, [("grpc.max_send_message_length", -1)]) as channel:
        export = channel.unary_unary(METHODS[signal])
        try:
            answer = export(body, timeout=30, metadata=tuple(metadata.items()))
            return grpc.StatusCode.OK, RESPONSE_TYPES[signal].FromString(answer), None
        except grpc.RpcError as error:
            trailer = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
            return error.code(), error.details(), trailer and Status.FromString(trailer)


def retry_seconds(status: Status) -> float:
    info = RetryInfo()
    assert status.details[0].Unpack(info)
    return info.retry_delay.seconds + info.retry_delay.nanos / 1e9


def a_run() -> Signals:
    events = [*opening(), *steps(*range(50)), *closing(calls=50)]
    return SignalBuilder(make_identity()).build(events)


GRPC_COMPRESSIONS = {
    "none": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate,
}  # fmt: skip


@pytest.mark.parametrize("compression", GRPC_COMPRESSIONS)
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_official_exporters_are_taken_whole(
    bridge: RunningBridge, store: Store, protocol: str, compression: str
) -> None:
    """Traces, metrics and logs over either protocol, compressed or not, end in a run that is whole."""
    signals = a_run()
    if protocol == "grpc":
        options: dict[str, Any] = {"insecure": True, "compression": GRPC_COMPRESSIONS[compression]}
        exporters = [kind(endpoint=bridge.grpc, **options) for kind in (GrpcSpans, GrpcMetrics, GrpcLogs)]
    else:
        kinds = {"traces": HttpSpans, "metrics": HttpMetrics, "logs": HttpLogs}
        exporters = [
            kind(endpoint=f"{bridge.http}/v1/{signal}", compression=Compression(compression))
            for signal, kind in kinds.items()
        ]
    spans, metrics, logs = exporters
    assert spans.export(signals.spans) is SpanExportResult.SUCCESS
    assert all(metrics.export(data) is MetricExportResult.SUCCESS for data in signals.metrics)
    assert logs.export(signals.logs) is LogRecordExportResult.SUCCESS
    assert len(store.get_metrics(RUN_ID)) == 100
    assert store.completeness(RUN_ID).state == "whole"
    for exporter in exporters:
        exporter.shutdown()


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON, "application/json; charset=utf-8"])
def test_a_response_is_encoded_as_its_request(bridge: RunningBridge, content_type: str) -> None:
    """And without a rejection its partial success is not there."""
    body = b"{}" if "json" in content_type else b""
    reply = post(f"{bridge.http}/v1/traces", body, content_type)
    assert (reply.status, reply.headers["content-type"]) == (200, content_type.partition(";")[0])
    assert reply.body == (b"{}" if "json" in content_type else b"")


def test_an_answer_means_that_the_records_are_committed(bridge: RunningBridge, store: Store) -> None:
    """Another connection sees them at once, over either protocol."""
    assert call(bridge, "logs", run_start(None, RUN).SerializeToString())[0] is grpc.StatusCode.OK
    assert store.get_run(RUN) is not None
    assert post(f"{bridge.http}/v1/metrics", points(None, RUN, 1, 2).SerializeToString()).status == 200
    assert [row["step"] for row in store.get_metrics(RUN)] == [1, 2]


def test_foreign_telemetry_is_taken_ignored_and_counted(bridge: RunningBridge, store: Store) -> None:
    """A team's other spans are no error, and leave the store as it is."""
    assert call(bridge, "traces", foreign_spans(3).SerializeToString())[1].partial_success.rejected_spans == 0
    assert store.list_experiments() == []
    page = get(f"{bridge.http}/metrics").body.decode()
    assert 'evsys_bridge_ignored_total{signal="traces"} 3.0' in page
    assert 'evsys_bridge_requests_total{outcome="taken",protocol="grpc",signal="traces"} 1.0' in page


def test_partial_success_counts_and_says_what_was_rejected(url: str) -> None:
    """Over both protocols, in the field of the signal."""
    body = together(points("mine", RUN, 1), points("other", str(uuid.UUID(int=8, version=4)), 1, 2)).SerializeToString()
    with running_bridge(url, tokens="secret=mine") as bridge:
        code, response, _ = call(bridge, "metrics", body, authorization="Bearer secret")
        assert code is grpc.StatusCode.OK
        assert response.partial_success.rejected_data_points == 2
        assert response.partial_success.error_message
        reply = post(f"{bridge.http}/v1/metrics", body, authorization="Bearer secret")
        assert RESPONSE_TYPES["metrics"].FromString(reply.body) == response
        assert 'evsys_bridge_rejected_total{signal="metrics"} 4.0' in get(f"{bridge.http}/metrics").body.decode()


def test_who_has_no_token_is_told_so_before_the_body_is_read(url: str) -> None:
    """401 with a challenge, UNAUTHENTICATED; nothing is written."""
    body = run_start("mine", RUN).SerializeToString()
    with running_bridge(url, tokens="secret=mine") as bridge, open_store(url) as store:
        for header in ({}, {"authorization": "Bearer wrong"}):
            assert call(bridge, "logs", body, **header)[0] is grpc.StatusCode.UNAUTHENTICATED
            reply = post(f"{bridge.http}/v1/logs", body, **header)
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
        assert call(bridge, "logs", run_start("other", RUN).SerializeToString(), authorization="Bearer secret")[0] is (
            grpc.StatusCode.PERMISSION_DENIED
        )
        assert store.list_experiments() == []


MALFORMED = {
    "random bytes": (b"\x17\x99\x12" * 50, PROTOBUF, "identity"),
    "truncated protobuf": (run_start(None, RUN).SerializeToString()[:-5], PROTOBUF, "identity"),
    "no gzip": (b"plain", PROTOBUF, "gzip"),
    "truncated gzip": (gzip.compress(b"abc" * 9999)[:-9], PROTOBUF, "gzip"),
    "no JSON": (b"{", JSON, "identity"),
    "deep JSON": (b'{"resourceSpans":' + b"[" * 50_000, JSON, "identity"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_what_is_malformed_is_400_with_a_status_in_the_requests_encoding(bridge: RunningBridge, what: str) -> None:
    """Permanent: no sender tries it again. The next request is served."""
    body, content_type, encoding = MALFORMED[what]
    reply = post(f"{bridge.http}/v1/logs", body, content_type, content_encoding=encoding)
    assert (reply.status, reply.headers["content-type"]) == (400, content_type)
    message = json.loads(reply.body)["message"] if content_type == JSON else Status.FromString(reply.body).message
    assert message
    assert post(f"{bridge.http}/v1/logs", b"").status == 200


def test_what_is_malformed_over_grpc_is_an_invalid_argument(bridge: RunningBridge) -> None:
    """Never INTERNAL or UNKNOWN; too many attributes are malformed, too."""
    many = foreign_spans(1)
    many.resource_spans[0].resource.attributes.extend([many.resource_spans[0].resource.attributes[0]] * 100_000)
    for body in (b"\x17\x99\x12" * 50, b"\x1f\x8b\x08 no gzip", many.SerializeToString()):
        code, details, status = call(bridge, "traces", body)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert status is not None
        assert status.message == details
    assert call(bridge, "traces", b"")[0] is grpc.StatusCode.OK


def test_other_types_encodings_paths_and_methods_have_their_own_codes(bridge: RunningBridge) -> None:
    """415, 404, 405, UNIMPLEMENTED."""
    assert post(f"{bridge.http}/v1/logs", b"a=b", "application/x-www-form-urlencoded").status == 415
    assert post(f"{bridge.http}/v1/logs", b"", content_encoding="zstd").status == 415
    assert post(f"{bridge.http}/v1/profiles", b"").status == 404
    assert get(f"{bridge.http}/v1/logs").status == 405
    with grpc.insecure_channel(bridge.grpc) as channel, pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/opentelemetry.proto.collector.profiles.v1.ProfilesService/Export")(b"", timeout=30)
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_what_is_too_large_is_refused_also_when_it_was_small_compressed(url: str) -> None:
    """413 before the body is read, or after so much of it is decompressed; a bomb is never decompressed whole."""
    bomb = gzip.compress(bytes(200_000_000), 9)
    with running_bridge(url, limits=Limits(max_request_bytes=1_000_000)) as bridge:
        assert len(bomb) < 1_000_000
        assert post(f"{bridge.http}/v1/logs", bomb, content_encoding="gzip").status == 413
        assert post(f"{bridge.http}/v1/logs", zlib.compress(bytes(9_000_000)), content_encoding="deflate").status == 413
        assert call(bridge, "logs", bomb)[0] is grpc.StatusCode.INVALID_ARGUMENT
        assert call(bridge, "logs", bytes(2_000_000))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert post(f"{bridge.http}/v1/logs", b"").status == 200


def send_raw(bridge: RunningBridge, head: bytes, then: bytes = b"") -> bytes:
    """Send bytes over a connection of our own and return all that comes back until it is closed."""
    host, _, port = bridge.http.partition("://")[2].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head)
        if then:
            connection.sendall(then)
        return b"".join(iter(lambda: connection.recv(65536), b""))


HEAD = b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"


def test_who_sends_too_slowly_is_told_so_and_holds_up_nobody(url: str) -> None:
    """Headers and bodies have a deadline each, gRPC messages too; others are served meanwhile."""
    limits = Limits(header_seconds=0.3, body_seconds=0.3)
    with running_bridge(url, limits=limits) as bridge:
        assert send_raw(bridge, b"").startswith(b"HTTP/1.1 408")
        assert send_raw(bridge, HEAD).startswith(b"HTTP/1.1 408")
        assert send_raw(bridge, HEAD + b"content-length: 100\r\n\r\n", b"a").startswith(b"HTTP/1.1 408")
        with grpc.insecure_channel(bridge.grpc) as channel:
            held = threading.Event()
            export = channel.stream_unary(METHODS["logs"]).future(iter(lambda: held.wait(20) and b"", None), timeout=30)
            assert call(bridge, "logs", b"")[0] is grpc.StatusCode.OK
            assert export.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            held.set()


def test_a_body_announced_as_too_large_is_refused_unread(url: str) -> None:
    """What follows is thrown away, so that who sends before listening has the answer; but not without end."""
    with running_bridge(url, limits=Limits(max_request_bytes=1000, header_seconds=0.3)) as bridge:
        assert send_raw(bridge, HEAD + b"content-length: 99999999\r\n\r\n").startswith(b"HTTP/1.1 413")
        chunk = b"800\r\n" + bytes(0x800) + b"\r\n"
        assert send_raw(bridge, HEAD + b"transfer-encoding: chunked\r\n\r\n", chunk).startswith(b"HTTP/1.1 413")
        assert post(f"{bridge.http}/v1/logs", bytes(30_000_000)).status == 413


def test_an_outage_of_the_store_is_for_later_and_heals(tmp_path: Path) -> None:
    """UNAVAILABLE with RetryInfo, 503 with Retry-After, not ready; when the store is there, the same is taken."""
    (tmp_path / "file").touch()
    url = f"sqlite:///{tmp_path}/file/evsys.db"
    body = run_start(None, RUN).SerializeToString()
    with running_bridge(url) as bridge:
        code, _, status = call(bridge, "logs", body)
        assert (code, status.code) == (grpc.StatusCode.UNAVAILABLE, 14)
        assert retry_seconds(status) > 0
        reply = post(f"{bridge.http}/v1/logs", body)
        assert reply.status == 503
        assert int(reply.headers["retry-after"]) > 0
        assert get(f"{bridge.http}/healthz").status == 200
        assert get(f"{bridge.http}/readyz").status == 503
        (tmp_path / "file").unlink()
        assert get(f"{bridge.http}/readyz").status == 200
        assert call(bridge, "logs", body)[0] is grpc.StatusCode.OK
    with open_store(url) as store:
        assert store.get_run(RUN) is not None


def test_more_bytes_than_may_wait_are_for_later(url: str) -> None:
    """Back-pressure: the sender keeps what does not fit; a request that is alone always does."""
    body = b"x" * 800
    with running_bridge(url, limits=Limits(max_waiting_bytes=1000)) as bridge:
        host, _, port = bridge.http.partition("://")[2].rpartition(":")
        with socket.create_connection((host, int(port))) as slow:
            slow.sendall(HEAD + b"content-length: 801\r\n\r\n" + body)
            depth = "evsys_bridge_queue_size_bytes 800.0"
            wait_until(lambda: depth in get(f"{bridge.http}/metrics").body.decode())
            assert post(f"{bridge.http}/v1/logs", body).status == 503
            assert call(bridge, "logs", body)[0] is grpc.StatusCode.UNAVAILABLE
        wait_until(lambda: "size_bytes 0.0" in get(f"{bridge.http}/metrics").body.decode())
        assert post(f"{bridge.http}/v1/logs", body).status == 200  # fields that nobody knows are no error


def test_json_brings_every_value_as_it_was_logged(bridge: RunningBridge, store: Store) -> None:
    """NaN, infinity and the minus of a zero, which a collector writes as an integer, included."""
    exemplars = [
        {"timeUnixNano": f"{TIME + step}", "asDouble": value, "traceId": "5b8efff798038103d269b633813fc60c",
         "spanId": "eee19b7ec3c1b174", "filteredAttributes": [{"key": STEP, "value": {"intValue": f"{step}"}}]}
        for step, value in enumerate(["NaN", -0.0, "Infinity", 1.5])
    ]  # fmt: skip
    attributes = [{"key": "evsys.run.id", "value": {"stringValue": RUN}}]
    point = {"timeUnixNano": f"{TIME}", "asDouble": 1.5, "attributes": attributes, "exemplars": exemplars}
    metric = {"name": "evsys.run.loss", "gauge": {"dataPoints": [point]}}
    text = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).replace("-0.0", "-0")
    reply = post(f"{bridge.http}/v1/metrics", gzip.compress(text.encode()), JSON, content_encoding="gzip")
    assert (reply.status, reply.body) == (200, b"{}")
    assert [str(row["value"]) for row in store.get_metrics(RUN)] == ["nan", "-0.0", "inf", "1.5"]


def test_a_server_that_goes_down_answers_what_is_under_way(url: str) -> None:
    """What was sent is committed and answered, and only then is it gone."""
    body = run_start(None, RUN).SerializeToString()
    with running_bridge(url) as bridge:
        host, _, port = bridge.http.partition("://")[2].rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body[:10])
            wait_until(lambda: "size_bytes 10.0" in get(f"{bridge.http}/metrics").body.decode())
            stopping = threading.Thread(target=bridge.stop)
            stopping.start()
            connection.sendall(body[10:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        stopping.join(30)
    with open_store(url) as store:
        assert store.get_run(RUN) is not None
