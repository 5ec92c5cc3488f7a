"""Events of the journal in, the log events that carry their records out: at once, not when a span ends."""

from __future__ import annotations

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.util.types import AnyValue

from evsys_otel import conventions as c
from evsys_otel.events import (
    CheckpointLogged,
    EvalLogged,
    ExperimentEnded,
    ExperimentStarted,
    GroupEnded,
    GroupStarted,
    PredictionsLogged,
    RunEnded,
    RunStarted,
    RunUpdated,
)
from evsys_otel.signals import attributes as facts
from evsys_otel.signals.place import Place, span_bits
from evsys_otel.signals.state import Attributes, ExperimentState, GroupState, RunState
from evsys_otel.signals.totals import totals_texts

_ERRORS = {c.FAILED, c.CRASHED}


def experiment_started(experiment: ExperimentState, event: ExperimentStarted) -> list[ReadableLogRecord]:
    """Return the log event of an experiment's start."""
    attributes = facts.experiment_start(experiment)
    return [_log(c.EVENT_EXPERIMENT_START, event.time_unix_nano, experiment.place, attributes)]


def experiment_ended(experiment: ExperimentState, event: ExperimentEnded) -> list[ReadableLogRecord]:
    """Return the log event of an experiment's end."""
    attributes = facts.experiment_end(experiment, event)
    return [_log(c.EVENT_EXPERIMENT_END, event.time_unix_nano, experiment.place, attributes, status=event.status)]


def group_started(group: GroupState, event: GroupStarted) -> list[ReadableLogRecord]:
    """Return the log event of a group's start."""
    return [_log(c.EVENT_GROUP_START, event.time_unix_nano, group.place, facts.group_start(group))]


def group_ended(group: GroupState, event: GroupEnded) -> list[ReadableLogRecord]:
    """Return the log event of a group's end."""
    attributes = facts.group_end(group, event)
    return [_log(c.EVENT_GROUP_END, event.time_unix_nano, group.place, attributes, status=event.status)]


def run_started(run: RunState, event: RunStarted) -> list[ReadableLogRecord]:
    """Return the log event of a run's start."""
    return [_log(c.EVENT_RUN_START, event.time_unix_nano, run.place, facts.run_start(run))]


def run_updated(run: RunState, event: RunUpdated) -> list[ReadableLogRecord]:
    """Return the log event of a run's later facts."""
    return [_log(c.EVENT_RUN_UPDATE, event.time_unix_nano, run.place, facts.run_update(run, event))]


def run_ended(run: RunState, event: RunEnded) -> list[ReadableLogRecord]:
    """Return the log event of a run's end, with the first part of its totals, and one for each further part."""
    first, *others = totals_texts(event)
    attributes = {**facts.run_end(run, event), c.RUN_TOTALS: first}
    end = _log(c.EVENT_RUN_END, event.time_unix_nano, run.place, attributes, status=event.status)
    return [
        end,
        *(
            _log(
                c.EVENT_RUN_TOTALS, event.time_unix_nano, run.place,
                {c.RECORD: "run", **run.attempt_ids, c.RUN_TOTALS: text},
            )
            for text in others
        ),
    ]  # fmt: skip


def run_heartbeat(run: RunState, time_unix_nano: int) -> ReadableLogRecord:
    """Return the log event by which a live shipper says that a run is open, and how far it is."""
    attributes: Attributes = {c.RECORD: "run", **run.attempt_ids}
    if run.last_step is not None:
        attributes[c.RUN_LAST_STEP] = run.last_step
    return _log(c.EVENT_RUN_HEARTBEAT, time_unix_nano, run.place, attributes)


def eval_logged(run: RunState, event: EvalLogged) -> list[ReadableLogRecord]:
    """Return the log event of an eval."""
    place = run.place.at(span_bits(event.id))
    return [_log(c.EVENT_EVAL, event.time_unix_nano, place, facts.evaluation(run, event))]


def checkpoint_logged(run: RunState, event: CheckpointLogged) -> list[ReadableLogRecord]:
    """Return the log event of a checkpoint."""
    place = run.place.at(span_bits(facts.checkpoint_id(run, event)))
    return [_log(c.EVENT_CHECKPOINT, event.time_unix_nano, place, facts.checkpoint(run, event))]


def predictions_logged(run: RunState, event: PredictionsLogged, *, texts: bool = True) -> list[ReadableLogRecord]:
    """Return one log event for each prediction; without ``texts`` it says so by being marked as shortened."""
    place = run.place.at(span_bits(event.eval_id)) if event.eval_id else run.place
    mark: Attributes = {} if texts else {c.SHORTENED: True}
    return [
        _log(
            c.EVENT_PREDICTION, event.time_unix_nano, place,
            {**facts.prediction(run, event, index), **mark},
            body=facts.prediction_body(event.kind, row, texts=texts),
        )
        for index, row in enumerate(event.rows)
    ]  # fmt: skip


def _log(
    event_name: str,
    time_unix_nano: int,
    place: Place,
    attributes: Attributes,
    *,
    body: AnyValue = None,
    status: str = c.COMPLETED,
) -> ReadableLogRecord:
    record = LogRecord(
        timestamp=time_unix_nano,
        observed_timestamp=time_unix_nano,  # not given, the SDK reads the clock
        context=place.log_context,
        severity_number=SeverityNumber.ERROR if status in _ERRORS else SeverityNumber.INFO,
        body=body,
        attributes=attributes,
        event_name=event_name,
    )
    return ReadableLogRecord(record, place.resource, place.scope)
