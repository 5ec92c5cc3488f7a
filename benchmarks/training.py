"""The cost to the training loop: every participant in turn, in rounds, so that a drift of the machine cancels out."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from benchmarks.loop import calibrate
from benchmarks.participants import PARTICIPANTS

SLOW = {"tensorboardX", "wandb offline", "trackio"}


def run_once(name: str, steps: int, work: int, mode: str) -> dict[str, float]:
    """Run one participant in a process of its own and return its figures."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.loop", name, str(steps), str(work), mode],
        capture_output=True, text=True, check=True, timeout=600,
    )
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def measure_training(rounds: int = 7, steps: int = 10_000) -> dict[str, dict[str, float]]:
    """Return, for each participant, one call's quantiles and the microseconds added to a step of the whole loop."""
    work = calibrate()
    loops: dict[str, list[float]] = {name: [] for name in PARTICIPANTS}
    calls: dict[str, list[dict[str, float]]] = {name: [] for name in PARTICIPANTS}
    for number in range(rounds):
        for name in PARTICIPANTS:
            if name in SLOW and number >= 3:
                continue
            count = steps // 5 if name in SLOW else steps
            loops[name].append(run_once(name, count, work, "loop")["step_us"])
            if name != "the loop alone":
                calls[name].append(run_once(name, count, work, "call"))
    return {name: summarise(name, loops, calls[name]) for name in PARTICIPANTS}


def summarise(name: str, loops: dict[str, list[float]], calls: list[dict[str, float]]) -> dict[str, float]:
    """Return medians over the rounds; what is added to the loop is paired round by round."""
    alone = loops["the loop alone"]
    added = statistics.median(mine - base for mine, base in zip(loops[name], alone, strict=False))
    figures = {"step_us": statistics.median(loops[name]), "added_us": added}
    for quantile in ("p50", "p99", "p99.9"):
        if calls:
            figures[quantile] = statistics.median(call[quantile] for call in calls)
    return figures
