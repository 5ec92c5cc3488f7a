"""What a run is given, and what the journal then holds."""

from __future__ import annotations

import itertools
import json
import logging
import math
import threading
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from kit.recorded import of_kind, only_events, read_events, steps_of

import evsys_otel
from evsys_otel.conventions import checkpoint_id_of, group_id_of
from evsys_otel.errors import ConfigurationError
from evsys_otel.events import (
    CheckpointLogged,
    EvalLogged,
    ExperimentEnded,
    ExperimentStarted,
    GroupEnded,
    GroupStarted,
    KeySetDeclared,
    PredictionsLogged,
    RunEnded,
    RunStarted,
    RunUpdated,
    StreamDeclared,
)
from evsys_otel.recorder import Run, start_experiment, start_run
from evsys_otel.recorder.sessions import SESSIONS

SETTINGS = {"mode": "journal", "quiet": True}


@pytest.fixture
def run() -> Run:
    return start_run("r", experiment="x", **SETTINGS)


def test_everything_of_the_example_is_in_the_journal_in_order(folder: Path) -> None:
    """Experiment, group and run start and end around what was logged, with the ids that the objects name."""
    with start_experiment("lr-sweep", hypothesis="small is better", tags=["digits"], project_id="p", **SETTINGS) as exp:
        with exp.group("lr=0.1") as group:
            with group.run("lr=0.1/seed=0", config={"lr": 0.1}, seed=0, recipe="sft") as run:
                run.log({"loss": 0.3, "accuracy": 0.9}, step=0)
                run.log({"loss": 0.4}, step=0, split="val")
                run.log_checkpoint("file:///c", step=100, label="step_100", is_final=False)
                eval_id = run.log_eval(
                    "digits-test", {"accuracy": 0.97}, predictions=[{"task_id": "a", "output": "7"}], tags=["test"]
                )
                run.log_predictions([{"task_id": "a", "completion": "8", "reward": 1}], step=100, kind="train")
    events = only_events(folder)
    assert [type(event).__name__ for event in events] == [
        "ExperimentStarted", "GroupStarted", "RunStarted", "KeySetDeclared", "StreamDeclared", "StepLogged",
        "KeySetDeclared", "StreamDeclared", "StepLogged", "CheckpointLogged", "EvalLogged", "PredictionsLogged",
        "PredictionsLogged", "RunEnded", "GroupEnded", "ExperimentEnded",
    ]
    started, grouped, ran = (of_kind(events, kind)[0] for kind in (ExperimentStarted, GroupStarted, RunStarted))
    assert (started.id, started.name, started.tags) == (exp.id, "lr-sweep", ["digits"])
    assert started.hypothesis == "small is better"
    assert (started.project_id, started.attempt, started.joined) == ("p", 1, False)
    assert (grouped.id, grouped.name) == (group_id_of(exp.id, "lr=0.1"), "lr=0.1")
    assert (ran.id, ran.seed, ran.recipe, json.loads(ran.config or "")) == (run.id, 0, "sft", {"lr": 0.1})
    assert steps_of(events) == [(0, "train", 0, {"loss": 0.3, "accuracy": 0.9}), (0, "val", 0, {"loss": 0.4})]
    (checkpoint,) = of_kind(events, CheckpointLogged)
    assert (checkpoint.uri, checkpoint.step, checkpoint.label) == ("file:///c", 100, "step_100")
    assert not checkpoint.is_final
    (evaluated,) = of_kind(events, EvalLogged)
    assert (evaluated.id, json.loads(evaluated.metrics), evaluated.tags) == (eval_id, {"accuracy": 0.97}, ["test"])
    first, second = of_kind(events, PredictionsLogged)
    assert (first.kind, first.eval_id, first.ordinal, first.rows[0].model_output) == ("eval", eval_id, 0, "7")
    assert (second.kind, second.eval_id, second.ordinal, second.rows[0].reward) == ("train", None, 1, 1.0)
    (ended,) = of_kind(events, RunEnded)
    assert (ended.status, ended.predictions, ended.evals, ended.checkpoints) == ("completed", 2, 1, 1)
    assert [(total.split, total.names, total.calls) for total in ended.streams] == [
        ("train", ["loss", "accuracy"], 1), ("val", ["loss"], 1),
    ]
    times = [event.time_unix_nano for event in events if hasattr(event, "time_unix_nano")]
    assert times == sorted(set(times))


