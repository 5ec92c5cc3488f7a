"""What the fold knows of each experiment, group, run and stream of a journal, and the ids that its signals bear."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cached_property

from opentelemetry.util.types import AnyValue

from evsys_otel import conventions as c
from evsys_otel.events import ExperimentStarted, GroupStarted, RunStarted
from evsys_otel.signals.place import Place

Attributes = dict[str, AnyValue]


def present(attributes: Attributes) -> Attributes:
    """Return the attributes that say something: without None, empty text and empty lists."""
    return {key: value for key, value in attributes.items() if value is not None and value not in ("", [])}


@dataclass(eq=False)
class ExperimentState:
    """An experiment as this journal tells it; ``is_part`` when another process or attempt began it."""

    start: ExperimentStarted
    place: Place
    is_part: bool
    is_open: bool = True

    @cached_property
    def ids(self) -> Attributes:
        """Id and name."""
        return present({c.EXPERIMENT_ID: self.start.id, c.EXPERIMENT_NAME: self.start.name})


@dataclass(eq=False)
class GroupState:
    """A group as this journal tells it; its experiment is None when that declaration was damaged."""

    start: GroupStarted
    experiment: ExperimentState | None
    place: Place
    is_part: bool
    is_open: bool = True

    @cached_property
    def ids(self) -> Attributes:
        """Ids and names of the experiment and the group."""
        above = self.experiment.ids if self.experiment else {}
        return {**above, **present({c.GROUP_ID: self.start.id, c.GROUP_NAME: self.start.name})}


@dataclass(eq=False)
class RunState:
    """One attempt of a run; ``is_known`` is False when its start was damaged and only its end told its id."""

    start: RunStarted
    experiment: ExperimentState | None
    group: GroupState | None
    place: Place
    is_known: bool = True
    is_open: bool = True
    last_step: int | None = None
    streams: dict[int, StreamState] = field(default_factory=dict)
    predictions: int = 0
    evals: int = 0
    checkpoints: int = 0
    updates: int = 0

    @property
    def lost_declarations(self) -> int:
        """How many of the run's own start, its group's and its experiment's were damaged: its numbers lead nowhere."""
        if not self.is_known:
            return 1
        return (self.experiment is None) + (self.group is None and self.start.group is not None)

    @cached_property
    def ids(self) -> Attributes:
        """Ids and names of the experiment, the group and the run."""
        above = self.group.ids if self.group else self.experiment.ids if self.experiment else {}
        return {**above, **present({c.RUN_ID: self.start.id, c.RUN_NAME: self.start.name})}

    @cached_property
    def attempt_ids(self) -> Attributes:
        """The same and what tells the attempt from the first."""
        return {**self.ids, **self.attempt_marks}

    @cached_property
    def attempt_marks(self) -> Attributes:
        """From 2 on the attempt's number, and its span's id: two processes that resume at once have one number."""
        if self.start.attempt == 1:
            return {}
        return {c.ATTEMPT: self.start.attempt, c.ATTEMPT_ID: f"{self.place.span_id:016x}"}

    @cached_property
    def bare_ids(self) -> Attributes:
        """The same without names: predictions are many."""
        names = {c.EXPERIMENT_NAME, c.GROUP_NAME, c.RUN_NAME}
        return {key: value for key, value in self.attempt_ids.items() if key not in names}


@dataclass(eq=False)
class StreamState:
    """One split and key set of a run; ``next_ordinal`` is the number of the log call to come."""

    number: int
    run: RunState
    split: str
    keyset: int
    names: list[str]
    next_ordinal: int = 0

    @cached_property
    def row(self) -> struct.Struct:
        """Layout of one step's values."""
        return struct.Struct(f"<{len(self.names)}d")

    @cached_property
    def points(self) -> list[tuple[str, Attributes]]:
        """For each name: its instrument's name and its point's attributes."""
        shared = {**self.run.ids, c.SPLIT: self.split}
        return [(c.metric_instrument_name(name), {**shared, c.METRIC_NAME: name}) for name in self.names]
