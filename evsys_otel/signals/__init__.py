"""Events of a journal in, OpenTelemetry spans, metrics data and log records out."""

from __future__ import annotations

from evsys_otel.signals.builder import SignalBuilder, Signals

__all__ = ["SignalBuilder", "Signals"]
