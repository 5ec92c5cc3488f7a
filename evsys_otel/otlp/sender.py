"""A destination goes in, what sends encoded requests to it comes out."""

from __future__ import annotations

from typing import Protocol

from evsys_otel.otlp.destination import Destination
from evsys_otel.otlp.outcomes import Outcome


class Sender(Protocol):
    """Sends encoded requests of one signal to one destination; it retries nothing and never raises."""

    def send(self, request: bytes) -> Outcome:
        """Send one request and return what became of it; blocks at most for the destination's timeout."""
        ...

    def close(self) -> None:
        """End a request under way, from any thread, and let go of the connection; later requests are for later."""
        ...


def open_sender(destination: Destination) -> Sender:
    """Return a sender for the destination; nothing is connected yet, and files are read when they are needed."""
    if destination.protocol == "grpc":
        from evsys_otel.otlp.grpc import GrpcSender

        return GrpcSender(destination)
    from evsys_otel.otlp.http import HttpSender

    return HttpSender(destination)
