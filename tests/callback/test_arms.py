"""Arms that run at once, and hooks that come early, late or twice: each finds the run that it is of."""

from __future__ import annotations

import threading
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kit import evsys_fake as fake
from kit.evsys_stored import in_order, metric_rows, recording, runs_by_name, stored

from evsys_otel.callback import EvsysLoggerCallback


def own_number(key: str) -> float:
    return float(zlib.crc32(key.encode()))


def numbered_training(arm: fake.Arm) -> fake.RunResult:
    number = own_number(arm.key)
    return fake.training_loop(steps=4, metrics=lambda step: {"loss": number + step})(arm)


def numbered_benchmark(arm: fake.Arm) -> tuple[fake.EvalResult, list[dict[str, Any]]]:
    result = fake.EvalResult("test", metrics={"number": own_number(arm.key)})
    return result, [{"task_id": arm.key, "output": arm.key}]


def check_each_has_its_own(folder: Path, keys: list[str]) -> None:
    with stored(folder) as store:
        runs = runs_by_name(store)
        assert sorted(runs) == sorted(keys)
        for key, run in runs.items():
            number = own_number(key)
            assert metric_rows(store, run["id"]) == [(step, "loss", number + step) for step in range(4)]
            assert len(metric_rows(store, run["id"], "val")) == 2
            assert {row["uri"].split("/")[2] for row in store.list_checkpoints(run["id"])} == {key.split("/")[0]}
            assert [row["metrics"] for row in store.list_evals(run["id"])] == [{"number": number}]
            assert [row["model_output"] for row in store.list_predictions(run["id"])] == [key]
            assert (run["status"], run["completeness"]) == ("completed", "whole")


@pytest.mark.parametrize("ends_in_main", [False, True])
@pytest.mark.parametrize("primaries", [["a", "b"], ["lr 0.1", "lr/0.5", "base", "base s"]])
def test_arms_in_threads_that_share_one_context_are_told_apart(
    tmp_path: Path, primaries: list[str], ends_in_main: bool
) -> None:
    """Four to eight arms at once, the context speaking of the last for all: every value is in its own run."""
    configs = [fake.RunConfig(name) for name in primaries]
    experiment = fake.Experiment(
        [recording(tmp_path)], tmp_path / "out", configs, numbered_training, n_repeats=2, concurrent=True,
        ends_in_main=ends_in_main, benchmark=numbered_benchmark,
    )
    experiment.run()
    check_each_has_its_own(tmp_path, [f"{name}__s{seed}" for name in primaries for seed in (0, 1)])


def test_an_arm_that_waits_for_anothers_start_keeps_what_the_context_said_of_it(tmp_path: Path) -> None:
    """Key, config and group are read as the hook begins: while it waits the context speaks of another arm already."""
    callback = recording(tmp_path)
    ctx = SimpleNamespace(ids={}, config=SimpleNamespace(name="x", metadata=None), extras={})
    callback.on_experiment_start(ctx)
    waits = threading.Event()

    class Told(SimpleNamespace):
        @property
        def group_name(self) -> str:
            waits.set()
            return self.group

    first = Told(**vars(ctx), run_key="a", run_config={"lr": 1}, group="g-a")
    with callback._lock:
        thread = threading.Thread(target=callback.on_run_start, args=(first,))
        thread.start()
        assert waits.wait(10)
        first.run_key, first.run_config, first.group = "b", {"lr": 2}, "g-b"
    thread.join()
    callback.on_experiment_end(ctx, None)
    with stored(tmp_path) as store:
        (run,) = store.list_runs()
        (group,) = store.list_groups(ctx.ids["experiment_id"])
    assert (run["name"], run["run_config"], group["name"]) == ("a", {"lr": 1}, "g-a")


def test_two_arms_with_one_directory_are_told_apart_by_their_threads(tmp_path: Path) -> None:
    """``a b`` and ``a/b`` are written to one directory; their values still do not mix."""
    configs = [fake.RunConfig("a b"), fake.RunConfig("a/b")]
    fake.Experiment([recording(tmp_path)], tmp_path / "out", configs, numbered_training, concurrent=True).run()
    with stored(tmp_path) as store:
        for key, run in runs_by_name(store).items():
            number = own_number(key)
            assert metric_rows(store, run["id"]) == [(step, "loss", number + step) for step in range(4)]


