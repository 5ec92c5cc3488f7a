"""The central property on real databases: however the same signals travel, the store ends the same."""

from __future__ import annotations

import itertools
import random
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.event_sequences import EventSequence, batches, event_sequences
from kit.postgres import PostgresServer
from kit.wire import shuffled_requests, translate_in_process, translate_request

from evsys_otel.records import Records
from evsys_otel.signals import SignalBuilder, Signals
from evsys_otel.store import open_store

CUTS = st.lists(st.integers(0, 200), max_size=4)
FIXTURES = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
numbers = itertools.count()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: every commit waits for the disk, and there are thousands."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as path:
        open_store(f"sqlite:///{path}/empty.db").close()
        yield Path(path)


def empty_store(folder: Path) -> str:
    """Return the URL of a new store, a copy of an empty one: making the tables takes longer than an example."""
    file = folder / f"{next(numbers)}.db"
    shutil.copy(folder / "empty.db", file)
    return f"sqlite:///{file}"


def signals_of(sequence: EventSequence, cuts: list[int], limit: int) -> list[Signals]:
    builder = SignalBuilder(sequence.identity, max_point_exemplars=limit)
    return [*(builder.build(batch) for batch in batches(sequence.events, cuts)), builder.crash(sequence.losses)]


def in_process(signals: list[Signals]) -> list[Records]:
    return [records for told in signals for records in translate_in_process(told)]


def regrouped(batches: Iterable[Records], seed: int) -> list[Records]:
    """Merge some neighbours, as a busy writer does."""
    chance, out = random.Random(seed), [Records()]
    for records in batches:
        if chance.random() < 0.3:
            out.append(Records())
        out[-1].extend(records)
    return out


def state_after(url: str, batches: list[Records]) -> dict[str, Any]:
    with open_store(url, clock=lambda: 1_800_000_000_000_000_000) as store:
        for records in batches:
            store.write(records)
        return store.dump()


@settings(max_examples=500, deadline=None, suppress_health_check=FIXTURES)
@given(event_sequences(), CUTS, st.integers(1, 5), st.data(), st.integers(0, 2**32))
def test_the_way_in_process_and_the_way_over_the_wire_end_in_one_sqlite_store(
    folder: Path, sequence: EventSequence, cuts: list[int], limit: int, data: st.DataObject, seed: int
) -> None:
    """Encoded, split, doubled, shuffled and regrouped signals leave the very rows that those in process leave."""
    requests = shuffled_requests(signals_of(sequence, [], limit), data)
    wire = regrouped(map(translate_request, requests), seed)
    here = state_after(empty_store(folder), in_process(signals_of(sequence, cuts, 1000)))
    assert state_after(empty_store(folder), wire) == here
    for file in folder.glob("[0-9]*"):
        file.unlink()


def test_sqlite_and_postgresql_end_the_same(postgres_server: PostgresServer, folder: Path) -> None:
    """The wire's way into PostgreSQL leaves the rows that the way in process leaves in SQLite."""

    @settings(max_examples=30, deadline=None, suppress_health_check=FIXTURES)
    @given(event_sequences(), CUTS, st.integers(1, 5), st.data(), st.integers(0, 2**32))
    def holds(sequence: EventSequence, cuts: list[int], limit: int, data: st.DataObject, seed: int) -> None:
        requests = shuffled_requests(signals_of(sequence, [], limit), data)
        wire = regrouped(map(translate_request, requests), seed)
        here = state_after(empty_store(folder), in_process(signals_of(sequence, cuts, 1000)))
        with postgres_server.database() as url:
            assert state_after(url, wire) == here

    holds()
