"""ls, show, compare and watch: what people read, and what programs do."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.sweeps import STEPS, experiment_id_of, run_id_of, sweep

from evsys_otel.handles import ExperimentHandle, RunHandle, decode_handle
from evsys_otel.store import open_store

WHOLE, MISSING, RUNNING = (experiment_id_of(number) for number in range(3))


def test_ls_lists_experiments_with_their_runs_and_whether_they_are_whole(run, swept: Path) -> None:
    """One line for each experiment and run, equal names side by side."""
    ended = run("ls")
    assert ended.code == 0
    lines = [line.split() for line in ended.out.splitlines()]
    assert lines[0] == ["ID", "NAME", "STATUS", "DATA", "SIZE", "BEST", "STARTED"]
    names = [line[1] for line in lines if line and line[0] in (WHOLE[:8], MISSING[:8], RUNNING[:8])]
    assert names == sorted(names)
    assert [WHOLE[:8], "lr-sweep", "completed", "whole", "4", "runs", "0.96"] in [line[:7] for line in lines]
    assert [run_id_of(0)[:8], "lr=0.1/seed=0", "completed", "whole", "step", "199", "accuracy", "0.91"] in [
        line[:8] for line in lines
    ]


def test_names_are_texts_and_not_markup(run, swept: Path) -> None:
    """A name that looks like a colour is printed as it is."""
    assert "still [red]going" in run("ls").out
    assert "still [red]going" in run("show", RUNNING[:8]).out
    assert "still [red]going" in run("watch", RUNNING[:8], "--once").out


def test_ls_json_says_the_same_as_data(run, swept: Path) -> None:
    """Experiments with ids, statuses, completeness, scores and runs; what waits in journals."""
    data = run("ls", "--json").data
    assert {"store", "experiments", "more", "journals", "now_unix_nano"} == set(data)
    by_id = {row["id"]: row for row in data["experiments"]}
    assert (by_id[WHOLE]["status"], by_id[WHOLE]["completeness"], by_id[WHOLE]["best_score"]) == (
        "completed",
        "whole",
        0.96,
    )
    assert by_id[MISSING]["missing"] == 20
    assert by_id[RUNNING]["status"] == "running"
    assert by_id[WHOLE]["runs"][0]["score"][0] == "accuracy"
    assert data["journals"]["waiting"] == 0


def test_ls_of_an_empty_folder_is_no_error_and_creates_nothing(run, folder: Path) -> None:
    """Nothing to list is exit code 0, and looking leaves no trace."""
    ended = run("ls")
    assert (ended.code, list(folder.iterdir())) == (0, [])
    assert "No experiments in .evsys/evsys.db yet" in ended.out
    assert run("ls", "--json").data["experiments"] == []


def test_ls_short_and_limit_bound_what_is_listed(run, swept: Path) -> None:
    """`--short` leaves the runs out; `--limit` says how many more there are."""
    out = run("ls", "--short", "--limit", "2").out
    assert run_id_of(0)[:8] not in out
    assert "1 older experiment: evsys-otel ls --limit 3" in out


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("command", ["ls", "show a0", "show 10", "compare 10", "watch a0 --once"])
def test_no_line_is_wider_than_the_terminal(
    run, swept: Path, monkeypatch: pytest.MonkeyPatch, width: int, command: str
) -> None:
    """Narrow terminals get fewer columns and folded texts, never lines that wrap."""
    monkeypatch.setenv("COLUMNS", str(width))
    ended = run(*command.split())
    assert ended.code == 0
    assert max(len(line.rstrip()) for line in ended.out.splitlines()) <= width


def test_output_that_is_no_terminal_has_no_escapes(run, swept: Path) -> None:
    """A pipe gets plain text."""
    assert "\x1b" not in run("ls").out + run("show", "a0").out + run("compare", "10").out


def test_show_of_a_run_has_config_curves_evals_checkpoints_and_predictions(run, swept: Path) -> None:
    """Everything that is known of a run is on its page."""
    out = run("show", run_id_of(3)).out
    for expected in (
        "lr=0.5/seed=1", "completed", "whole", "model.activation", "tanh", "digits-test", "accuracy 0.96", "step_100",
        "predictions", "⠒⠒ train", "○ val",
    ):  # fmt: skip
        assert expected in out
    assert f"{STEPS - 1}" in out


def test_show_of_a_run_json_has_every_part(run, swept: Path) -> None:
    """The schema of a run's page; NaN is a text since JSON has none."""
    data = run("show", run_id_of(0), "--json").data
    assert {
        "kind",
        "run",
        "experiment",
        "group",
        "completeness",
        "metrics",
        "curves",
        "evals",
        "checkpoints",
        "predictions",
    } < set(data)
    assert data["kind"] == "run"
    assert data["predictions"] == 5
    assert data["completeness"]["state"] == "whole"
    assert {(row["split"], row["name"]) for row in data["metrics"]} == {
        ("train", "loss"), ("train", "accuracy"), ("val", "loss"),
    }  # fmt: skip
    assert data["curves"][0]["name"] == "loss"
    assert [curve["label"] for curve in data["curves"][0]["splits"]] == ["train", "val"]
    assert data["curves"][0]["splits"][0]["steps"][0] == 0


def test_show_names_what_is_missing_and_where(run, swept: Path) -> None:
    """Series and numbers of the log calls that lack, in text and in JSON."""
    data = run("show", run_id_of(4), "--json").data["completeness"]
    assert data["missing"] == 20
    assert {"attempt": 1, "split": "train", "name": "loss", "intervals": [[190, 199]]} in data["gaps"]
    assert "train loss: calls 190-199" in run("show", run_id_of(4)).out


