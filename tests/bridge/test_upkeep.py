"""A long-running server tidies: shipped journals, and, where a setting says so, experiments that are old."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from kit.journals import dead_identity
from kit.processes import wait_until
from kit.store_records import EXPERIMENT, RUN, attempt_records, end_time, merged, parents, run_start, uuid_of

from evsys_otel.bridge.upkeep import DAY, Retention, Upkeep
from evsys_otel.errors import StoreUnavailable
from evsys_otel.journal import JournalWriter, LaneStatus, ShipperStatus, StatusFile, list_journals
from evsys_otel.records import Entity, Records
from evsys_otel.store import Store, open_store

NOW = end_time(9) + 40 * DAY


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/evsys.db", clock=lambda: end_time(9)) as opened:
        opened.write(merged([*parents(), *attempt_records(RUN, calls=5)]))
        yield opened


def shipped_journal(root: Path, name: str, age_days: int) -> None:
    writer = JournalWriter.create(root, msgspec.structs.replace(dead_identity(), journal_id=name))
    lane = LaneStatus("store", "", writer.position, "done", None, 0, 0, 0, 0, None)
    StatusFile(writer.folder).write(ShipperStatus(1, 1, 1, [lane], shipped_unix_nano=NOW - age_days * DAY))
    writer.close()


def test_old_journals_go_and_experiments_stay_when_nothing_else_is_said(store: Store, tmp_path: Path) -> None:
    """Records are pruned by a setting alone."""
    root = tmp_path / "journal"
    for name, age_days in (("old", 8), ("new", 6)):
        shipped_journal(root, name, age_days)
    upkeep = Upkeep(lambda: store, Retention(root, 7.0, 10**9), clock=lambda: NOW)
    assert upkeep.tidy() == (["old"], [])
    assert [journal.id for journal in list_journals(root)] == ["new"]
    assert store.get_run(RUN) is not None


def test_experiments_that_are_older_than_is_kept_are_removed(store: Store, tmp_path: Path) -> None:
    """With all that belongs to them; one that is younger, or that something arrived of lately, stays."""
    young = {"name": "young", "start_time": NOW - DAY}
    store.write(Records(entities=[Entity("experiment", uuid_of(2), 1, False, NOW - DAY, None, young)]))
    keep = [Upkeep(lambda: store, Retention(tmp_path, 7.0, 1, days), clock=lambda: NOW) for days in (41, 39)]
    assert keep[0].tidy() == ([], [])
    assert keep[1].tidy() == ([], [EXPERIMENT])
    assert keep[1].tidy() == ([], [])
    assert [experiment["id"] for experiment in store.list_experiments()] == [uuid_of(2)]
    assert store.list_runs() == []


def test_two_servers_on_one_store_do_not_trip_over_each_other(store: Store, tmp_path: Path) -> None:
    """What the other one removed in between is passed over."""

    class Slow(Store):
        def quiet_experiments(self, since_unix_nano: int) -> list[str]:
            return [uuid_of(99), *super().quiet_experiments(since_unix_nano)]

    store.__class__ = Slow
    upkeep = Upkeep(lambda: store, Retention(tmp_path, 7.0, 1, 30), clock=lambda: NOW)
    assert upkeep.tidy() == ([], [EXPERIMENT])


def test_the_thread_tidies_at_once_and_again_and_outlives_an_outage(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that cannot be reached is said, and the next round is done."""
    rounds = 0

    def open_door() -> Store:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise StoreUnavailable("not now")
        if rounds == 2:
            raise RuntimeError("never seen before")
        return store

    retention = Retention(tmp_path, 7.0, 1, 30)
    upkeep = Upkeep(open_door, retention, clock=lambda: NOW, interval_seconds=0.01)
    with caplog.at_level(logging.WARNING):
        upkeep.start()
        wait_until(lambda: store.get_run(RUN) is None, what="the removal")
        upkeep.stop()
    assert [line for line in caplog.messages if "not now" in line or "RuntimeError" in line] != []
    assert any("1 experiments" in line for line in caplog.messages)


def test_a_run_that_ended_without_a_word_is_shown_as_such(tmp_path: Path) -> None:
    """Its status stays what was said, and its silence is seen by whoever reads; a late signal heals it."""
    now = run_start().time_unix_nano
    with open_store(f"sqlite:///{tmp_path}/silent.db", clock=lambda: now) as store:
        store.write(Records(entities=[run_start()]))
        seen = []
        for seconds in (0, 100, 400):
            now = run_start().time_unix_nano + seconds * 10**9
            run = store.get_run(RUN)
            assert run is not None
            seen.append((run["status"], run["liveness"]))
        assert seen == [("running", None), ("running", "stale"), ("running", "silent")]
