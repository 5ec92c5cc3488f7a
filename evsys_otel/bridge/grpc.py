"""OTLP/gRPC calls go in, the receiver's outcomes go back as status codes, with RetryInfo where waiting helps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from evsys_otel.bridge.decode import sniff_encoding
from evsys_otel.bridge.limits import Limits
from evsys_otel.bridge.receiver import Incoming, Receiver
from evsys_otel.bridge.replies import Refused, Signal, Taken, grpc_failure, response_of
from evsys_otel.bridge.tls import TlsFiles
from evsys_otel.errors import ConfigurationError

_Context = grpc.aio.ServicerContext[Any, Any]

_METHODS: dict[str, Signal] = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": "traces",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": "metrics",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": "logs",
}


class GrpcServer(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # no generic when it runs
    """The three OTLP services on one address."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._server: grpc.aio.Server | None = None

    async def start(self, address: str, tls: TlsFiles | None) -> int:
        """Listen, and return the port. Raises ConfigurationError when the address cannot be had."""
        server = grpc.aio.server(handlers=[self], options=_options(self._receiver.limits))  # belongs to this loop
        try:
            if tls is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, tls.grpc_credentials())
        except RuntimeError:
            raise ConfigurationError(f"The address {address} cannot be listened on; is it in use?") from None
        await server.start()
        self._server = server
        return port

    async def stop(self, grace_seconds: float) -> None:
        """Take no new call, and return when those under way have their answers."""
        if self._server is not None:
            await self._server.stop(grace_seconds)

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a method, None for those that are not OTLP's.

        A call is read as a stream of one message, since only so the wait for that message can have an end.
        """
        signal = _METHODS.get(details.method)
        return None if signal is None else grpc.stream_unary_rpc_method_handler(self._handler(signal))

    def _handler(self, signal: Signal) -> Callable[[AsyncIterator[bytes], _Context], Awaitable[bytes]]:
        async def export(_messages: AsyncIterator[bytes], context: _Context) -> bytes:
            outcome = await self._receiver.settle(signal, "grpc", self._take(signal, context))
            if isinstance(outcome, Taken):
                return response_of(signal, outcome).SerializeToString()
            code, details = grpc_failure(outcome)
            await context.abort(code, outcome.reason, (("grpc-status-details-bin", details),))
            raise AssertionError("abort raises")

        return export

    async def _take(self, signal: Signal, context: _Context) -> Taken:
        grant = self._receiver.authorize(_authorization(context))
        with self._receiver.budget.open() as reservation:
            body = await _read_message(context, self._receiver.limits.body_seconds)
            reservation.add(len(body))
            return await self._receiver.take(
                Incoming(signal, "protobuf", sniff_encoding(body), body), grant, reservation
            )


def _options(limits: Limits) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_receive_message_length", limits.max_request_bytes),
        # Decompressed here, within bounds: the library would decompress a bomb whole before it looks at its size.
        ("grpc.per_message_decompression", 0),
        ("grpc.so_reuseport", 0),
        ("grpc.max_concurrent_streams", 32),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


async def _read_message(context: _Context, seconds: float) -> bytes:
    try:
        body = await asyncio.wait_for(context.read(), seconds)
    except asyncio.TimeoutError:
        raise Refused("too_slow", f"The request did not come whole within {seconds:g} s.") from None
    if not isinstance(body, bytes):
        raise Refused("malformed", "The call has no message.")
    return body


def _authorization(context: _Context) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            return value if isinstance(value, str) else value.decode("latin-1")
    return None
