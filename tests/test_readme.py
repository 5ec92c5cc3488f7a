"""The README is product: every snippet in it is run, and every figure in it was measured."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.readme import cost_table, rates_table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.S)
TRAIN, *SNIPPETS = [text for language, text in BLOCKS if language == "python"]
OURS = ("evsys-otel ", "python ")
STEPS = [
    step
    for language, text in BLOCKS
    for step in ([text] if language == "python" else text.splitlines())
    if step != TRAIN and (language == "python" or step.startswith(OURS))
]
"""What a reader runs, from the top of the page to its end; the first snippet is saved, and run by a line of its own."""


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, subprocess.CompletedProcess[str]]:
    """The page followed once, in an empty folder: what each step of it said."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "train.py").write_text(TRAIN)
    return {step: run(step, folder) for step in STEPS}


def run(step: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "EVSYS_"))}
    environ["COLUMNS"] = "80"
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    command = ["sh", "-c", step] if step.startswith(OURS) else [sys.executable, "-c", step]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("step", STEPS)
def test_each_snippet_and_each_command_runs(step: str, followed: dict[str, subprocess.CompletedProcess[str]]) -> None:
    """Every step of the page ends well as it stands, in the order of the page."""
    assert followed[step].returncode == 0, followed[step].stdout + followed[step].stderr


def test_ls_prints_what_the_page_shows(followed: dict[str, subprocess.CompletedProcess[str]]) -> None:
    """All of it but the ids and the ages is the same for every reader."""
    shown = next(text for language, text in BLOCKS if language == "text")
    assert same_for_all(followed["evsys-otel ls"].stdout) == same_for_all(shown)


def same_for_all(listing: str) -> list[str]:
    return [re.sub(r"^[0-9a-f]{8}|\s+(now|\S+ \S+ ago)$", "", line) for line in listing.splitlines()]


def test_the_reader_of_the_store_finds_what_was_trained(
    followed: dict[str, subprocess.CompletedProcess[str]],
) -> None:
    """What the snippets trained, the last one prints: four runs of 200 steps, and one of 10."""
    sweep = [f"lr-sweep lr={lr}/seed={seed} completed 200" for lr in ("0.1", "0.5") for seed in (0, 1)]
    assert followed[SNIPPETS[-1]].stdout.splitlines() == [*sweep, "scratch first try completed 10"]


def test_every_figure_of_the_tables_was_measured() -> None:
    """Cost and rates are those that the benchmarks wrote."""
    results = json.loads((ROOT / "benchmarks" / "results.json").read_text())
    assert cost_table(results["training"]) in README
    assert rates_table(results["shipper"]) in README
