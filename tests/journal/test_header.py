"""The header: who records, and what was lost, whatever happens to its bytes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.event_sequences import make_identity

from evsys_otel.errors import JournalError
from evsys_otel.events import Lost
from evsys_otel.journal import JournalReader, JournalWriter
from evsys_otel.journal.header import HEADER_BYTES, encode_header

KINDS = st.sampled_from(["step", "prediction", "eval", "checkpoint", "event"])
COUNTS = st.integers(0, 2**63 - 1)
NUMBERS = st.one_of(st.none(), st.integers(0, 2**40))
LOSSES = st.builds(Lost, KINDS, NUMBERS, NUMBERS, COUNTS, COUNTS, COUNTS)


@given(losses=st.lists(LOSSES, max_size=20))
@settings(max_examples=60, deadline=None)
def test_the_last_word_on_each_loss_counts(tmp_path_factory: pytest.TempPathFactory, losses: list[Lost]) -> None:
    """One slot for each kind, run and stream, cumulative; what was caught up with is no loss any more."""
    journal = JournalWriter.create(tmp_path_factory.mktemp("j"), make_identity())
    last = {}
    for lost in losses:
        journal.record_loss(lost)
        last[lost.kind, lost.run, lost.stream] = lost
    assert JournalReader(journal.folder).losses() == [lost for lost in last.values() if lost.calls or lost.values]
    assert (journal.folder / "header").stat().st_size == HEADER_BYTES
    journal.close()


def test_when_slots_run_out_the_rest_is_added_up(tmp_path: Path) -> None:
    """No loss is left out, however many streams lose: the last slot counts the rest as events."""
    journal = JournalWriter.create(tmp_path, make_identity())
    for calls in (1, 2):
        for stream in range(2000):
            journal.record_loss(Lost("step", 0, stream, 9, calls, calls * 20))
    losses = JournalReader(journal.folder).losses()
    assert sum(lost.calls for lost in losses) == 4000
    assert sum(lost.values for lost in losses) == 80_000
    assert (losses[-1].kind, losses[-1].run, losses[-1].stream) == ("event", None, None)
    assert losses[0] == Lost("step", 0, 0, 9, 2, 40)


@pytest.mark.parametrize("lost", [Lost("step", 2**80, -5, 2**70, 2**70, 2**70), Lost("other", None, None, 0, 1, 1)])
def test_no_loss_is_too_strange_to_be_recorded(tmp_path: Path, lost: Lost) -> None:
    """Numbers beyond 64 bits and unknown kinds are cut to what fits; recording never raises."""
    journal = JournalWriter.create(tmp_path, make_identity())
    journal.record_loss(lost)
    (found,) = JournalReader(journal.folder).losses()
    assert found.calls == min(lost.calls, 2**63 - 1)


def test_a_damaged_slot_is_a_loss_of_its_own(tmp_path: Path) -> None:
    """When it cannot be told what was lost, it is still told that something was."""
    journal = JournalWriter.create(tmp_path, make_identity())
    journal.record_loss(Lost("step", 0, 0, 1, 1, 20))
    journal.record_loss(Lost("eval", 0, None, 1, 1, 1))
    with (journal.folder / "header").open("r+b") as file:
        file.seek(16 * 1024 + 20)
        file.write(b"\xff\xff")
    unknown, known = JournalReader(journal.folder).losses()
    assert (unknown, known) == (Lost("event", None, None, 0, 1, 1), Lost("eval", 0, None, 1, 1, 1))


def test_one_damaged_copy_of_the_identity_costs_nothing(tmp_path: Path) -> None:
    """The identity is there twice; only when both are damaged it is unknown whose events these are."""
    journal = JournalWriter.create(tmp_path, make_identity())
    header = journal.folder / "header"
    whole = header.read_bytes()
    for offset in (0, 13, 40, 8192, 8192 + 40):
        header.write_bytes(whole[:offset] + b"\xee" + whole[offset + 1 :])
        assert JournalReader(journal.folder).identity == make_identity()
    header.write_bytes(bytes(16 * 1024) + whole[16 * 1024 :])
    with pytest.raises(JournalError, match="damaged"):
        JournalReader(journal.folder)
    header.write_bytes(b"")
    with pytest.raises(JournalError, match="damaged"):
        JournalReader(journal.folder)


def test_an_identity_that_is_too_large_loses_what_is_dispensable(tmp_path: Path) -> None:
    """A header is of a fixed size: resource, command and folder are given up before a journal is."""
    large = make_identity(command=["\0" * 9000], resource={"a": "b"})
    journal = JournalWriter.create(tmp_path, large)
    found = JournalReader(journal.folder).identity
    assert found == msgspec.structs.replace(large, command=[], resource={}, cwd="")
    with pytest.raises(ValueError, match="does not fit"):
        encode_header(make_identity(host="h" * 9000))
