"""Appending: what is refused leaves nothing behind, what is taken survives, and what waits is bounded."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.any_events import read_all
from kit.event_sequences import make_identity
from kit.full_disk import small_disk

from evsys_otel.errors import JournalError
from evsys_otel.events import Lost, StepLogged
from evsys_otel.journal import JournalReader, JournalWriter, LaneStatus, ShipperStatus, StatusFile
from evsys_otel.journal import writer as writer_module
from evsys_otel.journal.header import HEADER_BYTES
from evsys_otel.journal.segments import segment_path, segment_starts

MIB = 1024 * 1024
encode = msgspec.msgpack.encode


def step(number: int, size: int = 160) -> StepLogged:
    return StepLogged(number, 0, number, number, bytes(size))


FRAME_BYTES = 12 + len(encode(step(0)))


def steps_of(folder: Path) -> list[int]:
    got = read_all(folder)
    assert got.damage == []
    return [event.step for event in got.events if isinstance(event, StepLogged)]


@pytest.fixture
def journal(tmp_path: Path) -> JournalWriter:
    return JournalWriter.create(tmp_path, make_identity())


def test_a_journal_appears_whole(journal: JournalWriter) -> None:
    """From its creation on header and status have their full size, in real bytes that no full disk can refuse."""
    for name in ("header", "status"):
        stat = (journal.folder / name).stat()
        assert stat.st_size == HEADER_BYTES
        assert stat.st_blocks * 512 >= HEADER_BYTES
    assert JournalReader(journal.folder).identity == make_identity()
    assert [path.name for path in journal.folder.parent.iterdir()] == [journal.folder.name]


def test_the_bytes_are_those_of_one_frame_each(journal: JournalWriter) -> None:
    """The position is the journal's end in bytes, and descriptors are not handed on to other programs."""
    payloads = [encode(step(n)) for n in range(3)]
    assert all(journal.append(payload) for payload in payloads)
    assert journal.position == sum(12 + len(payload) for payload in payloads)
    assert segment_path(journal.folder, 0).stat().st_size == journal.position
    assert not os.get_inheritable(journal._fd)


def test_segments_roll_over(tmp_path: Path) -> None:
    """A segment is named by its first byte's position, none is above the bound but for a single larger event."""
    journal = JournalWriter.create(tmp_path, make_identity(), segment_bytes=1000)
    for number in range(20):
        assert journal.append(encode(step(number, size=3000 if number == 10 else 160)))
    starts = segment_starts(journal.folder)
    sizes = [segment_path(journal.folder, start).stat().st_size for start in starts]
    assert [start + size for start, size in zip(starts, sizes, strict=True)] == [*starts[1:], journal.position]
    assert sorted(sizes)[-2] <= 1000 < sorted(sizes)[-1]
    assert steps_of(journal.folder) == list(range(20))


def test_a_segment_that_cannot_be_begun_is_tried_again(tmp_path: Path) -> None:
    """A refused roll-over refuses the event; the next one may find the folder writable again."""
    journal = JournalWriter.create(tmp_path, make_identity(), segment_bytes=400)
    assert journal.append(encode(step(0)))
    assert journal.append(encode(step(1)))
    obstacle = segment_path(journal.folder, journal.position)
    obstacle.mkdir()
    assert not journal.append(encode(step(2)))
    assert "exists" in str(journal.last_problem)
    obstacle.rmdir()
    assert journal.append(encode(step(3)))
    assert steps_of(journal.folder) == [0, 1, 3]


