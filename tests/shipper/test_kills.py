"""Processes are killed at random moments: every step whose ``log`` had returned is in the store, once.

``EVSYS_SOAK`` is how often each way is tried.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from kit.processes import kill, process_is_alive, trainer, wait_until

from evsys_otel.journal import JournalLock, JournalReader, StatusFile
from evsys_otel.pipeline import sync_journals
from evsys_otel.settings import resolve_settings
from evsys_otel.store import Store, open_store

REPETITIONS = range(int(os.environ.get("EVSYS_SOAK", "10")))
UNAIDED_SECONDS = 5.0

pytestmark = [pytest.mark.soak, pytest.mark.real]

TRAIN = """
import os, sys, time
import evsys_otel

run = evsys_otel.start_run("killed", quiet=True)
if sys.argv[1] == "forks" and os.fork() == 0:
    open("worker.pid", "w").write(str(os.getpid()))
    time.sleep(60)
    os._exit(0)
returned = os.open("returned", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
print(run.id)
end = time.monotonic() + float(sys.argv[2])
step = 0
while time.monotonic() < end:
    run.log({"loss": step * 0.5, "accuracy": -step}, step=step)
    os.write(returned, b"%15d\\n" % step)
    step += 1
    time.sleep(0.0005)
run.end()
print("ended")
"""


def random_moment(seed: int) -> float:
    """Seconds into the training at which something is killed; some before the shipper has come up."""
    return random.Random(seed).uniform(0.0, 2.0)


def journal_of(folder: Path) -> Path:
    (journal,) = (folder / ".evsys" / "journal").iterdir()
    return journal


def shipper_pid(folder: Path) -> int:
    status = StatusFile(journal_of(folder)).read()
    return status.pid if status and process_is_alive(status.pid) else 0


def store_of(folder: Path) -> Store:
    return open_store(f"sqlite:///{folder}/.evsys/evsys.db")


def returned_steps(folder: Path) -> int:
    """How many calls of ``log`` had returned, as the trainer wrote it down after each."""
    return (folder / "returned").stat().st_size // 16


def wait_for_steps(folder: Path) -> None:
    wait_until(lambda: (folder / "returned").exists() and returned_steps(folder) > 0)


def status_of_run(folder: Path, run_id: str) -> str | None:
    with store_of(folder) as store:
        run = store.get_run(run_id)
        return str(run["status"]) if run else None


def assert_every_step_is_there_once(folder: Path, run_id: str, status: str) -> None:
    """The store holds each step whose ``log`` had returned, at most one that had not, with its value, once."""
    with store_of(folder) as store:
        for name, factor in (("loss", 0.5), ("accuracy", -1.0)):
            rows = store.get_metrics(run_id, name=name)
            steps = [row["step"] for row in rows]
            assert sorted(steps) == list(range(len(steps)))
            assert returned_steps(folder) <= len(steps) <= returned_steps(folder) + 1
            assert all(row["value"] == row["step"] * factor for row in rows)
        run = store.get_run(run_id)
        assert run is not None
        assert run["status"] == status
        assert store.completeness(run_id).state == "whole"


def is_unlocked(journal: Path) -> bool:
    lock = JournalLock(journal)
    try:
        return lock.acquire()
    finally:
        lock.release()


def read_to_the_end(folder: Path) -> bool:
    status = StatusFile(journal_of(folder)).read()
    end = JournalReader(journal_of(folder)).end_position()
    return bool(status and status.lanes and all(lane.position >= end for lane in status.lanes))


@pytest.mark.parametrize("repetition", REPETITIONS)
def test_the_trainer_alone_is_killed(tmp_path: Path, repetition: int) -> None:
    """Within 5 seconds of the journal's end being read, unaided, the store has everything and the run is crashed."""
    forks = repetition % 2 == 1
    with trainer(TRAIN, tmp_path, "forks" if forks else "alone", "60") as process:
        run_id = process.read_line()
        wait_for_steps(tmp_path)
        time.sleep(random_moment(repetition))
        process.kill()
        try:
            wait_until(lambda: read_to_the_end(tmp_path), what="reading to the journal's end")
            wait_until(lambda: status_of_run(tmp_path, run_id) == "crashed", UNAIDED_SECONDS, "the run's crash")
            assert_every_step_is_there_once(tmp_path, run_id, "crashed")
        finally:
            if forks:
                worker = int((tmp_path / "worker.pid").read_text())
                assert process_is_alive(worker), "the worker was to outlive the trainer"
                kill(worker)


@pytest.mark.parametrize("repetition", REPETITIONS)
def test_trainer_and_shipper_are_killed_together(tmp_path: Path, repetition: int) -> None:
    """``sync`` ships what they left, and a second time finds nothing to do."""
    with trainer(TRAIN, tmp_path, "alone", "60") as process:
        run_id = process.read_line()
        wait_for_steps(tmp_path)
        pid = wait_until(lambda: shipper_pid(tmp_path), what="the shipper's start")
        time.sleep(random_moment(repetition + 1000))
        kill(process.pid)
        kill(pid)
        process.kill()
        wait_until(lambda: is_unlocked(journal_of(tmp_path)), what="the end of all the shipper's threads")
    settings = resolve_settings(dir=str(tmp_path / ".evsys"))
    report = sync_journals(settings)
    assert (report.journals, report.parked, report.waiting, report.still_running) == (1, 0, 0, 0)
    assert_every_step_is_there_once(tmp_path, run_id, "crashed")
    assert sync_journals(settings).journals == 0
    assert_every_step_is_there_once(tmp_path, run_id, "crashed")


@pytest.mark.parametrize("repetition", REPETITIONS)
def test_the_shipper_alone_is_killed(tmp_path: Path, repetition: int) -> None:
    """The training goes on, another shipper takes over, and the run ends whole."""
    with trainer(TRAIN, tmp_path, "alone", "3") as process:
        run_id = process.read_line()
        pid = wait_until(lambda: shipper_pid(tmp_path), what="the shipper's start")
        time.sleep(random_moment(repetition + 2000) * 0.75)  # before the training ends, also on a slow machine
        kill(pid)
        assert process.read_line() == "ended"
        assert process.wait() == 0
    wait_until(lambda: status_of_run(tmp_path, run_id) == "completed", what="the run's end in the store")
    assert_every_step_is_there_once(tmp_path, run_id, "completed")
