"""A sweep on handwritten digits through the evsys callback: two learning rates times two seeds of a small network.

Run it with ``python digits_sweep.py``, then look with ``evsys-otel ls``. In an evsys training the Experiment and the
TrainingLoop call the hooks and own the context; here they are called by hand, to show what happens when.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from rich.progress import Progress
from sklearn.datasets import load_digits

from evsys_otel import EvsysLoggerCallback

RATES, SEEDS, STEPS = (0.03, 0.3), (0, 1), 600


class Network:
    """One hidden layer of rectifiers, trained by gradient descent."""

    def __init__(self, rng: np.random.Generator, hidden: int = 32) -> None:
        self.w1, self.b1 = rng.normal(0, 0.18, (64, hidden)), np.zeros(hidden)
        self.w2, self.b2 = rng.normal(0, 0.25, (hidden, 10)), np.zeros(10)

    def probabilities(self, images: Any) -> Any:
        """Return one row for each image: how likely each of the ten digits is."""
        self.hidden = np.maximum(images @ self.w1 + self.b1, 0)
        scores = self.hidden @ self.w2 + self.b2
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        return raised / raised.sum(axis=1, keepdims=True)

    def learn(self, images: Any, labels: Any, rate: float) -> dict[str, float]:
        """Go one step down the slope and return the step's metrics."""
        found = self.probabilities(images)
        error = (found - np.eye(10)[labels]) / len(labels)
        back = (error @ self.w2.T) * (self.hidden > 0)
        slopes = [images.T @ back, back.sum(axis=0), self.hidden.T @ error, error.sum(axis=0)]
        for weights, slope in zip((self.w1, self.b1, self.w2, self.b2), slopes, strict=True):
            weights -= rate * slope
        return {**measure(found, labels), "grad_norm": float(np.sqrt(sum((s * s).sum() for s in slopes)))}


def measure(found: Any, labels: Any) -> dict[str, float]:
    """Return loss and accuracy of what a network found."""
    chosen = found[np.arange(len(labels)), labels]
    return {"loss": float(-np.log(chosen + 1e-12).mean()), "accuracy": float((found.argmax(axis=1) == labels).mean())}


def train(callback: Any, ctx: Any, data: Any, steps: int, tick: Callable[[], None]) -> Network:
    """Train one arm: step metrics, validation every 50 steps, checkpoints on disk halfway and at the end."""
    config, (images, labels) = ctx.run_config, data["train"]
    rng = np.random.default_rng(config["seed"])
    network = Network(rng)
    state = SimpleNamespace(ctx=ctx, output_dir=ctx.output_dir / ctx.run_key, num_steps=steps, step=0)
    state.output_dir.mkdir(parents=True, exist_ok=True)
    callback.on_train_start(state)
    for state.step in range(steps):
        batch = rng.integers(0, len(labels), 64)
        metrics = network.learn(images[batch], labels[batch], config["learning_rate"])
        callback.on_step_end(state, state.step, batch, metrics)
        if state.step + 1 == steps // 2:
            save(callback, state, network, f"step_{state.step + 1}")
        if (state.step + 1) % 50 == 0:
            found = network.probabilities(data["validation"][0])
            callback.on_eval(state, state.step, "digits", measure(found, data["validation"][1]))
        tick()
    save(callback, state, network, "final")
    callback.on_train_end(state, None)
    return network


def save(callback: Any, state: Any, network: Network, name: str) -> None:
    """Write a checkpoint to disk and tell the callback where it is."""
    path = state.output_dir.absolute() / f"{name}.npz"
    np.savez(path, w1=network.w1, b1=network.b1, w2=network.w2, b2=network.b2)
    callback.on_checkpoint(state, SimpleNamespace(name=name, batch=state.step, sampler_path=path.as_uri()))


def benchmark(callback: Any, ctx: Any, network: Network, data: Any) -> float:
    """Score a trained arm on images that it has not seen, with a prediction for each of them."""
    images, labels = data["test"]
    found = network.probabilities(images)
    predictions = [
        {"task_id": f"digit-{i}", "instruction": f"Which digit is image {i} of the test set?",
         "output": str(row.argmax()), "expected": str(label), "reward": float(row.argmax() == label),
         "metadata": {"confidence": float(row.max())}}
        for i, (row, label) in enumerate(zip(found, labels, strict=True))
    ]
    scores = measure(found, labels)
    result = SimpleNamespace(name="digits-test", benchmark_id="sklearn-digits", metrics=scores, tags=["test"])
    callback.on_benchmark_eval(ctx, result, predictions)
    return scores["accuracy"]


def sweep(callback: Any, folder: Path, *, steps: int = STEPS, tick: Callable[[], None]) -> dict[str, float]:
    """Train every arm of the sweep and return the test accuracy of each run by the run's id."""
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    parts = zip(("train", "validation", "test"), np.split(order, [1200, 1500]), strict=True)
    data = {name: (pixels[part] / 16, labels[part]) for name, part in parts}
    metadata = {"hypothesis": "A larger rate learns faster, and no worse", "tags": ["digits", "demo"]}
    config = SimpleNamespace(name="digits-lr-sweep", metadata=metadata)
    ctx = SimpleNamespace(output_dir=folder, config=config, ids={}, extras={}, run_key=None, run_config=None)
    callback.on_experiment_start(ctx)
    for rate in RATES:
        callback.on_group_start(ctx, f"lr={rate}")
    scores: dict[str, float] = {}
    for rate, seed in ((rate, seed) for rate in RATES for seed in SEEDS):
        ctx.group_name, ctx.run_key = f"lr={rate}", f"lr={rate}__s{seed}"
        ctx.run_config = {"learning_rate": rate, "seed": seed, "hidden": 32, "algorithm": {"kind": "sgd"}}
        callback.on_run_start(ctx)
        network = train(callback, ctx, data, steps, tick)
        scores[ctx.ids["run_id"]] = benchmark(callback, ctx, network, data)
        done = SimpleNamespace(name=ctx.run_key, status="completed", error=None)
        callback.on_run_end(ctx, done, done)
    best = max(scores.values())
    conclusion = f"The best run reads {best:.1%} of the test images right"
    callback.on_experiment_end(ctx, SimpleNamespace(status="completed", best_score=best, conclusion=conclusion))
    return scores


def main() -> None:
    """Run the sweep with a progress bar and say what came of it."""
    with Progress() as bar:
        task = bar.add_task("training", total=len(RATES) * len(SEEDS) * STEPS)
        scores = sweep(EvsysLoggerCallback(), Path("demo-output"), tick=lambda: bar.advance(task))
    best = max(scores, key=lambda run_id: scores[run_id])
    print(f"best run: {best}, test accuracy {scores[best]:.3f}")


if __name__ == "__main__":
    main()
