"""A run's or an experiment's ids go in; while the context is open, other instrumentation nests under it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def span_context(trace_id: str, span_id: str) -> Iterator[None]:
    """Make the span of these ids (hex digits) the current one, sampled, in this thread and task.

    It uses the OpenTelemetry API alone; the user's providers are neither replaced nor needed.
    """
    from opentelemetry import context, trace

    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    span = trace.NonRecordingSpan(trace.SpanContext(int(trace_id, 16), int(span_id, 16), False, flags))
    token = context.attach(trace.set_span_in_context(span))
    try:
        yield
    finally:
        context.detach(token)
