"""Hops are killed at random moments while four processes train: the store ends exact, or says what it lacks.

``EVSYS_SOAK`` is how often each hop is tried.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from pathlib import Path

import pytest
from kit.chains import Chain, running_chain, send_again
from kit.collectors import Bridge, Hop
from kit.processes import Trainer, trainer

from evsys_otel.store import open_store

REPETITIONS = range(int(os.environ.get("EVSYS_SOAK", "1")))
TRAINERS = 4
TRAINING_SECONDS = 7.0
DRAIN_SECONDS = 40.0

pytestmark = [pytest.mark.real, pytest.mark.soak]

TRAIN = """
import sys, time
import evsys_otel

run = evsys_otel.start_run("killed", quiet=True, exit_timeout_seconds=1)
print(run.id, flush=True)
end = time.monotonic() + float(sys.argv[1])
step = 0
while time.monotonic() < end:
    run.log({"loss": step * 0.5, "accuracy": -step}, step=step)
    if step % 100 == 0:
        run.log_predictions([{"task_id": step, "output": "seven"}], step=step)
    step += 1
    time.sleep(0.002)
run.end()
print("ended", flush=True)
"""


def hop_of(chain: Chain, name: str) -> Hop | Bridge:
    hops: dict[str, Hop | Bridge] = {"agent": chain.agent, "gateway": chain.gateway, "bridge": chain.bridge}
    return hops[name]


def kill_and_restart(hop: Hop | Bridge, chance: random.Random) -> None:
    """Kill it twice at random moments; it is back after up to two seconds."""
    for _ in range(2):
        time.sleep(chance.uniform(0.1, 1.5))
        hop.kill()
        time.sleep(chance.uniform(0.1, 2.0))
        hop.start()


def assert_exact(chain: Chain, folder: Path, run_id: str) -> None:
    """The store behind the bridge holds of a run what the trainer's own store does, each value and row once."""
    with open_store(f"sqlite:///{folder}/.evsys/evsys.db") as local:
        assert local.completeness(run_id).state == "whole"
        for name in ("loss", "accuracy"):
            assert chain.store.get_metrics(run_id, name=name) == local.get_metrics(run_id, name=name)
        assert len(chain.store.list_predictions(run_id)) == len(local.list_predictions(run_id))
    assert chain.store.get_run(run_id)["status"] == "completed"  # type: ignore[index]


@pytest.mark.parametrize("repetition", REPETITIONS)
@pytest.mark.parametrize("name", ["agent", "gateway", "bridge"])
def test_a_hop_is_killed_while_four_processes_train(tmp_path: Path, name: str, repetition: int) -> None:
    """Every run ends whole and exact; where a hop lost what it had acknowledged, ``sync --again`` mends it."""
    folders = [tmp_path / f"trainer-{number}" for number in range(TRAINERS)]
    with running_chain(tmp_path) as chain, contextlib.ExitStack() as stack:
        started: list[Trainer] = []
        for folder in folders:
            folder.mkdir()
            seconds = str(TRAINING_SECONDS)
            started.append(stack.enter_context(trainer(TRAIN, folder, seconds, **chain.agent.endpoint())))
        run_ids = [process.read_line() for process in started]
        kill_and_restart(hop_of(chain, name), random.Random(f"{name} {repetition}"))
        assert [process.read_line() for process in started] == ["ended"] * TRAINERS
        assert [process.wait() for process in started] == [0] * TRAINERS
        for folder, run_id in zip(folders, run_ids, strict=True):
            try:
                chain.wait_whole(run_id, seconds=DRAIN_SECONDS)
            except AssertionError:
                assert chain.store.completeness(run_id).missing or chain.store.get_run(run_id) is None
                send_again(folder, run_id, chain.agent.endpoint())
                chain.wait_whole(run_id)
            assert_exact(chain, folder, run_id)


def test_the_bridge_is_away_all_the_time_that_a_process_trains(tmp_path: Path) -> None:
    """The training ends as if nothing were the matter, and everything arrives when the bridge is back."""
    with running_chain(tmp_path) as chain:
        chain.bridge.kill()
        folder = tmp_path / "trainer"
        folder.mkdir()
        with trainer(TRAIN, folder, "3", **chain.agent.endpoint()) as process:
            run_id = process.read_line()
            assert process.read_line() == "ended"
            assert process.wait() == 0
        assert chain.store.list_runs() == []
        chain.bridge.start()
        chain.wait_whole(run_id)
        assert_exact(chain, folder, run_id)
