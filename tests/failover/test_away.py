"""A bridge is away while a process trains: the training does not notice, and all is there afterwards, exactly."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.collectors import Bridge, script
from kit.fleets import TRAIN, assert_equals_local, wait_until_shipped
from kit.processes import Trainer, clean_environment, kill, process_is_alive, trainer, wait_until

from evsys_otel.journal import JournalFolder, list_journals
from evsys_otel.store import open_store

pytestmark = pytest.mark.real

TRAINING_SECONDS = "4"
PROTOCOLS = ["grpc", "http/protobuf"]


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    with Bridge(tmp_path, f"sqlite:///{tmp_path}/bridge.db") as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "trainer"
    place.mkdir()
    return place


def endpoint(bridge: Bridge, protocol: str) -> dict[str, str]:
    """Return the standard variables that send a trainer's telemetry to the bridge, with a long wait at the exit."""
    address = bridge.grpc if protocol == "grpc" else bridge.http
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "EVSYS_OTEL_EXIT_TIMEOUT": "3600",
    }  # fmt: skip


def journal_of(folder: Path) -> JournalFolder:
    """Return the only journal below a folder."""
    (journal,) = list_journals(folder / ".evsys" / "journal")
    return journal


def train_without(bridge: Bridge, process: Trainer) -> str:
    """Take the bridge away once it has something of the run, let the training end, and return the run's id.

    The process ends by itself with 0, however long it may wait at its exit: only lanes that make progress are waited
    for, and those to the bridge make none.
    """
    run_id = process.read_line()
    with open_store(bridge.store_url) as store:
        wait_until(lambda: store.get_metrics(run_id, name="loss"), what="the run's first values at the bridge")
    bridge.kill()
    assert process.read_line() == "ended"
    assert process.wait() == 0
    return run_id


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_waiting_shipper_brings_what_the_bridge_missed(bridge: Bridge, folder: Path, protocol: str) -> None:
    """The training process is gone; its shipper waits for the bridge and then brings the rest."""
    with trainer(TRAIN, folder, "away", TRAINING_SECONDS, **endpoint(bridge, protocol)) as process:
        run_id = train_without(bridge, process)
    with open_store(bridge.store_url) as store:
        assert store.completeness(run_id).state != "whole"
        bridge.start()
        wait_until_shipped(folder)
        assert_equals_local(store, [folder], [run_id])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sync_brings_what_a_killed_shipper_could_not(bridge: Bridge, folder: Path, protocol: str) -> None:
    """The machine goes down with the shipper while the bridge is away; `evsys-otel sync` brings the rest later."""
    variables = endpoint(bridge, protocol)
    with trainer(TRAIN, folder, "away", TRAINING_SECONDS, **variables) as process:
        run_id = train_without(bridge, process)
    status = journal_of(folder).status
    assert status is not None
    kill(status.pid)
    wait_until(lambda: not process_is_alive(status.pid), what="the shipper's end")
    with open_store(bridge.store_url) as store:
        assert store.completeness(run_id).state != "whole"
        bridge.start()
        done = subprocess.run(
            [script("evsys-otel"), "sync"], cwd=folder, env=clean_environment(**variables), capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert_equals_local(store, [folder], [run_id])