def test_an_event_of_no_size_or_any_is_refused(journal: JournalWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A length of 0 is never valid."""
    assert not journal.append(b"")
    monkeypatch.setattr(writer_module, "MAX_PAYLOAD_BYTES", 1000)
    assert not journal.append(bytes(1001))
    assert "1001 bytes" in str(journal.last_problem)
    assert journal.append(encode(step(0)))
    assert steps_of(journal.folder) == [0]


@given(cuts=st.lists(st.one_of(st.none(), st.integers(0, FRAME_BYTES - 1)), max_size=30))
@settings(max_examples=60, deadline=None)
def test_a_short_write_is_cut_back(tmp_path_factory: pytest.TempPathFactory, cuts: list[int | None]) -> None:
    """When the kernel takes only a part of a frame, nothing of it stays and later ones are read."""
    journal = JournalWriter.create(tmp_path_factory.mktemp("j"), make_identity())
    taken = []
    with pytest.MonkeyPatch.context() as patch:
        for number, cut in enumerate(cuts):
            patch.setattr(writer_module, "_write", lambda fd, data, n=cut: os.write(fd, data[:n]))
            if journal.append(encode(step(number))):
                taken.append(number)
                assert cut is None
            else:
                assert cut is not None
    assert journal.position == segment_path(journal.folder, 0).stat().st_size
    assert steps_of(journal.folder) == taken
    journal.close()


def test_what_cannot_be_cut_back_is_stepped_over(journal: JournalWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """When taking back fails as well, the rest of a frame is damage between whole ones."""
    assert journal.append(encode(step(0)))
    with monkeypatch.context() as patch:
        patch.setattr(writer_module, "_write", lambda fd, data: os.write(fd, data[:50]))
        patch.setattr(writer_module.os, "ftruncate", lambda fd, size: (_ for _ in ()).throw(OSError(5, "I/O error")))
        end = journal.position
        assert not journal.append(encode(step(1)))
    assert journal.append(encode(step(2)))
    got = read_all(journal.folder)
    assert got.damage == [(end, end + 50)]
    assert [event.step for event in got.events if isinstance(event, StepLogged)] == [0, 2]


def test_an_interrupt_after_a_write_loses_nothing(journal: JournalWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A KeyboardInterrupt after the write leaves a whole frame, and a later failure cuts only what is its own."""

    def interrupted(fd: int, data: bytes) -> int:
        os.write(fd, data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writer_module, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            journal.append(encode(step(0)))
        patch.setattr(writer_module, "_write", lambda fd, data: os.write(fd, data[:20]))
        assert not journal.append(encode(step(1)))
    assert journal.append(encode(step(2)))
    assert steps_of(journal.folder) == [0, 2]
    assert journal.position == segment_path(journal.folder, 0).stat().st_size


def test_a_closed_journal_refuses(journal: JournalWriter) -> None:
    """After closing nothing raises and nothing is written."""
    assert journal.append(encode(step(0)))
    journal.sync()
    journal.close()
    journal.close()
    assert not journal.append(encode(step(1)))
    journal.record_loss(Lost("step", 0, 0, 1, 1, 1))
    journal.sync()
    assert steps_of(journal.folder) == [0]


def test_threads_under_a_lock_lose_nothing(tmp_path: Path) -> None:
    """Eight threads that share a lock leave every frame whole, over many segments, while a reader reads along."""
    journal = JournalWriter.create(tmp_path, make_identity(), segment_bytes=50_000)
    lock = threading.Lock()
    reader, seen = JournalReader(journal.folder), []

    def work(thread: int) -> None:
        for number in range(2000):
            with lock:
                assert journal.append_step(encode(step(thread * 2000 + number)))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or reader.position < journal.position:
        chunk = reader.read(10_000)
        assert chunk.damage == []
        seen += [event.step for event in chunk.events if isinstance(event, StepLogged)]
    assert sorted(seen) == list(range(16_000))


def lane(position: int, state: str = "running", name: str = "store") -> LaneStatus:
    return LaneStatus(name, "here", position, state, None, 0, 0, 0, 0, None)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "LOOK_SECONDS", 0.0)


@pytest.mark.usefixtures("eager")
def test_what_waits_is_bounded(tmp_path: Path) -> None:
    """Steps are refused above the bound, other events are not; steps are taken again as the slowest lane moves on."""
    journal = JournalWriter.create(tmp_path, make_identity(), max_waiting_bytes=1000)
    status = StatusFile(journal.folder)
    taken = 0
    while journal.append_step(encode(step(taken))):
        taken += 1
    assert taken == 1000 // FRAME_BYTES
    assert "wait for delivery" in str(journal.last_problem)
    assert journal.append(encode(step(100)))
    assert not journal.append_step(encode(step(101)))
    assert status.write(ShipperStatus(1, 1, 1, [lane(500), lane(900, name="otlp.logs")]))
    assert journal.append_step(encode(step(102)))
    assert status.write(ShipperStatus(1, 1, 1, [lane(journal.position), lane(0, "switched_off", "otlp.logs")]))
    assert all(journal.append_step(encode(step(n))) for n in range(103, 107))
    assert not all(journal.append_step(encode(step(n))) for n in range(107, 109))


@pytest.mark.usefixtures("eager")
def test_lanes_that_are_all_switched_off_bound_too(tmp_path: Path) -> None:
    """With no lane at work the disk is not filled without end either."""
    journal = JournalWriter.create(tmp_path, make_identity(), max_waiting_bytes=1000)
    assert StatusFile(journal.folder).write(ShipperStatus(1, 1, 1, [lane(300, "switched_off")]))
    assert sum(journal.append_step(encode(step(n))) for n in range(20)) == 1300 // FRAME_BYTES


def test_at_the_bound_the_status_is_not_read_for_every_step(tmp_path: Path) -> None:
    """A refused step costs no file read: many are refused before the status is looked at once more."""
    journal = JournalWriter.create(tmp_path, make_identity(), max_waiting_bytes=1000)
    reads = []
    journal._status = type("Counting", (), {"read": lambda _self: reads.append(1)})()  # type: ignore[assignment]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer_module, "LOOK_SECONDS", 3600.0)
        assert sum(journal.append_step(encode(step(n))) for n in range(100)) == 1000 // FRAME_BYTES
    assert len(reads) == 1


def test_a_root_that_cannot_be_written_is_an_error_at_once(tmp_path: Path) -> None:
    """JournalError, with the folder and the mend in its one sentence, and nothing is left behind."""
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"cannot be created .* set EVSYS_OTEL_DIR"):
        JournalWriter.create(tmp_path / "file", make_identity())
    JournalWriter.create(tmp_path, make_identity())
    with pytest.raises(JournalError):
        JournalWriter.create(tmp_path, make_identity())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["20231114T221320-4711-0a1b2c3d", "file"]


