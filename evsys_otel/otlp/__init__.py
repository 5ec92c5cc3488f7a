"""The OTLP sender: settings and signals go in, requests over gRPC or HTTP and their outcomes come out.

Importing it is light; what sends is imported where a sender is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evsys_otel.otlp.config import resolve_destinations
from evsys_otel.otlp.destination import SIGNALS, Destination, Signal
from evsys_otel.otlp.outcomes import Outcome, Refused, Taken, TryLater
from evsys_otel.otlp.sender import Sender, open_sender

if TYPE_CHECKING:
    from evsys_otel.otlp.requests import SignalSender
    from evsys_otel.settings import Settings

__all__ = [
    "SIGNALS", "Destination", "Outcome", "Refused", "Sender", "Signal", "Taken", "TryLater", "open_sender",
    "open_signal_sender", "resolve_destinations",
]


def open_signal_sender(destination: Destination, settings: Settings) -> SignalSender[Any, Any]:
    """Return what delivers SDK signals to the destination: packed, split, shortened and paced by the settings."""
    from evsys_otel.otlp.kinds import KINDS
    from evsys_otel.otlp.pacing import Pacer
    from evsys_otel.otlp.requests import Limits, SignalSender

    limits = Limits(settings.otlp_max_request_bytes, settings.otlp_max_record_bytes)
    pacer = Pacer(settings.otlp_max_bytes_per_second)
    return SignalSender(KINDS[destination.signal], open_sender(destination), limits, pacer)
