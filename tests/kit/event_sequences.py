"""Random but valid sequences of events, as a recorder would have journalled them, and what is true of them."""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import strategies as st

from evsys_otel import events as e
from evsys_otel.conventions import CANCELLED, COMPLETED, FAILED, group_id_of
from evsys_otel.journal import Identity

BEGIN_UNIX_NANO = 1_700_000_000_000_000_000
KEY_SETS = (["loss"], ["loss", "accuracy"], ["a b", "a_b", "größe/1"], ["reward", "kl", "loss", "entropy"])
SPLITS = ("train", "val", "held out")
STEPS = (0, 1, 2, 3, 4, 5, 1000, -1, 2**63 - 1, -(2**63) + 1)

Cell = tuple[str, str, str, int]
"""Identity of a step value: run, split, name, step."""


def make_identity(**facts: Any) -> Identity:
    """Return the identity of a journal of a made-up process."""
    known: dict[str, Any] = {
        "journal_id": "20231114T221320-4711-0a1b2c3d", "created_unix_nano": BEGIN_UNIX_NANO, "host": "node-1",
        "boot_id": "b", "pid_namespace": "n", "pid": 4711, "process_start": "1", "python": "3.11",
        "command": ["train.py", "--token", "<redacted>"], "cwd": "/work", "user": "u", "version": "0.1.0",
    }  # fmt: skip
    return Identity(**{**known, **facts})


@dataclass
class EventSequence:
    """Events and losses of one journal; ``values`` are those appended, newest first among equals of a cell.

    A value is (attempt, time, its 8 bytes). ``calls`` counts the log calls of each (run, attempt, split, key set),
    lost ones included; ``others`` those of evals, predictions and checkpoints. ``ended`` are the attempts with an end.
    """

    identity: Identity = field(default_factory=make_identity)
    events: list[e.Event] = field(default_factory=list)
    losses: list[e.Lost] = field(default_factory=list)
    values: dict[Cell, tuple[int, int, bytes]] = field(default_factory=dict)
    calls: dict[tuple[str, int, str, int], int] = field(default_factory=dict)
    others: dict[tuple[str, int, str], int] = field(default_factory=dict)
    attempts: set[tuple[str, int]] = field(default_factory=set)
    ended: set[tuple[str, int]] = field(default_factory=set)


@dataclass
class _Op:
    """One thing that a training program does; the numbers choose among what is there."""

    kind: str
    which: int
    choice: int
    step: int
    numbers: list[float]
    text: str | None
    lost: bool


@dataclass
class _Run:
    number: int
    id: str
    name: str
    experiment: int
    group: int | None
    attempt: int
    is_open: bool = True
    streams: dict[tuple[str, int], int] = field(default_factory=dict)


