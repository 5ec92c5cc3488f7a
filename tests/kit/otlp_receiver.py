"""Scripted OTLP receivers over real sockets, gRPC and HTTP: what each request is answered comes from a function.

Use one as a context manager, send to ``receiver.endpoint``, look at ``receiver.requests`` and ``receiver.taken(...)``::

    with OtlpReceiver("grpc", answers=lambda request: Answer(UNAVAILABLE, retry_info=2)) as receiver: ...
"""

from __future__ import annotations

import contextlib
import gzip
import http.server
import socket
import ssl
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from kit.certificates import Certificates
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_pb2

Signal = Literal["traces", "metrics", "logs"]
Protocol = Literal["grpc", "http"]

REQUEST_TYPES: dict[str, Any] = {
    "traces": trace_pb2.ExportTraceServiceRequest,
    "metrics": metrics_pb2.ExportMetricsServiceRequest,
    "logs": logs_pb2.ExportLogsServiceRequest,
}
RESPONSE_TYPES: dict[str, Any] = {
    "traces": trace_pb2.ExportTraceServiceResponse,
    "metrics": metrics_pb2.ExportMetricsServiceResponse,
    "logs": logs_pb2.ExportLogsServiceResponse,
}
REJECTED_FIELDS = {"traces": "rejected_spans", "metrics": "rejected_data_points", "logs": "rejected_log_records"}
METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
PROTOBUF = "application/x-protobuf"


@dataclass
class Received:
    """One request as it came; ``path`` is the URL's path or the gRPC method, header names are in lower case."""

    signal: str
    path: str
    headers: dict[str, str]
    body: bytes
    message: Any
    number: int
    peer_certificate: bool = False

    @property
    def records(self) -> list[Any]:
        """The spans, log records or points in it, as protobuf messages."""
        return list(records_of(self.message))

    def __len__(self) -> int:
        return len(self.records)


@dataclass
class Answer:
    """What a request is answered. ``code`` is an HTTP status, or a gRPC status code; None is 200 or OK.

    ``hang`` answers only when the receiver is closed, ``drop`` (HTTP) closes the connection without an answer,
    ``drip`` (HTTP) sends the headers and then a byte of the body now and then.
    """

    code: int | grpc.StatusCode | None = None
    message: str = ""
    rejected: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    retry_info: float | None = None
    body: bytes | None = None
    content_type: str = PROTOBUF
    trailer: tuple[tuple[str, bytes], ...] = ()
    hang: bool = False
    drop: bool = False
    drip: bool = False

    @property
    def is_taken(self) -> bool:
        if self.hang or self.drop or self.drip:
            return False
        return self.code in (None, grpc.StatusCode.OK) or (isinstance(self.code, int) and 200 <= self.code < 300)


Answers = Callable[[Received], "Answer | int | grpc.StatusCode | None"]


def take_all(_request: Received) -> Answer:
    return Answer()