def test_the_ids_obey_the_identities(folder: Path) -> None:
    """The trace id is the experiment's id without dashes, a span's id the last half of its record's."""
    with start_run("r", experiment="x", **SETTINGS) as run:
        assert run.trace_id == run.experiment.id.replace("-", "")
        assert run.span_id == run.id.replace("-", "")[16:]
        assert run.experiment.span_id == run.trace_id[16:]
    assert checkpoint_id_of(run.id, "u", None) != checkpoint_id_of(run.id, "u", 0)


def test_without_a_step_it_is_one_more_than_the_splits_last(folder: Path, run: Run) -> None:
    """Each split counts for itself, from 0, and goes on from what was given."""
    for step in (None, None, 10, None):
        run.log({"loss": 1}, step)
    run.log({"loss": 1}, split="val")
    run.log({"loss": None, "other": 3})
    run.log({"loss": 1}, np.int64(40))
    run.log({"loss": 1})
    steps = [(split, step) for _, split, step, _ in steps_of(only_events(folder))]
    assert steps == [("train", 0), ("train", 1), ("train", 10), ("train", 11), ("val", 0), ("train", 12), ("train", 40),
                     ("train", 41)]


class Tensor:
    """A scalar as torch has it."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value

    def item(self) -> float:
        return self.value


NUMBERS = {
    "int": (3, 3.0), "bool": (True, 1.0), "np32": (np.float32(0.5), 0.5), "np64": (np.float64(0.1), 0.1),
    "npint": (np.int64(7), 7.0), "np0": (np.array(2.5), 2.5), "np1": (np.array([1.5]), 1.5),
    "tensor": (Tensor(4.5), 4.5), "decimal": (Decimal("0.25"), 0.25), "inf": (math.inf, math.inf),
    "minf": (-math.inf, -math.inf),
    "huge": (10**400, math.inf), "zero": (-0.0, -0.0), "big": (2**70, float(2**70)),
}


@pytest.mark.parametrize("times", [1, 2])
def test_whatever_is_a_number_is_recorded_as_one(folder: Path, run: Run, times: int) -> None:
    """Python, NumPy and torch-like scalars become float64, NaN and the infinities among them, on every call."""
    for _ in range(times):
        run.log({name: given for name, (given, _) in NUMBERS.items()} | {"nan": math.nan})
    *_, (_, _, _, values) = steps_of(only_events(folder))
    assert math.isnan(values.pop("nan"))
    assert values == {name: number for name, (_, number) in NUMBERS.items()}
    assert math.copysign(1, values["zero"]) == -1


def test_what_is_not_a_number_is_skipped_with_one_warning_and_none_without(
    folder: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest of the call is recorded; the warning names the key."""
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            run.log({"loss": 1.0, "note": "text", "gone": None, "table": np.zeros(3), "deep": {"a": 1}})
    assert [values for *_, values in steps_of(only_events(folder))] == [{"loss": 1.0}] * 3
    assert sorted(record.args[0] for record in caplog.records if record.args) == ["deep", "note", "table"]  # type: ignore[index]


def test_a_call_with_nothing_to_record_uses_no_step(folder: Path, run: Run) -> None:
    """Empty calls, calls of None and calls of texts leave nothing behind."""
    for metrics in ({}, {"a": None}, {"b": "text"}, None, 7, [("a", 1)]):
        run.log(metrics)  # type: ignore[arg-type]
    run.log({"a": 1})
    assert [step for _, _, step, _ in steps_of(only_events(folder))] == [0]


