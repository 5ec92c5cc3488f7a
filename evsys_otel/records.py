"""What the evsys store keeps: the records that ``translate`` makes of signals and that the store upserts.

Records are facts, not commands: every one carries what orders it (attempt, whether it is an end, time in nanoseconds),
so that any order, repetition and grouping of the same records leads to the same store. ``attempt_id`` tells apart
attempts that bear one number, since two processes resumed a run at once; it is empty for a first attempt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

EntityKind = Literal["experiment", "group", "run", "eval"]
SeriesKind = Literal["step", "prediction", "eval", "checkpoint"]
FieldValue = str | int | float | bool | list[str] | None

NO_STEP = -(2**63)
"""The step of a record that has none: key columns are never NULL."""

EXTERNAL_SPLIT = "external"
"""The split of metrics that came with a run's resource from somebody else's instruments."""


@dataclass(frozen=True, slots=True)
class Entity:
    """What one signal says of an experiment, group, run or eval; only the fields that it names.

    ``attempt`` is 0 for what a child merely mentions of its parent. Maps are canonical JSON text.
    Fields of an ``experiment``: name hypothesis tags status conclusion best_score error start_time end_time;
    of a ``group``: experiment_id name status start_time end_time;
    of a ``run``: experiment_id group_id name seed recipe config status error wandb_url start_time end_time host;
    of an ``eval``: run_id name benchmark_id step metrics breakdowns tags start_time end_time.
    Times are nanoseconds. Newest means the higher (attempt, is_end, time_unix_nano), field by field.
    """

    kind: EntityKind
    id: str
    attempt: int
    is_end: bool
    time_unix_nano: int
    project_id: str | None
    fields: dict[str, FieldValue]
    attempt_id: str = ""


@dataclass(frozen=True, slots=True)
class StepSeries:
    """Consecutive values of one series; ``steps``, ``times`` and ``values`` have one length n >= 1.

    The i-th value is that of the log call number ``ordinal + i`` of the key set ``keyset`` of the attempt; both are
    None where the sender numbers nothing.
    """

    run_id: str
    split: str
    name: str
    attempt: int
    keyset: int | None
    ordinal: int | None
    steps: list[int]
    times: list[int]
    values: list[float]
    attempt_id: str = ""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One prediction; identity is run, eval ('' for none), kind, step (NO_STEP for none), task and sample."""

    run_id: str
    eval_id: str
    kind: str
    step: int
    task_id: str
    sample_idx: int
    attempt: int
    time_unix_nano: int
    ordinal: int | None = None
    instruction: str | None = None
    model_output: str | None = None
    expected: str | None = None
    reward: float | None = None
    advantage: float | None = None
    metadata: str | None = None
    shortened: bool = False
    attempt_id: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint; identity is run, uri and step (NO_STEP for none)."""

    run_id: str
    id: str
    uri: str
    step: int
    attempt: int
    time_unix_nano: int
    ordinal: int | None = None
    label: str | None = None
    is_final: bool = False
    base_model: str | None = None
    attempt_id: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Ordinals ``first`` .. ``first + count - 1`` of evals, predictions or checkpoints of an attempt have arrived."""

    run_id: str
    attempt: int
    kind: SeriesKind
    first: int
    count: int
    attempt_id: str = ""


@dataclass(frozen=True, slots=True)
class KeySetTotal:
    """An attempt made ``calls`` log calls of a key set in a split; each call has one value for each of ``names``."""

    split: str
    keyset: int
    names: list[str]
    calls: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Part ``part`` of ``parts`` of what an attempt sent in all; totals are known when every part has come.

    ``unattributed`` counts values that the recorder lost before it could name their series. Parts of a later ``time``
    replace those of an earlier one (an attempt that was out of sight and came back).
    """

    run_id: str
    attempt: int
    time_unix_nano: int
    part: int
    parts: int
    keysets: list[KeySetTotal]
    predictions: int = 0
    evals: int = 0
    checkpoints: int = 0
    unattributed: int = 0
    attempt_id: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A sign of life of an attempt, with the last step that it reached.

    ``heartbeat`` tells the shipper's word (its clock) from an event of the trainer: only an event later than a
    ``crashed`` end makes the run ``running`` again.
    """

    run_id: str
    attempt: int
    time_unix_nano: int
    step: int | None = None
    heartbeat: bool = False
    attempt_id: str = ""


@dataclass(slots=True)
class Records:
    """All that one batch of signals says, by kind; ``ignored`` counts what was not ours."""

    entities: list[Entity] = field(default_factory=list)
    series: list[StepSeries] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    totals: list[Totals] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    ignored: int = 0

    def extend(self, other: Records) -> None:
        """Append everything of ``other``."""
        self.entities += other.entities
        self.series += other.series
        self.predictions += other.predictions
        self.checkpoints += other.checkpoints
        self.receipts += other.receipts
        self.totals += other.totals
        self.seen += other.seen
        self.ignored += other.ignored

    def __bool__(self) -> bool:
        return bool(
            self.entities or self.series or self.predictions or self.checkpoints
            or self.receipts or self.totals or self.seen
        )
