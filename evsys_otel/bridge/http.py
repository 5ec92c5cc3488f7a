"""OTLP/HTTP requests go in, the receiver's outcomes go back in the request's encoding; health and metrics beside it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import h11
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from evsys_otel.bridge.limits import Reservation, refuse_size
from evsys_otel.bridge.receiver import Incoming, Outcome, Receiver
from evsys_otel.bridge.replies import (
    MEDIA_TYPES,
    Coding,
    Refused,
    Signal,
    Taken,
    TryLater,
    encode,
    http_failure,
    response_of,
)
from evsys_otel.bridge.telemetry import CONTENT_TYPE
from evsys_otel.bridge.tls import TlsFiles

_PATHS: dict[str, Signal] = {"/v1/traces": "traces", "/v1/metrics": "metrics", "/v1/logs": "logs"}

_KEEP_ALIVE_SECONDS = 120
"""Longer than collectors keep an idle connection (90 s), so that none is closed under a request."""

_REQUEST_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class HttpServer:
    """The OTLP/HTTP paths, ``/healthz``, ``/readyz`` and ``/metrics`` on one address."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, listener: socket.socket, tls: TlsFiles | None) -> None:
        """Serve on a listening socket."""
        files: dict[str, Any] = {}
        if tls is not None:
            tls.check()
            files = {"ssl_certfile": tls.certificate, "ssl_keyfile": tls.key}
            if tls.client_authority is not None:
                files |= {"ssl_ca_certs": str(tls.client_authority), "ssl_cert_reqs": ssl.CERT_REQUIRED}
        config = uvicorn.Config(
            self._application(), http=_bounded(self._receiver.limits.header_seconds), ws="none", lifespan="off",
            log_config=None, access_log=False, server_header=False, proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(self._receiver.limits.drain_seconds), **files,
        )  # fmt: skip
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve([listener]))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Take no new request, and return when those under way have their answers."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task

    def _application(self) -> Starlette:
        exports = [Route(path, self._export, methods=["POST"]) for path in _PATHS]
        return Starlette(
            routes=[
                *exports,
                Route("/healthz", self._show_health),
                Route("/readyz", self._show_readiness),
                Route("/metrics", self._show_metrics),
            ],
            exception_handlers={Exception: _answer_unforeseen},
        )

    async def _export(self, request: Request) -> Response:
        signal = _PATHS[request.url.path]
        coding = _coding_of(request)
        outcome = await self._receiver.settle(signal, "http", self._take(request, signal, coding))
        response = _response(signal, outcome, coding or "json")
        if not isinstance(outcome, Taken) and not await _discard(request, self._receiver.limits.header_seconds):
            response.headers["connection"] = "close"
        return response

    async def _take(self, request: Request, signal: Signal, coding: Coding | None) -> Taken:
        grant = self._receiver.authorize(request.headers.get("authorization"))
        if coding is None:
            raise Refused("media_type", f"The content type must be one of {', '.join(MEDIA_TYPES.values())}.")
        encoding = request.headers.get("content-encoding", "").strip().lower()
        with self._receiver.budget.open() as reservation:
            body = await _read_body(request, reservation, self._receiver.limits.body_seconds)
            return await self._receiver.take(Incoming(signal, coding, encoding, body), grant, reservation)

    async def _show_health(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _show_readiness(self, _request: Request) -> Response:
        ready = await self._receiver.is_ready()
        return PlainTextResponse("ready\n" if ready else "not ready\n", 200 if ready else 503)

    async def _show_metrics(self, request: Request) -> Response:
        render, authorization = self._receiver.render_metrics, request.headers.get("authorization")
        page = await asyncio.get_running_loop().run_in_executor(None, render, authorization)
        return Response(page, headers={"content-type": CONTENT_TYPE})


class _Server(uvicorn.Server):
    """Leaves the process's signals alone: whoever runs the bridge handles them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _BoundedProtocol(H11Protocol):
    """uvicorn's protocol with the deadline for headers that it lacks; h11 bounds their size (64 KiB)."""

    header_seconds: float
    _deadline: asyncio.TimerHandle | None = None
    _is_half_closed = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep a half-closed connection until its request has the answer, if that can be given."""
        is_busy = self.cycle is not None and not self.cycle.response_complete
        if not is_busy or self.scheme == "https" or (self.cycle.more_body and not self._is_refused()):
            return False
        self._is_half_closed = True
        self.cycle.more_body = False  # there is nothing more to be thrown away
        self.cycle.message_event.set()
        return True

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_half_closed:
            self.transport.close()

    def _is_refused(self) -> bool:
        return bool(self.scope["state"].get("is_refused"))

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, once: a request of which this is the body has no other answer any more."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        self.transport.close()
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.header_seconds, self._give_up)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if self.cycle is None:  # after an answer nothing is said: it is the rest of a refused body that never ends
            self.transport.write(_REQUEST_TIMEOUT)
        self.transport.close()

def _bounded(header_seconds: float) -> type[asyncio.Protocol]:
    """Return the protocol with its deadline: uvicorn makes its instances itself, and tells them nothing of ours."""
    return type("BoundedProtocol", (_BoundedProtocol,), {"header_seconds": header_seconds})


def _coding_of(request: Request) -> Coding | None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return next((coding for coding, known in MEDIA_TYPES.items() if known == media_type), None)


async def _read_body(request: Request, reservation: Reservation, seconds: float) -> bytes:
    """Return the body as it came; refused as soon as it is known to be too large, or too slow."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal():
        refuse_size(int(announced), reservation.max_request_bytes)

    async def read() -> bytes:
        body = bytearray()
        async for piece in request.stream():
            refuse_size(len(body) + len(piece), reservation.max_request_bytes)
            reservation.add(len(piece))
            body += piece
        request.state.is_read = True
        return bytes(body)

    try:
        return await asyncio.wait_for(read(), seconds)
    except asyncio.TimeoutError:
        raise Refused("too_slow", f"The request did not come whole within {seconds:g} s.") from None
    except ClientDisconnect:
        raise TryLater("The sender went away.") from None


async def _discard(request: Request, seconds: float) -> bool:
    """Throw away the rest of a body and return whether that was all: who sends before it listens would be cut off."""

    async def read() -> None:
        async for _ in request.stream():
            pass

    if getattr(request.state, "is_read", False):
        return True
    request.state.is_refused = True
    try:
        await asyncio.wait_for(read(), seconds)
    except (asyncio.TimeoutError, ClientDisconnect):
        return False
    return True


def _response(signal: Signal, outcome: Outcome, coding: Coding) -> Response:
    if isinstance(outcome, Taken):
        body = encode(response_of(signal, outcome), coding)
        return Response(body, headers={"content-type": MEDIA_TYPES[coding]})
    status, headers, body = http_failure(outcome, coding)
    return Response(body, status, headers)


async def _answer_unforeseen(_request: Request, error: Exception) -> Response:
    return _response("traces", TryLater(f"The server failed ({type(error).__name__})."), "json")
