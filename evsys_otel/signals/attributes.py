"""The one table of attributes: what happened to a record in, what its log event and its span say of it out."""

from __future__ import annotations

from evsys_otel import conventions as c
from evsys_otel.events import (
    CheckpointLogged,
    EvalLogged,
    ExperimentEnded,
    GroupEnded,
    PredictionRow,
    PredictionsLogged,
    RunEnded,
    RunUpdated,
)
from evsys_otel.signals.place import as_uuid
from evsys_otel.signals.state import Attributes, ExperimentState, GroupState, RunState, present


def experiment_start(experiment: ExperimentState) -> Attributes:
    """What an experiment's start says."""
    start = experiment.start
    return present({
        c.RECORD: "experiment", **experiment.ids,
        c.EXPERIMENT_HYPOTHESIS: start.hypothesis, c.EXPERIMENT_TAGS: list(start.tags),
        c.EXPERIMENT_JOINED: start.joined or None, c.ATTEMPT: _from_second(start.attempt),
        c.EXPERIMENT_STATUS: c.RUNNING,
    })  # fmt: skip


def experiment_end(experiment: ExperimentState, end: ExperimentEnded) -> Attributes:
    """What an experiment's end says."""
    return present({
        c.RECORD: "experiment", **experiment.ids,
        c.EXPERIMENT_JOINED: experiment.start.joined or None, c.ATTEMPT: _from_second(experiment.start.attempt),
        c.EXPERIMENT_STATUS: end.status,
        c.EXPERIMENT_CONCLUSION: end.conclusion, c.EXPERIMENT_BEST_SCORE: end.best_score,
        c.EXPERIMENT_ERROR: end.error,
    })  # fmt: skip


def group_start(group: GroupState) -> Attributes:
    """What a group's start says."""
    attempt = _from_second(group.start.attempt)
    return present({c.RECORD: "group", **group.ids, c.ATTEMPT: attempt, c.GROUP_STATUS: c.RUNNING})


def group_end(group: GroupState, end: GroupEnded) -> Attributes:
    """What a group's end says."""
    return {**group_start(group), c.GROUP_STATUS: end.status}


def run_start(run: RunState) -> Attributes:
    """What a run's start says, later updates included."""
    start = run.start
    return present({
        c.RECORD: "run", **run.attempt_ids,
        c.RUN_SEED: start.seed, c.RUN_RECIPE: start.recipe, c.RUN_CONFIG: start.config,
        c.RUN_WANDB_URL: start.wandb_url, c.RUN_STATUS: c.RUNNING,
    })  # fmt: skip


def run_update(run: RunState, update: RunUpdated) -> Attributes:
    """What became known of a run after its start."""
    return present({
        c.RECORD: "run", **run.attempt_ids,
        c.RUN_SEED: update.seed, c.RUN_RECIPE: update.recipe, c.RUN_CONFIG: update.config,
        c.RUN_WANDB_URL: update.wandb_url,
    })  # fmt: skip


def run_end(run: RunState, end: RunEnded) -> Attributes:
    """What a run's end says."""
    return present({c.RECORD: "run", **run.attempt_ids, c.RUN_STATUS: end.status, c.RUN_ERROR: end.error})


def evaluation(run: RunState, event: EvalLogged) -> Attributes:
    """What an eval says."""
    return present({
        c.RECORD: "eval", **run.attempt_ids,
        c.EVAL_ID: event.id, c.EVAL_NAME: event.name, c.EVAL_METRICS: event.metrics,
        c.EVAL_BREAKDOWNS: event.breakdowns, c.EVAL_TAGS: list(event.tags), c.BENCHMARK_ID: event.benchmark_id,
        c.EVAL_START_TIME: event.start_time_unix_nano, c.STEP: event.step, c.ORDINAL: event.ordinal,
    })  # fmt: skip


def checkpoint(run: RunState, event: CheckpointLogged) -> Attributes:
    """What a checkpoint says; its id is derived from the run, the uri and the step."""
    return present({
        c.RECORD: "checkpoint", **run.attempt_ids,
        c.CHECKPOINT_ID: checkpoint_id(run, event), c.CHECKPOINT_URI: event.uri, c.CHECKPOINT_LABEL: event.label,
        c.CHECKPOINT_IS_FINAL: event.is_final, c.CHECKPOINT_BASE_MODEL: event.base_model,
        c.STEP: event.step, c.ORDINAL: event.ordinal,
    })  # fmt: skip


def checkpoint_id(run: RunState, event: CheckpointLogged) -> str:
    """Return the checkpoint's id."""
    return c.checkpoint_id_of(as_uuid(run.start.id), event.uri, event.step)


def prediction(run: RunState, event: PredictionsLogged, index: int) -> Attributes:
    """What says whose prediction the event's ``index``-th row is."""
    return present({
        c.RECORD: "prediction", **run.bare_ids,
        c.EVAL_ID: event.eval_id, c.STEP: event.step, c.ORDINAL: event.ordinal + index,
    })  # fmt: skip


def prediction_body(kind: str, row: PredictionRow, *, texts: bool) -> Attributes:
    """Return the body of a prediction's log event; without ``texts`` only what is not free text."""
    body: Attributes = {
        "kind": kind, "task_id": row.task_id, "sample_idx": row.sample_idx,
        "reward": row.reward, "advantage": row.advantage,
    }  # fmt: skip
    if texts:
        body.update(
            instruction=row.instruction, model_output=row.model_output, expected=row.expected, metadata=row.metadata
        )
    return {key: value for key, value in body.items() if value is not None}


def _from_second(attempt: int) -> int | None:
    return attempt if attempt > 1 else None
