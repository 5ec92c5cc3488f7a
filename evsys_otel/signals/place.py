"""Where a signal belongs: ids of the journal in, span contexts and the log context that bears them out."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from evsys_otel.conventions import span_id_of, trace_id_of

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


@dataclass(frozen=True, slots=True)
class Place:
    """The resource, scope, trace and span that an entity's signals belong to."""

    resource: Resource
    scope: InstrumentationScope
    trace_id: int
    span_id: int
    log_context: Context = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Made once: an empty Context is falsy, and a LogRecord would take the span that is current in its place.
        context = set_span_in_context(NonRecordingSpan(self.span_context), Context())
        object.__setattr__(self, "log_context", context)

    @property
    def span_context(self) -> SpanContext:
        """The span's own context, sampled."""
        return self.context_of(self.span_id)

    def context_of(self, span_id: int) -> SpanContext:
        """Return the context of another span of the same trace."""
        return SpanContext(self.trace_id, span_id, is_remote=False, trace_flags=_SAMPLED)

    def at(self, span_id: int) -> Place:
        """Return the same place with another span: that of an eval, a checkpoint or a later attempt."""
        return replace(self, span_id=span_id)


def trace_bits(record_id: str) -> int:
    """Return the trace id of an experiment; an id that is no UUID gets derived bits, so that nothing is lost for it."""
    return trace_id_of(as_uuid(record_id)) or 1


def span_bits(record_id: str) -> int:
    """Return the span id of a record, with the same leniency."""
    return span_id_of(as_uuid(record_id))


def part_span_bits(record_id: str, journal_id: str) -> int:
    """Return the span id of one process's part of a record that another process began: derived, hence repeatable."""
    return span_id_of(str(uuid.uuid5(uuid.UUID(as_uuid(record_id)), journal_id)))


def parse_traceparent(traceparent: str | None) -> SpanContext | None:
    """Return the span context of a W3C ``traceparent``, None when there is none or it is malformed."""
    if not traceparent:
        return None
    context = TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())
    span_context = get_current_span(context).get_span_context()
    return span_context if span_context.is_valid else None


def as_uuid(record_id: str) -> str:
    """Return the id, when it is a UUID, else one derived from it."""
    try:
        return str(uuid.UUID(record_id))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, record_id))
