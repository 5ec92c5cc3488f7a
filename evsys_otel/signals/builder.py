"""Events of one journal in, OpenTelemetry signals out: pure, without a clock or a random number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.trace import ReadableSpan

from evsys_otel import events as e
from evsys_otel.conventions import CRASHED
from evsys_otel.signals import logs as logs_of
from evsys_otel.signals import metrics as metrics_of
from evsys_otel.signals import spans as spans_of
from evsys_otel.signals.fold import Fold, State
from evsys_otel.signals.resource import ResourceMaker
from evsys_otel.signals.state import RunState, StreamState
from evsys_otel.signals.totals import crashed_end, with_lost_facts

if TYPE_CHECKING:
    from evsys_otel.journal import Identity

_SPANS: dict[type, Callable[[Any, Any], list[ReadableSpan]]] = {
    e.ExperimentEnded: spans_of.experiment_ended,
    e.GroupEnded: spans_of.group_ended,
    e.RunEnded: spans_of.run_ended,
    e.EvalLogged: spans_of.eval_logged,
    e.CheckpointLogged: spans_of.checkpoint_logged,
}
_LOGS: dict[type, Callable[[Any, Any], list[ReadableLogRecord]]] = {
    e.ExperimentStarted: logs_of.experiment_started,
    e.ExperimentEnded: logs_of.experiment_ended,
    e.GroupStarted: logs_of.group_started,
    e.GroupEnded: logs_of.group_ended,
    e.RunStarted: logs_of.run_started,
    e.RunUpdated: logs_of.run_updated,
    e.RunEnded: logs_of.run_ended,
    e.EvalLogged: logs_of.eval_logged,
    e.PredictionsLogged: logs_of.predictions_logged,
    e.CheckpointLogged: logs_of.checkpoint_logged,
}


@dataclass(slots=True)
class Signals:
    """Signals of one batch of events; ``metrics`` has one element, with one ResourceMetrics, for each run."""

    spans: list[ReadableSpan] = field(default_factory=list)
    metrics: list[MetricsData] = field(default_factory=list)
    logs: list[ReadableLogRecord] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.spans or self.metrics or self.logs)


class SignalBuilder:
    """A fold over one journal's events in their order; how they are cut into batches changes no record of theirs.

    Args:
        identity: plain facts about the training process, from the journal's header.
        traces: whether spans are built; ``metrics`` and ``logs`` likewise.
        resource_attributes: of the user (``OTEL_SERVICE_NAME``, ``OTEL_RESOURCE_ATTRIBUTES``).
        max_point_exemplars: most steps in one data point, which collectors cannot split.
        prediction_texts: whether predictions carry their texts.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        traces: bool = True,
        metrics: bool = True,
        logs: bool = True,
        resource_attributes: Mapping[str, str] | None = None,
        max_point_exemplars: int = 1000,
        prediction_texts: bool = True,
    ) -> None:
        self._fold = Fold(identity, ResourceMaker(identity, resource_attributes or {}))
        self._spans = _SPANS if traces else {}
        self._logs = _LOGS if logs else {}
        self._metrics = metrics
        self._max_point_exemplars = max_point_exemplars
        if logs and not prediction_texts:
            self._logs = {**_LOGS, e.PredictionsLogged: partial(logs_of.predictions_logged, texts=False)}

    def build(self, events: Sequence[e.Event]) -> Signals:
        """Return the signals of the next events of the journal."""
        signals = Signals()
        steps: dict[StreamState, list[e.StepLogged]] = {}
        for event in events:
            state = self._fold.apply(event)
            if type(event) is not e.StepLogged:
                if type(event) is e.RunEnded and isinstance(state, RunState):
                    event = with_lost_facts(event, state)
                self._emit(event, state, signals)
            elif isinstance(state, StreamState):
                steps.setdefault(state, []).append(event)
        if self._metrics:
            signals.metrics = metrics_of.steps_logged(steps, self._max_point_exemplars)
        return signals

    def skip(self, events: Sequence[e.Event]) -> None:
        """Take note of events whose signals were delivered before, without building them again."""
        for event in events:
            self._fold.apply(event)

    def crash(self, losses: Sequence[e.Lost], *, damage: int = 0) -> Signals:
        """Return the ends of everything open, as crashed 1 ns after the last event; the fold stays as it is.

        An experiment that was joined is its owner's to end.

        Args:
            losses: what the recorder could not append, from the journal's header.
            damage: how many ranges of the journal could not be read, an unfinished last frame left aside. No later
                event tells what was in them, so each makes the open runs miss one value that is nobody's.
        """
        fold, signals = self._fold, Signals()
        time = fold.last_time_unix_nano + 1
        for run in fold.open_runs:
            self._emit(crashed_end(run, time, losses, fold.unplaced_values + damage), run, signals)
        for number, group in fold.groups.items():
            if group.is_open:
                self._emit(e.GroupEnded(time, number, CRASHED), group, signals)
        for number, experiment in fold.experiments.items():
            if experiment.is_open and not experiment.start.joined:  # another process's to end
                self._emit(e.ExperimentEnded(time, number, CRASHED), experiment, signals)
        return signals

    def heartbeat(self, time_unix_nano: int) -> Signals:
        """Return a sign of life of each open run, with its last step; the time is the shipper's."""
        if not self._logs:
            return Signals()
        return Signals(logs=[logs_of.run_heartbeat(run, time_unix_nano) for run in self._fold.open_runs])

    @property
    def last_time_unix_nano(self) -> int:
        """Time of the last event, at first of the journal's creation."""
        return self._fold.last_time_unix_nano

    @property
    def open_runs(self) -> list[str]:
        """Ids of the runs that started and did not end."""
        return [run.start.id for run in self._fold.open_runs]

    @property
    def unplaced(self) -> int:
        """Events that could not be placed, since what declares their run or stream was damaged."""
        return self._fold.unplaced

    def _emit(self, event: e.Event, state: State | None, signals: Signals) -> None:
        if state is None:
            return
        kind = type(event)
        if kind in self._logs:
            signals.logs += self._logs[kind](state, event)
        if kind in self._spans:
            signals.spans += self._spans[kind](state, event)
