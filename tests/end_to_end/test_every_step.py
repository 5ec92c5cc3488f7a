"""A training as fast as Python loops, in its own process, with default settings: every value is in the store once."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

from evsys_otel import open_store

STEPS, NAMES = 20_000, [f"metric/{i}" for i in range(20)]

TRAINER = """
import evsys_otel
special = {7: float("nan"), 11: float("inf"), 13: float("-inf"), 17: -0.0}
with evsys_otel.start_experiment("fast", quiet=True) as experiment:
    with experiment.run("all") as run:
        for step in range(20_000):
            value = special.get(step % 19, step * 0.5)
            run.log({f"metric/{i}": value + i for i in range(20)}, step=step, split="train" if step % 2 else "val")
print(run.id)
"""


def expected(step: int, number: int) -> float:
    special = {7: math.nan, 11: math.inf, 13: -math.inf, 17: -0.0}
    return special.get(step % 19, step * 0.5) + number


def test_400_000_values_arrive_each_once_with_exact_step_value_and_split(tmp_path: Path) -> None:
    """Nothing is lost, doubled or altered, NaN and infinities among it, and the run is whole."""
    done = subprocess.run([sys.executable, "-c", TRAINER], cwd=tmp_path, capture_output=True, text=True, check=True)
    run_id = done.stdout.strip()
    with open_store(f"sqlite:///{tmp_path}/.evsys/evsys.db") as store:
        for number, name in enumerate(NAMES):
            rows = store.get_metrics(run_id, name=name)
            assert len(rows) == STEPS
            for row in rows:
                assert row["split"] == ("train" if row["step"] % 2 else "val")
                want = expected(row["step"], number)
                assert row["value"] == want or (math.isnan(row["value"]) and math.isnan(want))
            assert sorted(row["step"] for row in rows) == list(range(STEPS))
        assert store.completeness(run_id).state == "whole"
        assert store.get_run(run_id)["status"] == "completed"
