"""A disk that refuses: training goes on, the loss is counted in the journal's header, and what can wait comes later."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.full_disk import SmallDisk, small_disk
from kit.recorded import journals, of_kind, read_events

from evsys_otel.events import (
    CheckpointLogged,
    EvalLogged,
    Lost,
    PredictionsLogged,
    RunEnded,
    RunStarted,
    StepLogged,
    StreamDeclared,
)
from evsys_otel.journal import JournalReader
from evsys_otel.journal import writer as writer_module
from evsys_otel.recorder import Run, start_experiment, start_run
from evsys_otel.recorder import channel as channel_module
from evsys_otel.recorder.sessions import SESSIONS

SETTINGS = {"mode": "journal", "quiet": True}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 512 * 1024) as mounted:
        yield mounted


@pytest.fixture
def run(disk: SmallDisk) -> Run:
    return start_run("r", experiment="x", dir=disk.path, **SETTINGS)


def journal_of(disk: SmallDisk) -> Path:
    (journal,) = (path for path in (disk.path / "journal").iterdir() if not path.name.startswith("."))
    return journal


def losses(disk: SmallDisk) -> list[Lost]:
    return JournalReader(journal_of(disk)).losses()


def fill_until_refused(disk: SmallDisk, run: Run) -> int:
    """Fill the disk and log until the first loss; returns how many calls there were of the stream."""
    disk.fill()
    calls = 0
    while not losses(disk):
        run.log({"loss": calls}, calls)
        calls += 1
        assert calls < 10_000
    return calls


def test_lost_steps_are_counted_at_once_and_their_numbers_are_used_up(
    disk: SmallDisk, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """The header tells the loss while the disk is full; what comes after has the numbers after the gap; one warning."""
    first_lost = fill_until_refused(disk, run) - 1
    for step in range(9):
        run.log({"loss": 0.0}, step)
    assert losses(disk) == [Lost("step", 0, 0, first_lost + 10, 10, 10)]
    disk.make_room()
    run.log({"loss": 0.0}, 77)
    run.end()
    events = read_events(journal_of(disk))
    ordinals = [event.ordinal for event in of_kind(events, StepLogged)]
    assert ordinals == [*range(first_lost), first_lost + 10]
    (ended,) = of_kind(events, RunEnded)
    assert ended.streams[0].calls == first_lost + 11
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_steps_of_a_stream_that_cannot_be_declared_are_lost_until_it_can(disk: SmallDisk, run: Run) -> None:
    """They count as the run's, then as the stream's once it is declared; no step precedes its declaration."""
    fill_until_refused(disk, run)
    before = {(lost.kind, lost.stream): lost for lost in losses(disk)}
    for step in range(3):
        run.log({"a": 1.0, "b": 2.0}, step)
    now = {(lost.kind, lost.stream): lost for lost in losses(disk)}
    assert now["step", None] == Lost("step", 0, None, 0, 3, 6)
    assert now["event", None].calls >= 1
    disk.make_room()
    run.log({"a": 1.0, "b": 2.0}, 3)
    after = {(lost.kind, lost.stream): lost for lost in losses(disk)}
    assert set(after) == {*before, ("step", 1)}
    assert after["step", 1] == Lost("step", 0, 1, 3, 3, 6)
    events = read_events(journal_of(disk))
    declared = next(number for number, event in enumerate(events) if isinstance(event, StreamDeclared) and event.stream)
    assert [event.ordinal for event in of_kind(events[declared:], StepLogged) if event.stream == 1] == [3]


def test_what_tells_of_a_run_waits_for_room(disk: SmallDisk) -> None:
    """Starts, ends, evals and checkpoints of a full disk's time are in the journal later, in their order, none lost."""
    experiment = start_experiment("x", dir=disk.path, **SETTINGS)
    fill_until_refused(disk, experiment.run("first"))
    run = experiment.run("second", config={"lr": 1}, group="g")
    run.log_eval("e", {"a": 1})
    run.log_checkpoint("u")
    run.log_predictions([{"task_id": str(number)} for number in range(4)])
    assert {(lost.kind, lost.run): lost.values for lost in losses(disk) if lost.run == 1} == {
        ("event", 1): 0, ("eval", 1): 1, ("checkpoint", 1): 1, ("prediction", 1): 4,
    }
    run.end()
    disk.make_room()
    experiment.end()
    events = read_events(journal_of(disk))
    second = [event for event in events if getattr(event, "run", None) == 1]
    assert [type(event) for event in second] == [RunStarted, EvalLogged, CheckpointLogged, RunEnded]
    assert isinstance(second[-1], RunEnded)
    assert (second[-1].evals, second[-1].checkpoints, second[-1].predictions) == (1, 1, 4)
    assert [lost for lost in losses(disk) if lost.run == 1] == [Lost("prediction", 1, None, 4, 1, 4)]
    assert of_kind(events, PredictionsLogged) == []
    times = [event.time_unix_nano for event in events if hasattr(event, "time_unix_nano")]
    assert times == sorted(set(times))


def test_the_end_of_the_process_tells_how_much_was_lost(
    disk: SmallDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on standard error, also when the disk stays full."""
    run = start_run("r", experiment="x", dir=disk.path, mode="journal")
    fill_until_refused(disk, run)
    run.log({"loss": 1})
    SESSIONS.close()
    assert "evsys: 2 values were not recorded: " in capsys.readouterr().err


def test_more_than_may_wait_is_refused_for_steps_alone(tmp_path: Path) -> None:
    """Above the bound of waiting bytes steps are lost and counted, while evals and ends are still taken."""
    run = start_run("r", experiment="x", journal_max_waiting_bytes=20_000, **SETTINGS)
    for step in range(1_000):
        run.log({"loss": step}, step)
    run.log_eval("e", {"a": 1})
    run.end()
    (journal,) = (tmp_path / ".evsys" / "journal").iterdir()
    events = read_events(journal)
    kept = len(of_kind(events, StepLogged))
    assert 0 < kept < 1_000
    assert JournalReader(journal).losses() == [Lost("step", 0, 0, 1_000, 1_000 - kept, 1_000 - kept)]
    assert of_kind(events, EvalLogged)
    assert of_kind(events, RunEnded)[0].streams[0].calls == 1_000


def test_an_event_that_no_journal_can_hold_holds_up_no_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted as lost at once, and what comes after it is recorded."""
    monkeypatch.setattr(writer_module, "MAX_PAYLOAD_BYTES", 5_000)
    monkeypatch.setattr(channel_module, "MAX_PAYLOAD_BYTES", 5_000)
    run = start_run("r", experiment="x", **SETTINGS)
    run.log_eval("too large", breakdowns={"text": "x" * 10_000})
    run.log({"loss": 1.0})
    run.log_eval("small")
    run.end()
    (journal,) = journals(folder)
    events = read_events(journal)
    assert [event.name for event in of_kind(events, EvalLogged)] == ["small"]
    assert len(of_kind(events, StepLogged)) == len(of_kind(events, RunEnded)) == 1
    assert JournalReader(journal).losses() == [Lost("eval", 0, None, 1, 1, 1)]
