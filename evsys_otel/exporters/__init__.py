"""OpenTelemetry SDK exporters that write spans, metrics and log records into an evsys store."""

from __future__ import annotations

from evsys_otel.exporters.log import EvsysLogExporter
from evsys_otel.exporters.metric import EvsysMetricExporter
from evsys_otel.exporters.span import EvsysSpanExporter

__all__ = ["EvsysLogExporter", "EvsysMetricExporter", "EvsysSpanExporter"]