class _Program:
    """Plays operations as a recorder would journal them."""

    def __init__(self) -> None:
        self.told = EventSequence()
        self.time = BEGIN_UNIX_NANO
        self.ids = 0
        self.experiments: dict[int, e.ExperimentStarted] = {}
        self.groups: dict[int, e.GroupStarted] = {}
        self.runs: list[_Run] = []
        self.keysets: set[int] = set()
        self.streams: dict[int, tuple[_Run, str, int]] = {}
        self.open_experiments: set[int] = set()
        self.open_groups: set[int] = set()
        self.lost: dict[tuple[str, int, int | None], e.Lost] = {}

    def play(self, ops: list[_Op]) -> EventSequence:
        for op in ops:
            getattr(self, f"do_{op.kind}")(op)
        self.told.losses = list(self.lost.values())
        return self.told

    def tick(self) -> int:
        self.time += 1 + self.ids % 3
        return self.time

    def new_id(self) -> str:
        self.ids += 1
        return str(uuid.UUID(bytes=uuid.uuid5(uuid.NAMESPACE_OID, str(self.ids)).bytes, version=4))

    def add(self, event: e.Event) -> None:
        self.told.events.append(event)

    def do_experiment(self, op: _Op) -> int:
        number = len(self.experiments)
        joined = op.lost
        event = e.ExperimentStarted(
            self.tick(), number, self.new_id(), op.text or "sweep", project_id=("p-1", None)[op.choice % 2],
            hypothesis=None if joined else op.text, tags=[] if joined else ["digits", "ü"][: op.choice % 3],
            joined=joined, traceparent=("00-" + "ab" * 16 + "-" + "cd" * 8 + "-01", "junk", None)[op.choice % 3],
        )  # fmt: skip
        self.experiments[number] = event
        self.open_experiments.add(number)
        self.add(event)
        return number

    def an_experiment(self, op: _Op) -> int:
        there = sorted(self.open_experiments)
        return there[op.which % len(there)] if there else self.do_experiment(op)

    def do_group(self, op: _Op) -> None:
        experiment, number, name = self.an_experiment(op), len(self.groups), op.text or "lr=0.1"
        owner = self.experiments[experiment].id
        event = e.GroupStarted(self.tick(), number, experiment, group_id_of(owner, name), name)
        self.groups[number] = event
        self.open_groups.add(number)
        self.add(event)

    def do_run(self, op: _Op) -> _Run:
        there = sorted(self.open_groups)
        group = there[op.choice % len(there)] if there and op.choice % 3 else None
        experiment = self.an_experiment(op) if group is None else self.groups[group].experiment
        run = _Run(len(self.runs), self.new_id(), op.text or "run", experiment, group, 1)
        self.begin(run, op)
        return run

    def begin(self, run: _Run, op: _Op) -> None:
        self.runs.append(run)
        self.told.attempts.add((run.id, run.attempt))
        span_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{run.id}{run.attempt}").hex[:16] if run.attempt > 1 else None
        config = None if op.choice % 4 == 0 else msgspec.json.encode({"lr": op.step, "text": op.text}).decode()
        event = e.RunStarted(
            self.tick(), run.number, run.experiment, run.id, run.name, run.group,
            seed=op.choice if op.which % 2 else None, recipe="sft" if op.which % 3 else None, config=config,
            attempt=run.attempt, span_id=span_id,
        )  # fmt: skip
        self.add(event)

    def a_run(self, op: _Op) -> _Run:
        there = [run for run in self.runs if run.is_open]
        return there[op.which % len(there)] if there else self.do_run(op)

    def do_resume(self, op: _Op) -> None:
        run = self.runs[op.which % len(self.runs)] if self.runs else self.do_run(op)
        attempt = 1 + max(other.attempt for other in self.runs if other.id == run.id)
        self.begin(_Run(len(self.runs), run.id, run.name, run.experiment, run.group, attempt), op)

    def do_update(self, op: _Op) -> None:
        run = self.a_run(op)
        url = "https://wandb.example/" + (op.text or "")
        self.add(e.RunUpdated(self.tick(), run.number, config='{"late": true}' if op.lost else None, wandb_url=url))

    def do_step(self, op: _Op) -> None:
        run, keyset, split = self.a_run(op), op.choice % len(KEY_SETS), SPLITS[op.choice % len(SPLITS)]
        names, stream = KEY_SETS[keyset], self.a_stream(run, split, keyset)
        call = (run.id, run.attempt, split, keyset)
        ordinal = self.told.calls.get(call, 0)
        self.told.calls[call] = ordinal + 1
        time = self.tick()
        if op.lost:
            return self.lose("step", run, stream, ordinal + 1, len(names))
        values = [op.numbers[index % len(op.numbers)] for index in range(len(names))]
        packed = struct.pack(f"<{len(names)}d", *values)
        self.add(e.StepLogged(time, stream, op.step, ordinal, packed))
        for index, name in enumerate(names):
            cell, value = (run.id, split, name, op.step), (run.attempt, time, packed[8 * index : 8 * index + 8])
            self.told.values[cell] = max(self.told.values.get(cell, value), value)
        return None

    def a_stream(self, run: _Run, split: str, keyset: int) -> int:
        if keyset not in self.keysets:
            self.keysets.add(keyset)
            self.add(e.KeySetDeclared(keyset, KEY_SETS[keyset]))
        if (split, keyset) not in run.streams:
            run.streams[split, keyset] = len(self.streams)
            self.streams[len(self.streams)] = (run, split, keyset)
            self.add(e.StreamDeclared(run.streams[split, keyset], run.number, split, keyset))
        return run.streams[split, keyset]

    def lose(self, kind: str, run: _Run, stream: int | None, next_ordinal: int, values: int) -> None:
        before = self.lost.get((kind, run.number, stream))
        calls, lost = (before.calls, before.values) if before else (0, 0)
        told = e.Lost(kind, run.number, stream, next_ordinal, calls + 1, lost + values)
        self.lost[kind, run.number, stream] = told

    def number_of(self, run: _Run, kind: str, count: int = 1) -> int:
        key = (run.id, run.attempt, kind)
        ordinal = self.told.others.get(key, 0)
        self.told.others[key] = ordinal + count
        return ordinal

    def do_eval(self, op: _Op) -> None:
        run = self.a_run(op)
        ordinal, begin, time = self.number_of(run, "eval"), self.time, self.tick()
        if op.lost:
            return self.lose("eval", run, None, ordinal + 1, 1)
        event = e.EvalLogged(
            time, run.number, ordinal, self.new_id(), op.text or "digits-test", '{"accuracy":0.5,"loss":"NaN"}',
            benchmark_id="b-1" if op.choice % 2 else None, step=op.step if op.choice % 3 else None,
            breakdowns='{"by":{"x":1}}' if op.choice % 2 else None, tags=["test"][: op.choice % 2],
            start_time_unix_nano=begin if op.which % 2 else None,
        )  # fmt: skip
        return self.add(event)

    def do_predictions(self, op: _Op) -> None:
        run, count = self.a_run(op), 1 + op.choice % 3
        ordinal, time = self.number_of(run, "prediction", count), self.tick()
        if op.lost:
            return self.lose("prediction", run, None, ordinal + count, count)
        rows = [
            e.PredictionRow(
                f"task-{op.which % 2}", index, op.text, (op.text or "") * 3, None, op.numbers[0], op.numbers[-1],
                '{"group_idx":1}' if op.choice % 2 else None,
            )
            for index in range(count)
        ]  # fmt: skip
        evals = [event.id for event in self.told.events if isinstance(event, e.EvalLogged)]
        eval_id = evals[op.which % len(evals)] if evals and op.choice % 2 else None
        kind, step = ("eval", "train")[op.choice % 2], op.step if op.which % 2 else None
        return self.add(e.PredictionsLogged(time, run.number, ordinal, kind, rows, step, eval_id))

    def do_checkpoint(self, op: _Op) -> None:
        run = self.a_run(op)
        ordinal, time = self.number_of(run, "checkpoint"), self.tick()
        if op.lost:
            return self.lose("checkpoint", run, None, ordinal + 1, 1)
        uri, step = f"file:///ckpt/{op.text or 'last'}", op.step if op.choice % 3 else None
        is_final, base = bool(op.choice % 2), "base" if op.choice % 2 else None
        return self.add(e.CheckpointLogged(time, run.number, ordinal, uri, step, op.text, is_final, base))

    def do_end_run(self, op: _Op) -> None:
        self.end_run(self.a_run(op), op)

    def end_run(self, run: _Run, op: _Op) -> None:
        run.is_open = False
        self.told.ended.add((run.id, run.attempt))
        calls, others = self.told.calls, self.told.others
        streams = [
            e.StreamTotal(number, split, keyset, KEY_SETS[keyset], calls[run.id, run.attempt, split, keyset])
            for (split, keyset), number in run.streams.items()
        ]
        counts = [others.get((run.id, run.attempt, kind), 0) for kind in ("prediction", "eval", "checkpoint")]
        status = (COMPLETED, FAILED, CANCELLED)[op.choice % 3]
        error = op.text if status == FAILED else None
        self.add(e.RunEnded(self.tick(), run.number, run.id, status, error, run.attempt, streams, *counts))

    def do_end_group(self, op: _Op) -> None:
        there = sorted(self.open_groups)
        if there:
            self.end_group(there[op.which % len(there)], op)

    def end_group(self, group: int, op: _Op) -> None:
        for run in self.runs:
            if run.is_open and run.group == group:
                self.end_run(run, op)
        self.open_groups.discard(group)
        self.add(e.GroupEnded(self.tick(), group, COMPLETED))

    def do_end_experiment(self, op: _Op) -> None:
        experiment = self.an_experiment(op)
        for group in sorted(self.open_groups):
            if self.groups[group].experiment == experiment:
                self.end_group(group, op)
        for run in self.runs:
            if run.is_open and run.experiment == experiment:
                self.end_run(run, op)
        self.open_experiments.discard(experiment)
        status = (COMPLETED, FAILED, CANCELLED)[op.which % 3]
        self.add(e.ExperimentEnded(self.tick(), experiment, status, op.text, op.numbers[0], op.text))


