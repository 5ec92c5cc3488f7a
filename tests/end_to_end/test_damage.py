"""Every kind of event is damaged in turn: `whole` is never said of a run of which anything is lost."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest
from kit.journals import START, append_events, dead_identity
from kit.programs import EVAL_ID, EXPERIMENT_ID, GROUP_ID, RUN_ID

from evsys_otel import events as e
from evsys_otel.journal import JournalWriter
from evsys_otel.pipeline import sync_journals
from evsys_otel.settings import resolve_settings
from evsys_otel.store import Store, open_store

NAMES = ["loss", "accuracy"]
RECORDED: list[e.Event] = [
    e.ExperimentStarted(START, 0, EXPERIMENT_ID, "sweep", "project"),
    e.GroupStarted(START + 1, 0, 0, GROUP_ID, "lr=0.1"),
    e.RunStarted(START + 2, 0, 0, RUN_ID, "seed=0", 0, config='{"lr":0.1}'),
    e.KeySetDeclared(0, NAMES),
    e.StreamDeclared(0, 0, "train", 0),
    *(e.StepLogged(START + 3 + step, 0, step, step, struct.pack("<2d", step, -step)) for step in range(3)),
    e.RunUpdated(START + 10, 0, recipe="sft"),
    e.EvalLogged(START + 11, 0, 0, EVAL_ID, "test", '{"accuracy":1}'),
    e.PredictionsLogged(START + 12, 0, 0, "eval", [e.PredictionRow("a", 0), e.PredictionRow("b", 0)], eval_id=EVAL_ID),
    e.CheckpointLogged(START + 13, 0, 0, "file:///step_3", 3),
]
TOTALS = [e.StreamTotal(0, "train", 0, NAMES, 3)]
ENDS: list[e.Event] = [
    e.RunEnded(START + 20, 0, RUN_ID, "completed", None, 1, TOTALS, 2, 1, 1, updates=1),
    e.GroupEnded(START + 21, 0, "completed"),
    e.ExperimentEnded(START + 22, 0, "completed"),
    e.JournalClosed(START + 23),
]
MISSING = {
    "ExperimentStarted": 1, "GroupStarted": 1, "RunStarted": 6 + 2 + 1 + 1 + 1 + 1, "KeySetDeclared": 6,
    "StreamDeclared": 6, "StepLogged": 2, "RunUpdated": 1, "EvalLogged": 1, "PredictionsLogged": 2,
    "CheckpointLogged": 1, "RunEnded": 1,
}  # fmt: skip
"""How many values a run that ended lacks, for each kind of damaged event; a lost fact that is no value counts as 1."""


def ship_damaged(folder: Path, events: list[e.Event], kind: str | None) -> Store:
    """Ship the events with the first one of a kind altered on disk; return the store as it is two minutes later."""
    settings = resolve_settings({}, dir=str(folder), quiet=True)
    writer = JournalWriter.create(settings.journal_root, dead_identity())
    places = []
    for event in events:
        begin = writer.position
        append_events(writer, [event])
        if type(event).__name__ == kind:
            places.append((begin + writer.position) // 2)
    (segment,) = writer.folder.glob("*.seg")
    for place in places[:1]:
        with segment.open("r+b") as file:
            file.seek(place)
            byte = file.read(1)
            file.seek(place)
            file.write(bytes([byte[0] ^ 0x55]))
    sync_journals(settings)
    return open_store(settings.store_url, clock=lambda: time.time_ns() + 120 * 10**9)


def test_the_same_without_damage_is_whole(tmp_path: Path) -> None:
    """The other tests fail for the damage alone."""
    with ship_damaged(tmp_path, [*RECORDED, *ENDS], None) as store:
        assert store.completeness(RUN_ID).text == "whole"


@pytest.mark.parametrize("kind", MISSING)
def test_a_damaged_event_of_a_run_is_missing(tmp_path: Path, kind: str) -> None:
    """What the totals can name is missing by name and number, and of the rest that something is."""
    with ship_damaged(tmp_path, [*RECORDED, *ENDS], kind) as store:
        told = store.completeness(RUN_ID)
        assert (told.state, told.missing) == ("missing", MISSING[kind])


@pytest.mark.parametrize("kind", ["GroupEnded", "ExperimentEnded", "JournalClosed"])
def test_a_damaged_end_of_what_is_around_a_run_leaves_it_whole(tmp_path: Path, kind: str) -> None:
    """Nothing of the run is lost; what was not closed counts as crashed."""
    with ship_damaged(tmp_path, [*RECORDED, *ENDS], kind) as store:
        assert store.completeness(RUN_ID).text == "whole"
        crashed = {kind for kind, row in (("GroupEnded", store.list_groups(EXPERIMENT_ID)[0]),
                                          ("ExperimentEnded", store.get_experiment(EXPERIMENT_ID)))
                   if row is not None and row["status"] == "crashed"}  # fmt: skip
        assert crashed == {kind} - {"JournalClosed"}


@pytest.mark.parametrize("kind", sorted({type(event).__name__ for event in RECORDED} - {"RunStarted"}))
def test_a_damaged_event_of_a_run_that_was_killed_is_missing(tmp_path: Path, kind: str) -> None:
    """No totals were written: each range of damage makes the run lack at least something."""
    with ship_damaged(tmp_path, RECORDED, kind) as store:
        told = store.completeness(RUN_ID)
        assert told.state == "missing"
        assert told.missing >= 1


def test_a_killed_run_whose_start_is_damaged_is_not_heard_of(tmp_path: Path) -> None:
    """Its id stands nowhere else."""
    with ship_damaged(tmp_path, RECORDED, "RunStarted") as store:
        assert store.get_run(RUN_ID) is None
