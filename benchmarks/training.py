"""The cost to the training loop: every participant in turn, in rounds, so that a drift of the machine cancels out."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from benchmarks.loop import calibrate
from benchmarks.participants import PARTICIPANTS

ALONE = "the loop alone"
SLOW = {"tensorboardX", "wandb offline", "trackio"}
SLOW_ROUNDS, CALL_ROUNDS = 3, 5


def run_once(name: str, steps: int, work: int, mode: str) -> dict[str, float]:
    """Run one participant in a process of its own and return its figures."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.loop", name, str(steps), str(work), mode],
        capture_output=True, text=True, check=True, timeout=600,
    )
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def measure_training(rounds: int = 9, steps: int = 8_000) -> dict[str, dict[str, float]]:
    """Return, for each participant, one call's quantiles and the microseconds added to a step of the whole loop.

    Each round begins with another participant, so that none has always the same neighbour.
    """
    work = calibrate()
    names = list(PARTICIPANTS)
    loops: dict[str, list[float]] = {name: [] for name in names}
    calls: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names[number % len(names):] + names[: number % len(names)]:
            if name in SLOW and number >= SLOW_ROUNDS:
                continue
            count = steps // 5 if name in SLOW else steps
            loops[name].append(run_once(name, count, work, "loop")["step_us"])
            if name != ALONE and number < CALL_ROUNDS:
                calls[name].append(run_once(name, count, work, "call"))
    alone = statistics.median(loops[ALONE])
    return {name: summarise(loops[name], alone, calls[name]) for name in names}


def summarise(loop: list[float], alone: float, calls: list[dict[str, float]]) -> dict[str, float]:
    """Return medians over the rounds."""
    step = statistics.median(loop)
    quantiles = {key: statistics.median(call[key] for call in calls) for key in (calls[0] if calls else ())}
    return {"step_us": step, "added_us": step - alone, **quantiles}
