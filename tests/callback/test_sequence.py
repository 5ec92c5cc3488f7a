"""Whole experiments through the callback, one arm after the other: what the hooks told is in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit import evsys_fake as fake
from kit.evsys_reference import ReferenceLogger
from kit.evsys_stored import in_order, metric_rows, recording, runs_by_name, stored

EIGHT = [fake.RunConfig("lr 0.1", 0, learning_rate=0.1), fake.RunConfig("lr/0.5", 5, fake.Algorithm("rl"), 0.5)]
PREDICTIONS = [
    {"kind": "eval", "task_id": f"t{i}", "instruction": "2+2?", "expected": "4", "reward": float(i), "output": f"o{i}",
     "metadata": {"i": i}}
    for i in range(3)
]


def benchmark(arm: fake.Arm) -> tuple[fake.EvalResult, list[dict[str, Any]]]:
    result = fake.EvalResult("digits", "bench-1", {"accuracy": 0.9}, {"easy": {"accuracy": 1.0}}, tags=["test"])
    return result, [dict(row) for row in PREDICTIONS]


def sweep(callbacks: list[Any], folder: Path, **more: Any) -> fake.Experiment:
    metadata = {"hypothesis": "faster", "tags": ["digits", "toy"]}
    return fake.Experiment(
        callbacks, folder / "out", EIGHT, config=fake.ExperimentConfig("lr-sweep", metadata), n_repeats=2,
        benchmark=benchmark, conclusion="it is", **more,
    )


def test_a_sweep_writes_the_records_and_values_that_the_reference_writes(tmp_path: Path) -> None:
    """Same training, the reference logger's store writes against ours: the contract's table, record for record."""
    reference = ReferenceLogger()
    experiment = sweep([reference, recording(tmp_path)], tmp_path)
    experiment.run()
    assert experiment.hooks.raised == []
    meant = reference.store
    with stored(tmp_path) as store:
        (got,) = store.list_experiments()
        (want,) = meant.of("experiment")
        assert {**want, "id": got["id"]} == {key: got[key] for key in want}
        groups = {group["id"]: group["name"] for group in store.list_groups(got["id"])}
        assert sorted(groups.values()) == sorted(group["name"] for group in meant.of("group"))
        runs = in_order(store.list_runs(experiment_id=got["id"]))
        for mine, theirs in zip(runs, meant.of("run"), strict=True):
            assert groups[mine["group_id"]] == theirs["group"]
            assert {key: mine[key] for key in ("seed", "recipe_kind", "run_config", "status")} == {
                key: theirs[key] for key in ("seed", "recipe_kind", "run_config", "status")
            }
            for split in ("train", "val"):
                assert metric_rows(store, mine["id"], split) == sorted(
                    (row["step"], row["name"], row["value"])
                    for row in meant.of("metric")
                    if row["run_id"] == theirs["id"] and row["split"] == split
                )
            sampled = [row for row in store.list_checkpoints(mine["id"]) if not row["label"].endswith("/state")]
            assert [(row["uri"], row["label"], row["step"]) for row in sampled] == [
                (row["uri"], row["label"], row["step"])
                for row in meant.of("checkpoint")
                if row["run_id"] == theirs["id"]
            ]
            (evaluated,) = store.list_evals(mine["id"])
            (theirs_evaluated,) = [row for row in meant.of("eval") if row["run_id"] == theirs["id"]]
            keys = ("benchmark_id", "metrics", "breakdowns", "step")
            assert {key: evaluated[key] for key in keys} == {key: theirs_evaluated[key] for key in keys}
            rows = store.list_predictions(mine["id"])
            want_rows = [row["row"] for row in meant.of("prediction") if row["run_id"] == theirs["id"]]
            keys = ("kind", "task_id", "instruction", "expected", "reward", "metadata")
            assert [{key: row[key] for key in keys} for row in rows] == [
                {key: row[key] for key in keys} for row in want_rows
            ]
            assert {row["eval_id"] for row in rows} == {evaluated["id"]}
            assert [row["model_output"] for row in rows] == [row["output"] for row in want_rows]
            assert mine["completeness"] == "whole"


def test_the_context_gets_the_ids_that_the_records_have(tmp_path: Path) -> None:
    """``ctx.ids`` holds the experiment, every group, and the arm's run while it runs."""
    seen: list[dict[str, str]] = []

    class Watcher:
        def on_train_start(self, state: Any) -> None:
            seen.append(dict(state.ctx.ids))

    experiment = sweep([recording(tmp_path), Watcher()], tmp_path)
    result = experiment.run()
    with stored(tmp_path) as store:
        (found,) = store.list_experiments()
        runs = in_order(store.list_runs())
        groups = {f"group:{group['name']}": group["id"] for group in store.list_groups(found["id"])}
        assert [ids["run_id"] for ids in seen] == [run["id"] for run in runs] == [arm.run_id for arm in result.arms]
        assert all({**ids, "run_id": ""} == {"experiment_id": found["id"], **groups, "run_id": ""} for ids in seen)


