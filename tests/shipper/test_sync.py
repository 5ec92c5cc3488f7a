"""Which journals ``sync`` ships, and which it leaves to others."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from kit.journals import append_events, dead_identity, run_events, step_events, write_journal
from kit.otlp_receiver import OtlpReceiver

from evsys_otel.events import Lost
from evsys_otel.journal import (
    Identity,
    JournalLock,
    JournalWriter,
    LaneStatus,
    ShipperStatus,
    StatusFile,
    current_identity,
)
from evsys_otel.pipeline import sync_journals
from evsys_otel.settings import Settings, resolve_settings
from evsys_otel.shipper.sync import Progress, SyncReport
from evsys_otel.store import open_store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return resolve_settings(environ={}, dir=tmp_path)


def statuses(settings: Settings) -> list[str]:
    with open_store(settings.store_url) as store:
        return [run["status"] for run in store.list_runs()]


def leave_open(settings: Settings, identity: Identity | None = None) -> JournalWriter:
    return write_journal(settings.journal_root, run_events(10, ended=False, closed=False), identity)


def later() -> int:
    """The time when what lacks is no longer merely behind."""
    return time.time_ns() + 120 * 10**9


def let_rest(writer: JournalWriter, seconds: int) -> None:
    """Make a journal look untouched for so long."""
    for path in writer.folder.iterdir():
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - seconds * 10**9))


def elsewhere() -> Identity:
    return msgspec.structs.replace(dead_identity(), host="another-host", boot_id="another-boot")


def test_nothing_to_do_is_nothing_done(settings: Settings) -> None:
    """Without a folder of journals, and without a store, nothing is created."""
    report = sync_journals(settings)
    assert report == SyncReport()
    assert list(settings.root.iterdir()) == []


def test_the_journal_of_a_living_process_is_left_alone(settings: Settings) -> None:
    """Its own shipper is at work, or it records only: nothing is ended as crashed under its feet."""
    leave_open(settings, current_identity(settings))
    report = sync_journals(settings)
    assert (report.journals, report.still_running) == (0, 1)


def test_another_hosts_journal_is_shipped_once_it_rests(settings: Settings) -> None:
    """Whether that process lives cannot be asked; after five minutes without a write it counts as dead."""
    writer = leave_open(settings, elsewhere())
    assert sync_journals(settings).still_running == 1
    let_rest(writer, 301)
    assert sync_journals(settings).journals == 1
    assert statuses(settings) == ["crashed"]


def test_a_run_that_was_only_out_of_sight_runs_again(settings: Settings) -> None:
    """Steps that come after a crash was told make the run ``running``, and its end counts."""
    run_id = "00000000-0000-4000-8000-000000000001"
    whole = list(run_events(20, run_id=run_id))
    writer = write_journal(settings.journal_root, whole[:14], elsewhere())
    let_rest(writer, 301)
    sync_journals(settings)
    assert statuses(settings) == ["crashed"]
    append_events(writer, whole[14:])
    let_rest(writer, 301)
    assert sync_journals(settings).journals == 1
    with open_store(settings.store_url) as store:
        run = store.get_run(run_id)
        assert run is not None
        assert run["status"] == "completed"
        assert len(store.get_metrics(run_id, name="loss")) == 20
        assert store.completeness(run_id).state == "whole"


def test_a_journal_that_somebody_ships_is_left_to_them(settings: Settings) -> None:
    """The lock decides; afterwards it is shipped."""
    writer = leave_open(settings)
    with JournalLock(writer.folder):
        assert sync_journals(settings).still_running == 1
    assert sync_journals(settings).journals == 1


def test_a_shipped_journal_that_grew_is_shipped_on(settings: Settings) -> None:
    """Only the new part is sent."""
    writer = leave_open(settings)
    assert sync_journals(settings).values == 20
    append_events(writer, step_events(10, 5))
    assert sync_journals(settings).values == 10
    assert sync_journals(settings).journals == 0


def test_losses_of_a_killed_recorder_are_told(settings: Settings) -> None:
    """What its header says was lost makes the crashed run miss values."""
    writer = leave_open(settings)
    writer.record_loss(Lost("step", 0, 0, 15, 5, 10))
    sync_journals(settings)
    with open_store(settings.store_url, clock=later) as store:
        completeness = store.completeness(store.list_runs()[0]["id"])
    assert (completeness.state, completeness.missing) == ("missing", 10)


def test_an_unfinished_last_frame_is_no_loss_but_damage_is(settings: Settings) -> None:
    """A call that had not returned promised nothing; bytes that changed on disk are a loss of an unknown kind."""
    torn, damaged = leave_open(settings), leave_open(settings)
    _cut_last_bytes(torn)
    _zero_last_bytes(damaged)
    sync_journals(settings)
    with open_store(settings.store_url, clock=later) as store:
        found = {run["id"]: store.completeness(run["id"]).state for run in store.list_runs()}
    assert sorted(found.values()) == ["missing", "whole"]
    status = StatusFile(torn.folder).read()
    assert status is not None
    assert len(status.damage) == 1


def _segment(writer: JournalWriter) -> Path:
    (segment,) = writer.folder.glob("*.seg")
    return segment


def _cut_last_bytes(writer: JournalWriter) -> None:
    with _segment(writer).open("r+b") as file:
        file.truncate(writer.position - 5)


def _zero_last_bytes(writer: JournalWriter) -> None:
    with _segment(writer).open("r+b") as file:
        file.seek(writer.position - 40)
        file.write(bytes(40))


def test_a_journal_without_a_readable_header_is_passed_over(settings: Settings) -> None:
    """The others are shipped."""
    broken = leave_open(settings)
    (broken.folder / "header").write_bytes(b"")
    leave_open(settings)
    assert sync_journals(settings).journals == 1


def test_progress_is_told_to_the_end(settings: Settings) -> None:
    """The bytes of each journal are counted up to its own end."""
    writers = [leave_open(settings), leave_open(settings)]
    told: list[Progress] = []
    sync_journals(settings, progress=told.append)
    assert {progress.count for progress in told} == {2}
    last = {progress.number: progress for progress in told}
    assert [last[number].total_bytes for number in (1, 2)] == [writer.position for writer in writers]
    assert all(progress.shipped_bytes <= progress.total_bytes for progress in told)


def test_shipped_journals_are_removed_when_they_were_kept_enough(tmp_path: Path) -> None:
    """With nothing to keep, nothing is kept; what could not be shipped stays."""
    settings = resolve_settings(environ={}, dir=tmp_path, journal_keep_days=0)
    shipped = leave_open(settings)
    alive = leave_open(settings, current_identity(settings))
    sync_journals(settings)
    assert not shipped.folder.exists()
    assert alive.folder.exists()


def test_another_store_is_given_the_shipped_journals_too(settings: Settings, tmp_path: Path) -> None:
    """Each store knows for itself how far it is."""
    leave_open(settings)
    sync_journals(settings)
    other = resolve_settings(environ={}, dir=tmp_path, store=f"sqlite:///{tmp_path}/other.db")
    assert sync_journals(other).values == 20
    assert sync_journals(other).journals == 0
    assert statuses(other) == ["crashed"]


def test_being_synced_again_keeps_the_time_at_which_it_was_shipped(settings: Settings, tmp_path: Path) -> None:
    """The days that a journal is kept count from its first delivery, unless it grew."""
    writer = leave_open(settings)
    sync_journals(settings)
    first = shipped_at(writer)
    sync_journals(resolve_settings(environ={}, dir=tmp_path, store=f"sqlite:///{tmp_path}/other.db"))
    assert shipped_at(writer) == first
    append_events(writer, step_events(10, 5))
    sync_journals(settings)
    assert shipped_at(writer) > first


def shipped_at(writer: JournalWriter) -> int:
    status = StatusFile(writer.folder).read()
    assert status is not None
    assert status.shipped_unix_nano is not None
    return status.shipped_unix_nano


def test_without_a_destination_nothing_is_done(tmp_path: Path) -> None:
    """No store and no endpoint: the journals wait, and nobody counts them as shipped."""
    writer = leave_open(resolve_settings(environ={}, dir=tmp_path))
    assert sync_journals(resolve_settings(environ={}, dir=tmp_path, store="none")) == SyncReport()
    assert StatusFile(writer.folder).read() is None


def test_a_sync_to_one_destination_does_not_stand_for_the_others(settings: Settings) -> None:
    """A journal that was sent to OTLP alone is not shipped while the store lacks it."""
    with OtlpReceiver("grpc") as receiver:
        both = replace(settings, otlp_endpoint=receiver.endpoint)
        writer = leave_open(both)
        assert sync_journals(both, to="otlp").waiting == 1
        status = StatusFile(writer.folder).read()
        assert status is not None
        assert status.shipped_unix_nano is None
        assert sync_journals(both).waiting == 0
    assert statuses(settings) == ["crashed"]


def test_a_journal_that_never_got_to_its_endpoint_waits_for_one(settings: Settings) -> None:
    """The header says that there was an endpoint; a sync without one leaves the journal for another."""
    identity = msgspec.structs.replace(dead_identity(), otlp=True)
    leave_open(settings, identity)
    assert sync_journals(settings).waiting == 1
    with OtlpReceiver("grpc") as receiver:
        assert sync_journals(replace(settings, otlp_endpoint=receiver.endpoint)).waiting == 0


def test_an_exporter_object_that_is_gone_holds_no_journal_back(settings: Settings) -> None:
    """Its lane is switched off with the reason: nobody else can finish it."""
    writer = leave_open(settings)
    lane = LaneStatus("exporter.0.traces", "Mine", 0, "backing_off", "busy", 0, 0, 0, 0, None)
    StatusFile(writer.folder).write(ShipperStatus(1, 1, 1, [lane]))
    assert sync_journals(settings).waiting == 0
    status = StatusFile(writer.folder).read()
    assert status is not None
    assert [(lane.name, lane.state) for lane in status.lanes] == [
        ("exporter.0.traces", "switched_off"), ("store", "done"),
    ]
