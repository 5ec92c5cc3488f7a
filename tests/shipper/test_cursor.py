"""What a cursor knows of a journal does not hang on where earlier readers stopped."""

from __future__ import annotations

from pathlib import Path

from kit.journals import append_events, run_events, step_events, write_journal

from evsys_otel import conventions as c
from evsys_otel.shipper.cursor import Cursor
from evsys_otel.signals import SignalBuilder


def read_all(folder: Path, acknowledged: int = 0) -> Cursor:
    cursor = Cursor(folder, SignalBuilder)
    while cursor.read(acknowledged, final=True):
        pass
    return cursor


def test_a_crash_is_the_same_wherever_reading_began(tmp_path: Path) -> None:
    """Damage beside damage is one range, also where one reader met it in two pieces: its number is in the totals."""
    writer = write_journal(tmp_path, run_events(10, ended=False, closed=False))
    before = writer.position
    assert writer.append(b"\xc1")  # whole, and of no kind
    rotten = writer.position
    append_events(writer, step_events(10, 1))
    after = writer.position
    append_events(writer, step_events(11, 3))
    (segment,) = writer.folder.glob("*.seg")
    with segment.open("r+b") as file:
        file.seek(rotten + 4)
        file.write(b"\xff" * 4)
    cursors = [read_all(writer.folder, acknowledged) for acknowledged in (0, before, after)]
    assert [cursor.damage for cursor in cursors] == [[(before, after)]] * 3
    totals = [cursor.crash().logs[0].log_record.attributes[c.RUN_TOTALS] for cursor in cursors]  # type: ignore[index]
    assert len({*totals}) == 1
