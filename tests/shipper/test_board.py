"""What lanes report, as others read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from evsys_otel.journal import StatusFile
from evsys_otel.shipper.board import MAX_DAMAGE_RANGES, Board
from evsys_otel.shipper.parked import MAX_FILE_BYTES, Parked, ParkedFile, read_parked


def clock(start: int = 100) -> Callable[[], int]:
    ticks = iter(range(start, start + 10_000))
    return lambda: next(ticks)


def board_in(folder: Path) -> Board:
    return Board(StatusFile(folder), time_unix_nano=clock())


def test_counts_and_positions_outlive_the_process(tmp_path: Path) -> None:
    """The next shipper goes on counting, and keeps lanes that it does not have itself."""
    first = board_in(tmp_path)
    first.lane("store", "a store")
    first.progress("store", position=7)
    first.count("store", parked=2, shortened=1)
    first.note_damage([(1, 2)])
    first.note_unknown(3)
    first.write(at_once=True)
    second = board_in(tmp_path)
    second.lane("otlp.logs", "http://somewhere")
    second.count("store", parked=1)
    second.write(at_once=True)
    status = StatusFile(tmp_path).read()
    assert status is not None
    assert (status.damage, status.unknown) == ([(1, 2)], 3)
    assert [(lane.name, lane.position, lane.parked, lane.shortened) for lane in status.lanes] == [
        ("store", 7, 3, 1), ("otlp.logs", 0, 0, 0),
    ]


def test_lanes_that_see_the_same_damage_report_it_once(tmp_path: Path) -> None:
    """Ranges are united; beyond what the file holds the last one covers the rest."""
    board = board_in(tmp_path)
    for _ in range(2):
        board.note_damage([(10 * number, 10 * number + 5) for number in range(MAX_DAMAGE_RANGES + 20)])
    board.write(at_once=True)
    status = StatusFile(tmp_path).read()
    assert status is not None
    assert len(status.damage) == MAX_DAMAGE_RANGES
    assert status.damage[-1] == (10 * MAX_DAMAGE_RANGES - 10, 10 * (MAX_DAMAGE_RANGES + 19) + 5)


def test_the_file_is_not_written_again_and_again(tmp_path: Path) -> None:
    """Changes within a tenth of a second are written together."""
    board = board_in(tmp_path)
    board.lane("store", "a store")
    board.write(at_once=True)
    board.update("store", position=5)
    board.write()
    status = StatusFile(tmp_path).read()
    assert status is not None
    assert status.lanes[0].position == 0


def test_parked_records_that_cannot_be_listed_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder that is gone costs a log line; lines that cannot be read back are left out."""
    ParkedFile(tmp_path / "gone").append([Parked("store", "a record", "odd")])
    assert "1 parked records" in caplog.text
    assert list(read_parked(tmp_path / "gone")) == []
    (tmp_path / "parked.jsonl").write_text('not json\n{"lane": "store"}\n')
    ParkedFile(tmp_path).append([Parked("store", "a record", "odd")])
    assert list(read_parked(tmp_path)) == [Parked("store", "a record", "odd")]


def test_the_list_of_parked_records_is_bounded(tmp_path: Path) -> None:
    """Beyond its size they are only counted."""
    parked = ParkedFile(tmp_path)
    for _ in range(4):
        parked.append([Parked("store", "x" * (MAX_FILE_BYTES // 3), "odd")])
    assert (tmp_path / "parked.jsonl").stat().st_size <= MAX_FILE_BYTES