@pytest.mark.parametrize("step", ["many", object(), math.nan, 2**70, True, [1]])
def test_a_step_that_is_none_is_replaced_by_the_next(folder: Path, run: Run, step: object) -> None:
    """Nonsense for a step neither raises nor loses the values."""
    run.log({"a": 1}, 4)
    run.log({"a": 2}, step)  # type: ignore[arg-type]
    assert [step for _, _, step, _ in steps_of(only_events(folder))] == [4, 5]


def test_names_are_cleaned_and_equal_ones_are_one(folder: Path, run: Run) -> None:
    """Names hold no NUL, no surrogate and at most 1 KiB; keys that become equal are logged once, the last one."""
    for _ in range(2):
        run.log({"a\0b": 1, "\ud800": 2, "x" * 5000: 3, 7: 4, "7": 5}, split="s\0")
    *_, (_, split, _, values) = steps_of(only_events(folder))
    assert split == "s\N{REPLACEMENT CHARACTER}"
    assert sorted(values.values()) == [1, 2, 3, 5]
    assert max(len(name.encode()) for name in values) <= 1024


def test_a_key_set_is_declared_once_and_shared_by_runs(folder: Path) -> None:
    """Two runs that log the same names share the key set; each has a stream of its own."""
    with start_experiment("x", **SETTINGS) as experiment:
        runs = [experiment.run(name) for name in "ab"]
        for _ in range(3):
            for run in runs:
                run.log({"loss": 1, "accuracy": 2})
    events = only_events(folder)
    assert len(of_kind(events, KeySetDeclared)) == 1
    assert [(stream.run, stream.keyset) for stream in of_kind(events, StreamDeclared)] == [(0, 0), (1, 0)]


def test_beyond_a_thousand_key_sets_names_are_logged_one_by_one(folder: Path, run: Run) -> None:
    """A name that differs in each call makes no key set for each call, and no value is lost."""
    for step in range(1_200):
        run.log({"loss": step, f"only/{step}": step}, step)
    events = only_events(folder)
    values = [(step, name, value) for _, _, step, some in steps_of(events) for name, value in some.items()]
    assert sorted(values) == sorted(
        [(step, "loss", step) for step in range(1_200)] + [(step, f"only/{step}", step) for step in range(1_200)]
    )
    assert sum(len(keyset.names) > 1 for keyset in of_kind(events, KeySetDeclared)) == 1_000
    assert len(run._cache) <= 1_000


def test_threads_and_concurrent_runs_lose_and_double_nothing(folder: Path) -> None:
    """Eight threads log to two runs: each stream's numbers are without gap, times strictly increase."""
    with start_experiment("x", **SETTINGS) as experiment:
        runs = [experiment.run(name) for name in "ab"]

        def work(number: int) -> None:
            for step in range(500):
                runs[number % 2].log({"loss": step, f"own/{number}": 1}, step, split=f"t{number}")
                runs[number % 2].log({"shared": step})

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = only_events(folder)
    assert len(steps_of(events)) == 8 * 500 * 2
    for ended in of_kind(events, RunEnded):
        assert sum(total.calls for total in ended.streams) == 4 * 500 * 2
    shared = sorted(step for run, _, step, values in steps_of(events) if run == 0 and "shared" in values)
    assert shared == list(range(2_000))
    times = [event.time_unix_nano for event in events if hasattr(event, "time_unix_nano")]
    assert all(a < b for a, b in itertools.pairwise(times))


def test_predictions_of_one_task_are_numbered_within_a_call(folder: Path, run: Run) -> None:
    """Equal tasks without sample_idx count from 0; given ones stay; a missing task is the empty one."""
    rows = [{"task_id": "a"}, {"task_id": "a"}, {"task_id": "b", "sample_idx": 5}, {"task_id": "a"}, {}, {}]
    run.log_predictions(rows)
    run.log_predictions(rows[:1])
    first, second = of_kind(only_events(folder), PredictionsLogged)
    assert [(row.task_id, row.sample_idx) for row in first.rows] == [
        ("a", 0), ("a", 1), ("b", 5), ("a", 2), ("", 0), ("", 1),
    ]
    assert [(row.task_id, row.sample_idx) for row in second.rows] == [("a", 0)]
    assert (first.ordinal, second.ordinal) == (0, 6)