class OtlpReceiver:
    """A receiver on a port of its own, or on ``port``.

    ``certificates`` make it speak TLS, ``mutual`` ask for the client's too. ``max_bytes`` bounds a request as real
    receivers do (RESOURCE_EXHAUSTED, 413). Without ``keep`` records are only counted, in ``records_taken``.
    ``other_paths`` is the signal that comes under HTTP paths other than ``.../v1/traces`` and its like, else 404.
    """

    def __init__(
        self,
        protocol: Protocol = "grpc",
        answers: Answers = take_all,
        *,
        port: int = 0,
        certificates: Certificates | None = None,
        mutual: bool = False,
        max_bytes: int | None = None,
        keep: bool = True,
        other_paths: Signal | None = None,
    ) -> None:
        self.protocol = protocol
        self.answers = answers
        self.certificates = certificates
        self.mutual = mutual
        self.max_bytes = max_bytes
        self.requests: list[Received] = []
        self.answered: list[tuple[Received, Answer]] = []
        self.records_taken = 0
        self.released = threading.Event()
        self.other_paths = other_paths
        self._keep = keep
        self._changed = threading.Condition()
        self._count = 0
        self._server = (GrpcServer if protocol == "grpc" else HttpServer)(self, port)
        self.port = self._server.port

    @property
    def endpoint(self) -> str:
        """The base URL, as ``OTEL_EXPORTER_OTLP_ENDPOINT`` takes it for either protocol."""
        return f"{'https' if self.certificates else 'http'}://127.0.0.1:{self.port}"

    def environ(self, **more: str) -> dict[str, str]:
        """Variables that send everything here."""
        protocol = "grpc" if self.protocol == "grpc" else "http/protobuf"
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, **more}

    def taken(self, signal: Signal) -> list[Any]:
        """Every record of this signal that was answered with success, in order, repetitions included."""
        with self._changed:
            answered = list(self.answered)
        requests = [request for request, answer in answered if answer.is_taken and request.signal == signal]
        return [record for request in requests for record in request.records]

    def wait_for(self, condition: Callable[[OtlpReceiver], bool], seconds: float = 20.0) -> None:
        """Wait until the condition holds, looked at after each request; AssertionError when the time is up."""
        with self._changed:
            came = self._changed.wait_for(lambda: condition(self), seconds)
        assert came, f"waited in vain, with {len(self.requests)} requests"

    def receive(self, signal: str, path: str, headers: dict[str, str], body: bytes, mutual: bool = False) -> Answer:
        """Note a request and find its answer; called by the servers."""
        with self._changed:
            self._count += 1
            number = self._count
        request = Received(signal, path, headers, body, REQUEST_TYPES[signal].FromString(body), number, mutual)
        if self._keep:
            with self._changed:
                self.requests.append(request)
                self._changed.notify_all()
        said = self.answers(request)
        answer = said if isinstance(said, Answer) else Answer(said)
        if self._keep:
            with self._changed:
                self.answered.append((request, answer))
                self._changed.notify_all()
        elif answer.is_taken:
            self.records_taken += len(request)
        if answer.hang:
            self.released.wait(60)
        return answer

    def close(self) -> None:
        """Let go of what hangs, close the port; connections under way are cut."""
        self.released.set()
        self._server.close()

    def __enter__(self) -> OtlpReceiver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def records_of(message: Any) -> Iterator[Any]:
    """Yield the spans, log records or data points of an export request."""
    for outer in getattr(message, "resource_spans", ()):
        for scope in outer.scope_spans:
            yield from scope.spans
    for outer in getattr(message, "resource_logs", ()):
        for scope in outer.scope_logs:
            yield from scope.log_records
    for outer in getattr(message, "resource_metrics", ()):
        for scope in outer.scope_metrics:
            for metric in scope.metrics:
                yield from getattr(metric, metric.WhichOneof("data")).data_points


def attributes_of(record: Any) -> dict[str, Any]:
    """Return the attributes of a record as Python values."""
    return {pair.key: value_of(pair.value) for pair in record.attributes}


def value_of(value: Any) -> Any:
    """Return an AnyValue as a Python value."""
    kind = value.WhichOneof("value")
    if kind == "kvlist_value":
        return {pair.key: value_of(pair.value) for pair in value.kvlist_value.values}
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None