def test_a_loop_in_another_thread_is_found_by_its_directory_or_its_context(tmp_path: Path) -> None:
    """A training that runs in a thread of its own is its arm's, also where its directory says nothing."""

    def elsewhere(arm: fake.Arm) -> fake.RunResult:
        directory = arm.output_dir if arm.key == "named" else tmp_path / "scratch"
        other = fake.Arm(arm.config, arm.key, arm.group, directory, arm.ctx, arm.dispatch)
        thread = threading.Thread(target=numbered_training, args=(other,))
        thread.start()
        thread.join()
        return fake.RunResult(arm.key)

    configs = [fake.RunConfig("named"), fake.RunConfig("unnamed")]
    fake.Experiment([recording(tmp_path)], tmp_path / "out", configs, elsewhere).run()
    with stored(tmp_path) as store:
        runs = runs_by_name(store)
        assert {key: len(metric_rows(store, run["id"])) for key, run in runs.items()} == {"named": 4, "unnamed": 4}


def started(callback: EvsysLoggerCallback, folder: Path, key: str = "arm") -> tuple[fake.LogContext, fake.LoopState]:
    config = fake.RunConfig(key)
    ctx = fake.LogContext(folder / "out", fake.ExperimentConfig(), run_key=key, run_config=config)
    return ctx, fake.LoopState(0, 3, folder / "out" / key, ctx=ctx)


def test_steps_before_their_runs_start_join_it(tmp_path: Path) -> None:
    """A step that comes before on_run_start, or before the experiment's start, is the same run's as those after."""
    callback = recording(tmp_path)
    ctx, state = started(callback, tmp_path)
    callback.on_step_end(state, 0, None, {"loss": 1.0})
    callback.on_run_start(ctx)
    callback.on_step_end(state, 1, None, {"loss": 0.5})
    callback.on_run_end(ctx, None, fake.ArmResult("arm", ctx.run_config))
    callback.on_experiment_end(ctx, fake.ExperimentResult("sweep", "completed", []))
    with stored(tmp_path) as store:
        (run,) = store.list_runs()
        assert metric_rows(store, run["id"]) == [(0, "loss", 1.0), (1, "loss", 0.5)]
        assert (run["name"], run["status"], run["run_config"]["learning_rate"]) == ("arm", "completed", 0.1)
        assert store.list_experiments()[0]["name"] == "sweep"


@pytest.mark.parametrize("after_experiment", [False, True])
def test_hooks_after_the_runs_end_are_kept_as_a_further_attempt(tmp_path: Path, after_experiment: bool) -> None:
    """A late eval and checkpoint are the run's, and the run's status and error are what they were."""
    callback = recording(tmp_path)
    ctx, state = started(callback, tmp_path)
    callback.on_experiment_start(ctx)
    callback.on_run_start(ctx)
    callback.on_step_end(state, 0, None, {"loss": 1.0})
    callback.on_run_end(ctx, None, fake.ArmResult("arm", ctx.run_config, "failed", error="boom"))
    if after_experiment:
        callback.on_experiment_end(ctx, fake.ExperimentResult("sweep", "failed", []))
    callback.on_eval(state, 0, "probe", {"pass_rate": 0.5})
    callback.on_checkpoint(state, fake.ManifestRow("final", 0, sampler_path="tinker://late"))
    if after_experiment:
        callback._arms.close_reopened()
    else:
        callback.on_experiment_end(ctx, fake.ExperimentResult("sweep", "failed", []))
    with stored(tmp_path) as store:
        (run,) = store.list_runs()
        assert metric_rows(store, run["id"], "val") == [(0, "probe/pass_rate", 0.5)]
        assert [row["uri"] for row in store.list_checkpoints(run["id"])] == ["tinker://late"]
        assert (run["status"], run["error_message"], run["attempt"]) == ("failed", "boom", 2)
        assert run["completeness"] == "whole"


