"""Ends of experiments, groups and runs, evals and checkpoints in, their spans out."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from evsys_otel import conventions as c
from evsys_otel.events import CheckpointLogged, EvalLogged, ExperimentEnded, GroupEnded, RunEnded
from evsys_otel.signals import attributes as facts
from evsys_otel.signals.place import Place, parse_traceparent, span_bits
from evsys_otel.signals.state import Attributes, ExperimentState, GroupState, RunState

MAX_DESCRIPTION = 1024
"""Characters of an error that a span's status repeats; the attribute has all of it."""


def experiment_ended(experiment: ExperimentState, end: ExperimentEnded) -> list[ReadableSpan]:
    """Return an experiment's span: a root, linked to ``TRACEPARENT``.

    A process that joined or reopened the experiment tells its own part: a child of the experiment's span, linked to it.
    """
    start, place = experiment.start, experiment.place
    root = place.context_of(span_bits(start.id))
    caller = parse_traceparent(start.traceparent)
    linked = [root] if experiment.is_part else []
    return [
        _span(
            f"experiment {start.name}", place, (start.time_unix_nano, end.time_unix_nano),
            {**facts.experiment_start(experiment), **facts.experiment_end(experiment, end)},
            parent=root if experiment.is_part else None,
            links=[*linked, *([caller] if caller else [])],
            status=_status(end.status, end.error),
        )
    ]  # fmt: skip


def group_ended(group: GroupState, end: GroupEnded) -> list[ReadableSpan]:
    """Return a group's span, a child of its experiment's; a later attempt's own is linked to the first."""
    start, place, experiment = group.start, group.place, group.experiment
    return [
        _span(
            f"group {start.name}", place, (start.time_unix_nano, end.time_unix_nano), facts.group_end(group, end),
            parent=place.context_of(span_bits(experiment.start.id)) if experiment else None,
            links=[place.context_of(span_bits(start.id))] if group.is_part else [],
            status=_status(end.status, None),
        )
    ]  # fmt: skip


def run_ended(run: RunState, end: RunEnded) -> list[ReadableSpan]:
    """Return a run's span, a child of its group's, else of its experiment's; none when its start is not known.

    The first attempt's id is the run's own; a later one's was drawn by the recorder, and it is linked to the first.
    """
    if not run.is_known:
        return []
    start, place = run.start, run.place
    above = run.group.start.id if run.group else run.experiment.start.id if run.experiment else None
    first = span_bits(start.id)
    return [
        _span(
            f"run {start.name}", place, (start.time_unix_nano, end.time_unix_nano),
            {**facts.run_start(run), **facts.run_end(run, end)},
            parent=place.context_of(span_bits(above)) if above else None,
            links=[place.context_of(first)] if place.span_id != first else [],
            status=_status(end.status, end.error),
        )
    ]  # fmt: skip


def eval_logged(run: RunState, event: EvalLogged) -> list[ReadableSpan]:
    """Return an eval's span, from its begin where that is known."""
    place = run.place.at(span_bits(event.id))
    times = (event.start_time_unix_nano or event.time_unix_nano, event.time_unix_nano)
    attributes = facts.evaluation(run, event)
    return [_span(f"eval {event.name}", place, times, attributes, parent=run.place.span_context)]


def checkpoint_logged(run: RunState, event: CheckpointLogged) -> list[ReadableSpan]:
    """Return a checkpoint's span, which has no length."""
    place = run.place.at(span_bits(facts.checkpoint_id(run, event)))
    times = (event.time_unix_nano, event.time_unix_nano)
    name = f"checkpoint {event.label or event.uri}"
    return [_span(name, place, times, facts.checkpoint(run, event), parent=run.place.span_context)]


def _status(status: str, error: str | None) -> Status:
    if status in {c.FAILED, c.CRASHED}:
        return Status(StatusCode.ERROR, (error or status)[:MAX_DESCRIPTION])
    return Status(StatusCode.UNSET)


def _span(
    name: str,
    place: Place,
    times: tuple[int, int],
    attributes: Attributes,
    *,
    parent: SpanContext | None,
    links: Sequence[SpanContext] = (),
    status: Status | None = None,
) -> ReadableSpan:
    return ReadableSpan(
        name,
        context=place.span_context,
        parent=parent,
        resource=place.resource,
        attributes=attributes,
        links=[Link(context) for context in links],
        status=status or Status(StatusCode.UNSET),
        start_time=times[0],
        end_time=times[1],
        instrumentation_scope=place.scope,
    )
