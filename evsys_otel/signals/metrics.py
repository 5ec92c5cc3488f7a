"""Steps of a stream in, gauge points out: one point a metric with one exemplar a step.

The step is never a point attribute, which would make a time series of every step; exemplars are the measurements behind
an aggregate (metrics data model, "Exemplars"), and a point's own value is the last of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    Gauge,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)

from evsys_otel import conventions as c
from evsys_otel.events import StepLogged
from evsys_otel.signals.state import Attributes, RunState, StreamState

_Points = dict[str, list[NumberDataPoint]]


def steps_logged(steps: dict[StreamState, list[StepLogged]], max_point_exemplars: int) -> list[MetricsData]:
    """Return the metrics of each run that has steps; a point holds at most so many exemplars, of one stream."""
    by_run: dict[RunState, _Points] = {}
    for stream, events in steps.items():
        points = by_run.setdefault(stream.run, defaultdict(list))
        for portion in _consecutive(events, max_point_exemplars):
            _add_points(points, stream, portion)
    return [_metrics_of(run, points) for run, points in by_run.items() if points]


def _consecutive(events: Sequence[StepLogged], limit: int) -> Iterator[Sequence[StepLogged]]:
    """Yield the events in portions whose ordinals follow on: receivers count from the first one's."""
    begin = 0
    for index in range(1, len(events)):
        if index - begin == limit or events[index].ordinal != events[index - 1].ordinal + 1:
            yield events[begin:index]
            begin = index
    yield events[begin:]


def _add_points(points: _Points, stream: StreamState, events: Sequence[StepLogged]) -> None:
    if not stream.names:
        return
    trace_id, span_id = stream.run.place.trace_id, stream.run.place.span_id
    times = [event.time_unix_nano for event in events]
    step = c.STEP
    marks: list[Attributes] = [{step: event.step} for event in events]  # each shared by all metrics of its step
    marks[0] |= {c.ORDINAL: events[0].ordinal, c.KEYSET: stream.keyset, **stream.run.attempt_marks}
    columns = zip(*stream.row.iter_unpack(b"".join([event.values for event in events])), strict=True)
    for (instrument, attributes), values in zip(stream.points, columns, strict=True):
        exemplars = [
            Exemplar(mark, value, time, span_id, trace_id)
            for mark, value, time in zip(marks, values, times)  # noqa: B905 (the hot loop; equal by construction)
        ]
        points[instrument].append(NumberDataPoint(attributes, 0, times[-1], values[-1], exemplars))


def _metrics_of(run: RunState, points: _Points) -> MetricsData:
    metrics = [Metric(name, "", "", Gauge(of_name)) for name, of_name in points.items()]
    place = run.place
    return MetricsData([ResourceMetrics(place.resource, [ScopeMetrics(place.scope, metrics, "")], "")])
