"""A journal, real receivers that answer by a script, and a real store: what can be taken is taken, once in effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from kit.journals import run_events, write_journal
from kit.otlp_receiver import Answer, OtlpReceiver, Received, attributes_of, free_port
from kit.processes import wait_until

from evsys_otel import conventions as c
from evsys_otel.events import Event, PredictionRow, PredictionsLogged
from evsys_otel.journal import JournalReader, JournalWriter, LaneStatus, StatusFile
from evsys_otel.pipeline import build_sinks, sync_journals
from evsys_otel.settings import Settings, resolve_settings
from evsys_otel.shipper import backoff, lanes, sync
from evsys_otel.shipper.parked import read_parked
from evsys_otel.shipper.shipment import Shipment
from evsys_otel.shipper.watch import DeadWatch
from evsys_otel.store import open_store
from evsys_otel.translate import translate_otlp_logs, translate_otlp_metrics, translate_otlp_traces

STEPS = 300
READERS: dict[str, Callable[[Any], Any]] = {
    "traces": translate_otlp_traces, "metrics": translate_otlp_metrics, "logs": translate_otlp_logs,
}

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what is minutes and seconds in life, and keep the machine's own variables out."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SDK_DISABLED", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(backoff, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(lanes, "SWITCHED_OFF_SECONDS", 0.05)
    monkeypatch.setattr(sync, "PATIENCE_SECONDS", 1.0)


def settings_for(tmp_path: Path, endpoint: str | OtlpReceiver | None = None, **more: Any) -> Settings:
    if isinstance(endpoint, OtlpReceiver):
        more.setdefault("otlp_protocol", "grpc" if endpoint.protocol == "grpc" else "http/protobuf")
        endpoint = endpoint.endpoint
    return resolve_settings(environ={}, dir=tmp_path, otlp_endpoint=endpoint, **more)


def leave_journal(settings: Settings, events: Iterator[Event] | None = None) -> JournalWriter:
    return write_journal(settings.journal_root, events or run_events(STEPS))


def lanes_of(writer: JournalWriter) -> dict[str, LaneStatus]:
    status = StatusFile(writer.folder).read()
    assert status is not None
    return {lane.name: lane for lane in status.lanes}


def dump_of_store(settings: Settings) -> Any:
    assert settings.store_url is not None
    with open_store(settings.store_url) as store:
        return without_positions(store.dump())


def dump_of_receiver(receiver: OtlpReceiver, path: Path) -> Any:
    """Return what a store holds that was fed with all that the receiver took."""
    with open_store(f"sqlite:///{path}/received.db") as store:
        for request, answer in receiver.answered:
            if answer.is_taken:
                store.write(READERS[request.signal](request.message))
        return without_positions(store.dump())


def without_positions(dump: dict[str, Any]) -> dict[str, Any]:
    return {table: rows for table, rows in dump.items() if table != "journals"}


@contextmanager
def shipping(writer: JournalWriter, settings: Settings) -> Iterator[Shipment]:
    sinks = build_sinks(settings, JournalReader(writer.folder).identity, environ={})
    with Shipment(writer.folder, sinks, DeadWatch()) as shipment:
        yield shipment


def turn_until(shipment: Shipment, condition: Callable[[], Any]) -> None:
    def turned() -> Any:
        shipment.turn(0.01)
        return condition()

    wait_until(turned)


def lane_in(shipment: Shipment, name: str) -> LaneStatus:
    return next(lane for lane in shipment.board.lanes() if lane.name == name)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_store_and_the_receiver_end_with_the_same(tmp_path: Path, protocol: Any) -> None:
    """Store and OTLP get the same run, over either transport; a second sync finds nothing to do."""
    with OtlpReceiver(protocol) as receiver:
        settings = settings_for(tmp_path, receiver)
        writer = leave_journal(settings)
        report = sync_journals(settings)
        assert (report.journals, report.values, report.parked, report.waiting) == (1, 2 * STEPS, 0, 0)
        requests = len(receiver.requests)
        assert sync_journals(settings).journals == 0
        assert len(receiver.requests) == requests
    assert dump_of_receiver(receiver, tmp_path) == dump_of_store(settings)
    assert {lane.state for lane in lanes_of(writer).values()} == {"done"}


RETRYABLE = [
    ("grpc", grpc.StatusCode.UNAVAILABLE), ("grpc", grpc.StatusCode.RESOURCE_EXHAUSTED),
    ("grpc", grpc.StatusCode.INTERNAL), ("grpc", grpc.StatusCode.DEADLINE_EXCEEDED),
    ("http", 429), ("http", 500), ("http", 502), ("http", 503),
]


@pytest.mark.parametrize(("protocol", "code"), RETRYABLE)
def test_what_may_heal_is_tried_until_it_is_taken(tmp_path: Path, protocol: Any, code: Any) -> None:
    """After two refusals of each signal everything arrives, and nothing is parked."""
    refusals: dict[str, int] = {}

    def answer(request: Received) -> Answer:
        refusals[request.signal] = refusals.get(request.signal, 0) + 1
        return Answer(code if refusals[request.signal] <= 2 else None)

    with OtlpReceiver(protocol, answer) as receiver:
        settings = settings_for(tmp_path, receiver)
        leave_journal(settings)
        report = sync_journals(settings)
    assert (report.journals, report.waiting, report.parked) == (1, 0, 0)
    assert dump_of_receiver(receiver, tmp_path) == dump_of_store(settings)


def test_an_endpoint_that_is_down_is_left_for_later(tmp_path: Path) -> None:
    """The store has everything at once; when the endpoint is there, ``sync`` brings it the rest."""
    port = free_port()
    settings = settings_for(tmp_path, f"http://127.0.0.1:{port}")
    writer = leave_journal(settings)
    report = sync_journals(settings)
    assert (report.journals, report.waiting) == (1, 1)
    found = lanes_of(writer)
    assert (found["store"].state, found["store"].position) == ("done", writer.position)
    assert {found[f"otlp.{signal}"].state for signal in READERS} == {"backing_off"}
    assert all(found[f"otlp.{signal}"].reason for signal in READERS)
    with OtlpReceiver("grpc", port=port) as receiver:
        assert sync_journals(settings).waiting == 0
    assert dump_of_receiver(receiver, tmp_path) == dump_of_store(settings)


def test_a_receiver_that_hangs_holds_up_nobody(tmp_path: Path) -> None:
    """Metrics hang; the store, traces and logs are done meanwhile, and leaving does not wait for the answer."""
    with OtlpReceiver("grpc", lambda request: Answer(hang=request.signal == "metrics")) as receiver:
        settings = settings_for(tmp_path, receiver)
        writer = leave_journal(settings)
        with shipping(writer, settings) as shipment:
            for name in ("store", "otlp.traces", "otlp.logs"):
                turn_until(shipment, lambda name=name: lane_in(shipment, name).state == "done")
            receiver.wait_for(lambda receiver: any(request.signal == "metrics" for request in receiver.requests))
            assert not shipment.settled
    assert not any(lane.is_alive() for lane in shipment.lanes)


EXPIRED = [("grpc", grpc.StatusCode.UNAUTHENTICATED), ("http", 401), ("http", 403)]


@pytest.mark.parametrize(("protocol", "code"), EXPIRED)
def test_a_token_that_is_renewed_lets_the_lanes_go_on(tmp_path: Path, protocol: Any, code: Any) -> None:
    """Refused senders are switched off with their reason, tried again now and then, and nothing is lost."""
    renewed = False
    with OtlpReceiver(protocol, lambda request: Answer(None if renewed else code)) as receiver:
        settings = settings_for(tmp_path, receiver)
        writer = leave_journal(settings)
        with shipping(writer, settings) as shipment:
            for signal in READERS:
                turn_until(shipment, lambda s=signal: lane_in(shipment, f"otlp.{s}").state == "switched_off")
                assert lane_in(shipment, f"otlp.{signal}").reason
            turn_until(shipment, lambda: shipment.settled)
            renewed = True
            for signal in READERS:
                turn_until(shipment, lambda s=signal: lane_in(shipment, f"otlp.{s}").state == "done")
    assert dump_of_receiver(receiver, tmp_path) == dump_of_store(settings)


@pytest.mark.parametrize(("protocol", "code"), [("grpc", grpc.StatusCode.UNIMPLEMENTED), ("http", 404), ("http", 405)])
def test_a_traces_only_back_end_gets_its_traces(tmp_path: Path, protocol: Any, code: Any) -> None:
    """The other two lanes are switched off and shown; the journal counts as shipped, and ``sync`` asks again."""
    with OtlpReceiver(protocol, lambda request: Answer(None if request.signal == "traces" else code)) as receiver:
        settings = settings_for(tmp_path, receiver)
        writer = leave_journal(settings)
        report = sync_journals(settings)
        assert (report.journals, report.switched_off, report.waiting, report.parked) == (1, 2, 0, 0)
        assert {name: lane.state for name, lane in lanes_of(writer).items()} == {
            "store": "done", "otlp.traces": "done", "otlp.metrics": "switched_off", "otlp.logs": "switched_off",
        }
        assert {attributes_of(span)[c.RECORD] for span in receiver.taken("traces")} == {"experiment", "run"}
        status = StatusFile(writer.folder).read()
        assert status is not None
        assert status.shipped_unix_nano is not None
        assert sync_journals(settings).switched_off == 2


@pytest.mark.parametrize(("protocol", "code"), [("grpc", grpc.StatusCode.INVALID_ARGUMENT), ("http", 400)])
def test_one_refused_record_of_a_thousand_is_parked_alone(tmp_path: Path, protocol: Any, code: Any) -> None:
    """The other 999 arrive; the one is counted, and listed with the receiver's reason."""

    def answer(request: Received) -> Answer:
        if request.signal == "logs" and any(is_odd(record) for record in request.records):
            return Answer(code, message="I do not like task 500")
        return Answer()

    def is_odd(record: Any) -> bool:
        body = {pair.key: pair.value.string_value for pair in record.body.kvlist_value.values}
        return body.get("task_id") == "task-500"

    events = list(run_events(1, ended=False, closed=False))
    rows = [PredictionRow(f"task-{number}", 0, model_output="text") for number in range(1000)]
    events.append(PredictionsLogged(events[-1].time_unix_nano + 1, 0, 0, "eval", rows))  # type: ignore[union-attr]
    with OtlpReceiver(protocol, answer) as receiver:
        settings = settings_for(tmp_path, receiver)
        writer = leave_journal(settings, iter(events))
        report = sync_journals(settings)
        assert (report.journals, report.parked, report.waiting) == (1, 1, 0)
        predictions = [log for log in receiver.taken("logs") if log.event_name == c.EVENT_PREDICTION]
        assert len(predictions) == 999
    assert lanes_of(writer)["otlp.logs"].parked == 1
    (parked,) = read_parked(writer.folder)
    assert parked.lane == "otlp.logs"
    assert "task 500" in parked.reason


