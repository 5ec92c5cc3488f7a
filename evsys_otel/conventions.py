"""The semantic conventions, version 1: every name that our signals bear on the wire, and the identities behind them.

The page for users is ``docs/semantic-conventions.md``; a test holds the two equal.
"""

from __future__ import annotations

import re
import uuid

SCOPE_NAME = "evsys_otel"
"""Instrumentation scope of every signal; its version is the package's."""

METRIC_PREFIX = "evsys.run."

# Resource
PROJECT_ID = "evsys.project.id"

# What a signal is a record of
RECORD = "evsys.record"
ATTEMPT = "evsys.attempt"
ATTEMPT_ID = "evsys.attempt.id"
STEP = "evsys.step"
SPLIT = "evsys.split"
METRIC_NAME = "evsys.metric.name"
ORDINAL = "evsys.ordinal"
KEYSET = "evsys.keyset"
SHORTENED = "evsys.shortened"

EXPERIMENT_ID = "evsys.experiment.id"
EXPERIMENT_NAME = "evsys.experiment.name"
EXPERIMENT_HYPOTHESIS = "evsys.experiment.hypothesis"
EXPERIMENT_TAGS = "evsys.experiment.tags"
EXPERIMENT_STATUS = "evsys.experiment.status"
EXPERIMENT_CONCLUSION = "evsys.experiment.conclusion"
EXPERIMENT_BEST_SCORE = "evsys.experiment.best_score"
EXPERIMENT_ERROR = "evsys.experiment.error"
EXPERIMENT_JOINED = "evsys.experiment.joined"

GROUP_ID = "evsys.group.id"
GROUP_NAME = "evsys.group.name"
GROUP_STATUS = "evsys.group.status"

RUN_ID = "evsys.run.id"
RUN_NAME = "evsys.run.name"
RUN_SEED = "evsys.run.seed"
RUN_RECIPE = "evsys.run.recipe"
RUN_CONFIG = "evsys.run.config"
RUN_STATUS = "evsys.run.status"
RUN_ERROR = "evsys.run.error"
RUN_WANDB_URL = "evsys.run.wandb_url"
RUN_TOTALS = "evsys.run.totals"
RUN_LAST_STEP = "evsys.run.last_step"

EVAL_ID = "evsys.eval.id"
EVAL_NAME = "evsys.eval.name"
EVAL_METRICS = "evsys.eval.metrics"
EVAL_BREAKDOWNS = "evsys.eval.breakdowns"
EVAL_TAGS = "evsys.eval.tags"
EVAL_START_TIME = "evsys.eval.start_time_unix_nano"
BENCHMARK_ID = "evsys.benchmark.id"

CHECKPOINT_ID = "evsys.checkpoint.id"
CHECKPOINT_URI = "evsys.checkpoint.uri"
CHECKPOINT_LABEL = "evsys.checkpoint.label"
CHECKPOINT_IS_FINAL = "evsys.checkpoint.is_final"
CHECKPOINT_BASE_MODEL = "evsys.checkpoint.base_model"

# Log event names
EVENT_EXPERIMENT_START = "evsys.experiment.start"
EVENT_EXPERIMENT_END = "evsys.experiment.end"
EVENT_GROUP_START = "evsys.group.start"
EVENT_GROUP_END = "evsys.group.end"
EVENT_RUN_START = "evsys.run.start"
EVENT_RUN_UPDATE = "evsys.run.update"
EVENT_RUN_END = "evsys.run.end"
EVENT_RUN_TOTALS = "evsys.run.totals"
EVENT_RUN_HEARTBEAT = "evsys.run.heartbeat"
EVENT_EVAL = "evsys.eval"
EVENT_CHECKPOINT = "evsys.checkpoint"
EVENT_PREDICTION = "evsys.prediction"

PREDICTION_BODY_KEYS = (
    "kind", "task_id", "sample_idx", "instruction", "model_output", "expected", "reward", "advantage", "metadata",
)
"""Keys of a prediction's body; its step, eval and ordinal are attributes."""

# Statuses
RUNNING, COMPLETED, FAILED, CANCELLED, CRASHED = "running", "completed", "failed", "cancelled", "crashed"
STATUSES = (RUNNING, COMPLETED, FAILED, CANCELLED, CRASHED)
END_STATUSES = STATUSES[1:]

SPLIT_TRAIN = "train"
SPLIT_VAL = "val"

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_.\-/]")


def metric_instrument_name(name: str) -> str:
    """Return the OpenTelemetry instrument name of a training metric, at most 255 characters.

    Characters that the metrics API specification (instrument name syntax) forbids become ``_``; the exact name travels
    in the attribute ``evsys.metric.name``.
    """
    return (METRIC_PREFIX + _FORBIDDEN.sub("_", name))[:255]


def trace_id_of(experiment_id: str) -> int:
    """Return the trace id, 128 bits: those of the experiment's UUID. Raises ValueError when it is no UUID."""
    return uuid.UUID(experiment_id).int


def span_id_of(record_id: str) -> int:
    """Return the span id, the low 64 bits of the record's UUID, never 0 (an invalid id by the trace specification)."""
    return uuid.UUID(record_id).int & 0xFFFF_FFFF_FFFF_FFFF or 1


def group_id_of(experiment_id: str, name: str) -> str:
    """Return the id of the group with this name in this experiment: a version 5 UUID."""
    return str(uuid.uuid5(uuid.UUID(experiment_id), name))


def checkpoint_id_of(run_id: str, uri: str, step: int | None) -> str:
    """Return the id of the checkpoint with this uri and step in this run: a version 5 UUID."""
    return str(uuid.uuid5(uuid.UUID(run_id), f"{uri}\n{step}"))
