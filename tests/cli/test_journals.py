"""What journals tell of themselves, as ls, sync and the doctor say it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from kit.journals import run_events, write_journal

from evsys_otel.cli.syncing import render
from evsys_otel.doctor.journals import check_journals
from evsys_otel.doctor.waiting import examine_journals, waiting_journals
from evsys_otel.journal import LaneStatus, ShipperStatus, StatusFile


def lane(**facts: object) -> LaneStatus:
    given = {
        "name": "otlp.logs", "destination": "http://receiver:4317", "position": 10, "state": "running", "reason": None,
        "parked": 0, "shortened": 0, "rejected": 0, "last_progress_unix_nano": 0, "crash_position": None,
    }  # fmt: skip
    return LaneStatus(**{**given, **facts})  # type: ignore[arg-type]


def test_every_trouble_of_a_journal_is_a_finding_with_its_mend(tmp_path: Path) -> None:
    """Damage, newer events, lanes that are off, records parked, shortened and rejected."""
    folder = write_journal(tmp_path, run_events(3)).folder
    lanes = [
        lane(name="store", destination="sqlite", state="done"),
        lane(state="switched_off", reason="UNIMPLEMENTED", parked=2, shortened=1, rejected=3),
    ]
    assert StatusFile(folder).write(ShipperStatus(1, 0, 0, lanes, damage=[(5, 2053)], unknown=4))
    found = {check.detail: check for check in check_journals(tmp_path)}
    assert all(check.mend for check in found.values())
    said = " / ".join(found)
    for expected in (
        "1 journal left unshipped", "2.0 KiB of", "4 events of", "UNIMPLEMENTED (switched off", "texts of 1 record",
        "3 records of", "2 more records refused",
    ):  # fmt: skip
        assert expected in said
    summary = waiting_journals(tmp_path)
    assert (summary.waiting, summary.parked, summary.switched_off, summary.damaged_bytes) == (1, 2, 1, 2048)


def test_a_shipped_journal_waits_for_nothing(tmp_path: Path) -> None:
    """What was shipped is only kept."""
    folder = write_journal(tmp_path, run_events(3)).folder
    StatusFile(folder).write(ShipperStatus(1, 0, 0, [lane(state="done")], shipped_unix_nano=1))
    (journal,) = examine_journals(tmp_path)
    assert (journal.state, journal.waiting_bytes) == ("shipped", 0)
    assert [check.state for check in check_journals(tmp_path)] == ["ok"]


def test_a_folder_that_does_not_exist_has_no_journals(tmp_path: Path) -> None:
    """Looking creates nothing."""
    assert examine_journals(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_sync_says_what_it_could_not_do() -> None:
    """One line for each thing that is left, with where to look."""
    done = {
        "journals": 2, "events": 1, "values": 3, "parked": 1, "switched_off": 1, "still_running": 1, "waiting": 1,
    }  # fmt: skip
    lines = list(map(str, render(done)))
    assert lines[0] == "Shipped 2 journals: 1 event, 3 step values."
    assert len(lines) == 5
    assert sum("evsys-otel doctor" in line for line in lines) == 3


def test_a_journal_that_a_shipper_works_at_was_not_left_behind(tmp_path: Path) -> None:
    """After the training's end its shipper needs a while; one whose beat is old counts not."""
    folder = write_journal(tmp_path, run_events(3)).folder
    status = StatusFile(folder)
    for pid, beat, state in ((os.getpid(), time.time_ns(), "running"), (os.getpid(), 0, "waiting")):
        assert status.write(ShipperStatus(pid, 0, beat, [lane()]))
        assert [journal.state for journal in examine_journals(tmp_path)] == [state]