def test_show_of_an_experiment_lists_its_groups_and_runs(run, swept: Path) -> None:
    """The trace id is there to be pasted into a trace tool."""
    out = run("show", WHOLE).out
    assert WHOLE.replace("-", "") in out
    assert out.count("lr=0.1/seed=") == 2
    assert [group["name"] for group in run("show", WHOLE, "--json").data["groups"]].count("lr=0.5") == 1


def test_show_of_a_group_lists_its_runs(run, swept: Path) -> None:
    """A group is found by its id."""
    group = run("show", WHOLE, "--json").data["groups"][0]["id"]
    data = run("show", group, "--json").data
    assert data["kind"] == "group"
    assert len(data["runs"]) == 2
    assert run("show", group).code == 0


def test_show_draws_the_metric_that_is_asked_for(run, swept: Path) -> None:
    """`--metric` chooses, and a name that the run has not is an error that says what it has."""
    assert [curve["name"] for curve in run("show", "a0", "-m", "accuracy", "--json").data["curves"]] == ["accuracy"]
    ended = run("show", "a0", "-m", "perplexity")
    assert ended.code == 1
    assert "it has accuracy, loss" in ended.err


def test_a_handle_is_printed_alone(run, swept: Path) -> None:
    """What `--handle` prints continues the run, or joins the experiment."""
    handle = decode_handle(run("show", run_id_of(1), "--handle").out.strip())
    assert isinstance(handle, RunHandle)
    assert (handle.id, handle.last_steps["train"]) == (run_id_of(1), STEPS - 1)
    handle = decode_handle(run("show", WHOLE, "--handle", "--json").data["handle"])
    assert isinstance(handle, ExperimentHandle)
    assert handle.id == WHOLE


def test_a_name_finds_the_newest_and_says_so(run, swept: Path) -> None:
    """Of equal names the newest is taken, with a line on standard error."""
    ended = run("show", "lr=0.1/seed=0", "--json")
    assert ended.code == 0
    assert "3 runs are named 'lr=0.1/seed=0'; this is the newest" in ended.err


def test_what_is_not_there_is_one_sentence(run, swept: Path) -> None:
    """Exit code 1, one line on standard error, nothing on standard output."""
    ended = run("show", "nothing-of-that-name")
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)
    assert "several ids" in run("show", "a").err or run("show", "a").code == 1


def test_errors_are_json_too(run, swept: Path) -> None:
    """A program reads the error where it reads the answer."""
    ended = run("show", "nothing-of-that-name", "--json")
    assert ended.code == 1
    assert ended.data["error"]["kind"] == "NotFoundError"
    assert ended.data["error"]["exit_code"] == 1


def test_compare_shows_only_the_configs_that_differ(run, swept: Path) -> None:
    """Two runs side by side: what they share is left out."""
    data = run("compare", run_id_of(0), run_id_of(2), "--json").data
    assert [row["key"] for row in data["config"]] == ["lr"]
    assert data["config"][0]["values"] == [[0.1], [0.5]]
    out = run("compare", run_id_of(0), run_id_of(2)).out
    assert "activation" not in out
    assert "digits-test/accuracy" in out


def test_compare_of_an_experiment_gives_mean_and_deviation_over_each_groups_seeds(run, swept: Path) -> None:
    """A column for each group; the deviation is over its seeds."""
    data = run("compare", WHOLE, "--json").data
    assert [len(column["runs"]) for column in data["columns"]] == [2, 2]
    row = next(row for row in data["metrics"] if row["name"] == "digits-test/accuracy")
    by_name = dict(zip((column["name"] for column in data["columns"]), row["cells"], strict=True))
    assert by_name["lr=0.5"]["mean"] == pytest.approx(0.955)
    assert by_name["lr=0.5"]["deviation"] == pytest.approx(0.00707, abs=1e-5)
    assert "0.955 ± 0.0071" in run("compare", WHOLE).out


def test_watch_ends_when_the_run_has_ended(run, swept: Path) -> None:
    """Each change is a line; the end of the run is the end of the command."""
    ended = run("watch", run_id_of(0))
    assert ended.code == 0
    assert ended.out.split() == ["completed", "step", "199", "whole", "5", "min"]


def test_watch_follows_a_run_until_its_end_arrives(run, folder: Path) -> None:
    """A run that ends between two looks is seen first running, then ended."""
    from evsys_otel.cli.access import reading
    from evsys_otel.cli.output import Output
    from evsys_otel.cli.watching import watch

    with open_store() as store:
        store.write(sweep(0, ended=False))
    looks: list[float] = []

    def end_it(seconds: float) -> None:
        looks.append(seconds)
        with open_store() as store:
            store.write(sweep(0))

    with reading(None) as place:
        watch(place, None, Output(as_json=True), interval_seconds=0.5, sleep=end_it)
    assert looks == [0.5]


def test_watch_without_anything_running_says_so(run, folder: Path) -> None:
    """Nothing to watch is exit code 0."""
    assert run("watch").out == "Nothing runs at the moment.\n"
    assert run("watch", "--json").data == {"running": False}


def test_watch_once_shows_the_newest_that_runs(run, swept: Path) -> None:
    """Without an id it is the experiment that runs."""
    assert run("watch", "--once", "--json").data["experiment"]["id"] == RUNNING
