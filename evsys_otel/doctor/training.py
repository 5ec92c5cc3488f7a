"""A number of bytes in; a marked run of that size, logged as a training logs it, and how long that took, out.

It runs in a process of its own, so that the start, the shipper and the exit are those of a user's training. It prints
one line of JSON when it has logged and one when that was acknowledged.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evsys_otel import Run

NAME = "evsys-otel doctor"
METRICS = [f"doctor/{number}" for number in range(20)]
BYTES_OF_A_VALUE = 68
"""Of one step value over OTLP, as measured; what a burst of a given size has to hold."""
TEXT_BYTES = 64 * 1024


def steps_and_texts(burst_bytes: int) -> tuple[int, int]:
    """Return how many steps and prediction texts make the burst: half of its bytes are metrics, half are logs."""
    half = burst_bytes // 2
    return max(half // (BYTES_OF_A_VALUE * len(METRICS)), 1), max(half // TEXT_BYTES, 1)


def value_of(step: int, number: int) -> float:
    """Return the value that metric ``number`` has at a step, so that a reader can tell whether it is exact."""
    return step + number / 32


def train(burst_bytes: int, timeout_seconds: float) -> None:
    """Record the marked run and wait until every lane that is not switched off has acknowledged it."""
    from evsys_otel import start_experiment

    with start_experiment(NAME, hypothesis="Everything that is logged arrives", tags=["doctor"]) as experiment:
        with experiment.run(NAME, config={"burst_bytes": burst_bytes}) as run:
            began = time.time_ns()
            _burst(run, *steps_and_texts(burst_bytes))
            logged = time.time_ns()
            _say(experiment_id=experiment.id, run_id=run.id, began_unix_nano=began, logged_unix_nano=logged)
        done = experiment.flush(timeout_seconds)
        _say(flushed=done, acknowledged_unix_nano=time.time_ns())


def _burst(run: Run, steps: int, texts: int) -> None:
    for step in range(steps):
        run.log({name: value_of(step, number) for number, name in enumerate(METRICS)}, step=step)
    text = "evsys-otel doctor " * (TEXT_BYTES // 18)
    for number in range(texts):
        run.log_predictions(
            [{"task_id": f"text-{number}", "sample_idx": 0, "model_output": text}], step=0, kind="train"
        )


def _say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)
