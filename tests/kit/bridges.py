"""A bridge in this process, on ports of its own, with its event loop in a thread; and plain requests to one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from evsys_otel.bridge.auth import Tokens
from evsys_otel.bridge.limits import Limits
from evsys_otel.bridge.server import Address, Bridge, BridgeOptions
from evsys_otel.bridge.tls import TlsFiles

PROTOBUF, JSON = "application/x-protobuf", "application/json"


@dataclass(frozen=True)
class RunningBridge:
    """Where it listens; ``stop`` drains it."""

    bridge: Bridge
    loop: asyncio.AbstractEventLoop
    secure: bool

    @property
    def grpc(self) -> str:
        """``host:port``"""
        return str(self.bridge.grpc)

    @property
    def http(self) -> str:
        """Base URL."""
        return f"{'https' if self.secure else 'http'}://{self.bridge.http}"

    def stop(self) -> None:
        """Drain and stop."""
        asyncio.run_coroutine_threadsafe(self.bridge.stop(), self.loop).result(60)


@contextlib.contextmanager
def running_bridge(
    store_url: str, *, tokens: str | None = None, limits: Limits | None = None, tls: TlsFiles | None = None
) -> Iterator[RunningBridge]:
    """Run a bridge in front of a store."""
    anywhere = Address("127.0.0.1", 0)
    options = BridgeOptions(store_url, Tokens.load(tokens), anywhere, anywhere, tls, limits or Limits())
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        bridge = Bridge(options)
        asyncio.run_coroutine_threadsafe(bridge.start(), loop).result(30)
        running = RunningBridge(bridge, loop, tls is not None)
        yield running
        with contextlib.suppress(Exception):
            running.stop()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


@dataclass(frozen=True)
class Reply:
    """What an HTTP request was answered."""

    status: int
    body: bytes
    headers: Message = field(default_factory=Message)


def post(url: str, body: bytes, content_type: str = PROTOBUF, **headers: str) -> Reply:
    """Send a body; an underscore in a header's name is a dash."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return _ask(urllib.request.Request(url, body, {"content-type": content_type, **named}))


def get(url: str, **headers: str) -> Reply:
    """Read a page."""
    return _ask(urllib.request.Request(url, headers=headers))


def _ask(request: Any) -> Reply:
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Reply(answer.status, answer.read(), answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.read(), error.headers)