def test_large_predictions_are_split_into_pieces_and_kept_whole(folder: Path, run: Run) -> None:
    """Events hold about a mebibyte; texts are whole however large; a generator is read row by row."""
    run.log_predictions({"task_id": str(i), "output": "x" * 300_000} for i in range(10))
    run.log_predictions([{"task_id": "big", "output": "y" * 6_000_000}])
    pieces = of_kind(only_events(folder), PredictionsLogged)
    assert [len(piece.rows) for piece in pieces] == [4, 4, 2, 1]
    assert [piece.ordinal for piece in pieces] == [0, 4, 8, 10]
    assert len(pieces[-1].rows[0].model_output or "") == 6_000_000


def test_a_predictions_fields_find_their_place(folder: Path, run: Run) -> None:
    """Chats become JSON text, other keys join the metadata, token ids are left out, a row's own step and kind count."""
    run.log_predictions([
        {"task_id": 3, "instruction": [{"role": "user", "content": "hi"}], "completion": "yes", "expected": 4,
         "reward": np.float32(0.5), "advantage": "much", "confidence": 0.9, "metadata": {"latency_s": 1.5},
         "completion_token_ids": [1, 2], "step": 9, "kind": "rollout"},
        "no row",
    ])
    (event,) = of_kind(only_events(folder), PredictionsLogged)
    (row,) = event.rows
    assert (event.step, event.kind) == (9, "rollout")
    assert json.loads(row.instruction or "") == [{"role": "user", "content": "hi"}]
    assert (row.task_id, row.model_output, row.expected, row.reward, row.advantage) == ("3", "yes", "4", 0.5, None)
    assert json.loads(row.metadata or "") == {"confidence": 0.9, "latency_s": 1.5}


def test_a_bad_row_takes_no_other_with_it(folder: Path, run: Run) -> None:
    """A mapping that cannot be read is skipped; the rows before and after it are kept."""

    class Broken(Mapping[str, str]):
        def __getitem__(self, key: str) -> str:
            raise RuntimeError("no value")

        def __iter__(self) -> Iterator[str]:
            return iter(["task_id"])

        def __len__(self) -> int:
            return 1

    run.log_predictions([{"task_id": "a"}, Broken(), {"task_id": "b"}])
    (event,) = of_kind(only_events(folder), PredictionsLogged)
    assert [row.task_id for row in event.rows] == ["a", "b"]


def test_a_config_is_kept_around_its_rows_and_data_sets(folder: Path) -> None:
    """Long rows are counted, not read, so that what follows them is kept; what only iterates is not iterated."""

    class Loader:
        def __len__(self) -> int:
            return 2

        def __iter__(self) -> Iterator[int]:
            raise AssertionError("a data set was read")

    config = {"rows": [{"token": str(i), "text": "x"} for i in range(200_000)], "loader": Loader(), "lr": 0.1}
    with start_run("r", experiment="x", config=config, **SETTINGS):
        pass
    (started,) = of_kind(only_events(folder), RunStarted)
    kept = json.loads(started.config or "")
    assert kept["rows"] == {"evsys.rows": 200_000}
    assert kept["lr"] == 0.1
    assert "Loader" in kept["loader"]


def test_secrets_and_user_info_stay_out_of_the_journal(folder: Path) -> None:
    """Values under secret-named keys of a config and the user info of addresses are nowhere in the journal's files."""
    with start_run("r", experiment="x", config={"api_key": "sesame1", "lr": 1}, **SETTINGS) as run:
        run.log_checkpoint("s3://me:sesame2@bucket/c")
        run.update(wandb_url="https://u:sesame3@wandb.ai/x", config={"auth": {"token": "sesame4"}})
    SESSIONS.close()
    written = b"".join(path.read_bytes() for path in (folder / ".evsys").rglob("*") if path.is_file())
    assert b"wandb.ai/x" in written
    assert b"sesame" not in written


