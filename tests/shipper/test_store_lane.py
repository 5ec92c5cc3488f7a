"""The store as a destination: what it refuses stands alone, and what it cannot do now waits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from kit.journals import dead_identity, run_events

from evsys_otel.errors import StoreError, StoreUnavailable
from evsys_otel.events import Event, PredictionRow, PredictionsLogged
from evsys_otel.otlp import Refused, Taken, TryLater
from evsys_otel.records import Records
from evsys_otel.shipper.store_lane import StoreSink
from evsys_otel.signals import SignalBuilder, Signals
from evsys_otel.store import Store, open_store

RUN = "00000000-0000-4000-8000-000000000001"


class PickyStore:
    """A real store that refuses what holds one task, or everything, or is away."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.refused_task = ""
        self.refuses_all = False
        self.away_after: int | None = None

    def write(self, records: Records, *, journal: tuple[str, int] | None = None) -> None:
        if self.away_after is not None:
            self.away_after -= 1
            if self.away_after < 0:
                raise StoreUnavailable("away")
        if self.refuses_all or any(row.task_id == self.refused_task for row in records.predictions):
            raise StoreError("no, thanks")
        self.store.write(records, journal=journal)

    def journal_position(self, journal_id: str) -> int:
        return self.store.journal_position(journal_id)

    def close(self) -> None:
        self.store.close()


@pytest.fixture
def picky(tmp_path: Path) -> Iterator[PickyStore]:
    store = PickyStore(open_store(f"sqlite:///{tmp_path}/evsys.db"))
    yield store
    store.close()


@pytest.fixture
def sink(picky: PickyStore) -> StoreSink:
    made = StoreSink("sqlite:///unused.db", "journal", open_store=lambda url: picky)  # type: ignore[arg-type,return-value]
    assert made.open(0) == 0
    return made


def signals() -> Signals:
    """Return the signals of a run with ten predictions."""
    events: list[Event] = list(run_events(20, run_id=RUN, ended=False, closed=False))
    rows = [PredictionRow(f"task-{number}", 0, model_output="x") for number in range(10)]
    events.append(PredictionsLogged(events[-1].time_unix_nano + 1, 0, 0, "eval", rows))  # type: ignore[union-attr]
    return SignalBuilder(dead_identity()).build(events)


def test_records_and_position_are_written_together(picky: PickyStore, sink: StoreSink) -> None:
    """What is taken is acknowledged by the store itself."""
    assert isinstance(sink.deliver(signals(), 100).outcome, Taken)
    assert sink.open(0) == 100
    assert len(picky.store.list_predictions(RUN)) == 10


def test_a_refused_record_is_parked_alone(picky: PickyStore, sink: StoreSink) -> None:
    """The rest is written, and the position acknowledged."""
    picky.refused_task = "task-7"
    delivery = sink.deliver(signals(), 100)
    assert isinstance(delivery.outcome, Taken)
    (parked,) = delivery.parked
    assert (parked.lane, parked.reason) == ("store", "no, thanks")
    assert RUN in parked.description
    assert len(picky.store.list_predictions(RUN)) == 9
    assert len(picky.store.get_metrics(RUN)) == 40
    assert sink.open(0) == 100


def test_a_store_that_refuses_everything_parks_nothing(picky: PickyStore, sink: StoreSink) -> None:
    """Then it is not the records' fault: the lane is switched off with all of them in hand."""
    picky.refuses_all = True
    delivery = sink.deliver(signals(), 100)
    assert delivery.outcome == Refused("no, thanks", "sender")
    assert delivery.parked == ()
    assert delivery.rest
    assert sink.open(0) == 0


@pytest.mark.parametrize("writes", range(8))
def test_a_store_that_goes_away_meanwhile_is_for_later(picky: PickyStore, sink: StoreSink, writes: int) -> None:
    """Wherever it happens, nothing is acknowledged or parked, and the next try brings everything."""
    picky.refused_task, picky.away_after = "task-7", writes
    delivery = sink.deliver(signals(), 100)
    assert isinstance(delivery.outcome, TryLater)
    assert not delivery.parked
    assert sink.open(0) == 0
    picky.refused_task, picky.away_after = "", None
    assert isinstance(sink.deliver(signals(), 100).outcome, Taken)
    assert len(picky.store.list_predictions(RUN)) == 10


def test_a_newer_store_and_a_bad_url_switch_the_lane_off(tmp_path: Path) -> None:
    """Waiting does not heal them: the reason names the mend."""
    url = f"sqlite:///{tmp_path}/newer.db"
    open_store(url).close()
    make_newer(url)
    for opened in (StoreSink(url, "journal").open(0), StoreSink("mysql://u:secret@host/db", "journal").open(0)):
        assert isinstance(opened, Refused)
        assert opened.scope == "sender"
        assert "secret" not in opened.reason


def make_newer(url: str) -> None:
    """Let a store say that it was written by a later version."""
    with sqlalchemy.create_engine(url).begin() as connection:
        connection.exec_driver_sql("UPDATE evsys_schema SET version = 999")


def test_a_destination_is_told_without_its_password() -> None:
    """Status and logs may show it to anybody."""
    for url in ("postgresql://user:secret@host/db", "mysql://user:secret@host/db"):
        assert "secret" not in StoreSink(url, "journal").destination
