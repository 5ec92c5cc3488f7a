"""The demo as a command: a real training, then what the other commands say of it."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_the_demo_trains_and_shows_its_best_run(run, folder: Path) -> None:
    """It ends with the list and the page of the best run, whole, with curves and checkpoints."""
    ended = run("demo", "--quick")
    assert ended.code == 0
    for expected in ("digits-lr-sweep", "whole", "$ evsys-otel show", "○ val digits", "digits-test", "compare"):
        assert expected in ended.out
    assert (folder / "demo-output").is_dir()
    assert "missing" not in ended.out


def test_the_demo_json_names_what_it_recorded(run, folder: Path) -> None:
    """One document with the ids and the same two answers."""
    data = run("demo", "out", "--quick", "--json").data
    assert data["delivered"]
    assert data["best_run"]["run"]["id"] == data["best_run_id"]
    assert data["listing"]["experiments"][0]["id"] == data["experiment_id"]
    assert run("show", data["best_run_id"][:8], "--json").data["predictions"] == data["best_run"]["predictions"]


def test_without_a_store_the_demo_says_so_before_it_trains(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a training that cannot be shown."""
    monkeypatch.setenv("EVSYS_OTEL_STORE", "none")
    ended = run("demo", "--quick")
    assert ended.code == 1
    assert list(folder.iterdir()) == []
