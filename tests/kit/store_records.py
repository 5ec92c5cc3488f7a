"""Records of a small sweep, in pieces that a test can shuffle, repeat and regroup."""

from __future__ import annotations

import math
import random
import uuid
from collections.abc import Iterable, Sequence

from evsys_otel.conventions import checkpoint_id_of, group_id_of
from evsys_otel.records import (
    NO_STEP,
    Checkpoint,
    Entity,
    KeySetTotal,
    Prediction,
    Receipt,
    Records,
    Seen,
    StepSeries,
    Totals,
)

START = 1_700_000_000_000_000_000
SPECIAL = {3: math.nan, 5: math.inf, 7: -math.inf, 9: -0.0}


def uuid_of(number: int) -> str:
    """Return a valid UUID that a test can name."""
    return str(uuid.UUID(int=number, version=4))


EXPERIMENT = uuid_of(1)
GROUP = group_id_of(EXPERIMENT, "lr=0.1")
RUN = uuid_of(100)


def value_at(step: int, number: int) -> float:
    """Return the value of metric ``number`` at a step, the non-finite ones among them."""
    return SPECIAL.get(step % 20, step * 0.5 + number)


def series(
    run_id: str = RUN, first: int = 0, count: int = 10, *, name: str = "loss", split: str = "train", attempt: int = 1,
    number: int = 0, keyset: int | None = 0, first_step: int | None = None,
) -> StepSeries:
    """Return ``count`` values of one series from ordinal ``first`` on; the step is the ordinal if not said."""
    start = first if first_step is None else first_step
    steps = list(range(start, start + count))
    return StepSeries(
        run_id, split, name, attempt, keyset, None if keyset is None else first, steps,
        [time_at(attempt, first + i) for i in range(count)], [value_at(step, number) for step in steps],
    )


def time_at(attempt: int, ordinal: int) -> int:
    """Return the time of a log call."""
    return START + attempt * 10**12 + (ordinal + 1) * 10**6


def end_time(attempt: int) -> int:
    """Return the time of an attempt's end."""
    return START + attempt * 10**12 + 10**11


def run_start(run_id: str = RUN, attempt: int = 1, name: str = "lr=0.1/seed=0", **fields: object) -> Entity:
    """Return what the start of an attempt says of its run."""
    said = {
        "experiment_id": EXPERIMENT, "group_id": GROUP, "name": name, "seed": 0, "recipe": "sft",
        "config": '{"lr":0.1}', "status": "running", "start_time": time_at(attempt, -1), **fields,
    }
    return Entity("run", run_id, attempt, False, time_at(attempt, -1), "project", said)


def run_end(run_id: str = RUN, attempt: int = 1, status: str = "completed", time: int | None = None) -> Entity:
    """Return what the end of an attempt says of its run."""
    time = end_time(attempt) if time is None else time
    return Entity("run", run_id, attempt, True, time, "project", {"status": status, "end_time": time})


def totals(
    run_id: str = RUN, attempt: int = 1, calls: int = 10, names: Sequence[str] = ("loss",), **counts: int
) -> Totals:
    """Return an attempt's totals of one key set, at its end."""
    keysets = [KeySetTotal("train", 0, list(names), calls)] if calls else []
    return Totals(run_id, attempt, end_time(attempt), 0, 1, keysets, **counts)


def parents() -> list[Records]:
    """Return the starts and ends of the experiment and the group."""
    experiment = {"name": "lr-sweep", "hypothesis": "lower is better", "tags": ["digits", "lr"], "status": "running"}
    ended = {"status": "completed", "conclusion": "it is", "best_score": 0.97, "end_time": end_time(9)}
    return [
        Records(entities=[Entity("experiment", EXPERIMENT, 1, False, START, "project", experiment)]),
        Records(entities=[Entity("experiment", EXPERIMENT, 1, True, end_time(9), "project", ended)]),
        Records(entities=[Entity("group", GROUP, 1, False, START + 1, "project", {
            "experiment_id": EXPERIMENT, "name": "lr=0.1", "status": "running", "start_time": START + 1})]),
        Records(entities=[Entity("group", GROUP, 1, True, end_time(8), "project", {
            "status": "completed", "end_time": end_time(8)})]),
    ]  # fmt: skip


def attempt_records(
    run_id: str = RUN, attempt: int = 1, *, calls: int = 60, names: Sequence[str] = ("loss", "acc"), piece: int = 7,
    first_step: int = 0,
) -> list[Records]:
    """Return everything that one whole attempt sends, one signal each."""
    said = [Records(entities=[run_start(run_id, attempt)]), Records(entities=[run_end(run_id, attempt)])]
    for first in range(0, calls, piece):
        count = min(piece, calls - first)
        for number, name in enumerate(names):
            each = series(
                run_id, first, count, name=name, attempt=attempt, number=number + 10 * attempt,
                first_step=first_step + first,
            )
            sign = Seen(run_id, attempt, each.times[-1], each.steps[-1])
            said.append(Records(series=[each], seen=[sign]))
    said += [prediction_records(run_id, attempt, ordinal) for ordinal in range(5)]
    uri = f"file:///ckpt/{attempt}"
    checkpoint_id = checkpoint_id_of(run_id, uri, 10)
    checkpoint = Checkpoint(run_id, checkpoint_id, uri, 10, attempt, time_at(attempt, 10), 0, "step_10")
    said.append(Records(checkpoints=[checkpoint], receipts=[Receipt(run_id, attempt, "checkpoint", 0, 1)]))
    evaluated = Entity("eval", uuid_of(int(run_id[-4:], 16) + 500), attempt, True, time_at(attempt, 20), "project", {
        "run_id": run_id, "name": "digits-test", "metrics": '{"accuracy":0.97,"f1":"NaN"}', "step": 20,
        "tags": ["test"], "breakdowns": '{"by_class":{"0":"Infinity"}}'})  # fmt: skip
    said.append(Records(entities=[evaluated], receipts=[Receipt(run_id, attempt, "eval", 0, 1)]))
    said.append(Records(seen=[Seen(run_id, attempt, end_time(attempt), heartbeat=False)]))
    said.append(Records(totals=[
        totals(run_id, attempt, calls, names, predictions=5, evals=1, checkpoints=1)]))  # fmt: skip
    return said


def prediction_records(run_id: str, attempt: int, ordinal: int) -> Records:
    """Return one prediction and its receipt."""
    row = Prediction(
        run_id, "", "train", NO_STEP if ordinal == 4 else 5, f"task-{ordinal}", 0, attempt, time_at(attempt, 30),
        ordinal, "say", f"said {attempt}", None, math.nan if ordinal == 3 else 0.5, None, '{"k":1}',
    )
    return Records(predictions=[row], receipts=[Receipt(run_id, attempt, "prediction", ordinal, 1)])


def merged(pieces: Iterable[Records]) -> Records:
    """Return all pieces as one."""
    whole = Records()
    for piece in pieces:
        whole.extend(piece)
    return whole


def shuffled_batches(pieces: Sequence[Records], seed: int, repeat: int = 2, largest: int = 9) -> list[Records]:
    """Return the pieces ``repeat`` times each, in a random order, in batches of random size."""
    chance = random.Random(seed)
    order = list(pieces) * repeat
    chance.shuffle(order)
    batches = []
    while order:
        size = chance.randint(1, largest)
        batches.append(merged(order[:size]))
        del order[:size]
    return batches