def test_an_update_says_only_what_is_new(folder: Path, run: Run) -> None:
    """What is not given is left as it is."""
    run.update(config={"lr": 2})
    (updated,) = of_kind(only_events(folder), RunUpdated)
    assert (json.loads(updated.config or ""), updated.wandb_url, updated.seed) == ({"lr": 2}, None, None)


def test_an_exception_in_the_body_ends_the_run_as_failed_and_is_raised_again(folder: Path) -> None:
    """The message is the run's and the experiment's error."""

    def train() -> None:
        with start_experiment("x", **SETTINGS) as experiment:
            with experiment.group("g") as group, group.run("r"):
                raise ValueError("too hot")

    with pytest.raises(ValueError, match="too hot"):
        train()
    events = only_events(folder)
    (run_end,), (group_end,), (end,) = (of_kind(events, kind) for kind in (RunEnded, GroupEnded, ExperimentEnded))
    assert (run_end.status, run_end.error) == ("failed", "ValueError: too hot")
    assert (group_end.status, end.status, end.error) == ("failed", "failed", "ValueError: too hot")


def test_an_interrupt_in_the_body_cancels(folder: Path) -> None:
    """KeyboardInterrupt ends the run as cancelled."""
    with pytest.raises(KeyboardInterrupt):
        with start_run("r", experiment="x", **SETTINGS):
            raise KeyboardInterrupt
    assert [event.status for event in of_kind(only_events(folder), RunEnded)] == ["cancelled"]


