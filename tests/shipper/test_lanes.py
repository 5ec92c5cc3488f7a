"""One lane's way through a journal, with a destination that answers by a script."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kit.journals import append_events, run_events, step_events, write_journal
from kit.processes import wait_until

from evsys_otel import conventions as c
from evsys_otel.journal import Identity, JournalWriter, LaneStatus, StatusFile
from evsys_otel.otlp.outcomes import Outcome, Refused, Taken, TryLater
from evsys_otel.shipper import lanes as lanes_module
from evsys_otel.shipper.board import BACKING_OFF, DONE, SWITCHED_OFF
from evsys_otel.shipper.parked import Parked, read_parked
from evsys_otel.shipper.shipment import Shipment
from evsys_otel.shipper.sinks import Delivery, Trouble
from evsys_otel.shipper.watch import DeadWatch
from evsys_otel.signals import SignalBuilder, Signals

Answer = Callable[["ScriptedSink", Signals], Delivery]


def take(sink: ScriptedSink, signals: Signals) -> Delivery:
    return Delivery(Taken())


def refuse_with(outcome: Outcome) -> Answer:
    return lambda sink, signals: Delivery(outcome, signals)


class ScriptedSink:
    """A destination that answers as it is told and remembers what it took."""

    heartbeats = True
    destination = "a script"

    def __init__(self, name: str = "scripted", answer: Answer = take) -> None:
        self.name = name
        self.answer = answer
        self.taken: list[Signals] = []
        self.calls = 0
        self.opened_at: list[int] = []
        self.interrupted = threading.Event()

    def builder(self, identity: Identity) -> SignalBuilder:
        return SignalBuilder(identity)

    def open(self, acknowledged: int) -> int | Trouble:
        self.opened_at.append(acknowledged)
        return acknowledged

    def deliver(self, signals: Signals, position: int) -> Delivery:
        self.calls += 1
        delivery = self.answer(self, signals)
        if isinstance(delivery.outcome, Taken):
            self.taken.append(signals)
        return delivery

    def interrupt(self) -> None:
        self.interrupted.set()

    def close(self) -> None:
        pass

    @property
    def steps(self) -> list[int]:
        """Steps of ``loss`` that were taken, in order."""
        return [
            exemplar.filtered_attributes[c.STEP]
            for signals in self.taken
            for data in signals.metrics
            for metric in data.resource_metrics[0].scope_metrics[0].metrics
            if metric.name == "evsys.run.loss"
            for point in metric.data.data_points
            for exemplar in point.exemplars
        ]

    @property
    def events(self) -> list[str]:
        """Names of log events that were taken, in order."""
        return [str(log.log_record.event_name) for signals in self.taken for log in signals.logs]

    @property
    def ends(self) -> list[Any]:
        """Statuses that runs were ended with."""
        logs = [log.log_record for signals in self.taken for log in signals.logs]
        return [log.attributes[c.RUN_STATUS] for log in logs if log.event_name == c.EVENT_RUN_END]


class Switch:
    """A writer whose death the test decides."""

    def __init__(self) -> None:
        self.dead = threading.Event()

    def wait(self, seconds: float) -> bool:
        return self.dead.wait(seconds)

    def close(self) -> None:
        pass


@contextmanager
def shipping(folder: Path, *sinks: ScriptedSink, watch: Any = None, **options: Any) -> Iterator[Shipment]:
    with Shipment(folder, list(sinks), watch or DeadWatch(), **options) as shipment:
        yield shipment


def turn_until(shipment: Shipment, condition: Callable[[], Any]) -> None:
    def turned() -> Any:
        shipment.turn(0.01)
        return condition()

    wait_until(turned)


def settle(shipment: Shipment) -> None:
    turn_until(shipment, lambda: shipment.settled)


def lane_of(shipment: Shipment, name: str = "scripted") -> LaneStatus:
    return next(lane for lane in shipment.board.lanes() if lane.name == name)


def closed_journal(tmp_path: Path, steps: int = 100) -> JournalWriter:
    return write_journal(tmp_path, run_events(steps))


def test_a_closed_journal_is_delivered_whole_and_in_order(tmp_path: Path) -> None:
    """Every step once, start before end, and the journal is marked as shipped."""
    writer, sink = closed_journal(tmp_path), ScriptedSink()
    with shipping(writer.folder, sink) as shipment:
        settle(shipment)
        assert shipment.mark_if_shipped()
    assert sink.steps == list(range(100))
    assert sink.ends == [c.COMPLETED]
    status = StatusFile(writer.folder).read()
    assert status is not None
    assert status.shipped_unix_nano is not None
    assert [(lane.state, lane.position) for lane in status.lanes] == [(DONE, writer.position)]


def test_what_was_acknowledged_is_not_sent_again(tmp_path: Path) -> None:
    """A second shipper starts where the first one stopped, and knows what came before."""
    writer = write_journal(tmp_path, run_events(100, ended=False, closed=False))
    with shipping(writer.folder, ScriptedSink()) as shipment:
        settle(shipment)
    append_events(writer, step_events(100, 50))
    second = ScriptedSink()
    with shipping(writer.folder, second) as shipment:
        settle(shipment)
    assert second.steps == list(range(100, 150))
    assert c.EVENT_RUN_START not in second.events


def test_a_lane_that_starts_over_sends_everything(tmp_path: Path) -> None:
    """``again`` begins at position 0, whatever was acknowledged."""
    writer = closed_journal(tmp_path)
    for again in (frozenset[str](), frozenset({"scripted"})):
        sink = ScriptedSink()
        with shipping(writer.folder, sink, again=again) as shipment:
            settle(shipment)
    assert sink.steps == list(range(100))


def test_a_lane_that_starts_over_does_not_skip_for_a_failure_on_its_way(tmp_path: Path) -> None:
    """The destination's own position, which is the end already, never cuts a second sending short."""
    writer = closed_journal(tmp_path)

    class Knowing(ScriptedSink):
        def open(self, acknowledged: int) -> int | Trouble:
            return writer.position

    def answer(sink: ScriptedSink, signals: Signals) -> Delivery:
        if sink.calls == 1:
            raise RuntimeError("a bug")
        return Delivery(Taken())

    sink = Knowing(answer=answer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes_module, "SWITCHED_OFF_SECONDS", 0.01)
        with shipping(writer.folder, sink, again=frozenset({"scripted"})) as shipment:
            turn_until(shipment, lambda: lane_of(shipment).state == DONE)
    assert sink.steps == list(range(100))