def test_a_benchmark_after_the_runs_end_is_kept(tmp_path: Path) -> None:
    """Scored after its end was told, a run still gets the result: the context names it."""
    callback = recording(tmp_path)
    ctx, _ = started(callback, tmp_path)
    callback.on_run_start(ctx)
    callback.on_run_end(ctx, None, fake.ArmResult("arm", ctx.run_config))
    callback.on_benchmark_eval(ctx, fake.EvalResult("late", metrics={"a": 1.0}), [{"output": "x"}], step=5)
    callback.on_experiment_end(ctx, None)
    with stored(tmp_path) as store:
        (run,) = store.list_runs()
        assert [(row["name"], row["step"]) for row in store.list_evals(run["id"])] == [("late", 5)]
        assert [(row["kind"], row["step"]) for row in store.list_predictions(run["id"])] == [("eval", 5)]
        assert (run["status"], run["completeness"]) == ("completed", "whole")


def test_a_benchmark_without_a_run_is_kept(tmp_path: Path) -> None:
    """An evaluation alone, whose run's start was never told, makes the run that it is of."""
    callback = recording(tmp_path)
    ctx, _ = started(callback, tmp_path)
    callback.on_benchmark_eval(ctx, fake.EvalResult("alone"), None)
    with stored(tmp_path) as store:
        (run,) = store.list_runs()
        assert (run["name"], run["seed"]) == ("arm", 0)
        assert [row["name"] for row in store.list_evals(run["id"])] == ["alone"]


def test_an_end_that_is_told_twice_changes_nothing(tmp_path: Path) -> None:
    """The second on_run_end of an arm is no other arm's and starts no run."""
    callback = recording(tmp_path)
    ctx, _ = started(callback, tmp_path)
    callback.on_run_start(ctx)
    for status in ("completed", "failed"):
        callback.on_run_end(ctx, None, fake.ArmResult("arm", ctx.run_config, status))
    with stored(tmp_path) as store:
        assert [run["status"] for run in store.list_runs()] == ["completed"]


def test_an_end_without_a_start_is_a_run_with_its_status(tmp_path: Path) -> None:
    """An arm that failed before its start was told is there, with its error and its config."""
    callback = recording(tmp_path)
    ctx, _ = started(callback, tmp_path)
    callback.on_experiment_start(ctx)
    callback.on_run_end(ctx, None, fake.ArmResult("early", fake.RunConfig("early", 3), "failed", error="no GPU"))
    with stored(tmp_path) as store:
        (run,) = store.list_runs()
        assert (run["name"], run["status"], run["error_message"], run["seed"]) == ("early", "failed", "no GPU", 3)


def test_a_loop_that_begins_again_is_a_new_run(tmp_path: Path) -> None:
    """A bare loop that was interrupted ends as cancelled when its directory's next loop begins."""
    callback = recording(tmp_path)
    state = fake.LoopState(0, 3, tmp_path / "probe")
    for _ in range(2):
        callback.on_train_start(state)
        callback.on_step_end(state, 0, None, {"loss": 1.0})
    callback.on_train_end(state, object())
    with stored(tmp_path) as store:
        assert [run["status"] for run in in_order(store.list_runs())] == ["cancelled", "completed"]


def test_a_wandb_url_is_its_own_arms(tmp_path: Path) -> None:
    """The URL that another callback leaves is recorded whenever it appears, and not for the next arm too."""

    class Wandb:
        def __init__(self, hook: str) -> None:
            setattr(self, hook, self.leave)

        def leave(self, first: Any, *_: Any) -> None:
            ctx = getattr(first, "ctx", first)
            if ctx.run_key != "offline":
                ctx.extras["wandb_url"] = f"https://user:secret@wandb.ai/{ctx.run_key}"

    for hook in ("on_run_start", "on_step_end"):
        for name, order in (("before", slice(None)), ("after", slice(None, None, -1))):
            folder = tmp_path / hook / name
            configs = [fake.RunConfig("one"), fake.RunConfig("offline"), fake.RunConfig("two")]
            callbacks = [Wandb(hook), recording(folder)][order]
            fake.Experiment(callbacks, folder / "out", configs).run()
            with stored(folder) as store:
                assert {key: run["wandb_run_url"] for key, run in runs_by_name(store).items()} == {
                    "one": "https://<redacted>@wandb.ai/one", "offline": None, "two": "https://<redacted>@wandb.ai/two",
                }
