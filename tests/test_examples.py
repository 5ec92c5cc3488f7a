"""The examples run as they stand, and what they logged is in the store; the demo is one of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
from kit.processes import clean_environment

from evsys_otel.demo import digits_sweep, run_demo
from evsys_otel.store import Store, open_store

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def run_example(name: str, folder: Path) -> str:
    done = run_python([str(EXAMPLES / name)], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_python(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=clean_environment(EVSYS_OTEL_QUIET="1"), capture_output=True,
        text=True, timeout=120, check=False,
    )


def open_folder(folder: Path) -> Store:
    return open_store(f"sqlite:///{folder / '.evsys' / 'evsys.db'}")


def check_digits(store: Store, steps: int) -> list[dict[str, Any]]:
    (experiment,) = store.list_experiments()
    assert (experiment["name"], experiment["status"]) == ("digits-lr-sweep", "completed")
    groups = {group["id"]: group["name"] for group in store.list_groups(experiment["id"])}
    runs = store.list_runs(experiment_id=experiment["id"])
    assert sorted((groups[run["group_id"]], run["seed"]) for run in runs) == [
        (f"lr={rate}", seed) for rate in digits_sweep.RATES for seed in digits_sweep.SEEDS
    ]
    for run in runs:
        assert (run["status"], run["completeness"], run["recipe_kind"]) == ("completed", "whole", "sgd")
        train = store.get_metrics(run["id"], split="train")
        assert {row["name"] for row in train} == {"loss", "accuracy", "grad_norm"}
        assert sorted(row["step"] for row in train if row["name"] == "loss") == list(range(steps))
        assert len(store.get_metrics(run["id"], name="digits/accuracy", split="val")) == steps // 50
        checkpoints = {row["label"]: row for row in store.list_checkpoints(run["id"])}
        assert checkpoints["final"]["is_final"]
        assert all(Path(unquote(urlparse(row["uri"]).path)).is_file() for row in checkpoints.values())
        (evaluated,) = store.list_evals(run["id"])
        predictions = store.list_predictions(run["id"], kind="eval")
        assert len(predictions) == len({row["task_id"] for row in predictions}) == 297
        right = sum(row["model_output"] == row["expected"] for row in predictions)
        assert right / 297 == pytest.approx(evaluated["metrics"]["accuracy"])
    return runs


def test_the_digits_sweep_is_in_the_store_as_it_was_trained(tmp_path: Path) -> None:
    """Four runs in two groups, every step, every validation, checkpoints that exist, and a prediction per image."""
    out = run_example("digits_sweep.py", tmp_path)
    with open_folder(tmp_path) as store:
        runs = check_digits(store, digits_sweep.STEPS)
        best = max(runs, key=lambda run: store.list_evals(run["id"])[0]["metrics"]["accuracy"])
        assert store.list_experiments()[0]["best_score"] == store.list_evals(best["id"])[0]["metrics"]["accuracy"]
        assert any(run["id"] in out for run in runs)


def test_the_plain_loop_is_in_the_store_as_it_was_trained(tmp_path: Path) -> None:
    """Four runs of 200 steps with validation, a checkpoint whose handle names its run, and 20 predictions."""
    run_example("plain_loop.py", tmp_path)
    with open_folder(tmp_path) as store:
        runs = store.list_runs()
        assert len(runs) == 4
        for run in runs:
            assert (run["status"], run["completeness"]) == ("completed", "whole")
            assert len(store.get_metrics(run["id"], name="loss", split="train")) == 200
            assert len(store.get_metrics(run["id"], split="val")) == 4
            (checkpoint,) = store.list_checkpoints(run["id"])
            assert (checkpoint["step"], checkpoint["is_final"]) == (199, True)
            assert len(store.list_predictions(run["id"])) == 20


def test_the_demo_names_its_best_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``run_demo`` counts its steps, waits for the delivery, and returns the run with the best test accuracy."""
    monkeypatch.chdir(tmp_path)
    told: list[tuple[int, int]] = []
    result = run_demo(tmp_path / "out", quick=True, progress=lambda done, total: told.append((done, total)), quiet=True)
    assert told == [(number, 400) for number in range(1, 401)]
    assert result.delivered
    with open_folder(tmp_path) as store:
        check_digits(store, 100)
        scores = {run["id"]: store.list_evals(run["id"])[0]["metrics"]["accuracy"] for run in store.list_runs()}
        assert store.list_experiments()[0]["id"] == result.experiment_id
        assert scores[result.best_run_id] == max(scores.values()) == result.best_accuracy


def test_the_demo_draws_a_bar_when_nobody_else_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without ``progress`` a bar is drawn on standard error, and none of it on standard output."""
    monkeypatch.chdir(tmp_path)
    run_demo(tmp_path / "out", quick=True, mode="journal", quiet=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "training" in captured.err
    assert "100%" in captured.err


def test_the_demo_says_what_it_needs(tmp_path: Path) -> None:
    """Without scikit-learn the demo is refused in one sentence that says what to install."""
    script = "import sys; sys.modules['sklearn'] = None\nfrom evsys_otel.demo import run_demo\nrun_demo('out')"
    done = run_python(["-c", script], tmp_path)
    assert done.stderr.rstrip().endswith("pip install 'evsys-otel[demo]'.")
    assert os.listdir(tmp_path) == []