def test_a_run_is_sent_again_where_it_is_asked_for(tmp_path: Path) -> None:
    """``again`` sends all of the run's journals from their start, to one or all destinations; others are left alone."""
    run_id = "00000000-0000-4000-8000-000000000001"
    with OtlpReceiver("grpc") as receiver:
        settings = settings_for(tmp_path, receiver)
        leave_journal(settings, run_events(STEPS, run_id=run_id))
        leave_journal(settings)
        assert sync_journals(settings).journals == 2
        whole = dump_of_store(settings)
        sent = len(receiver.taken("metrics"))
        report = sync_journals(settings, again=run_id, to="store")
        assert (report.journals, report.values) == (1, 2 * STEPS)
        assert len(receiver.taken("metrics")) == sent
        (tmp_path / "evsys.db").unlink()
        for leftover in tmp_path.glob("evsys.db-*"):
            leftover.unlink()
        assert sync_journals(settings, again=run_id).journals == 1
        assert len(receiver.taken("metrics")) > sent
    with open_store(settings.store_url) as store:
        assert [run["id"] for run in store.list_runs()] == [run_id]
        assert store.completeness(run_id).state == "whole"
    assert whole != dump_of_store(settings)


def test_prediction_texts_can_stay_at_home(tmp_path: Path) -> None:
    """With the setting the local store has the texts and OTLP has not."""
    events = list(run_events(1, ended=False, closed=False))
    row = PredictionRow("task", 0, model_output="a private text")
    events.append(PredictionsLogged(events[-1].time_unix_nano + 1, 0, 0, "eval", [row]))  # type: ignore[union-attr]
    with OtlpReceiver("grpc") as receiver:
        settings = settings_for(tmp_path, receiver, otlp_predictions="false")
        leave_journal(settings, iter(events))
        sync_journals(settings)
        assert all(b"a private text" not in request.body for request in receiver.requests)
    with open_store(settings.store_url) as store:
        (prediction,) = store.list_predictions(store.list_runs()[0]["id"])
        assert prediction["model_output"] == "a private text"


