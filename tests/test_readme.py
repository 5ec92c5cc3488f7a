"""The README is product: every snippet in it is run, and every figure in it was measured."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.S)
PYTHON = [text for language, text in BLOCKS if language == "python"]
SHELL = [
    line
    for language, text in BLOCKS
    if language == "bash"
    for line in text.splitlines()
    if line.startswith(("evsys-otel ", "python "))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readme")


def run(command: list[str], folder: Path) -> str:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "EVSYS_"))}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_each_python_snippet_runs(number: int, folder: Path) -> None:
    """Every Python snippet runs as it stands, in the order of the page."""
    script = folder / ("train.py" if number == 0 else f"snippet_{number}.py")
    script.write_text(PYTHON[number])
    run([sys.executable, str(script)], folder)


@pytest.mark.parametrize("line", SHELL)
def test_each_shell_line_runs(line: str, folder: Path) -> None:
    """Every command of ours in the README answers as the page says."""
    if not (folder / "train.py").exists():
        (folder / "train.py").write_text(PYTHON[0])
    out = run(["sh", "-c", line], folder)
    if line == "evsys-otel ls":
        assert "lr-sweep" in out
        assert "whole" in out


def test_the_reader_of_the_store_finds_the_sweep(folder: Path) -> None:
    """What the first snippet trained, the last one prints: four completed runs of 200 steps."""
    out = run([sys.executable, str(folder / f"snippet_{len(PYTHON) - 1}.py")], folder)
    assert sorted(line for line in out.splitlines() if line.startswith("lr-sweep"))[-4:] == [
        f"lr-sweep lr={lr}/seed={seed} completed 200" for lr in ("0.1", "0.5") for seed in (0, 1)
    ]


def test_every_figure_of_the_cost_table_was_measured() -> None:
    """The rows of the cost table are those that the benchmarks wrote."""
    results = json.loads((ROOT / "benchmarks" / "results.json").read_text())
    table = [line.strip("|").split("|") for line in README.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line] for line in table]
    measured = {
        name: [f"{row['p50']:,.1f}", f"{row['p99.9']:,.0f}", f"{row['added_us']:,.0f}"]
        for name, row in results["training"].items()
        if "p50" in row
    }
    assert {row[0]: row[1:] for row in rows if row[0] in measured} == measured