def test_what_a_dead_writer_left_open_is_crashed_once(tmp_path: Path) -> None:
    """A second look at the same journal says nothing new; growth makes it run, and crash, again."""
    writer = write_journal(tmp_path, run_events(10, ended=False, closed=False))
    sink = ScriptedSink()
    for _ in range(2):
        with shipping(writer.folder, sink) as shipment:
            settle(shipment)
    assert sink.ends == [c.CRASHED]
    append_events(writer, step_events(10, 10))
    with shipping(writer.folder, sink) as shipment:
        settle(shipment)
    assert sink.ends == [c.CRASHED, c.CRASHED]
    assert sink.steps == list(range(20))


def test_nothing_is_crashed_while_the_writer_lives(tmp_path: Path) -> None:
    """A lane that has caught up waits, and ends the run only at the news of the death."""
    writer, sink, switch = write_journal(tmp_path, run_events(10, ended=False, closed=False)), ScriptedSink(), Switch()
    with shipping(writer.folder, sink, watch=switch) as shipment:
        turn_until(shipment, lambda: len(sink.steps) == 10)
        append_events(writer, step_events(10, 10))
        turn_until(shipment, lambda: len(sink.steps) == 20)
        assert not shipment.settled
        assert sink.ends == []
        switch.dead.set()
        settle(shipment)
    assert sink.ends == [c.CRASHED]


def test_the_live_shipper_sends_heartbeats_of_open_runs(tmp_path: Path) -> None:
    """Signs of life come while the writer lives, and move no position."""
    writer, sink, switch = write_journal(tmp_path, run_events(10, ended=False, closed=False)), ScriptedSink(), Switch()
    with shipping(writer.folder, sink, watch=switch, heartbeat_seconds=0.05) as shipment:
        turn_until(shipment, lambda: sink.events.count(c.EVENT_RUN_HEARTBEAT) >= 3)
        assert lane_of(shipment).position == writer.position
        switch.dead.set()
        settle(shipment)
        beats = sink.events.count(c.EVENT_RUN_HEARTBEAT)
    assert sink.events.count(c.EVENT_RUN_HEARTBEAT) == beats


def test_a_lane_that_cannot_deliver_holds_up_no_other(tmp_path: Path) -> None:
    """One lane hangs, one is told to come later, one is refused; the fourth delivers everything."""
    hangs = ScriptedSink("hangs", lambda sink, signals: _hang(sink))
    later = ScriptedSink("later", refuse_with(TryLater("busy", 1000.0)))
    refused = ScriptedSink("refused", refuse_with(Refused("who are you?", "sender")))
    good = ScriptedSink("good")
    writer = closed_journal(tmp_path)
    with shipping(writer.folder, hangs, later, refused, good) as shipment:
        turn_until(shipment, lambda: lane_of(shipment, "good").state == DONE)
        turn_until(shipment, lambda: lane_of(shipment, "later").state == BACKING_OFF)
        turn_until(shipment, lambda: lane_of(shipment, "refused").state == SWITCHED_OFF)
        assert not shipment.settled
        assert not shipment.mark_if_shipped()
    assert good.steps == list(range(100))
    assert {lane.name: lane.reason for lane in shipment.board.lanes() if lane.reason} == {
        "later": "busy", "refused": "who are you?",
    }
    assert hangs.interrupted.is_set()