def test_a_journal_whose_endpoint_is_not_configured_now_is_kept(tmp_path: Path) -> None:
    """A sync without the endpoint that the training had does not count the journal as shipped."""
    settings = settings_for(tmp_path, f"http://127.0.0.1:{free_port()}")
    writer = leave_journal(settings)
    sync_journals(settings)
    report = sync_journals(settings_for(tmp_path))
    assert report.waiting == 1
    status = StatusFile(writer.folder).read()
    assert status is not None
    assert status.shipped_unix_nano is None
    assert set(lanes_of(writer)) == {"store", "otlp.traces", "otlp.metrics", "otlp.logs"}


def test_a_store_that_cannot_be_reached_waits_and_otlp_goes_on(tmp_path: Path) -> None:
    """The store's lane backs off with its reason; what waits for it is written when it is back."""
    obstacle = tmp_path / "stores"
    obstacle.touch()
    with OtlpReceiver("grpc") as receiver:
        settings = settings_for(tmp_path, receiver, store=f"sqlite:///{obstacle}/evsys.db")
        writer = leave_journal(settings)
        assert sync_journals(settings).waiting == 1
        assert lanes_of(writer)["store"].state == "backing_off"
        assert lanes_of(writer)["otlp.metrics"].state == "done"
        obstacle.unlink()
        assert sync_journals(settings).waiting == 0
    assert dump_of_receiver(receiver, tmp_path) == dump_of_store(settings)
