"""A stand-in for evsys training code: it calls callbacks' hooks in the order, with the arguments and on the objects of
the evsys SDK in its versions, and swallows what they raise into ``raised``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Algorithm:
    kind: str = "sft"


@dataclass
class RunConfig:
    name: str
    seed: int = 0
    algorithm: Algorithm = field(default_factory=Algorithm)
    learning_rate: float = 0.1
    rows: list[dict[str, Any]] = field(default_factory=list)

    def model_dump(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class ExperimentConfig:
    name: str = "sweep"
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class LogContext:
    """One for the whole experiment, mutated for each arm."""

    output_dir: Path
    config: ExperimentConfig | None = None
    run_key: str | None = None
    run_config: RunConfig | None = None
    group_name: str | None = None
    ids: dict[str, str] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)


@dataclass
class LogContextWithStore(LogContext):
    """The context of the versions in which the Experiment may own a store."""

    store: Any = None


@dataclass
class LoopState:
    step: int
    num_steps: int
    output_dir: Path
    backend: Any = None
    checkpoint_mgr: Any = None
    stop_requested: bool = False
    ctx: LogContext | None = None


@dataclass
class ManifestRow:
    name: str
    batch: int | None = None
    epoch: int | None = None
    state_path: str | None = None
    sampler_path: str | None = None


@dataclass
class EvalResult:
    name: str
    benchmark_id: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    breakdowns: dict[str, Any] = field(default_factory=dict)
    eval_seconds: float = 0.5
    step: int | None = None
    tags: list[str] = field(default_factory=list)


@dataclass
class RunResult:
    run_id: str
    status: str = "completed"
    metrics: dict[str, float] = field(default_factory=dict)
    error: str | None = None


@dataclass
class ArmResult:
    name: str
    run_config: RunConfig
    status: str = "completed"
    run_id: str | None = None
    error: str | None = None
    group_name: str | None = None


@dataclass
class ExperimentResult:
    name: str
    status: str
    arms: list[ArmResult]
    best_score: float | None = None
    conclusion: str | None = None


@dataclass
class Turn:
    text: str
    completion_tokens: list[int] = field(default_factory=list)


@dataclass
class Trajectory:
    turns: list[Turn]
    reward: float = 0.0
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class TrajectoryGroup:
    trajectories: list[Trajectory]


@dataclass
class Verifier:
    expected: str


@dataclass
class HarborTask:
    task_id: str
    instruction: str
    verifier: Verifier


@dataclass
class Arm:
    """What a training function gets: the arm's config and directory, and how to call hooks."""

    config: RunConfig
    key: str
    group: str | None
    output_dir: Path
    ctx: LogContext | None
    dispatch: Callable[..., None]


Training = Callable[[Arm], RunResult]


def training_loop(
    *, steps: int = 3, save_every: int = 2, eval_every: int = 2, fails_at: int | None = None,
    metrics: Callable[[int], dict[str, Any]] = lambda step: {"loss": 1.0 / (step + 1), "progress/step": float(step)},
    rollouts: Callable[[int], tuple[list[Any], list[Any] | None] | None] = lambda step: None,
    save_paths: bool = True, with_items: bool = True,
) -> Training:
    """TrainingLoop: hooks 5-11 of the order; ``with_items`` is the version whose on_rollout has a fourth argument."""

    def train(arm: Arm) -> RunResult:
        state = LoopState(0, steps, arm.output_dir, backend=object(), ctx=arm.ctx)
        arm.dispatch("on_train_start", state)
        for step in range(steps):
            state.step = step
            if step == fails_at:
                raise RuntimeError(f"boom at step {step}")
            sampled = rollouts(step)
            if sampled is not None:
                more = (sampled[1],) if with_items else ()
                arm.dispatch("on_rollout", state, step, sampled[0], *more)
            arm.dispatch("on_step_end", state, step, object(), metrics(step))
            if (step + 1) % save_every == 0:
                arm.dispatch("on_checkpoint", state, _row(arm, f"step_{step + 1}", step, save_paths))
            if (step + 1) % eval_every == 0:
                arm.dispatch("on_eval", state, step, "probe", {"pass_rate": step / 10})
        arm.dispatch("on_checkpoint", state, _row(arm, "final", steps - 1, save_paths))
        arm.dispatch("on_train_end", state, object())
        return RunResult(arm.key)

    return train


def mock_sft(*, steps: int = 3) -> Training:
    """mock_sft: on_step_end only, steps from 1, no batch, no backend."""

    def train(arm: Arm) -> RunResult:
        for step in range(1, steps + 1):
            state = LoopState(step, steps, arm.output_dir, ctx=arm.ctx)
            arm.dispatch("on_step_end", state, step, None, {"loss": 1 / step})
        return RunResult(arm.key)

    return train


def injected(arm: Arm) -> RunResult:
    """An injected train_fn: it never gets callbacks or context."""
    return RunResult(arm.key)


def bare_loop(callbacks: Sequence[Any], training: Training, output_dir: Path) -> RunResult:
    """run_experiment without an Experiment: loop hooks at most, with ``state.ctx`` None."""
    hooks = Hooks(callbacks)
    return training(Arm(RunConfig("bare"), "bare", None, output_dir, None, hooks.dispatch))


