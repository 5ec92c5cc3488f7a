"""Each fault of the SDK's own callback, by its number in the contract's section 8: ours keeps the data."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kit import evsys_fake as fake
from kit.evsys_stored import in_order, journalled, metric_rows, recording, runs_by_name, stored
from kit.processes import clean_environment

from evsys_otel.events import StepLogged

ROWS = [{"kind": "eval", "task_id": "t", "output": "o"}]


def run(folder: Path, callback: Any = None, **more: Any) -> fake.Experiment:
    experiment = fake.Experiment([callback or recording(folder)], folder / "out", **more)
    experiment.run()
    assert experiment.hooks.raised == []
    return experiment


def test_1_every_checkpoint_is_recorded(tmp_path: Path) -> None:
    """A checkpoint of every name has a record."""
    run(tmp_path)
    with stored(tmp_path) as store:
        labels = [row["label"] for row in store.list_checkpoints(store.list_runs()[0]["id"])]
        assert labels == ["step_2", "step_2/state", "final", "final/state"]


@pytest.mark.parametrize("flush_every", [1, 100])
def test_2_each_hook_is_on_disk_when_it_returns(tmp_path: Path, flush_every: int) -> None:
    """An eval after the last step, and each step, are in the journal at once, whatever ``flush_every`` says."""
    callback = recording(tmp_path, flush_every=flush_every)
    state = fake.LoopState(0, 3, tmp_path / "arm")
    logged = []
    for step in range(3):
        callback.on_step_end(state, step, None, {"loss": 1.0})
        callback.on_eval(state, step, "probe", {"pass_rate": 0.5})
        logged.append(sum(isinstance(event, StepLogged) for _, events in journalled(tmp_path) for event in events))
    assert logged == [2, 4, 6]


def test_2_a_killed_process_loses_nothing_that_it_was_told(tmp_path: Path) -> None:
    """With ``flush_every=100`` and a kill right after the third step, three steps and the eval are there."""
    script = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from kit import evsys_fake as fake
from kit.evsys_stored import recording
from pathlib import Path
callback = recording(Path(sys.argv[2]), flush_every=100)
def training(arm):
    state = fake.LoopState(0, 3, arm.output_dir, ctx=arm.ctx)
    for step in range(3):
        arm.dispatch("on_step_end", state, step, None, {"loss": float(step)})
    arm.dispatch("on_eval", state, 2, "probe", {"pass_rate": 0.5})
    os.kill(os.getpid(), signal.SIGKILL)
fake.Experiment([callback], Path(sys.argv[2]) / "out", training=training).run()
"""
    tests = str(Path(__file__).parent.parent)
    command = [sys.executable, "-c", script, tests, str(tmp_path)]
    done = subprocess.run(command, env=clean_environment(), check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    with stored(tmp_path) as store:
        (found,) = store.list_runs()
        assert metric_rows(store, found["id"]) == [(0, "loss", 0.0), (1, "loss", 1.0), (2, "loss", 2.0)]
        assert metric_rows(store, found["id"], "val") == [(2, "probe/pass_rate", 0.5)]


def test_3_a_store_that_cannot_be_reached_costs_no_step(tmp_path: Path) -> None:
    """With a store URL that answers nothing every step is in the journal, for a later sync."""
    run(tmp_path, recording(tmp_path, store="postgresql://nobody@127.0.0.1:1/none"))
    with stored(tmp_path) as store:
        assert len(metric_rows(store, store.list_runs()[0]["id"])) == 6


def test_4_a_nan_among_a_steps_metrics_costs_none_of_them(tmp_path: Path) -> None:
    """NaN and infinities are values, and the finite metrics beside them are kept."""
    odd = {"nan": math.nan, "up": math.inf, "down": -math.inf, "loss": 0.5}
    run(tmp_path, training=fake.training_loop(steps=1, metrics=lambda step: odd))
    with stored(tmp_path) as store:
        found = {name: value for _, name, value in metric_rows(store, store.list_runs()[0]["id"])}
        assert math.isnan(found.pop("nan"))
        assert found == {"up": math.inf, "down": -math.inf, "loss": 0.5}


def test_5_a_metric_that_is_no_number_costs_only_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """None is skipped without a word, a text with one warning that names it; the rest of the row is kept."""
    odd = {"loss": 0.5, "note-5": "high", "missing-5": None, "accuracy": 1}
    run(tmp_path, training=fake.training_loop(metrics=lambda step: odd))
    with stored(tmp_path) as store:
        rows = metric_rows(store, store.list_runs()[0]["id"])
        assert rows == [(step, name, value) for step in range(3) for name, value in (("accuracy", 1.0), ("loss", 0.5))]
    told = [record.getMessage() for record in caplog.records]
    assert len([text for text in told if "note-5" in text]) == 1
    assert [text for text in told if "missing-5" in text] == []


def test_6_a_benchmark_that_raises_makes_the_run_a_failed_one(tmp_path: Path) -> None:
    """The training completed and the arm failed: the run is failed, with the benchmark's error and all its steps."""

    def benchmark(arm: fake.Arm) -> Any:
        raise RuntimeError("no benchmark")

    experiment = fake.Experiment([recording(tmp_path)], tmp_path / "out", benchmark=benchmark)
    assert experiment.run().arms[0].status == "failed"
    with stored(tmp_path) as store:
        (found,) = store.list_runs()
        assert (found["status"], found["error_message"]) == ("failed", "no benchmark")
        assert len(metric_rows(store, found["id"])) == 6


def test_7_and_8_ids_need_no_answer_of_a_server(tmp_path: Path) -> None:
    """Experiment, groups and runs have their ids, and hold together, though no store can be reached."""
    callback = recording(tmp_path, store="postgresql://nobody@127.0.0.1:1/none")
    experiment = run(tmp_path, callback, n_repeats=2)
    assert sorted(experiment.ctx.ids) == ["experiment_id", "group:base", "run_id"]
    with stored(tmp_path) as store:
        assert {found["experiment_id"] for found in store.list_runs()} == {experiment.ctx.ids["experiment_id"]}
        assert {found["group_id"] for found in store.list_runs()} == {experiment.ctx.ids["group:base"]}


def groups_of(step: int) -> tuple[list[Any], list[Any]]:
    def sampled(group: int, sample: int) -> fake.Trajectory:
        turns = [fake.Turn(f"answer {step}.{group}.{sample}", [1, 2])]
        return fake.Trajectory(turns, float(sample), {"usage": {"latency_s": 2}})

    groups = [fake.TrajectoryGroup([sampled(group, sample) for sample in range(3)]) for group in range(2)]
    return groups, [fake.HarborTask(f"task-{group}", "2+2?", fake.Verifier("4")) for group in range(2)]


@pytest.mark.parametrize(("cap", "kept"), [(None, 18), (20, 18), (5, 5), (0, 0), (-1, 18)])
def test_9_the_rollout_cap_is_each_runs_own(tmp_path: Path, cap: int | None, kept: int) -> None:
    """Every arm keeps its first rollouts up to the cap, and None keeps all."""
    configs = [fake.RunConfig(f"arm{number}") for number in range(4)]
    callback = recording(tmp_path, rollout_cap=cap)
    run(tmp_path, callback, primaries=configs, training=fake.training_loop(rollouts=groups_of))
    with stored(tmp_path) as store:
        assert [len(store.list_predictions(found["id"], kind="train")) for found in store.list_runs()] == [kept] * 4


def test_10_the_rollout_cap_is_in_the_config() -> None:
    """YAML may name every argument of the constructor but objects."""
    callback = fake_build({"rollout_cap": 7, "flush_every": 3, "project_id": "p"})
    assert (callback.rollout_cap, callback.flush_every, callback.project_id) == (7, 3, "p")


def fake_build(params: dict[str, Any]) -> Any:
    from evsys_otel import EvsysLoggerCallback

    return EvsysLoggerCallback(**EvsysLoggerCallback.Config(**params).model_dump())


@pytest.mark.parametrize("name", ["output", "completion", "model_output"])
def test_11_the_models_text_is_kept_under_each_of_its_names(tmp_path: Path, name: str) -> None:
    """``output``, ``completion`` and ``model_output`` all become ``model_output``."""
    rows = [{"kind": "eval", "task_id": "t", "sample_idx": 2, "step": 7, name: "four", "metadata": {"latency_s": 1}}]
    run(tmp_path, benchmark=lambda arm: (fake.EvalResult("test"), rows))
    with stored(tmp_path) as store:
        (row,) = store.list_predictions(store.list_runs()[0]["id"])
        assert (row["model_output"], row["sample_idx"], row["step"], row["kind"]) == ("four", 2, 7, "eval")
        assert row["metadata"] == {"latency_s": 1}


def test_12_the_final_checkpoint_says_so_and_its_state_is_kept(tmp_path: Path) -> None:
    """Only ``final`` is final, the paths of sampler and state are both there, with the last step's number."""
    run(tmp_path)
    with stored(tmp_path) as store:
        rows = {row["label"]: row for row in store.list_checkpoints(store.list_runs()[0]["id"])}
        assert {label: row["is_final"] for label, row in rows.items()} == {
            "step_2": False, "step_2/state": False, "final": True, "final/state": False,
        }
        assert {label: row["uri"] for label, row in rows.items()} == {
            "step_2": "tinker://base/step_2/sampler", "step_2/state": "tinker://base/step_2/weights",
            "final": "tinker://base/final/sampler", "final/state": "tinker://base/final/weights",
        }
        assert {label: row["step"] for label, row in rows.items()} == {
            "step_2": 1, "step_2/state": 1, "final": 2, "final/state": 2,
        }


def test_12_a_checkpoint_without_a_batch_has_the_step_of_its_name_or_its_loop(tmp_path: Path) -> None:
    """``step_2`` was written after the step with the index 1, ``final`` after the loop's last."""
    run(tmp_path, training=fake.training_loop(save_paths=False))
    with stored(tmp_path) as store:
        rows = store.list_checkpoints(store.list_runs()[0]["id"])
        assert {row["label"]: row["step"] for row in rows if "/" not in row["label"]} == {"step_2": 1, "final": 2}


def test_12_a_checkpoint_that_is_a_state_alone_is_recorded_as_it(tmp_path: Path) -> None:
    """Without a sampler's weights the training state is the checkpoint."""
    callback = recording(tmp_path)
    callback.on_checkpoint(fake.LoopState(4, 5, tmp_path / "arm"), fake.ManifestRow("final", state_path="/tmp/state"))
    with stored(tmp_path) as store:
        (row,) = store.list_checkpoints(store.list_runs()[0]["id"])
        assert (row["uri"], row["label"], row["is_final"], row["step"]) == ("/tmp/state", "final", True, 4)


def test_13_the_goal_of_an_experiment_is_kept(tmp_path: Path) -> None:
    """``project_goal_id`` is found among the tags, beside the hypothesis and the other tags."""
    metadata = {"project_goal_id": "goal-9", "hypothesis": "h", "tags": ["x"]}
    run(tmp_path, config=fake.ExperimentConfig("goal", metadata))
    with stored(tmp_path) as store:
        (found,) = store.list_experiments()
        assert (found["hypothesis"], found["tags"]) == ("h", ["x", "project_goal_id:goal-9"])


def test_14_an_experiment_that_dies_before_its_end_keeps_what_it_was_told(tmp_path: Path) -> None:
    """When on_experiment_end never comes, every arm that ended is there with its status."""
    experiment = fake.Experiment([recording(tmp_path)], tmp_path / "out", dies_before_end=True)
    with pytest.raises(AttributeError):
        experiment.run()
    with stored(tmp_path) as store:
        (found,) = store.list_runs()
        assert (found["status"], found["completeness"]) == ("completed", "whole")
        assert store.list_experiments()[0]["status"] == "running"


@pytest.mark.parametrize("with_items", [False, True])
def test_15_rollouts_of_both_versions_of_the_loop_are_kept(tmp_path: Path, with_items: bool) -> None:
    """on_rollout with three and with four arguments gives a row for each sample; the tasks are named if they came."""
    run(tmp_path, training=fake.training_loop(steps=1, rollouts=groups_of, with_items=with_items))
    with stored(tmp_path) as store:
        rows = store.list_predictions(store.list_runs()[0]["id"], kind="train")
        assert [(row["task_id"], row["sample_idx"]) for row in rows] == [
            (f"{'task' if with_items else 'group'}-{group}", sample) for group in range(2) for sample in range(3)
        ]
        assert [row["model_output"] for row in rows[:3]] == ["answer 0.0.0", "answer 0.0.1", "answer 0.0.2"]
        assert [row["reward"] for row in rows[:3]] == [0.0, 1.0, 2.0]
        assert {row["step"] for row in rows} == {0}
        assert {row["instruction"] for row in rows} == {"2+2?" if with_items else None}
        assert {row["expected"] for row in rows} == {"4" if with_items else None}
        assert rows[0]["metadata"]["latency_s"] == 2


def test_15_rollouts_that_are_rows_already_are_kept_as_they_are(tmp_path: Path) -> None:
    """A row keeps its own task, sample and text; its kind is ``train``."""
    rows = [{"kind": "train", "eval_id": None, "task_id": "t", "sample_idx": 4, "completion": "c", "reward": 1.0}, {}]
    callback = recording(tmp_path)
    callback.on_rollout(fake.LoopState(0, 1, tmp_path / "arm"), 3, rows, None, "an argument of a newer version")
    with stored(tmp_path) as store:
        (row,) = store.list_predictions(store.list_runs()[0]["id"])
        assert {key: row[key] for key in ("kind", "task_id", "sample_idx", "model_output", "reward", "step")} == {
            "kind": "train", "task_id": "t", "sample_idx": 4, "model_output": "c", "reward": 1.0, "step": 3,
        }


def test_16_an_arm_whose_injected_training_raised_is_failed(tmp_path: Path) -> None:
    """With ``run_result`` None the arm's own status and error count."""
    callback = recording(tmp_path)
    ctx = fake.LogContext(tmp_path, run_key="arm", run_config=fake.RunConfig("arm"))
    callback.on_run_start(ctx)
    callback.on_run_end(ctx, None, fake.ArmResult("arm", fake.RunConfig("arm"), "failed", error="boom"))
    with stored(tmp_path) as store:
        assert [(run["status"], run["error_message"]) for run in store.list_runs()] == [("failed", "boom")]


def test_17_a_bare_loop_is_recorded(tmp_path: Path) -> None:
    """With ``state.ctx`` None nothing waits in memory: every step and eval has a run."""
    fake.bare_loop([recording(tmp_path)], fake.training_loop(), tmp_path / "out" / "bare")
    with stored(tmp_path) as store:
        (found,) = store.list_runs()
        assert (len(metric_rows(store, found["id"])), len(metric_rows(store, found["id"], "val"))) == (6, 1)


def test_18_arms_in_threads_keep_their_values_and_ends_apart(tmp_path: Path) -> None:
    """Four arms at once: sixteen rows of metrics, four in each run, and four ends."""

    def training(arm: fake.Arm) -> fake.RunResult:
        return fake.training_loop(fails_at=2 if arm.config.seed else None)(arm)

    configs = [fake.RunConfig("a"), fake.RunConfig("b")]
    run(tmp_path, primaries=configs, n_repeats=2, concurrent=True, training=training)
    with stored(tmp_path) as store:
        for key, found in runs_by_name(store).items():
            failed = key.endswith("__s1")
            assert found["status"] == ("failed" if failed else "completed")
            assert len(metric_rows(store, found["id"])) == (4 if failed else 6)


def test_the_rows_of_a_config_are_counted_not_stored(tmp_path: Path) -> None:
    """A run config with 100,000 rows in it is stored bounded, marked so, and without its secrets."""
    config = fake.RunConfig("rows", rows=[{"prompt": "p" * 50, "n": n} for n in range(100_000)])
    config.algorithm.kind = "rl"
    config.api_key = "sk-123"  # type: ignore[attr-defined]
    config.model_dump = lambda: {**vars(config), "algorithm": {"kind": "rl"}}  # type: ignore[method-assign]
    run(tmp_path, primaries=[config])
    with stored(tmp_path) as store:
        (found,) = in_order(store.list_runs())
        assert found["run_config"]["rows"] == {"evsys.rows": 100_000}
        assert found["run_config"]["api_key"] == "<redacted>"
        assert found["recipe_kind"] == "rl"