def test_ending_twice_is_harmless_and_logging_after_the_end_warns_once(
    folder: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """The first end counts; what comes after is dropped."""
    run.log({"loss": 1})
    run.end("failed", error="broke")
    run.end()
    for _ in range(3):
        run.log({"loss": 1})
        run.log_checkpoint("u")
        run.log_eval("e", {})
        run.log_predictions([{}])
    events = only_events(folder)
    assert [(event.status, event.error) for event in of_kind(events, RunEnded)] == [("failed", "broke")]
    assert len(steps_of(events)) == 1
    assert type(events[-1]) is ExperimentEnded
    assert [record.getMessage() for record in caplog.records] == ["run 'r' has ended; what is logged to it is dropped"]


def test_a_run_with_an_experiment_of_its_own_ends_it_too(folder: Path, run: Run) -> None:
    """start_run(experiment="name") leaves nothing open."""
    run.end("cancelled")
    assert [event.status for event in of_kind(only_events(folder), ExperimentEnded)] == ["cancelled"]


def test_ending_an_experiment_ends_its_open_runs_and_groups_first(folder: Path) -> None:
    """Children end before their parents, with its status; its conclusion and best score are told."""
    experiment = start_experiment("x", **SETTINGS)
    experiment.group("g").run("a")
    experiment.run("b")
    experiment.end(conclusion="it works", best_score=np.float64(0.9))
    events = only_events(folder)
    assert [type(event).__name__ for event in events[-4:]] == ["RunEnded", "RunEnded", "GroupEnded", "ExperimentEnded"]
    (end,) = of_kind(events, ExperimentEnded)
    assert (end.status, end.conclusion, end.best_score) == ("completed", "it works", 0.9)


def test_a_cell_that_is_run_again_starts_a_new_run(folder: Path) -> None:
    """A notebook's second start of the same name is another run; both are ended when the process ends."""
    first = start_run("try", experiment="x", **SETTINGS)
    second = start_run("try", experiment="x", **SETTINGS)
    first.log({"loss": 1})
    second.log({"loss": 2})
    assert first.id != second.id
    SESSIONS.close()
    assert [event.status for event in of_kind(only_events(folder), RunEnded)] == ["completed", "completed"]


def test_an_ended_experiment_opens_again_for_a_new_run(folder: Path) -> None:
    """A notebook that ends an experiment and goes on with it has a second attempt of it, and of the group."""
    experiment = start_experiment("x", **SETTINGS)
    experiment.group("g").run("a")
    experiment.end()
    experiment.run("b", group="g").end()
    experiment.end()
    events = only_events(folder)
    assert [event.attempt for event in of_kind(events, ExperimentStarted)] == [1, 2]
    assert [event.attempt for event in of_kind(events, GroupStarted)] == [1, 2]
    assert [event.status for event in of_kind(events, ExperimentEnded)] == ["completed", "completed"]


@pytest.mark.parametrize(
    "arguments",
    [{"name": None}, {"name": ""}, {"name": "r", "experiment": 7}, {"name": "r", "experiment": ""},
     {"name": "r", "group": ""}, {"name": "r", "group": 7}, {"name": "r", "no_such": 1},
     {"name": "r", "mode": "sideways"},
     {"name": "r", "exporters": [object()]}, {"name": "r", "experiment": "evsys1.broken"}],
)
def test_a_bad_argument_is_refused_at_the_start(arguments: dict[str, object], folder: Path) -> None:
    """A start raises before it leaves anything on disk."""
    with pytest.raises((ConfigurationError, evsys_otel.HandleError)):
        start_run(**{**SETTINGS, **arguments})  # type: ignore[arg-type]
    assert not (folder / ".evsys").exists()


class Hostile:
    """An object whose every method raises."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__

    def __float__(self) -> float:
        raise RuntimeError("no")

    __bool__ = __len__ = __iter__ = __getattr__ = __float__  # type: ignore[assignment]


NONSENSE = [
    None, 7, "text", object(), b"\xff", [object()], {"a": object()}, math.nan, {1, 2}, np.arange(3), Hostile(),
    [Hostile()], {"a": Hostile()},
]


@pytest.mark.parametrize("thing", NONSENSE, ids=lambda thing: type(thing).__name__)
def test_no_hook_raises_whatever_it_is_given(thing: object, folder: Path, run: Run) -> None:
    """Wrong types, missing attributes and what cannot be serialised go in; training goes on."""
    given: object = thing
    run.log(given, given, given)  # type: ignore[arg-type]
    run.log({given if isinstance(given, str) else "a": given})
    run.log_checkpoint(given, given, given, given, given)  # type: ignore[arg-type]
    assert run.log_eval(given, given, given, given, given, benchmark_id=given, breakdowns=given)  # type: ignore[arg-type]
    run.log_predictions(given if isinstance(given, list) else [given], given, given)  # type: ignore[arg-type]
    run.log_predictions([{"task_id": given, "metadata": given, "output": given, "reward": given, "sample_idx": given}])
    run.update(config=given, wandb_url=given, recipe=given, seed=given)
    with run.experiment.group(given) as group:  # type: ignore[arg-type]
        group.run(given, config=given, seed=given, recipe=given).end()  # type: ignore[arg-type]
    run.experiment.run(given, group=given).end()  # type: ignore[arg-type]
    run.experiment.set(conclusion=given, best_score=given)
    run.end(given, given)  # type: ignore[arg-type]
    ended = of_kind(only_events(folder), RunEnded)[-1]
    assert (ended.run, ended.evals, ended.checkpoints) == (0, 1, 1)
    assert ended.predictions >= 1


def test_two_folders_are_two_journals(tmp_path: Path) -> None:
    """Runs with other settings are recorded elsewhere; equal settings share one journal."""
    for name in ("a", "b", "a"):
        start_run(name, experiment="x", dir=tmp_path / name, **SETTINGS).end()
    found = {name: list((tmp_path / name / "journal").iterdir()) for name in "ab"}
    assert {name: len(journals) for name, journals in found.items()} == {"a": 1, "b": 1}
    assert [event.name for event in of_kind(read_events(found["a"][0]), RunStarted)] == ["a", "a"]
