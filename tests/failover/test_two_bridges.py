"""Two bridges on one PostgreSQL behind a load balancer: one is killed while four processes train, the store ends exact.

``EVSYS_SOAK`` is how often each way is tried.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from pathlib import Path

import pytest
from kit.balancers import running_balancer
from kit.collectors import Bridge, scrape
from kit.fleets import TRAIN, assert_equals_local, wait_until_shipped
from kit.processes import trainer, wait_until

from evsys_otel.store import open_store

REPETITIONS = range(int(os.environ.get("EVSYS_SOAK", "1")))
PROTOCOLS = ["grpc", "http/protobuf"] * 2
TRAINING_SECONDS = "6"

pytestmark = [pytest.mark.real, pytest.mark.soak]


def values_taken(bridge: Bridge) -> float:
    """Return how many step values a bridge has committed."""
    return sum(
        value for name, labels, value in scrape(f"http://{bridge.http}/metrics")
        if name == "evsys_bridge_records_total" and labels["kind"] == "value"
    )  # fmt: skip


@pytest.mark.parametrize("repetition", REPETITIONS)
@pytest.mark.parametrize("comes_back", [True, False], ids=["it comes back", "it stays away"])
def test_one_of_two_bridges_is_killed(tmp_path: Path, postgres_url: str, comes_back: bool, repetition: int) -> None:
    """No training process notices, and every run is whole and equal to what its trainer's own store holds."""
    chance = random.Random(f"{comes_back} {repetition}")
    folders = [tmp_path / f"trainer-{number}" for number in range(len(PROTOCOLS))]
    places = [tmp_path / f"bridge-{number}" for number in range(2)]
    for folder in (*folders, *places):
        folder.mkdir()
    with contextlib.ExitStack() as stack:
        bridges = [stack.enter_context(Bridge(place, postgres_url)) for place in places]
        balancer = stack.enter_context(running_balancer(tmp_path, bridges))
        trainers = [
            stack.enter_context(trainer(TRAIN, folder, folder.name, TRAINING_SECONDS, **balancer.endpoint(protocol)))
            for folder, protocol in zip(folders, PROTOCOLS, strict=True)
        ]
        run_ids = [process.read_line() for process in trainers]
        wait_until(lambda: all(values_taken(bridge) for bridge in bridges), what="values at both bridges")
        victim = chance.choice(bridges)
        time.sleep(chance.uniform(0.0, 1.5))
        victim.kill()
        if comes_back:
            time.sleep(chance.uniform(0.1, 1.0))
            victim.start()
        assert [process.read_line() for process in trainers] == ["ended"] * len(trainers)
        assert [process.wait() for process in trainers] == [0] * len(trainers)
        for folder in folders:
            wait_until_shipped(folder)
        with open_store(postgres_url) as store:
            assert_equals_local(store, folders, run_ids)
