"""What is asked comes back under the evsys store's own names and shapes, from both databases."""

from __future__ import annotations

import math

import pytest
from kit.store_records import (
    EXPERIMENT,
    GROUP,
    RUN,
    START,
    attempt_records,
    end_time,
    merged,
    parents,
    run_start,
    series,
    uuid_of,
)
from sqlalchemy import event

from evsys_otel.errors import NotFoundError
from evsys_otel.records import Entity, Records, StepSeries
from evsys_otel.store import Store

OTHER = uuid_of(101)


@pytest.fixture
def sweep(store: Store) -> Store:
    """A sweep of two runs, one of them resumed."""
    store.write(merged([*parents(), *attempt_records(), *attempt_records(attempt=2, first_step=30)]))
    store.write(merged(attempt_records(OTHER)))
    return store


def test_an_experiment_comes_back_as_it_was_said(sweep: Store) -> None:
    """Create arguments, id, name, status, the times; as one and in the list of its project."""
    found = sweep.get_experiment(EXPERIMENT)
    assert found is not None
    assert found["experiment_name"] == found["name"] == "lr-sweep"
    assert (found["hypothesis"], found["tags"], found["project_id"]) == ("lower is better", ["digits", "lr"], "project")
    assert (found["status"], found["conclusion"], found["best_score"]) == ("completed", "it is", 0.97)
    assert (found["created_unix_nano"], found["ended_unix_nano"]) == (START, end_time(9))
    assert found["created_at"] == "2023-11-14T22:13:20.000000+00:00"
    assert sweep.list_experiments() == sweep.list_experiments("project", valid_only=True) == [found]
    assert sweep.list_experiments("another") == []
    assert sweep.get_experiment(RUN) is None


def test_groups_and_runs_come_back_as_they_were_said(sweep: Store) -> None:
    """By experiment, by group, in pages, the oldest first."""
    group = sweep.list_groups(EXPERIMENT)[0]
    assert (group["id"], group["name"], group["experiment_id"]) == (GROUP, "lr=0.1", EXPERIMENT)
    runs = sweep.list_runs(experiment_id=EXPERIMENT)
    assert {run["id"] for run in runs} == {RUN, OTHER}
    assert runs == sweep.list_runs(group_id=GROUP) == sweep.list_runs()
    assert [*sweep.list_runs(limit=1), *sweep.list_runs(limit=5, offset=1)] == runs
    assert sweep.list_runs(group_id="none") == []
    run = sweep.get_run(RUN)
    assert run is not None
    assert (run["run_config"], run["seed"], run["recipe_kind"]) == ({"lr": 0.1}, 0, "sft")
    assert (run["attempt"], run["completeness"], run["last_step"]) == (2, "whole", 89)
    assert sweep.get_run(GROUP) is None


def test_metrics_come_in_long_format_whole_and_in_pieces(sweep: Store) -> None:
    """By split, name and step; the pieces together are the whole."""
    rows = sweep.get_metrics(RUN)
    assert [set(row) for row in rows[:1]] == [{"step", "name", "value", "split"}]
    assert [row["name"] for row in rows] == ["acc"] * 90 + ["loss"] * 90
    pieces = list(sweep.iter_metrics(RUN, piece_rows=20))
    assert max(map(len, pieces)) <= 20
    assert [(row["name"], row["step"]) for piece in pieces for row in piece] == [(r["name"], r["step"]) for r in rows]
    assert len(sweep.get_metrics(RUN, name="loss")) == 90
    timed = [row for piece in sweep.iter_metrics(RUN, times=True) for row in piece]
    assert [{key: row[key] for key in rows[0]} for row in timed] == rows
    assert all(row["time_unix_nano"] >= START for row in timed)
    assert sweep.get_metrics(RUN, name="loss", split="val") == []
    assert sweep.metric_names(RUN) == [("train", "acc"), ("train", "loss")]


def test_evals_checkpoints_and_predictions_come_back(sweep: Store) -> None:
    """Non-finite numbers of an eval, which JSON has only as strings, are floats again."""
    found = sweep.list_evals(RUN)[0]
    assert found["metrics"]["accuracy"] == 0.97
    assert math.isnan(found["metrics"]["f1"])
    assert found["breakdowns"] == {"by_class": {"0": math.inf}}
    assert (found["name"], found["step"], found["tags"]) == ("digits-test", 20, ["test"])
    assert [row["uri"] for row in sweep.list_checkpoints(RUN)] == ["file:///ckpt/1", "file:///ckpt/2"]
    rows = sweep.list_predictions(RUN, "train")
    assert len(rows) == 5
    assert sweep.list_predictions(RUN, "eval") == []
    assert [*sweep.list_predictions(RUN, limit=2), *sweep.list_predictions(RUN, limit=9, offset=2)][2]["step"] == 5
    pieces = list(sweep.iter_predictions(RUN, piece_rows=2))
    assert [len(piece) for piece in pieces] == [2, 2, 1]
    assert [row["task_id"] for piece in pieces for row in piece] == [row["task_id"] for row in rows]


