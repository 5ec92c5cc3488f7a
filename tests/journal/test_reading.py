"""What was appended is read back; what is damaged is stepped over and told."""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.any_events import any_events, read_all
from kit.event_sequences import make_identity

from evsys_otel.errors import JournalError
from evsys_otel.events import Event, JournalClosed, StepLogged
from evsys_otel.journal import JournalReader, JournalWriter
from evsys_otel.journal.frames import HEAD, frame
from evsys_otel.journal.segments import segment_path, segment_starts

_numbers = itertools.count()
encode = msgspec.msgpack.encode


def new_journal(root: Path, **options: int) -> JournalWriter:
    return JournalWriter.create(root, make_identity(journal_id=f"journal-{next(_numbers)}"), **options)


def step(number: int, size: int = 160) -> StepLogged:
    return StepLogged(1_700_000_000_000_000_000 + number, 0, number, number, number.to_bytes(4, "little") * (size // 4))


def fill(writer: JournalWriter, events: list[Event]) -> list[tuple[int, int]]:
    """Append events and return the range of each frame."""
    ranges = []
    for event in events:
        start = writer.position
        assert writer.append(encode(event)), writer.last_problem
        ranges.append((start, writer.position))
    return ranges


def first_segment(writer: JournalWriter) -> Path:
    return segment_path(writer.folder, 0)


@given(
    events=st.lists(any_events(), max_size=20), segment_bytes=st.sampled_from([64, 700, 10_000]),
    window=st.integers(1, 900),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_every_event_comes_back_as_it_was(events: list[Event], segment_bytes: int, window: int) -> None:
    """Events of any kind and value, over any cut into segments and windows, are read equal and in order."""
    with tempfile.TemporaryDirectory() as root:
        writer = new_journal(Path(root), segment_bytes=segment_bytes)
        fill(writer, events)
        got = read_all(writer.folder, max_bytes=window, final=False)
        assert list(map(encode, got.events)) == list(map(encode, events))
        assert (got.damage, got.unknown, got.position) == ([], 0, writer.position)
        writer.close()


Damage = tuple[str, int, int, bytes]


def damages() -> st.SearchStrategy[list[Damage]]:
    kinds, noise = st.sampled_from(["flip", "zero", "noise"]), st.binary(min_size=1, max_size=40)
    return st.lists(st.tuples(kinds, st.integers(0, 10_000), st.integers(1, 400), noise), min_size=1, max_size=4)


def spoil(folder: Path, end: int, damage: list[Damage]) -> None:
    """Change bytes of the journal in place."""
    starts = segment_starts(folder)
    for kind, where, length, noise in damage:
        position = where % end
        start = max(s for s in starts if s <= position)
        with segment_path(folder, start).open("r+b") as file:
            file.seek(position - start)
            old = file.read(1 if kind == "flip" else length)
            file.seek(position - start)
            if kind == "flip":
                file.write(bytes(byte ^ (noise[0] or 1) for byte in old))
            else:
                file.write(bytes(len(old)) if kind == "zero" else (noise * len(old))[: len(old)])


def overlaps(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] < b[1] and b[0] < a[1]


@given(
    events=st.lists(any_events(), min_size=1, max_size=12), damage=damages(), cut=st.integers(0, 300),
    window=st.integers(1, 3000), segment_bytes=st.sampled_from([300, 100_000]),
)  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_damage_costs_only_the_frames_that_it_touches(
    events: list[Event], damage: list[Damage], cut: int, window: int, segment_bytes: int
) -> None:
    """Whatever bytes are changed or cut off the end: every frame outside is read, each one lost is in a told range."""
    with tempfile.TemporaryDirectory() as root:
        writer = new_journal(Path(root), segment_bytes=segment_bytes)
        ranges = fill(writer, events)
        original = b"".join(segment_path(writer.folder, s).read_bytes() for s in segment_starts(writer.folder))
        spoil(writer.folder, writer.position, damage)
        last = segment_path(writer.folder, segment_starts(writer.folder)[-1])
        os.truncate(last, max(0, last.stat().st_size - cut))
        now = b"".join(segment_path(writer.folder, s).read_bytes() for s in segment_starts(writer.folder))

        got = read_all(writer.folder, max_bytes=window)
        intact = [i for i, (first, end) in enumerate(ranges) if now[first:end] == original[first:end]]
        assert [encode(event) for event in got.events] == [encode(events[i]) for i in intact]
        assert got.position == len(now)
        for i, range_ in enumerate(ranges):
            told = any(overlaps(range_, hole) for hole in got.damage)
            assert told == (i not in intact and range_[0] < len(now))
        assert all(first < end for first, end in got.damage)
        assert all(a[1] < b[0] for a, b in itertools.pairwise(got.damage))
        writer.close()


FRAMED_NONSENSE = st.lists(st.binary(min_size=1, max_size=60).map(frame), max_size=5).map(b"".join)


@given(data=st.one_of(st.binary(max_size=600), FRAMED_NONSENSE))
@settings(max_examples=300, deadline=None)
def test_no_bytes_make_the_reader_raise(data: bytes) -> None:
    """A segment of any bytes, frames with a right checksum around nonsense included, is read without an exception."""
    with tempfile.TemporaryDirectory() as root:
        writer = new_journal(Path(root))
        first_segment(writer).write_bytes(data)
        got = read_all(writer.folder, max_bytes=50)
        assert got.position == len(data)
        writer.close()


@pytest.mark.parametrize("payload", [b"\x92\xcc\xc8\x01", encode([9_999, "later", {"a": [1]}]), encode([200])])
def test_newer_kinds_are_skipped_and_counted(tmp_path: Path, payload: bytes) -> None:
    """An event of a kind that this version does not know costs nothing but itself, and is no damage."""
    writer = new_journal(tmp_path)
    fill(writer, [step(0)])
    assert writer.append(payload)
    fill(writer, [step(1)])
    got = read_all(writer.folder)
    assert (got.events, got.unknown, got.damage) == ([step(0), step(1)], 1, [])


NO_EVENTS = [
    b"\xc1", b"junk", encode({"a": 1}), encode([10, "no time"]), encode(["x", 1]), encode([]), b"\x91" * 5_000,
]  # fmt: skip


@pytest.mark.parametrize("payload", NO_EVENTS)
def test_what_no_version_would_write_is_damage(tmp_path: Path, payload: bytes) -> None:
    """A whole frame around something that is no event is told as damage, and reading goes on."""
    writer = new_journal(tmp_path)
    (first, second) = fill(writer, [step(0), step(1)])
    assert writer.append(payload)
    end = writer.position
    fill(writer, [step(2)])
    got = read_all(writer.folder)
    assert (got.events, got.unknown, got.damage) == ([step(0), step(1), step(2)], 0, [(second[1], end)])
    assert first[0] == 0


def test_fields_that_a_newer_version_appended_are_left_out(tmp_path: Path) -> None:
    """A known kind with more fields than this version knows is read by those that it knows."""
    writer = new_journal(tmp_path)
    assert writer.append(encode([14, 77, "new", {"x": 1}]))
    assert read_all(writer.folder).events == [JournalClosed(77)]


@pytest.mark.parametrize("torn", [1, 3, 4, 11, 12, 13, 100])
def test_an_unfinished_frame_at_the_end_is_waited_for(tmp_path: Path, torn: int) -> None:
    """While the trainer may be writing, an incomplete last frame is no damage; once nobody writes, it is."""
    writer = new_journal(tmp_path)
    (_, end), = fill(writer, [step(0)])
    whole = frame(encode(step(1)))
    with first_segment(writer).open("ab") as file:
        file.write(whole[:torn])
    reader = JournalReader(writer.folder)
    assert reader.read().events == [step(0)]
    assert not reader.read()
    assert reader.position == end
    assert read_all(writer.folder).damage == [(end, end + torn)]
    with first_segment(writer).open("ab") as file:
        file.write(whole[torn:])
    assert reader.read().events == [step(1)]


def test_a_tail_of_zeros_is_damage_once_nobody_writes(tmp_path: Path) -> None:
    """Zeros, as a crashed machine leaves them, are no frames of length 0."""
    writer = new_journal(tmp_path)
    (_, end), = fill(writer, [step(0)])
    os.truncate(first_segment(writer), end + 8192)
    got = read_all(writer.folder, final=False)
    assert (got.events, got.position, got.damage) == ([step(0)], end, [])
    got = read_all(writer.folder)
    assert (got.events, got.damage) == ([step(0)], [(end, end + 8192)])


def test_damage_before_whole_frames_is_stepped_over_at_once(tmp_path: Path) -> None:
    """A frame whose length was damaged to reach beyond the end does not hold up a journal that is being written."""
    writer = new_journal(tmp_path)
    ranges = fill(writer, [step(n) for n in range(3)])
    with first_segment(writer).open("r+b") as file:
        file.seek(ranges[1][0] + 4)
        file.write((200 * 1024 * 1024).to_bytes(4, "little"))
    got = read_all(writer.folder, final=False)
    assert (got.events, got.damage) == ([step(0), step(2)], [ranges[1]])


def test_a_segment_that_is_gone_or_short_is_damage(tmp_path: Path) -> None:
    """When later segments exist, what lacks before them is told."""
    writer = new_journal(tmp_path, segment_bytes=400)
    ranges = fill(writer, [step(n) for n in range(6)])
    starts = segment_starts(writer.folder)
    assert starts == [0, ranges[2][0], ranges[4][0]]
    segment_path(writer.folder, starts[1]).unlink()
    got = read_all(writer.folder)
    assert (got.events, got.damage) == ([step(n) for n in (0, 1, 4, 5)], [(starts[1], starts[2])])
    os.truncate(segment_path(writer.folder, 0), ranges[1][1] - 5)
    got = read_all(writer.folder, final=False)
    assert (got.events, got.damage) == ([step(n) for n in (0, 4, 5)], [(ranges[1][0], starts[2])])


def test_a_frame_larger_than_the_window_is_read_whole(tmp_path: Path) -> None:
    """The bound of a read is about how much, never a reason to stop."""
    writer = new_journal(tmp_path)
    big = step(7, size=3 * 1024 * 1024)
    fill(writer, [step(0), big, step(1)])
    reader = JournalReader(writer.folder)
    pieces = [reader.read(1000).events for _ in range(4)]
    assert pieces == [[step(0)], [big], [step(1)], []]


def test_reading_begins_at_any_frame(tmp_path: Path) -> None:
    """A position of an earlier read is where a later reader goes on; one beyond the end reads nothing."""
    writer = new_journal(tmp_path, segment_bytes=500)
    ranges = fill(writer, [step(n) for n in range(10)])
    for n, (start, _) in enumerate(ranges):
        assert read_all(writer.folder, start).events == [step(m) for m in range(n, 10)]
    assert not JournalReader(writer.folder, writer.position).read(final=True)
    assert not JournalReader(writer.folder, writer.position + 1000).read(final=True)
    assert JournalReader(writer.folder).end_position() == writer.position


def test_a_folder_without_a_header_is_no_journal(tmp_path: Path) -> None:
    """What cannot be told whose it is, is refused with one sentence."""
    with pytest.raises(JournalError, match="no journal"):
        JournalReader(tmp_path)


def test_a_journal_that_vanishes_is_an_empty_one(tmp_path: Path) -> None:
    """The retention may remove a journal under a reader: nothing is raised."""
    writer = new_journal(tmp_path)
    fill(writer, [step(0)])
    reader = JournalReader(writer.folder)
    for path in writer.folder.iterdir():
        path.unlink()
    assert not reader.read(final=True)
    assert reader.losses() == []
    assert reader.end_position() == 0


def test_the_head_is_as_documented() -> None:
    """Magic, length and crc32 take 12 bytes, little-endian."""
    assert frame(b"a") == b"\xc1evs" + b"\x01\0\0\0" + (0xE8B7BE43).to_bytes(4, "little") + b"a"
    assert HEAD.size == 12
