"""One participant in a process of its own: a loop with its own Python work, timed as a whole and call by call.

``python -m benchmarks.loop NAME STEPS WORK MODE`` prints JSON: seconds a step of the whole loop (``MODE`` loop) or the
quantiles of one call (``MODE`` call).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.participants import PARTICIPANTS, Log

WARM_UP_STEPS = 200


def own_work(amount: int) -> float:
    """Spend interpreter time as a training loop's own Python does."""
    total = 0.0
    for i in range(amount):
        total += i * 0.5
    return total


def metrics_of(step: int) -> dict[str, float]:
    """Return twenty metrics of a step."""
    return {f"metric/{i}": step * 0.001 + i for i in range(20)}


def calibrate(seconds: float = 160e-6) -> int:
    """Return the amount of work that takes about so many seconds, the metrics' making included."""
    amount = 1000
    for _ in range(3):
        began = time.perf_counter()
        for step in range(500):
            own_work(amount)
            metrics_of(step)
        amount = max(1, int(amount * seconds / ((time.perf_counter() - began) / 500)))
    return amount


def time_loop(log: Log, steps: int, work: int) -> dict[str, float]:
    """Return microseconds a step of the whole loop."""
    began = time.perf_counter()
    for step in range(WARM_UP_STEPS, WARM_UP_STEPS + steps):
        own_work(work)
        log(metrics_of(step), step)
    return {"step_us": (time.perf_counter() - began) / steps * 1e6}


def time_calls(log: Log, steps: int, work: int) -> dict[str, float]:
    """Return the quantiles of one call in microseconds."""
    took = []
    clock = time.perf_counter_ns
    for step in range(WARM_UP_STEPS, WARM_UP_STEPS + steps):
        own_work(work)
        metrics = metrics_of(step)
        began = clock()
        log(metrics, step)
        took.append(clock() - began)
    took.sort()
    return {q: took[min(steps - 1, int(steps * p))] / 1000 for q, p in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))}


def main() -> None:
    """Run one participant and print its figures."""
    name, steps, work, mode = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log, end = PARTICIPANTS[name](Path(folder))
        for step in range(WARM_UP_STEPS):
            own_work(work)
            log(metrics_of(step), step)
        figures = (time_loop if mode == "loop" else time_calls)(log, steps, work)
        end()
    sys.stdout.write("\n" + json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
