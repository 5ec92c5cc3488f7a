"""Any training loop: start an experiment, log steps, evals, predictions and checkpoints. Needs nothing but evsys-otel.

Run it with ``python examples/plain_loop.py``, then look with ``evsys-otel ls``.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import evsys_otel

TRUTH = (2.0, -1.0)  # the line that is to be found: y = 2 x - 1


def points(rng: random.Random, count: int) -> list[tuple[float, float]]:
    xs = [rng.uniform(-1, 1) for _ in range(count)]
    return [(x, TRUTH[0] * x + TRUTH[1] + rng.gauss(0, 0.1)) for x in xs]


def loss_of(slope: float, offset: float, data: list[tuple[float, float]]) -> float:
    return sum((slope * x + offset - y) ** 2 for x, y in data) / len(data)


def train(run: evsys_otel.Run, rate: float, seed: int, steps: int = 200) -> None:
    rng = random.Random(seed)
    slope, offset, validation, test = 0.0, 0.0, points(rng, 50), points(rng, 20)
    for step in range(steps):
        data = points(rng, 16)
        errors = [slope * x + offset - y for x, y in data]
        slope -= rate * 2 * sum(e * x for e, (x, _) in zip(errors, data, strict=True)) / len(data)
        offset -= rate * 2 * sum(errors) / len(data)
        run.log({"loss": loss_of(slope, offset, data), "slope": slope, "offset": offset}, step=step)
        if (step + 1) % 50 == 0:
            run.log({"loss": loss_of(slope, offset, validation)}, step=step, split="val")
    checkpoint = Path("demo-output") / f"{run.name}.json"
    checkpoint.parent.mkdir(exist_ok=True)
    checkpoint.write_text(json.dumps({"slope": slope, "offset": offset, "handle": run.handle}))
    run.log_checkpoint(checkpoint.absolute().as_uri(), step=steps - 1, label="final", is_final=True)
    answers = [
        {"task_id": f"x={x:.3f}", "output": f"{slope * x + offset:.3f}", "expected": f"{y:.3f}",
         "reward": -abs(slope * x + offset - y)}
        for x, y in test
    ]
    run.log_eval("line-test", {"loss": loss_of(slope, offset, test)}, predictions=answers, tags=["test"])


def main() -> None:
    hypothesis = "A larger rate finds the line sooner"
    with evsys_otel.start_experiment("line", hypothesis=hypothesis, tags=["toy"]) as experiment:
        for rate in (0.02, 0.2):
            with experiment.group(f"rate={rate}") as group:
                for seed in (0, 1):
                    config = {"rate": rate, "seed": seed, "batch": 16}
                    with group.run(f"rate={rate}-seed={seed}", config=config, seed=seed) as run:
                        train(run, rate, seed)


if __name__ == "__main__":
    main()
