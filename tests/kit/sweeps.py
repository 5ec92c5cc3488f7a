"""A small sweep as records: two learning rates times two seeds, with everything that a store can hold of a run."""

from __future__ import annotations

import json
import math
import uuid

from evsys_otel.conventions import checkpoint_id_of, group_id_of
from evsys_otel.records import (
    Checkpoint,
    Entity,
    EntityKind,
    FieldValue,
    KeySetTotal,
    Prediction,
    Receipt,
    Records,
    Seen,
    StepSeries,
    Totals,
)

STEPS, VAL_STEPS, PREDICTIONS = 200, 20, 5
BEGAN = 1_790_000_000_000_000_000
SECOND = 1_000_000_000


def run_id_of(number: int) -> str:
    """Return the id of the n-th run of a sweep."""
    return str(uuid.UUID(int=(0xA0 + number) << 120 | 4 << 76 | 1 << 63 | number))


def experiment_id_of(number: int) -> str:
    """Return the id of the n-th sweep."""
    return str(uuid.UUID(int=(0x10 + number) << 120 | 4 << 76 | 1 << 63 | number))


def sweep(number: int = 0, *, name: str = "lr-sweep", ended: bool = True, missing: bool = False) -> Records:
    """Return a whole sweep; with ``missing`` the last steps of its first run lack, unless ``ended`` it still runs."""
    records = Records()
    experiment = experiment_id_of(number)
    facts: dict[str, FieldValue] = {"name": name, "hypothesis": "A larger rate learns faster", "tags": ["digits"]}
    _entity(records, "experiment", experiment, BEGAN, facts | {"status": "running", "start_time": BEGAN})
    for arm, lr in enumerate((0.1, 0.5)):
        group = group_id_of(experiment, f"lr={lr}")
        start = {"experiment_id": experiment, "name": f"lr={lr}", "status": "running", "start_time": BEGAN}
        _entity(records, "group", group, BEGAN, start)
        for seed in (0, 1):
            index = 2 * arm + seed
            _run(records, number * 4 + index, experiment, group, lr, seed, ended=ended, short=missing and index == 0)
        if ended:
            _end(records, "group", group, BEGAN + 400 * SECOND, {"status": "completed"})
    if ended:
        facts = {"status": "completed", "conclusion": "It does", "best_score": 0.96}
        _end(records, "experiment", experiment, BEGAN + 400 * SECOND, facts)
    return records


def _run(
    records: Records, index: int, experiment: str, group: str, lr: float, seed: int, *, ended: bool, short: bool
) -> None:
    run = run_id_of(index)
    config = {"lr": lr, "seed": seed, "model": {"layers": [64, 32], "activation": "tanh"}, "epochs": 10}
    facts: dict[str, FieldValue] = {
        "experiment_id": experiment, "group_id": group, "name": f"lr={lr}/seed={seed}", "seed": seed, "recipe": "sft",
        "config": json.dumps(config), "status": "running", "start_time": BEGAN,
    }  # fmt: skip
    _entity(records, "run", run, BEGAN, facts)
    _steps(records, run, lr, seed, STEPS - (10 if short else 0))
    _children(records, run, lr, seed)
    last = BEGAN + 300 * SECOND
    records.seen.append(Seen(run, 1, last, STEPS - 1))
    if ended:
        keysets = [KeySetTotal("train", 0, ["loss", "accuracy"], STEPS), KeySetTotal("val", 1, ["loss"], VAL_STEPS)]
        _end(records, "run", run, last, {"status": "completed"})
        records.totals.append(Totals(run, 1, last, 0, 1, keysets, PREDICTIONS, 1, 1))


def _steps(records: Records, run: str, lr: float, seed: int, count: int) -> None:
    steps = list(range(count))
    times = [BEGAN + (step + 1) * SECOND for step in steps]
    loss = [2.3 * math.exp(-lr * step / 20) + 0.05 + 0.02 * math.sin(step + seed) for step in steps]
    accuracy = [math.nan if step == 3 else 1 - value / 3 for step, value in zip(steps, loss, strict=True)]
    records.series.append(StepSeries(run, "train", "loss", 1, 0, 0, steps, times, loss))
    records.series.append(StepSeries(run, "train", "accuracy", 1, 0, 0, steps, times, accuracy))
    val = [2.3 * math.exp(-lr * step / 25) + 0.1 for step in range(0, STEPS, STEPS // VAL_STEPS)]
    val_steps = list(range(0, STEPS, STEPS // VAL_STEPS))
    records.series.append(StepSeries(run, "val", "loss", 1, 1, 0, val_steps, [times[0] + s for s in val_steps], val))


def _children(records: Records, run: str, lr: float, seed: int) -> None:
    time, evaluation = BEGAN + 250 * SECOND, str(uuid.uuid5(uuid.UUID(run), "eval"))
    metrics = json.dumps({"accuracy": 0.9 + lr / 10 + seed / 100, "loss": 0.3 - lr / 10})
    facts: dict[str, FieldValue] = {"run_id": run, "name": "digits-test", "metrics": metrics, "tags": ["test"]}
    _entity(records, "eval", evaluation, time, facts | {"step": STEPS - 1, "start_time": time, "end_time": time})
    uri = f"file:///checkpoints/{run}/step_100"
    checkpoint = Checkpoint(run, checkpoint_id_of(run, uri, 100), uri, 100, 1, time, 0, "step_100", is_final=True)
    records.checkpoints.append(checkpoint)
    for i in range(PREDICTIONS):
        said = ("Which digit?", str(i), str(i), 1.0)
        row = Prediction(run, evaluation, "eval", STEPS - 1, f"image-{i}", 0, 1, time, i, *said)
        records.predictions.append(row)
    records.receipts += [Receipt(run, 1, "eval", 0, 1), Receipt(run, 1, "checkpoint", 0, 1)]
    records.receipts.append(Receipt(run, 1, "prediction", 0, PREDICTIONS))


def _entity(records: Records, kind: EntityKind, id: str, time: int, fields: dict[str, FieldValue]) -> None:
    records.entities.append(Entity(kind, id, 1, False, time, None, fields))


def _end(records: Records, kind: EntityKind, id: str, time: int, fields: dict[str, FieldValue]) -> None:
    records.entities.append(Entity(kind, id, 1, True, time, None, {**fields, "end_time": time}))