def test_summaries_and_details_hold_what_belongs_together(sweep: Store) -> None:
    """How many runs of each status and whether they are whole; all records of an experiment at once."""
    summary = sweep.experiment_summaries()[0]
    assert (summary["runs"], summary["run_statuses"], summary["completeness"]) == (2, {"completed": 2}, "whole")
    detail = sweep.experiment_detail(EXPERIMENT, include_metrics=True)
    assert detail is not None
    assert [group["id"] for group in detail["groups"]] == [GROUP]
    assert [len(run["metrics"]) for run in detail["runs"]] == [len(sweep.get_metrics(r["id"])) for r in detail["runs"]]
    assert all(run["evals"] and run["checkpoints"] for run in detail["runs"])
    plain = sweep.experiment_detail(EXPERIMENT)
    assert plain is not None
    assert "metrics" not in plain["runs"][0]
    assert sweep.experiment_detail("none") is None


def test_the_number_of_queries_does_not_grow_with_the_runs(store: Store) -> None:
    """Lists and summaries ask the database a fixed number of times."""
    def queries_of(count: int) -> int:
        for number in range(count):
            store.write(merged(attempt_records(uuid_of(2000 + number), calls=3)))
        seen: list[str] = []
        engine = store._database._engine

        def note(*facts: object) -> None:
            seen.append(str(facts[2]))

        event.listen(engine, "before_cursor_execute", note)
        store.list_runs()
        store.experiment_summaries()
        event.remove(engine, "before_cursor_execute", note)
        return len(seen)

    store.write(merged(parents()))
    assert queries_of(2) == queries_of(8)


def test_last_and_best_values_of_each_series(store: Store) -> None:
    """Last is by step, not by arrival; NaN never wins, and is best only where there is nothing else."""
    steps, times = [5, 1, 3], [START, START + 1, START + 2]
    store.write(Records(series=[
        StepSeries(RUN, "train", "x", 1, 0, 0, steps, times, [2.0, math.nan, -math.inf]),
        StepSeries(RUN, "val", "nothing", 1, 0, 0, [1], [START], [math.nan]),
    ]))  # fmt: skip
    assert store.final_metrics(RUN)["train", "x"] == (5, 2.0)
    assert store.best_metrics(RUN)["train", "x"] == (-math.inf, 2.0)
    assert math.isnan(store.best_metrics(RUN)["val", "nothing"].highest)
    assert math.isnan(store.final_metrics(RUN)["val", "nothing"].value)


def test_a_curve_keeps_the_extremes_and_the_last_value_of_each_bucket(store: Store) -> None:
    """At most as many points as asked for, none for a series that is not there."""
    store.write(Records(series=[series(RUN, 0, 1000, first_step=100)]))
    rows = {row["step"]: row["value"] for row in store.get_metrics(RUN)}
    points = store.curve(RUN, "loss", buckets=10)
    assert [point.step for point in points] == list(range(199, 1100, 100))
    assert [point.size for point in points] == [100] * 10
    for point in points:
        inside = [rows[step] for step in range(point.step - 99, point.step + 1) if not math.isnan(rows[step])]
        assert (point.lowest, point.highest) == (min(inside), max(inside))
        assert point.last == rows[point.step]
    assert store.curve(RUN, "loss", split="val") == []


def test_a_curve_over_the_whole_range_of_steps_does_not_overflow(store: Store) -> None:
    """The distance of the farthest steps needs 65 bits."""
    steps = [-(2**63), 0, 2**63 - 1]
    store.write(Records(series=[StepSeries(RUN, "train", "x", 1, 0, 0, steps, [START] * 3, [1.0, 2.0, 3.0])]))
    assert [point.last for point in store.curve(RUN, "x", buckets=50)] == [1.0, 2.0, 3.0]


def test_the_beginning_of_an_id_is_enough(sweep: Store) -> None:
    """Also of a trace id, which is an experiment's id without dashes; several or none is an error that says so."""
    unique = Entity("run", "abcdef00-0000-4000-8000-000000000001", 1, False, START, None, {"name": "x"})
    sweep.write(Records(entities=[unique]))
    assert sweep.find_id("abcd") == ("run", unique.id)
    assert sweep.find_id("ABCDEF000000") == ("run", unique.id)
    assert sweep.find_id(EXPERIMENT) == ("experiment", EXPERIMENT)
    assert sweep.find_id(EXPERIMENT.replace("-", "")) == ("experiment", EXPERIMENT)
    for prefix, word in (("0000", "several"), ("fff%", "No experiment"), ("", "No experiment")):
        with pytest.raises(NotFoundError, match=word):
            sweep.find_id(prefix)


def test_a_run_can_be_continued_from_the_store(sweep: Store) -> None:
    """The handle has ids, names, the last attempt, its last time and the last step of each split."""
    handle = sweep.run_handle(RUN)
    assert (handle.id, handle.name, handle.attempt) == (RUN, "lr=0.1/seed=0", 2)
    assert (handle.group_id, handle.group_name, handle.seed, handle.recipe) == (GROUP, "lr=0.1", 0, "sft")
    assert (handle.experiment.id, handle.experiment.name) == (EXPERIMENT, "lr-sweep")
    assert handle.last_time_unix_nano == end_time(2)
    assert handle.last_steps == {"train": 89}
    with pytest.raises(NotFoundError):
        sweep.run_handle("none")


def test_a_run_of_which_only_steps_came_is_listed(store: Store) -> None:
    """Its start may still be on its way."""
    store.write(Records(series=[series()]))
    run = store.list_runs()[0]
    assert (run["id"], run["name"], run["status"], run["created_at"]) == (RUN, None, "running", None)
    store.write(Records(entities=[run_start()]))
    assert store.list_runs()[0]["name"] == "lr=0.1/seed=0"
