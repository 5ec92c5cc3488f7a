"""Signals of one kind go in, calls of an exporter object that the user handed in come out.

An exporter answers a bool, and the SDK's own answer it both ways wrongly (success for a redirect that delivered nothing
and for a partial success; the same failure for a refused record as for an outage). So SUCCESS is taken and anything
else is tried again later: one record that the destination refuses for good holds this lane up. An endpoint given by
``OTEL_*`` has no such limit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from evsys_otel.errors import ConfigurationError
from evsys_otel.journal import Identity
from evsys_otel.otlp import Taken, TryLater
from evsys_otel.shipper.sinks import Delivery, Trouble
from evsys_otel.signals import SignalBuilder, Signals

Exporter = SpanExporter | MetricExporter | LogRecordExporter


class ExporterSink:
    """One handed-in exporter as a lane's destination; its position is kept in the journal's status."""

    def __init__(self, exporter: Exporter, signal: str, number: int) -> None:
        self.name = f"exporter.{number}.{signal}"
        self.destination = type(exporter).__qualname__
        self.heartbeats = signal == "logs"
        self._exporter = exporter
        self._signal = signal

    def builder(self, identity: Identity) -> SignalBuilder:
        """Return a builder of the exporter's signal."""
        return SignalBuilder(
            identity, traces=self._signal == "traces", metrics=self._signal == "metrics", logs=self._signal == "logs"
        )

    def open(self, acknowledged: int) -> int | Trouble:
        """Exporters keep no position."""
        return acknowledged

    def deliver(self, signals: Signals, position: int) -> Delivery:
        """Export; what follows a failed call is kept for the next try."""
        try:
            return self._export(signals)
        except Exception as error:  # noqa: BLE001 (what an exporter raises is as good as its FAILURE)
            return Delivery(TryLater(f"{self.destination} raised {type(error).__name__}: {error}"), signals)

    def _export(self, signals: Signals) -> Delivery:
        exporter: Any = self._exporter
        if signals.spans and exporter.export(signals.spans) is not SpanExportResult.SUCCESS:
            return Delivery(self._later(), signals)
        if signals.logs and exporter.export(signals.logs) is not LogRecordExportResult.SUCCESS:
            return Delivery(self._later(), signals)
        for number, data in enumerate(signals.metrics):
            if exporter.export(data) is not MetricExportResult.SUCCESS:
                return Delivery(self._later(), Signals(spans=[], metrics=signals.metrics[number:], logs=[]))
        return Delivery(Taken())

    def interrupt(self) -> None:
        """Shut the exporter down: it ends the back-off of the SDK's own."""
        with contextlib.suppress(Exception):
            self._exporter.shutdown()

    def close(self) -> None:
        """Let the exporter finish what it took, and shut it down."""
        with contextlib.suppress(Exception):
            self._exporter.force_flush()
        self.interrupt()

    def _later(self) -> TryLater:
        return TryLater(f"{self.destination} answered FAILURE")


def exporter_sinks(exporters: Sequence[object]) -> list[ExporterSink]:
    """Return a sink for each exporter object.

    Raises:
        ConfigurationError: an object is no exporter of the OpenTelemetry SDK.
    """
    return [ExporterSink(exporter, _signal_of(exporter), number) for number, exporter in enumerate(exporters)]  # type: ignore[arg-type]


def _signal_of(exporter: object) -> str:
    for kind, signal in ((SpanExporter, "traces"), (MetricExporter, "metrics"), (LogRecordExporter, "logs")):
        if isinstance(exporter, kind):
            return signal
    raise ConfigurationError(
        f"{type(exporter).__qualname__} is no exporter; give SpanExporter, MetricExporter or LogRecordExporter objects."
    )