def test_a_read_only_file_system_is_an_error_at_once(tmp_path: Path) -> None:
    """A folder on a file system that was mounted read-only gives JournalError, to root too."""
    with small_disk(tmp_path / "disk", MIB) as disk:
        done = subprocess.run(["mount", "-o", "remount,ro", str(disk.path)], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot be mounted read-only here: {done.stderr.decode()}")
        with pytest.raises(JournalError, match="Read-only"):
            JournalWriter.create(disk.path / "journal", make_identity())


def test_a_full_disk_at_the_start_leaves_nothing(tmp_path: Path) -> None:
    """A journal that finds no room for its header is refused, and what was begun is removed."""
    with small_disk(tmp_path / "disk", MIB) as disk:
        disk.fill()
        with pytest.raises(JournalError):
            JournalWriter.create(disk.path, make_identity())
        disk.make_room()
        assert list(disk.path.iterdir()) == []


def test_a_full_disk_is_survived(tmp_path: Path) -> None:
    """Appends are refused while the disk is full and taken again once there is room; nothing torn stays."""
    with small_disk(tmp_path / "disk", 2 * MIB) as disk:
        journal = JournalWriter.create(disk.path, make_identity(), segment_bytes=20_000)
        taken, lost = [], 0
        for number in range(600):
            if number == 150:
                disk.fill()
            if number == 400:
                disk.make_room()
            if journal.append_step(encode(step(number, size=640))):
                taken.append(number)
            else:
                lost += 1
                journal.record_loss(Lost("step", 0, 3, number + 1, lost, lost * 80))
                assert "space" in str(journal.last_problem) or "only" in str(journal.last_problem)
        assert lost > 200
        assert taken[-200:] == list(range(400, 600))
        assert steps_of(journal.folder) == taken
        assert JournalReader(journal.folder).losses() == [Lost("step", 0, 3, 400, lost, lost * 80)]
        assert StatusFile(journal.folder).write(ShipperStatus(1, 1, 1, []))
        journal.close()


FILLS_AND_DIES = """
import os, signal, sys
from pathlib import Path
import msgspec
from kit.event_sequences import make_identity
from kit.full_disk import SmallDisk
from evsys_otel.events import Lost, StepLogged
from evsys_otel.journal import JournalWriter, ShipperStatus, StatusFile

disk = SmallDisk(Path(sys.argv[1]))
journal = JournalWriter.create(disk.path, make_identity())
disk.fill()
lost = number = 0
while lost < 50:
    number += 1
    if not journal.append_step(msgspec.msgpack.encode(StepLogged(number, 0, number, number, bytes(160)))):
        lost += 1
        journal.record_loss(Lost("step", 0, 0, number, lost, 20 * lost))
assert StatusFile(journal.folder).write(ShipperStatus(7, 1, 1, []))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_losses_of_a_process_killed_on_a_full_disk_can_be_read(tmp_path: Path) -> None:
    """The header tells them although the disk never had room again and the process had no last word."""
    with small_disk(tmp_path / "disk", MIB) as disk:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        done = subprocess.run([sys.executable, "-c", FILLS_AND_DIES, str(disk.path)], env=environment, check=False)
        assert done.returncode == -signal.SIGKILL
        reader = JournalReader(disk.path / make_identity().journal_id)
        read = read_all(reader.folder)
        (lost,) = reader.losses()
        assert (lost.kind, lost.calls, lost.values) == ("step", 50, 1000)
        assert lost.next_ordinal == len(read.events) + 50
        assert read.damage == []
        status = StatusFile(reader.folder).read()
        assert status is not None
        assert status.pid == 7


def test_a_descriptor_that_is_another_files_is_left_alone(tmp_path: Path) -> None:
    """Within 64 KiB the writer sees that its descriptor is another file's: it goes on in its own and closes neither."""
    journal = JournalWriter.create(tmp_path, make_identity())
    assert journal.append(encode(step(0)))
    with (tmp_path / "other").open("wb", buffering=0) as other:
        os.dup2(other.fileno(), journal._fd)
        taken = journal._fd
        numbers = range(1, 2 * writer_module.CHECK_BYTES // FRAME_BYTES)
        assert all(journal.append(encode(step(number))) for number in numbers)
        assert (tmp_path / "other").stat().st_size <= writer_module.CHECK_BYTES
        first, *others = steps_of(journal.folder)
        assert [first, *others] == [0, *numbers[-len(others) :]]
        journal.close()
        assert os.path.samestat(os.fstat(taken), os.fstat(other.fileno()))
    assert not journal.append(encode(step(0)))
    os.close(taken)


def test_a_header_whose_descriptor_was_closed_still_takes_losses(journal: JournalWriter) -> None:
    """The account of what was lost is opened again too."""
    os.close(journal._losses._file.fd)
    journal.record_loss(Lost("step", 0, 0, 1, 1, 20))
    assert JournalReader(journal.folder).losses() == [Lost("step", 0, 0, 1, 1, 20)]


def test_a_journal_that_was_removed_takes_no_more(journal: JournalWriter) -> None:
    """What is appended to a file that nobody can find any more is refused, within 64 KiB, and so counted."""
    shutil.rmtree(journal.folder)
    taken = [journal.append(encode(step(number))) for number in range(1_000)]
    assert taken == sorted(taken, reverse=True)
    assert sum(taken) * FRAME_BYTES <= writer_module.CHECK_BYTES
    assert "No such file" in str(journal.last_problem)