def _hang(sink: ScriptedSink) -> Delivery:
    sink.interrupted.wait()
    return Delivery(TryLater("interrupted"))


def test_a_lane_goes_on_with_what_remains(tmp_path: Path) -> None:
    """After a failure in the middle only the rest is sent again."""

    def answer(sink: ScriptedSink, signals: Signals) -> Delivery:
        if sink.calls > 1:
            return Delivery(Taken())
        sink.taken.append(Signals(spans=signals.spans, logs=signals.logs))
        return Delivery(TryLater("half way", 0.0), Signals(metrics=signals.metrics))

    writer, sink = closed_journal(tmp_path), ScriptedSink(answer=answer)
    with shipping(writer.folder, sink) as shipment:
        settle(shipment)
    assert sink.steps == list(range(100))
    assert sink.events.count(c.EVENT_RUN_START) == 1


def test_a_switched_off_lane_tries_again(tmp_path: Path, monkeypatch: Any) -> None:
    """Each minute the destination is asked once more; what it then takes is everything."""
    monkeypatch.setattr(lanes_module, "SWITCHED_OFF_SECONDS", 0.01)
    writer = closed_journal(tmp_path)
    sink = ScriptedSink(answer=lambda sink, signals: (
        Delivery(Taken()) if sink.calls > 5 else Delivery(Refused("expired", "sender"), signals)
    ))
    with shipping(writer.folder, sink) as shipment:
        turn_until(shipment, lambda: lane_of(shipment).state == DONE)
        assert lane_of(shipment).reason is None
    assert sink.steps == list(range(100))


def test_a_switched_off_lane_is_not_waited_for(tmp_path: Path) -> None:
    """A journal with one lane done and one whose service is not offered is shipped; alone it would not be shipped."""
    off = ScriptedSink("otlp.metrics", refuse_with(Refused("no such service", "sender", offered=False)))
    writer = closed_journal(tmp_path)
    with shipping(writer.folder, off) as shipment:
        settle(shipment)
        assert not shipment.mark_if_shipped()
    with shipping(writer.folder, off, ScriptedSink("otlp.traces")) as shipment:
        settle(shipment)
        assert shipment.mark_if_shipped()


def test_a_lane_whose_credentials_are_refused_keeps_the_journal(tmp_path: Path) -> None:
    """It is not waited for, but what it still owes is not removed, and goes once the token is renewed."""
    off = ScriptedSink("otlp.metrics", refuse_with(Refused("expired", "sender")))
    writer = closed_journal(tmp_path)
    with shipping(writer.folder, off, ScriptedSink("otlp.traces")) as shipment:
        settle(shipment)
        assert not shipment.mark_if_shipped()
    off.answer = take
    with shipping(writer.folder, off, ScriptedSink("otlp.traces")) as shipment:
        settle(shipment)
        assert shipment.mark_if_shipped()
    assert off.steps == list(range(100))


def test_parked_records_are_counted_and_listed(tmp_path: Path) -> None:
    """What a destination refused for good is in the status and in ``parked.jsonl``."""
    parked = [Parked("scripted", "evsys.prediction of run 1", "too odd \ud800")]
    sink = ScriptedSink(answer=lambda sink, signals: Delivery(Taken(), parked=parked, shortened=2, rejected=3))
    writer = closed_journal(tmp_path)
    with shipping(writer.folder, sink) as shipment:
        settle(shipment)
        lane = lane_of(shipment)
    assert (lane.parked, lane.shortened, lane.rejected) == (1, 2, 3)
    assert list(read_parked(writer.folder)) == parked


def test_an_error_of_our_own_switches_the_lane_off_and_it_starts_over(tmp_path: Path, monkeypatch: Any) -> None:
    """A bug in one lane is told in the status, and the lane goes on from its acknowledged position."""
    monkeypatch.setattr(lanes_module, "SWITCHED_OFF_SECONDS", 0.01)

    def answer(sink: ScriptedSink, signals: Signals) -> Delivery:
        if sink.calls == 1:
            raise RuntimeError("a bug")
        return Delivery(Taken())

    writer, sink = closed_journal(tmp_path), ScriptedSink(answer=answer)
    with shipping(writer.folder, sink) as shipment:
        turn_until(shipment, lambda: lane_of(shipment).state == DONE)
    assert sink.steps == list(range(100))
    assert sink.opened_at == [0, 0]


def test_damage_is_reported(tmp_path: Path) -> None:
    """A journal that was altered in the middle is shipped around the damage, whose place is in the status."""
    writer = closed_journal(tmp_path, steps=1000)
    (segment,) = writer.folder.glob("*.seg")
    with segment.open("r+b") as file:
        file.seek(segment.stat().st_size // 2)
        file.write(b"\xff" * 10)
    sink = ScriptedSink()
    with shipping(writer.folder, sink) as shipment:
        settle(shipment)
    status = StatusFile(writer.folder).read()
    assert status is not None
    assert len(status.damage) == 1
    assert 998 <= len(sink.steps) < 1000
