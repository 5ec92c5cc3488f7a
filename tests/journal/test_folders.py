"""The folder of journals: what is in it, and what may go."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from evsys_otel.events import JournalClosed
from evsys_otel.journal import (
    JournalFolder,
    JournalLock,
    JournalWriter,
    LaneStatus,
    ShipperStatus,
    StatusFile,
    current_identity,
    list_journals,
    remove_shipped,
)
from evsys_otel.settings import resolve_settings

NOW = 1_800_000_000_000_000_000
DAY = 86_400 * 10**9
ALIVE = current_identity(resolve_settings(environ={}))
DEAD = msgspec.structs.replace(ALIVE, process_start="1")
ELSEWHERE = msgspec.structs.replace(ALIVE, host="elsewhere", boot_id="another")


def journal(
    root: Path, name: str, *, owner: object = DEAD, age_days: float | None = 1, size: int = 1000, lane: str = "done",
    behind: int = 0,
) -> Path:
    """Create a journal that was shipped ``age_days`` ago, not at all for None."""
    writer = JournalWriter.create(root, msgspec.structs.replace(owner, journal_id=name))  # type: ignore[type-var]
    assert writer.append(msgspec.msgpack.encode([14, 1, "x" * size]))
    if age_days is not None:
        status = LaneStatus("store", "", writer.position - behind, lane, None, 0, 0, 0, 0, None)
        StatusFile(writer.folder).write(ShipperStatus(1, 1, 1, [status], shipped_unix_nano=NOW - int(age_days * DAY)))
    writer.close()
    return writer.folder


def ids(root: Path) -> list[str]:
    return [found.id for found in list_journals(root)]


def test_a_folder_that_is_not_there_has_no_journals(tmp_path: Path) -> None:
    """Listing and removing raise nothing."""
    assert list_journals(tmp_path / "nowhere") == []
    assert remove_shipped(tmp_path / "nowhere", 1, 1, NOW) == []


def test_a_listing_tells_each_journal(tmp_path: Path) -> None:
    """Oldest first: id, path, identity, size, end, last write and status; other folders and files do no harm."""
    second = journal(tmp_path, "b")
    first = journal(tmp_path, "a", age_days=None)
    (tmp_path / "c").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / ".d.new").mkdir()
    os.utime(first / "header", ns=(1, 1))
    os.utime(first / f"{0:020d}.seg", ns=(5, 5))
    found = list_journals(tmp_path)
    assert [(j.id, j.path) for j in found] == [("a", first), ("b", second), ("c", tmp_path / "c")]
    assert found[0].identity == msgspec.structs.replace(DEAD, journal_id="a")
    assert found[0].status is None
    assert found[1].status is not None
    assert found[0].last_write_unix_nano == 5
    assert found[0].end == (first / f"{0:020d}.seg").stat().st_size
    assert found[0].bytes == sum(path.stat().st_size for path in first.iterdir())
    assert found[2] == JournalFolder("c", tmp_path / "c", None, 0, 0, 0, None)


def test_shipped_journals_go_by_age(tmp_path: Path) -> None:
    """Those that were shipped longer ago than the days that they are kept, and no others."""
    for name, age in (("old", 8), ("young", 6), ("older", 9)):
        journal(tmp_path, name, age_days=age)
    assert remove_shipped(tmp_path, 7, 10**9, NOW) == ["older", "old"]
    assert ids(tmp_path) == ["young"]
    assert [path.name for path in tmp_path.iterdir()] == ["young"]


def test_shipped_journals_go_by_size(tmp_path: Path) -> None:
    """The oldest go first, until what is kept fits."""
    for age in (1, 2, 3, 4):
        journal(tmp_path, f"age{age}", age_days=age, size=100_000)
    one = list_journals(tmp_path)[0].bytes
    assert remove_shipped(tmp_path, 7, one * 2 + 10, NOW) == ["age4", "age3"]
    assert ids(tmp_path) == ["age1", "age2"]


@pytest.mark.parametrize(
    "facts", [
        {"age_days": None}, {"owner": ALIVE}, {"behind": 1}, {"lane": "switched_off"}, {"owner": ELSEWHERE},
    ],
)  # fmt: skip
def test_what_may_still_be_needed_stays(tmp_path: Path, facts: dict[str, object]) -> None:
    """Not shipped, a living process, bytes that no lane has, no lane that is done, a process that may live away."""
    folder = journal(tmp_path, "a", **{"age_days": 100, **facts})  # type: ignore[arg-type]
    for path in folder.iterdir():
        os.utime(path, ns=(NOW - 10**9, NOW - 10**9))
    assert remove_shipped(tmp_path, 7, 1, NOW) == []


def test_a_process_elsewhere_is_given_up_on_after_a_while(tmp_path: Path) -> None:
    """Nothing written for minutes and everything shipped: nobody needs it."""
    for path in journal(tmp_path, "a", owner=ELSEWHERE, age_days=100).iterdir():
        os.utime(path, ns=(NOW - 301 * 10**9, NOW - 301 * 10**9))
    assert remove_shipped(tmp_path, 7, 10**9, NOW) == ["a"]


def test_a_journal_that_is_being_shipped_stays(tmp_path: Path) -> None:
    """Its lock says so; once it is free, the journal goes."""
    folder = journal(tmp_path, "a", age_days=100)
    with JournalLock(folder):
        assert remove_shipped(tmp_path, 7, 10**9, NOW) == []
    assert remove_shipped(tmp_path, 7, 10**9, NOW) == ["a"]


def test_half_created_and_half_removed_journals_go_in_time(tmp_path: Path) -> None:
    """What a killed process left half done is out of sight, and is cleared after an hour."""
    for name, age in ((".a.new", 3700), (".b.removed", 3700), (".c.new", 100), ("other", 9000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "header").touch()
        os.utime(tmp_path / name, ns=(NOW - age * 10**9,) * 2)
    remove_shipped(tmp_path, 7, 1, NOW)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".c.new", "other"]


def test_the_last_event_of_a_closed_journal_is_its_end(tmp_path: Path) -> None:
    """The tag that this suite writes by hand is the close of a journal."""
    assert JournalClosed.__struct_config__.tag == 14
    assert list_journals(journal(tmp_path, "a").parent)[0].end > 1000