_KINDS = (
    ["step"] * 12 + ["predictions", "eval", "checkpoint"] * 2
    + ["experiment", "group", "run", "run", "resume", "resume", "update", "end_run", "end_group", "end_experiment"]
)  # fmt: skip
_TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
_OPS = st.builds(
    _Op,
    kind=st.sampled_from(_KINDS),
    which=st.integers(0, 11),
    choice=st.integers(0, 11),
    step=st.sampled_from(STEPS),
    numbers=st.lists(st.floats(width=64), min_size=1, max_size=4),
    text=_TEXTS,
    lost=st.sampled_from([False, False, False, False, True]),
)


def event_sequences(max_size: int = 40) -> st.SearchStrategy[EventSequence]:
    """Return a strategy of sequences of up to that many operations.

    Several experiments, groups, runs and attempts, joined experiments, repeated and extreme steps, NaN, infinities and
    -0.0, appends that failed (gaps in the ordinals, told as losses) and what is left open at the end.
    """
    ops = st.lists(_OPS, max_size=max_size) | st.lists(_OPS, min_size=max_size // 2, max_size=max_size)
    return ops.map(lambda played: _Program().play(played))


def batches(events: list[e.Event], cuts: list[int]) -> list[list[e.Event]]:
    """Return the events cut into batches at these positions, taken modulo their number."""
    places = sorted({0, len(events), *(cut % (len(events) + 1) for cut in cuts)})
    return [events[begin:end] for begin, end in pairwise(places)]
