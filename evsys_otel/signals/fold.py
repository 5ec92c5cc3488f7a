"""The fold: events of one journal in their order in, what each of them happened to out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from evsys_otel import events as e
from evsys_otel.conventions import SCOPE_NAME
from evsys_otel.signals.place import Place, part_span_bits, span_bits, trace_bits
from evsys_otel.signals.resource import ResourceMaker
from evsys_otel.signals.state import ExperimentState, GroupState, RunState, StreamState

if TYPE_CHECKING:
    from evsys_otel.journal import Identity

State = ExperimentState | GroupState | RunState | StreamState


class Fold:
    """State of a journal after the events applied so far; it draws no random number and reads no clock.

    ``unplaced`` counts events that name what no intact event declared, ``unplaced_values`` the step values among them.
    """

    def __init__(self, identity: Identity, resources: ResourceMaker) -> None:
        self.experiments: dict[int, ExperimentState] = {}
        self.groups: dict[int, GroupState] = {}
        self.runs: dict[int, RunState] = {}
        self.streams: dict[int, StreamState] = {}
        self.last_time_unix_nano: int = identity.created_unix_nano
        self.unplaced = 0
        self.unplaced_values = 0
        self._keysets: dict[int, list[str]] = {}
        self._journal_id = identity.journal_id
        self._scope = InstrumentationScope(SCOPE_NAME, identity.version)
        self._resources = resources
        self._appliers: dict[type, Callable[[Any], State | None]] = {
            e.ExperimentStarted: self._start_experiment,
            e.ExperimentEnded: self._end_experiment,
            e.GroupStarted: self._start_group,
            e.GroupEnded: self._end_group,
            e.RunStarted: self._start_run,
            e.RunUpdated: self._update_run,
            e.RunEnded: self._end_run,
            e.KeySetDeclared: self._declare_keyset,
            e.StreamDeclared: self._declare_stream,
            e.StepLogged: self._log_step,
            e.EvalLogged: self._log_eval,
            e.PredictionsLogged: self._log_predictions,
            e.CheckpointLogged: self._log_checkpoint,
            e.JournalClosed: self._close,
        }

    def apply(self, event: e.Event) -> State | None:
        """Apply one event and return what it happened to; None when there is nothing to tell of it or no place."""
        time_unix_nano = getattr(event, "time_unix_nano", 0)
        if time_unix_nano > self.last_time_unix_nano:
            self.last_time_unix_nano = time_unix_nano
        return self._appliers[type(event)](event)

    @property
    def open_runs(self) -> list[RunState]:
        """Runs that started and did not end."""
        return [run for run in self.runs.values() if run.is_open]

    def _place(self, instance_id: str, project_id: str | None, trace_of: str, span_id: int) -> Place:
        return Place(self._resources.make(instance_id, project_id), self._scope, trace_bits(trace_of), span_id)

    def _span(self, record_id: str, is_part: bool) -> int:
        return part_span_bits(record_id, self._journal_id) if is_part else span_bits(record_id)

    def _start_experiment(self, event: e.ExperimentStarted) -> State:
        is_part = event.joined or event.attempt > 1
        place = self._place(event.id, event.project_id, event.id, self._span(event.id, is_part))
        self.experiments[event.experiment] = ExperimentState(event, place, is_part)
        return self.experiments[event.experiment]

    def _end_experiment(self, event: e.ExperimentEnded) -> State | None:
        return self._closed(self.experiments.get(event.experiment))

    def _start_group(self, event: e.GroupStarted) -> State:
        experiment = self.experiments.get(event.experiment)
        owner = experiment.start.id if experiment else event.id
        project = experiment.start.project_id if experiment else None
        is_part = event.attempt > 1
        place = self._place(owner, project, owner, self._span(event.id, is_part))
        self.groups[event.group] = GroupState(event, experiment, place, is_part)
        return self.groups[event.group]

    def _end_group(self, event: e.GroupEnded) -> State | None:
        return self._closed(self.groups.get(event.group))

    def _start_run(self, event: e.RunStarted) -> State:
        experiment = self.experiments.get(event.experiment)
        group = None if event.group is None else self.groups.get(event.group)
        return self._add_run(event, experiment, group, is_known=True)

    def _add_run(
        self, start: e.RunStarted, experiment: ExperimentState | None, group: GroupState | None, *, is_known: bool
    ) -> RunState:
        owner = experiment.start.id if experiment else start.id
        project = experiment.start.project_id if experiment else None
        span_id = int(start.span_id, 16) if start.span_id else span_bits(start.id)
        place = self._place(start.id, project, owner, span_id)
        self.runs[start.run] = RunState(start, experiment, group, place, is_known)
        return self.runs[start.run]

    def _update_run(self, event: e.RunUpdated) -> State | None:
        run = self._placed(self.runs.get(event.run))
        if run:
            run.updates += 1
            facts = {name: getattr(event, name) for name in ("config", "wandb_url", "recipe", "seed")}
            run.start = msgspec.structs.replace(run.start, **{k: v for k, v in facts.items() if v is not None})
        return run

    def _end_run(self, event: e.RunEnded) -> State | None:
        run = self.runs.get(event.run)
        if run is None:
            start = e.RunStarted(
                event.time_unix_nano, event.run, -1, event.id, "", attempt=event.attempt, span_id=event.span_id
            )
            run = self._add_run(start, None, None, is_known=False)
        return self._closed(run)

    def _declare_keyset(self, event: e.KeySetDeclared) -> None:
        self._keysets[event.keyset] = event.names

    def _declare_stream(self, event: e.StreamDeclared) -> None:
        run, names = self.runs.get(event.run), self._keysets.get(event.keyset)
        if run is None or names is None:
            self.unplaced += 1
        elif event.stream not in self.streams:
            stream = StreamState(event.stream, run, event.split, event.keyset, names)
            self.streams[event.stream] = run.streams[event.stream] = stream

    def _log_step(self, event: e.StepLogged) -> State | None:
        stream = self.streams.get(event.stream)
        if stream is None or len(event.values) != stream.row.size:
            self.unplaced += 1
            self.unplaced_values += len(event.values) // 8
            return None
        stream.next_ordinal = max(stream.next_ordinal, event.ordinal + 1)
        stream.run.last_step = event.step
        return stream

    def _log_eval(self, event: e.EvalLogged) -> State | None:
        run = self._placed(self.runs.get(event.run))
        if run:
            run.evals = event.ordinal + 1
        return run

    def _log_predictions(self, event: e.PredictionsLogged) -> State | None:
        run = self._placed(self.runs.get(event.run))
        if run:
            run.predictions = event.ordinal + len(event.rows)
        return run

    def _log_checkpoint(self, event: e.CheckpointLogged) -> State | None:
        run = self._placed(self.runs.get(event.run))
        if run:
            run.checkpoints = event.ordinal + 1
        return run

    def _close(self, event: e.JournalClosed) -> None:
        """A journal's end tells nothing of any record."""

    def _placed(self, run: RunState | None) -> RunState | None:
        if run is None:
            self.unplaced += 1
        return run

    def _closed(self, state: State | None) -> State | None:
        if state is None:
            self.unplaced += 1
        elif not isinstance(state, StreamState):
            state.is_open = False
        return state
