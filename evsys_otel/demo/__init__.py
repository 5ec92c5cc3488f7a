"""The demo: a folder goes in, a sweep trained on real data comes out in the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evsys_otel.callback import EvsysLoggerCallback
from evsys_otel.errors import ConfigurationError
from evsys_otel.recorder import Experiment

QUICK_STEPS = 100
FLUSH_SECONDS = 60.0

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class DemoResult:
    """What the demo recorded; ``delivered`` is whether every destination has all of it already."""

    experiment_id: str
    best_run_id: str
    best_accuracy: float
    delivered: bool


def run_demo(
    directory: str | Path, *, quick: bool = False, progress: Tell | None = None, **settings: Any
) -> DemoResult:
    """Train the sweep of ``examples/digits_sweep.py`` and wait until it is delivered.

    Args:
        directory: folder of the checkpoints; made when it is missing.
        quick: whether to train for a sixth of the steps only.
        progress: called with steps done and steps in all, after each step; default: a progress bar.
        settings: any setting of ``docs/settings.md``.

    Raises:
        ConfigurationError: scikit-learn is not installed, or a setting cannot be used.
    """
    try:
        from evsys_otel.demo import digits_sweep
    except ImportError as error:
        raise ConfigurationError(f"The demo needs {error.name}; install it: pip install 'evsys-otel[demo]'.") from None
    steps = QUICK_STEPS if quick else digits_sweep.STEPS
    total = len(digits_sweep.RATES) * len(digits_sweep.SEEDS) * steps
    callback = _NotedCallback(**settings)
    with _Counter(total, progress) as counter:
        scores = digits_sweep.sweep(callback, Path(directory), steps=steps, tick=counter.advance)
    best = max(scores, key=lambda run_id: scores[run_id])
    experiment = callback.recorded
    return DemoResult(experiment.id, best, scores[best], experiment.flush(FLUSH_SECONDS))


class _NotedCallback(EvsysLoggerCallback):
    """The callback, with the experiment that it recorded."""

    recorded: Experiment

    def on_experiment_start(self, ctx: Any) -> None:
        """Start the experiment and keep it. Raises ConfigurationError when it could not be started."""
        super().on_experiment_start(ctx)
        if self._experiment is None:
            raise ConfigurationError("The demo could not start to record; the warning above says why.")
        self.recorded = self._experiment


class _Counter:
    """Counts steps for whoever wants to be told, or for a bar on standard error."""

    def __init__(self, total: int, progress: Tell | None) -> None:
        self._total = total
        self._done = 0
        self._bar: Any = None
        self._tell = progress

    def __enter__(self) -> _Counter:
        if self._tell is None:
            self._tell = self._start_bar()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self) -> None:
        """Count one step."""
        self._done += 1
        if self._tell is not None:
            self._tell(self._done, self._total)

    def _start_bar(self) -> Tell:
        from rich.console import Console
        from rich.progress import Progress

        self._bar = Progress(console=Console(stderr=True))
        task = self._bar.add_task("training", total=self._total)
        self._bar.start()
        return lambda done, total: self._bar.update(task, completed=done)
