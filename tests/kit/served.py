"""A bridge in a process of its own, whose memory can be watched, and raw bytes to its ports."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from kit.processes import clean_environment

MIB = 1024 * 1024

_SCRIPT = """
import sys
from evsys_otel.bridge.auth import Tokens
from evsys_otel.bridge.limits import Limits
from evsys_otel.bridge.server import Address, BridgeOptions, serve
anywhere = Address("127.0.0.1", 0)
options = BridgeOptions(sys.argv[1], Tokens.load(None), anywhere, anywhere, None, eval(sys.argv[2]))
serve(options, lambda bridge: print(bridge.grpc.port, bridge.http.port, flush=True))
"""


@dataclass
class Peak:
    """The largest resident size that was seen, and that at the beginning, in bytes."""

    before: int
    bytes: int = 0
    _done: threading.Event = field(default_factory=threading.Event)

    @property
    def growth(self) -> int:
        """How much more it was than at the beginning."""
        return self.bytes - self.before


@dataclass(frozen=True)
class Served:
    """A running server process, and the ports that it listens on."""

    process: psutil.Process
    grpc: int
    http: int

    @property
    def url(self) -> str:
        """Base URL of OTLP/HTTP."""
        return f"http://127.0.0.1:{self.http}"

    @contextlib.contextmanager
    def watched(self) -> Iterator[Peak]:
        """Watch the process's resident size within the block."""
        peak = Peak(self.process.memory_info().rss)

        def watch() -> None:
            while not peak._done.wait(0.002):
                peak.bytes = max(peak.bytes, self.process.memory_info().rss)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield peak
        finally:
            peak._done.set()
            thread.join()


@contextlib.contextmanager
def served_bridge(store_url: str, limits: str = "Limits()", errors: Path | None = None) -> Iterator[Served]:
    """Run a bridge with limits given as Python; its standard error goes to a file."""
    with contextlib.ExitStack() as stack:
        stderr = stack.enter_context(errors.open("wb")) if errors else subprocess.DEVNULL
        process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, store_url, limits], stdout=subprocess.PIPE, stderr=stderr,
            env=clean_environment(),
        )
        try:
            assert process.stdout is not None
            grpc_port, http_port = map(int, process.stdout.readline().split())
            yield Served(psutil.Process(process.pid), grpc_port, http_port)
        finally:
            process.terminate()
            process.communicate(timeout=60)


def speak(port: int, said: bytes, *, end: bool = True, seconds: float = 30.0) -> bytes:
    """Send bytes as they are, half-close, and return what is answered until the server closes or falls silent."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        with contextlib.suppress(OSError):  # it may have heard enough before the end
            connection.sendall(said)
            if end:
                connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while piece := connection.recv(65536):
                heard += piece
    return heard
