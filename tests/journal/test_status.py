"""The shipper's word and its lock, between real processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from kit.event_sequences import make_identity
from kit.processes import wait_until

from evsys_otel.errors import JournalError
from evsys_otel.journal import JournalLock, JournalWriter, LaneStatus, ShipperStatus, StatusFile


def status(number: int, reason: str | None = None) -> ShipperStatus:
    lane = LaneStatus("store", "sqlite:///evsys.db", number, "running", reason, number, number, number, number, None)
    return ShipperStatus(number, number, number, [lane], damage=[(1, number + 2)], unknown=number)


def test_before_the_first_word_there_is_none(tmp_path: Path) -> None:
    """A new journal, a folder without the file and one with rubbish in it all have no status."""
    assert StatusFile(JournalWriter.create(tmp_path, make_identity()).folder).read() is None
    assert StatusFile(tmp_path / "nowhere").read() is None
    (tmp_path / "status").write_bytes(b"rubbish" * 20_000)
    assert StatusFile(tmp_path).read() is None
    assert not StatusFile(tmp_path / "nowhere").write(status(1))


def test_the_last_word_counts_over_restarts(tmp_path: Path) -> None:
    """Another shipper goes on where the last one stopped, and damage to the newer slot leaves the older."""
    for number in range(1, 6):
        assert StatusFile(tmp_path).write(status(number))
        assert StatusFile(tmp_path).read() == status(number)
    data = bytearray((tmp_path / "status").read_bytes())
    data[32 * 1024 + 20] ^= 0xFF
    (tmp_path / "status").write_bytes(data)
    assert StatusFile(tmp_path).read() == status(4)


def test_a_status_is_bounded_rather_than_refused(tmp_path: Path) -> None:
    """Endless reasons and damage are cut; text that is no UTF-8 is mended."""
    endless = status(1, reason="\ud800" + "x" * 100_000)
    endless.lanes *= 10
    endless.damage = [(n, n + 1) for n in range(10_000)]
    assert StatusFile(tmp_path).write(endless)
    found = StatusFile(tmp_path).read()
    assert found is not None
    assert found.lanes[0].reason == "\ufffd" + "x" * 509
    assert len(found.damage) == 100


def test_it_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    """A reader sees one whole status after the other, never an older one after a newer, never none."""
    file = StatusFile(tmp_path)
    file.write(status(1))
    done = threading.Event()

    def write() -> None:
        for number in range(2, 1500):
            assert file.write(status(number, reason=f"{number}" * 60))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    last = 0
    reader = StatusFile(tmp_path)
    while not done.is_set():
        found = reader.read()
        assert found is not None
        assert last <= found.pid == found.lanes[0].position
        last = found.pid
    writer.join()


HOLDS = """
import sys
from pathlib import Path
from evsys_otel.journal import JournalLock
print(JournalLock(Path(sys.argv[1])).acquire(), flush=True)
sys.stdin.read()
"""


def test_one_process_ships_at_a_time(tmp_path: Path) -> None:
    """The lock is one process's until it dies, by kill -9 too."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    lock = JournalLock(tmp_path)
    assert not lock.acquire()
    with pytest.raises(JournalError, match="another process"), lock:
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert lock.acquire()
    assert lock.acquire()
    assert not JournalLock(tmp_path).acquire()
    lock.release()
    lock.release()
    with JournalLock(tmp_path):
        assert not lock.acquire()
    holder.communicate()


def test_a_forked_worker_does_not_keep_its_parents_lock(tmp_path: Path) -> None:
    """A DataLoader worker that outlives its trainer holds no journal back."""
    lock = JournalLock(tmp_path)
    assert lock.acquire()
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    worker = context.Process(target=stop.wait)
    worker.start()
    try:
        assert not JournalLock(tmp_path).acquire()
        lock.release()
        other = JournalLock(tmp_path)
        assert wait_until(other.acquire)
        other.release()
    finally:
        stop.set()
        worker.join()


def test_the_lock_of_a_journal_that_was_removed_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opened the file before its removal does not get to ship what is no more there."""
    folder = tmp_path / "journal"
    folder.mkdir()
    lock = JournalLock(folder)
    real_open = os.open

    def open_then_lose(path: str | Path, flags: int, mode: int = 0o777) -> int:
        fd = real_open(path, flags, mode)
        folder.rename(tmp_path / "gone")
        return fd

    monkeypatch.setattr("evsys_otel.journal.status.os.open", open_then_lose)
    assert not lock.acquire()
    monkeypatch.undo()
    with pytest.raises(JournalError, match="cannot be opened"):
        lock.acquire()
