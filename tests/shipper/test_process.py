"""The shipper as a process beside real trainers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit.otlp_receiver import OtlpReceiver, free_port
from kit.processes import clean_environment, kill, process_is_alive, trainer, wait_until

from evsys_otel import conventions as c
from evsys_otel.journal import JournalLock, LaneStatus, ShipperStatus, StatusFile
from evsys_otel.store import Store, open_store

pytestmark = pytest.mark.real

TRAIN = """
import sys
import evsys_otel

run = evsys_otel.start_run("live", quiet=True)
print(run.id)
for step in range(50):
    run.log({"loss": step * 0.5}, step=step)
sys.stdin.readline() if "waits" in sys.argv else None
run.end()
"""


@pytest.fixture(autouse=True)
def _no_shipper_is_left_over(tmp_path: Path) -> Iterator[None]:
    yield
    for journal in journals(tmp_path):
        status = StatusFile(journal).read()
        if status is not None:
            kill(status.pid)


def journals(folder: Path) -> list[Path]:
    root = folder / ".evsys" / "journal"
    return list(root.iterdir()) if root.exists() else []


def status_of(folder: Path) -> ShipperStatus | None:
    return StatusFile(journals(folder)[0]).read() if journals(folder) else None


def lanes_of(folder: Path) -> dict[str, LaneStatus]:
    status = status_of(folder)
    return {lane.name: lane for lane in status.lanes} if status else {}


def store_of(folder: Path) -> Store:
    return open_store(f"sqlite:///{folder}/.evsys/evsys.db")


def run_in_store(folder: Path, run_id: str) -> dict[str, Any]:
    with store_of(folder) as store:
        return store.get_run(run_id) or {}


def count_values(folder: Path, run_id: str) -> int:
    with store_of(folder) as store:
        return len(store.get_metrics(run_id))


def shipper_pid(folder: Path) -> int:
    status = wait_until(lambda: status_of(folder), what="the shipper's first word")
    return status.pid


def test_values_are_in_the_store_while_the_training_goes_on(tmp_path: Path) -> None:
    """Small traffic is not held back until the end."""
    with trainer(TRAIN, tmp_path, "waits") as process:
        run_id = process.read_line()
        wait_until(lambda: count_values(tmp_path, run_id) == 50)
        assert run_in_store(tmp_path, run_id)["status"] == "running"
        process.say("go on")
        assert process.wait() == 0
    wait_until(lambda: run_in_store(tmp_path, run_id)["status"] == "completed")


def test_signals_to_the_whole_job_do_not_end_the_shipper(tmp_path: Path) -> None:
    """SIGTERM, SIGINT and SIGHUP are ignored while the trainer lives; it goes once everything is shipped."""
    with trainer(TRAIN, tmp_path, "waits") as process:
        run_id = process.read_line()
        pid = shipper_pid(tmp_path)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            kill(pid, number)
        wait_until(lambda: count_values(tmp_path, run_id) == 50)
        assert process_is_alive(pid)
    wait_until(lambda: not process_is_alive(pid))
    assert run_in_store(tmp_path, run_id)["status"] == "crashed"
    status = status_of(tmp_path)
    assert status is not None
    assert status.shipped_unix_nano is not None


def test_an_endpoint_that_is_down_delays_neither_the_store_nor_the_exit(tmp_path: Path) -> None:
    """The trainer ends while the OTLP lanes back off; the shipper stays for them, and goes soon when asked to."""
    with trainer(TRAIN, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}") as process:
        run_id = process.read_line()
        assert process.wait() == 0
        wait_until(lambda: run_in_store(tmp_path, run_id).get("status") == "completed")
        wait_until(lambda: lanes_of(tmp_path)["otlp.metrics"].state == "backing_off")
        pid = shipper_pid(tmp_path)
        assert process_is_alive(pid)
        kill(pid, signal.SIGTERM)
        wait_until(lambda: not process_is_alive(pid))
    status = status_of(tmp_path)
    assert status is not None
    assert status.shipped_unix_nano is None


def test_the_live_shipper_tells_receivers_and_the_store_that_a_run_lives(tmp_path: Path) -> None:
    """Heartbeats come while nothing is logged, as log events."""
    with OtlpReceiver("grpc") as receiver:
        environ = receiver.environ(EVSYS_OTEL_HEARTBEAT="0.1")
        with trainer(TRAIN, tmp_path, "waits", **environ) as process:
            run_id = process.read_line()
            wait_until(lambda: count_beats(receiver) >= 3)
            seen = run_in_store(tmp_path, run_id)["last_signal_unix_nano"]
            wait_until(lambda: run_in_store(tmp_path, run_id)["last_signal_unix_nano"] > seen)
            wait_until(lambda: run_in_store(tmp_path, run_id)["liveness"] is None)


def count_beats(receiver: OtlpReceiver) -> int:
    return sum(log.event_name == c.EVENT_RUN_HEARTBEAT for log in receiver.taken("logs"))


def test_a_shipper_that_comes_second_goes_quietly(tmp_path: Path) -> None:
    """The journal's lock lets one ship; the other ends well, with nothing said."""
    with trainer(TRAIN, tmp_path, "waits") as process:
        process.read_line()
        wait_until(lambda: lanes_of(tmp_path))
        (journal,) = journals(tmp_path)
        second = run_shipper(journal, tmp_path)
        assert (second.returncode, second.stderr) == (0, "")
    wait_until(lambda: is_unlocked(journal))


def is_unlocked(journal: Path) -> bool:
    lock = JournalLock(journal)
    try:
        return lock.acquire()
    finally:
        lock.release()


def run_shipper(journal: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; from evsys_otel.shipper.process import main; sys.exit(main(sys.argv[1]))"
    return subprocess.run(
        [sys.executable, "-c", code, str(journal)], cwd=folder, env=clean_environment(), capture_output=True, text=True,
        check=False, timeout=60,
    )


def test_a_shipper_of_a_dead_trainer_ships_and_goes(tmp_path: Path) -> None:
    """Started by hand for a journal that was only recorded, it does what a live one would."""
    with trainer(TRAIN, tmp_path, EVSYS_OTEL_MODE="journal") as process:
        run_id = process.read_line()
        assert process.wait() == 0
    (journal,) = journals(tmp_path)
    assert run_shipper(journal, tmp_path).returncode == 0
    assert run_in_store(tmp_path, run_id)["status"] == "completed"
    assert count_values(tmp_path, run_id) == 50


def test_a_folder_that_is_no_journal_is_said_and_left(tmp_path: Path) -> None:
    """The log names it; the exit code tells."""
    done = run_shipper(tmp_path / "nothing", tmp_path)
    assert done.returncode == 1
    assert "nothing" in done.stderr
    assert os.listdir(tmp_path) == []
