"""Addresses and a store go in, a running bridge comes out: both servers started, drained and stopped as one."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from evsys_otel.bridge.auth import Tokens
from evsys_otel.bridge.grpc import GrpcServer
from evsys_otel.bridge.http import HttpServer
from evsys_otel.bridge.limits import Limits
from evsys_otel.bridge.opening import StoreDoor
from evsys_otel.bridge.receiver import Receiver
from evsys_otel.bridge.tls import TlsFiles
from evsys_otel.bridge.upkeep import Retention, Upkeep
from evsys_otel.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port; port 0 lets the system choose."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address | None:
        """Return the address of ``HOST:PORT`` (``[::1]:4317`` for IPv6), None for ``none``.

        Raises:
            ConfigurationError: the text is neither.
        """
        if text.strip().lower() == "none":
            return None
        host, separator, port = text.strip().rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not (separator and host and port.isdecimal() and int(port) < 65536):
            raise ConfigurationError(f"{text!r} is no address; give HOST:PORT, or none.")
        return cls(host, int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """Where to listen, what to write to, and within which bounds; None is a server that is not started.

    With ``retention`` old journals and records are removed while it runs.
    """

    store_url: str
    tokens: Tokens
    grpc: Address | None = Address("127.0.0.1", 4317)
    http: Address | None = Address("127.0.0.1", 4318)
    tls: TlsFiles | None = None
    limits: Limits = field(default_factory=Limits)
    retention: Retention | None = None


class Bridge:
    """An OTLP receiver in front of a store; started and stopped once.

    Raises:
        ConfigurationError: the store's URL cannot be used.
        StoreVersionError: the store was written by a newer version of this package.
    """

    def __init__(self, options: BridgeOptions) -> None:
        self._options = options
        self._door = StoreDoor(options.store_url)
        self._receiver = Receiver(self._door, options.tokens, options.limits)
        self._grpc = GrpcServer(self._receiver) if options.grpc else None
        self._http = HttpServer(self._receiver) if options.http else None
        self._upkeep = Upkeep(self._door.open, options.retention) if options.retention else None
        self.grpc: Address | None = None
        self.http: Address | None = None

    @property
    def store_label(self) -> str:
        """Where the store is, for people."""
        return self._door.label

    async def start(self) -> None:
        """Listen; ``grpc`` and ``http`` are then the addresses. Raises ConfigurationError when one cannot be had."""
        options = self._options
        if self._http is not None and options.http is not None:
            listener = _listen(options.http)
            self.http = Address(options.http.host, listener.getsockname()[1])
            await self._http.start(listener, options.tls)
        if self._grpc is not None and options.grpc is not None:
            port = await self._grpc.start(str(options.grpc), options.tls)
            self.grpc = Address(options.grpc.host, port)
        if self._upkeep is not None:
            self._upkeep.start()

    async def stop(self) -> None:
        """Refuse what is new as for later, answer what is under way, commit, and close the store."""
        self._receiver.draining = True
        servers = []
        if self._grpc is not None:
            servers.append(self._grpc.stop(self._options.limits.drain_seconds))
        if self._http is not None:
            servers.append(self._http.stop())
        await asyncio.gather(*servers)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._receiver.close)
        if self._upkeep is not None:
            await loop.run_in_executor(None, self._upkeep.stop)
        self._door.close()


def serve(options: BridgeOptions, announce: Callable[[Bridge], None]) -> None:
    """Run a bridge until SIGTERM or SIGINT, and return when it has drained.

    Args:
        options: What to run.
        announce: Is called once, when requests are taken.
    """
    asyncio.run(_serve(options, announce))


async def _serve(options: BridgeOptions, announce: Callable[[Bridge], None]) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, told.set)
    bridge = Bridge(options)
    try:
        await bridge.start()
        announce(bridge)
        await told.wait()
    finally:
        await bridge.stop()


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=1024)
    except OSError as error:
        raise ConfigurationError(f"The address {address} cannot be listened on ({error.strerror}).") from None