def test_mock_sft_counts_its_steps_from_1(tmp_path: Path) -> None:
    """A training that calls on_step_end alone, without batch and backend, is recorded with its own step numbers."""
    fake.Experiment([recording(tmp_path)], tmp_path / "out", training=fake.mock_sft()).run()
    with stored(tmp_path) as store:
        (run,) = store.list_runs()
        assert metric_rows(store, run["id"]) == [(1, "loss", 1.0), (2, "loss", 0.5), (3, "loss", 1 / 3)]
        assert (run["name"], run["status"], run["group_id"]) == ("base", "completed", None)


def test_an_injected_training_still_gives_a_run(tmp_path: Path) -> None:
    """Without any loop hook the run starts, is described, and ends."""
    fake.Experiment([recording(tmp_path)], tmp_path / "out", training=fake.injected).run()
    with stored(tmp_path) as store:
        (run,) = store.list_runs()
        assert (run["status"], run["recipe_kind"], run["run_config"]["learning_rate"]) == ("completed", "sft", 0.1)


def test_continual_stages_are_runs_without_a_group(tmp_path: Path) -> None:
    """Each stage is a run of its own, and no group is made."""
    fake.Experiment([recording(tmp_path)], tmp_path / "out", stages=3).run()
    with stored(tmp_path) as store:
        runs = in_order(store.list_runs())
        assert [run["name"] for run in runs] == ["base_stage0", "base_stage1", "base_stage2"]
        assert store.list_groups(store.list_experiments()[0]["id"]) == []
        assert all(len(metric_rows(store, run["id"])) == 6 for run in runs)


def test_an_arm_that_raises_is_failed_with_its_error_and_the_next_goes_on(tmp_path: Path) -> None:
    """What a failed arm logged is kept, its error with it; the other arm is completed, the experiment failed."""

    def training(arm: fake.Arm) -> fake.RunResult:
        return fake.training_loop(fails_at=2 if arm.key == "bad" else None)(arm)

    arms = [fake.RunConfig("bad"), fake.RunConfig("good")]
    fake.Experiment([recording(tmp_path)], tmp_path / "out", arms, training).run()
    with stored(tmp_path) as store:
        runs = runs_by_name(store)
        assert (runs["bad"]["status"], runs["bad"]["error_message"]) == ("failed", "boom at step 2")
        assert {step for step, _, _ in metric_rows(store, runs["bad"]["id"])} == {0, 1}
        assert (runs["good"]["status"], runs["good"]["error_message"]) == ("completed", None)
        assert store.list_experiments()[0]["status"] == "failed"


def test_a_bare_loop_is_recorded_as_a_run_of_its_own(tmp_path: Path) -> None:
    """With ``state.ctx`` None every hook is kept, in a run named after the directory, which ends with the loop."""
    callback = recording(tmp_path)
    for number in range(2):
        fake.bare_loop([callback], fake.training_loop(steps=2 + number), tmp_path / "out" / "probe")
    with stored(tmp_path) as store:
        runs = in_order(store.list_runs())
        told = [(run["name"], run["status"], run["completeness"]) for run in runs]
        assert told == [("probe", "completed", "whole")] * 2
        assert [len(metric_rows(store, run["id"])) for run in runs] == [4, 6]
        assert [row["label"] for row in store.list_checkpoints(runs[0]["id"])] == [
            "step_2", "step_2/state", "final", "final/state"
        ]
        assert {row["status"] for row in store.list_experiments()} == {"completed"}


def test_an_experiment_with_a_store_of_its_own_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With ``ctx.store`` set the callback records nothing, touches no id, and says so once."""

    @fake.dataclass
    class Owned(fake.LogContextWithStore):
        store: Any = "a store"

    experiment = fake.Experiment([recording(tmp_path)], tmp_path / "out", EIGHT, n_repeats=2, context=Owned)
    experiment.run()
    assert experiment.hooks.raised == []
    assert experiment.ctx.ids == {}
    assert [record.message for record in caplog.records if "store of its own" in record.message] != []
    assert len([record for record in caplog.records if "store of its own" in record.message]) == 1
    assert not (tmp_path / "journal").exists()


def test_a_context_that_could_have_a_store_and_has_none_is_recorded(tmp_path: Path) -> None:
    """The versions whose context has the field ``store`` are recorded as the others while it is None."""
    fake.Experiment([recording(tmp_path)], tmp_path / "out", context=fake.LogContextWithStore).run()
    with stored(tmp_path) as store:
        assert store.list_runs()[0]["completeness"] == "whole"


def test_a_second_experiment_of_one_instance_is_another_record(tmp_path: Path) -> None:
    """The callback serves a second Experiment.run, as a notebook does it; one that never ended is cancelled."""
    callback = recording(tmp_path)
    with pytest.raises(AttributeError):
        fake.Experiment([callback], tmp_path / "out", dies_before_end=True).run()
    fake.Experiment([callback], tmp_path / "out").run()
    with stored(tmp_path) as store:
        assert [row["status"] for row in in_order(store.list_experiments())] == ["cancelled", "completed"]
        assert [len(metric_rows(store, run["id"])) for run in in_order(store.list_runs())] == [6, 6]
