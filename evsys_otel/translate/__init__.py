"""Signals in, as SDK objects or OTLP messages; evsys store records out: one translator over two thin readers."""

from __future__ import annotations

from evsys_otel.translate.otlp import (
    project_of,
    translate_otlp_logs,
    translate_otlp_metrics,
    translate_otlp_traces,
)
from evsys_otel.translate.sdk import translate_logs, translate_metrics, translate_spans

__all__ = [
    "project_of",
    "translate_logs",
    "translate_metrics",
    "translate_otlp_logs",
    "translate_otlp_metrics",
    "translate_otlp_traces",
    "translate_spans",
]