def free_port() -> int:
    """Return a port on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def response_of(signal: str, answer: Answer) -> Any:
    response = RESPONSE_TYPES[signal]()
    if answer.rejected or answer.message:
        setattr(response.partial_success, REJECTED_FIELDS[signal], answer.rejected)
        response.partial_success.error_message = answer.message
    return response


def status_of(answer: Answer) -> Status:
    status = Status(code=0, message=answer.message)
    if answer.retry_info is not None:
        whole = int(answer.retry_info)
        delay = duration_pb2.Duration(seconds=whole, nanos=round((answer.retry_info - whole) * 1e9))
        detail = any_pb2.Any()
        detail.Pack(RetryInfo(retry_delay=delay))
        status.details.append(detail)
    return status


class GrpcServer(grpc.GenericRpcHandler):
    """The three OTLP services of a receiver, by one generic handler."""

    def __init__(self, receiver: OtlpReceiver, port: int) -> None:
        self._receiver = receiver
        limit = receiver.max_bytes or -1
        self._server = grpc.server(
            futures.ThreadPoolExecutor(8), handlers=[self],
            options=[("grpc.max_receive_message_length", limit), ("grpc.so_reuseport", 0)],
        )
        address = f"127.0.0.1:{port}"
        if receiver.certificates is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, self._credentials(receiver.certificates))
        self._server.start()

    def _credentials(self, certificates: Certificates) -> grpc.ServerCredentials:
        read = [Path(p).read_bytes() for p in (certificates.server_key, certificates.server, certificates.authority)]
        authority = read[2] if self._receiver.mutual else None
        return grpc.ssl_server_credentials([(read[0], read[1])], authority, self._receiver.mutual)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        signal = next((signal for signal, method in METHODS.items() if method == details.method), None)
        if signal is None:
            return None
        headers = {pair.key.lower(): pair.value for pair in details.invocation_metadata or ()}
        return grpc.unary_unary_rpc_method_handler(lambda body, context: self._answer(signal, headers, body, context))

    def _answer(self, signal: str, headers: dict[str, str], body: bytes, context: grpc.ServicerContext) -> bytes:
        mutual = bool(context.auth_context().get("x509_common_name"))
        answer = self._receiver.receive(signal, METHODS[signal], headers, body, mutual)
        if not answer.is_taken:
            if answer.trailer:
                context.set_trailing_metadata(answer.trailer)
            elif answer.retry_info is not None:
                context.set_trailing_metadata((("grpc-status-details-bin", status_of(answer).SerializeToString()),))
            code = answer.code if isinstance(answer.code, grpc.StatusCode) else grpc.StatusCode.UNAVAILABLE
            context.abort(code, answer.message)
        return response_of(signal, answer).SerializeToString()

    def close(self) -> None:
        self._server.stop(0).wait()


class HttpServer:
    """The OTLP/HTTP paths of a receiver, on the standard library's server."""

    def __init__(self, receiver: OtlpReceiver, port: int) -> None:
        self.connections: set[socket.socket] = set()
        handler = type("Handler", (HttpHandler,), {"receiver": receiver, "connections": self.connections})
        self._server = QuietServer(("127.0.0.1", port), handler)
        self.port = self._server.server_address[1]
        if receiver.certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(receiver.certificates.server, receiver.certificates.server_key)
            if receiver.mutual:
                context.load_verify_locations(receiver.certificates.authority)
                context.verify_mode = ssl.CERT_REQUIRED
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


class QuietServer(http.server.ThreadingHTTPServer):
    """Says nothing of clients that go away or that fail the handshake."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handle_error(request, client_address)


class HttpHandler(http.server.BaseHTTPRequestHandler):
    """One connection; kept alive."""

    receiver: OtlpReceiver
    connections: set[socket.socket]
    protocol_version = "HTTP/1.1"
    timeout = 60

    def setup(self) -> None:
        self.connections.add(self.request)
        super().setup()

    def finish(self) -> None:
        self.connections.discard(self.request)
        with contextlib.suppress(OSError):
            super().finish()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {key.lower(): value for key, value in self.headers.items()}
        encoding = headers.get("content-encoding", "none")
        body = {"gzip": gzip.decompress, "deflate": zlib.decompress}.get(encoding, bytes)(body)
        path = self.path.partition("?")[0]
        signal = next((known for known in REQUEST_TYPES if path.endswith(f"/v1/{known}")), self.receiver.other_paths)
        if signal is None:
            return self._send(404, b"", PROTOBUF, {})
        if self.receiver.max_bytes is not None and len(body) > self.receiver.max_bytes:
            return self._send(413, b"", PROTOBUF, {})
        mutual = isinstance(self.connection, ssl.SSLSocket) and bool(self.connection.getpeercert())
        answer = self.receiver.receive(signal, self.path, headers, body, mutual)
        if answer.drop or answer.hang:
            self.close_connection = True
            return self.connection.shutdown(socket.SHUT_RDWR) if answer.drop else None
        if answer.drip:
            return self._drip()
        content = response_of(signal, answer) if answer.is_taken else status_of(answer)
        body = content.SerializeToString() if answer.body is None else answer.body
        code = answer.code if isinstance(answer.code, int) else 200
        return self._send(code, body, answer.content_type, answer.headers)

    def do_GET(self) -> None:
        """Whoever follows a redirect with GET is seen here."""
        self.receiver.receive("traces", f"GET {self.path}", {}, b"")
        self._send(200, b"", PROTOBUF, {})

    def _send(self, code: int, body: bytes, content_type: str, headers: dict[str, str]) -> None:
        self.send_response(code)
        for key, value in {"content-type": content_type, "content-length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def _drip(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("content-length", "1000000")
        self.end_headers()
        end = time.monotonic() + 30
        with contextlib.suppress(OSError):
            while not self.receiver.released.wait(0.05) and time.monotonic() < end:
                self.wfile.write(b"\0")

    def log_message(self, *_args: object) -> None:
        """Be silent."""
