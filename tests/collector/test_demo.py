"""`make demo-collector` shows a sweep that went all the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from kit.collectors import CONFIGURATIONS, require_collector
from kit.processes import clean_environment

pytestmark = pytest.mark.real


def test_the_demo_ends_with_whole_runs_and_each_hop_in_its_table(tmp_path: Path) -> None:
    """Agent, gateway, Prometheus' page, the trace store's stand-in and the bridge each say what they saw."""
    require_collector()
    done = subprocess.run(
        [sys.executable, CONFIGURATIONS / "demo.py"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=clean_environment(PYTHONPATH=str(Path(__file__).parents[1]), COLUMNS="100"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" whole ") == 4
    for hop in ("agent: received", "gateway: sent to", "20 series", "the receiver for Tempo", "The bridge wrote"):
        assert hop in done.stdout
