"""What happened in a training process: the structs that the journal holds, in the order in which they happened.

Every struct is an array on the wire with its tag first. Fields are only ever appended, with a default, and a tag is
never used twice, so that an older reader skips what it does not know and a newer one reads what is old.
Times are wall-clock nanoseconds since the Unix epoch, strictly increasing within one journal.
Numbers (``experiment``, ``group``, ``run``, ``keyset``, ``stream``) count from 0 within one journal.
Free maps are JSON text; strings hold neither NUL nor lone surrogates; integers fit into 64 bits.
"""

from __future__ import annotations

from typing import Union

import msgspec


class ExperimentStarted(msgspec.Struct, array_like=True, tag=1, frozen=True):
    """An experiment was started, or joined (``attempt`` from 2: reopened by a resumed run)."""

    time_unix_nano: int
    experiment: int
    id: str
    name: str
    project_id: str | None = None
    hypothesis: str | None = None
    tags: list[str] = []
    attempt: int = 1
    joined: bool = False
    traceparent: str | None = None


class ExperimentEnded(msgspec.Struct, array_like=True, tag=2, frozen=True):
    """An experiment ended with a status."""

    time_unix_nano: int
    experiment: int
    status: str
    conclusion: str | None = None
    best_score: float | None = None
    error: str | None = None


class GroupStarted(msgspec.Struct, array_like=True, tag=3, frozen=True):
    """A group of runs was opened in an experiment."""

    time_unix_nano: int
    group: int
    experiment: int
    id: str
    name: str
    attempt: int = 1


class GroupEnded(msgspec.Struct, array_like=True, tag=4, frozen=True):
    """A group ended with a status."""

    time_unix_nano: int
    group: int
    status: str


class RunStarted(msgspec.Struct, array_like=True, tag=5, frozen=True):
    """One attempt of a run started; ``span_id`` (16 hex digits) is drawn by the recorder for attempts from 2."""

    time_unix_nano: int
    run: int
    experiment: int
    id: str
    name: str
    group: int | None = None
    seed: int | None = None
    recipe: str | None = None
    config: str | None = None
    wandb_url: str | None = None
    attempt: int = 1
    span_id: str | None = None


class StreamTotal(msgspec.Struct, array_like=True, frozen=True):
    """How many log calls a stream had, failed appends included; it repeats the declarations, should they be damaged."""

    stream: int
    split: str
    keyset: int
    names: list[str]
    calls: int


class RunEnded(msgspec.Struct, array_like=True, tag=6, frozen=True):
    """One attempt of a run ended with a status; its totals are what the recorder was given, lost appends included.

    ``updates`` counts the :class:`RunUpdated` that are in the journal before it.
    """

    time_unix_nano: int
    run: int
    id: str
    status: str
    error: str | None = None
    attempt: int = 1
    streams: list[StreamTotal] = []
    predictions: int = 0
    evals: int = 0
    checkpoints: int = 0
    unattributed: int = 0
    span_id: str | None = None
    updates: int = 0


class RunUpdated(msgspec.Struct, array_like=True, tag=7, frozen=True):
    """Facts of a run that became known after its start; None leaves a fact as it is."""

    time_unix_nano: int
    run: int
    config: str | None = None
    wandb_url: str | None = None
    recipe: str | None = None
    seed: int | None = None


class KeySetDeclared(msgspec.Struct, array_like=True, tag=8, frozen=True):
    """A set of metric names that are logged together; the order is that of a step's values."""

    keyset: int
    names: list[str]


class StreamDeclared(msgspec.Struct, array_like=True, tag=9, frozen=True):
    """A stream: the log calls of one run, split and key set, whose ordinals count from 0."""

    stream: int
    run: int
    split: str
    keyset: int


class StepLogged(msgspec.Struct, array_like=True, tag=10, frozen=True, gc=False):
    """One log call; ``values`` are little-endian float64, one for each name of the stream's key set."""

    time_unix_nano: int
    stream: int
    step: int
    ordinal: int
    values: bytes


class EvalLogged(msgspec.Struct, array_like=True, tag=11, frozen=True):
    """A benchmark was evaluated; ``ordinal`` counts the evals of the attempt, ``start_time_unix_nano`` is its begin."""

    time_unix_nano: int
    run: int
    ordinal: int
    id: str
    name: str
    metrics: str
    benchmark_id: str | None = None
    step: int | None = None
    breakdowns: str | None = None
    tags: list[str] = []
    start_time_unix_nano: int | None = None


class PredictionRow(msgspec.Struct, array_like=True, frozen=True):
    """One prediction; texts are whole, ``metadata`` is JSON text, numbers are float64."""

    task_id: str
    sample_idx: int
    instruction: str | None = None
    model_output: str | None = None
    expected: str | None = None
    reward: float | None = None
    advantage: float | None = None
    metadata: str | None = None


class PredictionsLogged(msgspec.Struct, array_like=True, tag=12, frozen=True):
    """Predictions of one call or a part of it; ``ordinal`` is the first row's number within the attempt."""

    time_unix_nano: int
    run: int
    ordinal: int
    kind: str
    rows: list[PredictionRow]
    step: int | None = None
    eval_id: str | None = None


class CheckpointLogged(msgspec.Struct, array_like=True, tag=13, frozen=True):
    """A checkpoint was written; ``ordinal`` counts the checkpoints of the attempt."""

    time_unix_nano: int
    run: int
    ordinal: int
    uri: str
    step: int | None = None
    label: str | None = None
    is_final: bool = False
    base_model: str | None = None


class JournalClosed(msgspec.Struct, array_like=True, tag=14, frozen=True):
    """The recording process ended what it had open and writes no more."""

    time_unix_nano: int


Event = Union[  # noqa: UP007 (msgspec reads the union at run time, on 3.10 too)
    ExperimentStarted,
    ExperimentEnded,
    GroupStarted,
    GroupEnded,
    RunStarted,
    RunEnded,
    RunUpdated,
    KeySetDeclared,
    StreamDeclared,
    StepLogged,
    EvalLogged,
    PredictionsLogged,
    CheckpointLogged,
    JournalClosed,
]


class Lost(msgspec.Struct, array_like=True, frozen=True):
    """What the recorder could not append: ``calls`` lost of one stream or kind, next to come is ``next_ordinal``.

    ``kind`` is ``step``, ``prediction``, ``eval``, ``checkpoint`` or ``event``. ``stream`` is None for all but
    ``step``, and for a step whose stream could not be declared either. ``values`` counts step values or rows.
    """

    kind: str
    run: int | None
    stream: int | None
    next_ordinal: int
    calls: int
    values: int
