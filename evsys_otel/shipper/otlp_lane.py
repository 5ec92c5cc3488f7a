"""Signals of one kind go in, OTLP requests of bounded size and pace come out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evsys_otel.journal import Identity
from evsys_otel.otlp import SIGNALS, Destination, Signal, Taken, open_signal_sender, resolve_destinations
from evsys_otel.settings import Settings
from evsys_otel.shipper.parked import Parked
from evsys_otel.shipper.sinks import Delivery, Trouble
from evsys_otel.signals import SignalBuilder, Signals

OTLP_LANE_PREFIX = "otlp."
PARTS: dict[Signal, str] = {"traces": "spans", "metrics": "metrics", "logs": "logs"}
"""Which part of :class:`Signals` each OTLP signal is."""


class OtlpSink:
    """One signal's OTLP destination; its position is kept in the journal's status."""

    def __init__(self, destination: Destination, settings: Settings) -> None:
        self.name = OTLP_LANE_PREFIX + destination.signal
        self.destination = destination.label
        self.heartbeats = destination.signal == "logs"
        self._signal: Signal = destination.signal
        self._prediction_texts = settings.otlp_predictions
        self._sender = open_signal_sender(destination, settings)

    def builder(self, identity: Identity) -> SignalBuilder:
        """Return a builder of this signal alone."""
        return SignalBuilder(
            identity,
            traces=self._signal == "traces",
            metrics=self._signal == "metrics",
            logs=self._signal == "logs",
            prediction_texts=self._prediction_texts,
        )

    def open(self, acknowledged: int) -> int | Trouble:
        """A receiver keeps no position."""
        return acknowledged

    def deliver(self, signals: Signals, position: int) -> Delivery:
        """Send the signals; what a receiver refuses alone is parked, the rest of a failed delivery is for later."""
        items: list[Any] = getattr(signals, PARTS[self._signal])
        if not items:
            return Delivery(Taken())
        result = self._sender.deliver(items)
        rest = None if isinstance(result.outcome, Taken) else _of_part(PARTS[self._signal], result.rest)
        parked = [Parked(self.name, record.description, record.reason) for record in result.parked]
        return Delivery(result.outcome, rest, parked, result.shortened, result.rejected)

    def interrupt(self) -> None:
        """End the request under way, and the pace's wait."""
        self._sender.close()

    def close(self) -> None:
        """Close the connection."""
        self._sender.close()


def otlp_sinks(settings: Settings, environ: Mapping[str, str] | None = None) -> list[OtlpSink]:
    """Return a sink for each signal that has an OTLP endpoint.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    destinations = resolve_destinations(settings, environ)
    return [OtlpSink(destinations[signal], settings) for signal in SIGNALS if signal in destinations]


def _of_part(part: str, items: list[Any]) -> Signals:
    signals = Signals()
    setattr(signals, part, items)
    return signals