class Hooks:
    """Calls callbacks in list order; a hook missing on an object is skipped, what one raises is noted and swallowed."""

    def __init__(self, callbacks: Sequence[Any]) -> None:
        self.callbacks = list(callbacks)
        self.raised: list[Exception] = []

    def dispatch(self, hook: str, *args: Any, **kwargs: Any) -> None:
        for callback in self.callbacks:
            method = getattr(callback, hook, None)
            if method is None:
                continue
            try:
                method(*args, **kwargs)
            except Exception as error:
                self.raised.append(error)


@dataclass
class Experiment:
    """The Experiment: ``primaries`` times ``n_repeats`` arms, sequential, or at once in threads that share one context.

    ``benchmark`` gives an arm's result and predictions, and may raise. With ``concurrent`` every arm starts before any
    trains, so that the context speaks of the last one for all of them; ``ends_in_main`` ends arms from another thread.
    """

    callbacks: Sequence[Any]
    output_dir: Path
    primaries: Sequence[RunConfig] = (RunConfig("base"),)
    training: Training = field(default_factory=training_loop)
    config: ExperimentConfig = field(default_factory=ExperimentConfig)
    n_repeats: int = 1
    stages: int = 1
    concurrent: bool = False
    ends_in_main: bool = False
    benchmark: Callable[[Arm], tuple[EvalResult, list[dict[str, Any]]]] | None = None
    context: type[LogContext] = LogContext
    conclusion: str | None = None
    dies_before_end: bool = False

    def run(self) -> ExperimentResult:
        self.hooks = Hooks(self.callbacks)
        self.ctx = self.context(self.output_dir, config=self.config)
        self.hooks.dispatch("on_experiment_start", self.ctx)
        for primary in self.primaries if self.n_repeats > 1 else ():
            self.ctx.group_name = primary.name
            self.hooks.dispatch("on_group_start", self.ctx, primary.name)
        arms = [self._arm(*planned) for planned in self._plan()]
        results = self._run_at_once(arms) if self.concurrent else [self._run_arm(arm) for arm in arms]
        if self.dies_before_end:
            raise AttributeError("_create_group")
        status = "failed" if any(arm.status == "failed" for arm in results) else "completed"
        result = ExperimentResult(self.config.name, status, results, 0.75, self.conclusion)
        self.hooks.dispatch("on_experiment_end", self.ctx, result)
        return result

    def _plan(self) -> list[tuple[RunConfig, str, str | None]]:
        planned: list[tuple[RunConfig, str, str | None]] = []
        for primary in self.primaries:
            if self.stages > 1:
                planned += [(primary, f"{primary.name}_stage{stage}", None) for stage in range(self.stages)]
            elif self.n_repeats == 1:
                planned.append((primary, primary.name, None))
            else:
                seeds = range(primary.seed, primary.seed + self.n_repeats)
                planned += [(_seeded(primary, seed), f"{primary.name}__s{seed}", primary.name) for seed in seeds]
        return planned

    def _arm(self, config: RunConfig, key: str, group: str | None) -> Arm:
        directory = self.output_dir / key.replace("/", "_").replace(" ", "_")
        return Arm(config, key, group, directory, self.ctx, self.hooks.dispatch)

    def _run_arm(self, arm: Arm) -> ArmResult:
        self._start(arm)
        result, run_result = self._train(arm)
        self.hooks.dispatch("on_run_end", self.ctx, run_result, result)
        return result

    def _run_at_once(self, arms: list[Arm]) -> list[ArmResult]:
        all_started, one_at_a_time = threading.Barrier(len(arms)), threading.Lock()

        def work(arm: Arm) -> tuple[ArmResult, RunResult | None]:
            with one_at_a_time:
                self._start(arm)
            all_started.wait(10)
            result, run_result = self._train(arm)
            if not self.ends_in_main:
                self.hooks.dispatch("on_run_end", self.ctx, run_result, result)
            return result, run_result

        with ThreadPoolExecutor(len(arms)) as pool:
            done = list(pool.map(work, arms))
        for result, run_result in done if self.ends_in_main else ():
            self.hooks.dispatch("on_run_end", self.ctx, run_result, result)
        return [result for result, _ in done]

    def _start(self, arm: Arm) -> None:
        self.ctx.ids.pop("run_id", None)
        self.ctx.run_key, self.ctx.run_config, self.ctx.group_name = arm.key, arm.config, arm.group
        self.hooks.dispatch("on_run_start", self.ctx)
        self.hooks.dispatch("on_train_data", self.ctx, [{"prompt": "1+1"}])

    def _train(self, arm: Arm) -> tuple[ArmResult, RunResult | None]:
        result = ArmResult(arm.key, arm.config, run_id=self.ctx.ids.get("run_id"), group_name=arm.group)
        run_result: RunResult | None = None
        try:
            run_result = self.training(arm)
            if self.benchmark is not None:
                evaluated, predictions = self.benchmark(arm)
                self.hooks.dispatch("on_benchmark_eval", self.ctx, evaluated, predictions, step=None)
        except RuntimeError as error:
            result.status, result.error = "failed", str(error)
            run_result = run_result or RunResult(arm.key, "failed", error=str(error))
        return result, run_result


def _seeded(config: RunConfig, seed: int) -> RunConfig:
    return RunConfig(config.name, seed, config.algorithm, config.learning_rate, config.rows)


def _row(arm: Arm, name: str, step: int, with_batch: bool) -> ManifestRow:
    base = f"tinker://{arm.key}/{name}"
    return ManifestRow(name, step if with_batch else None, 0, f"{base}/weights", f"{base}/sampler")
