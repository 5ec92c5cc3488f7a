"""Journals as trainers leave them: events written by hand through the real writer."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from evsys_otel import events as e
from evsys_otel.journal import Identity, JournalWriter, current_identity
from evsys_otel.settings import resolve_settings

START = 1_700_000_000_000_000_000
NAMES = ["loss", "accuracy"]


def dead_identity() -> Identity:
    """Return the identity of a process of this machine that is dead: its start time was another process's."""
    own = current_identity(resolve_settings(environ={}))
    return msgspec.structs.replace(own, process_start="1", created_unix_nano=START - 1)


def run_events(
    steps: int, *, run_id: str | None = None, ended: bool = True, closed: bool = True, first: int = 0
) -> Iterator[e.Event]:
    """Yield the events of one experiment with one run that logs ``steps`` steps of two metrics."""
    run_id = run_id or str(uuid.uuid4())
    time = START
    yield e.ExperimentStarted(time, 0, str(uuid.uuid4()), "experiment")
    yield e.RunStarted(time + 1, 0, 0, run_id, "run", config='{"lr": 0.1}', seed=0)
    yield e.KeySetDeclared(0, NAMES)
    yield e.StreamDeclared(0, 0, "train", 0)
    yield from step_events(first, steps)
    last = time + 10 + first + steps
    if ended:
        total = e.StreamTotal(0, "train", 0, NAMES, first + steps)
        yield e.RunEnded(last, 0, run_id, "completed", streams=[total])
        yield e.ExperimentEnded(last + 1, 0, "completed")
    if closed:
        yield e.JournalClosed(last + 2)


def step_events(first: int, count: int) -> Iterator[e.Event]:
    """Yield ``count`` log calls from number ``first`` on; ``loss`` is half the step, ``accuracy`` its negative."""
    for step in range(first, first + count):
        yield e.StepLogged(START + 10 + step, 0, step, step, struct.pack("<2d", step * 0.5, -step))


def append_events(writer: JournalWriter, events: Sequence[e.Event] | Iterator[e.Event]) -> None:
    """Append events; each must be taken."""
    for event in events:
        assert writer.append(msgspec.msgpack.encode(event)), writer.last_problem


def write_journal(
    root: Path, events: Sequence[e.Event] | Iterator[e.Event], identity: Identity | None = None
) -> JournalWriter:
    """Create a journal below ``root``, by default a dead process's, and append ``events``."""
    writer = JournalWriter.create(root, identity or dead_identity())
    append_events(writer, events)
    return writer
