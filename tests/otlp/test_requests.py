"""How signals become requests, and what becomes of each record: packed, split, shortened, parked, paced."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from kit.otlp_receiver import Answer, OtlpReceiver, Received, attributes_of, records_of, value_of
from kit.sdk_signals import RESOURCE, RUN_ID, make_log, make_metrics, make_point, make_series, make_span
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.resources import Resource

from evsys_otel.otlp import Refused, Signal, Taken, TryLater, open_sender, open_signal_sender, resolve_destinations
from evsys_otel.otlp.kinds import KINDS, LOGS
from evsys_otel.otlp.pacing import Pacer
from evsys_otel.otlp.requests import MAX_SUSPECTS, DeliveryResult, Limits, SignalSender
from evsys_otel.settings import resolve_settings

MIB = 1024 * 1024
Code = grpc.StatusCode
PROTOCOLS: list[Any] = ["grpc", "http"]
REFUSED = {"grpc": Code.INVALID_ARGUMENT, "http": 400}
BROKEN = {"grpc": Code.INTERNAL, "http": 500}
AWAY = {"grpc": Code.UNAVAILABLE, "http": 503}
FORBIDDEN = {"grpc": Code.PERMISSION_DENIED, "http": 403}


def sender_to(receiver: OtlpReceiver, signal: Signal, **settings: Any) -> SignalSender[Any, Any]:
    resolved = resolve_settings({}, **settings)
    return open_signal_sender(resolve_destinations(resolved, receiver.environ())[signal], resolved)


def deliver_to(receiver: OtlpReceiver, signal: Signal, items: list[Any], **settings: Any) -> DeliveryResult[Any]:
    sender = sender_to(receiver, signal, **settings)
    try:
        return sender.deliver(items)
    finally:
        sender.close()


def numbers_of(records: list[Any], key: str = "evsys.ordinal") -> list[int]:
    return [attributes_of(record)[key] for record in records]


def refusing(code: Any, *bad: int) -> Callable[[Received], Answer]:
    """Answer ``code`` to every request that holds one of the records."""
    return lambda request: Answer(code if set(numbers_of(request.records)) & set(bad) else None, "a bad record")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_refused_record_of_a_thousand_is_parked_and_the_others_are_taken(protocol: Any) -> None:
    """Halving finds it in a few dozen requests, and its description names it by its ids."""
    with OtlpReceiver(protocol, refusing(REFUSED[protocol], 617)) as receiver:
        result = deliver_to(receiver, "logs", [make_log(number) for number in range(1000)])
        assert result.outcome == Taken()
        assert result.taken == 999
        assert sorted(numbers_of(receiver.taken("logs"))) == [n for n in range(1000) if n != 617]
        assert [parked.description for parked in result.parked] == [
            f"log event evsys.prediction run.id={RUN_ID} ordinal=617"
        ]
        assert "a bad record" in result.parked[0].reason
        assert len(receiver.requests) <= 58


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_many_refused_records_of_each_signal_are_each_parked(signal: Signal) -> None:
    """Spans, points and log records alike; a point is the least that is parked of metrics."""
    bad = {3, 4, 11, 30}

    def answer(request: Received) -> Answer:
        return Answer(Code.INVALID_ARGUMENT if bad & set(numbers_of(request.records, "place")) else None)

    items: dict[str, list[Any]] = {
        "traces": [make_span(n, place=n) for n in range(1, 41)],
        "logs": [make_log(n, place=n) for n in range(1, 41)],
        "metrics": [make_metrics({"loss": [make_point("loss", [0.5, 0.25], place=n) for n in range(1, 41)]})],
    }
    with OtlpReceiver("grpc", answer) as receiver:
        result = deliver_to(receiver, signal, items[signal])
        assert result.taken == 36
        assert len(result.parked) == 4
        assert sorted(numbers_of(receiver.taken(signal), "place")) == [n for n in range(1, 41) if n not in bad]
    if signal == "metrics":
        assert result.parked[0].description == (
            f"point of evsys.run.loss run.id={RUN_ID} split=train steps=0..1 values=2"
        )


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("codes", [AWAY, FORBIDDEN], ids=["away", "forbidden"])
def test_what_was_not_taken_is_handed_back_as_it_came(protocol: Any, codes: dict[str, Any]) -> None:
    """After the second request of several the rest is delivered again: each record is taken once, none is lost."""
    failing = threading.Event()
    failing.set()

    def answer(request: Received) -> Answer:
        return Answer(codes[protocol] if failing.is_set() and request.number > 2 else None)

    with OtlpReceiver(protocol, answer) as receiver:
        sender = sender_to(receiver, "logs", otlp_max_request_bytes=20_000)
        first = sender.deliver([make_log(number) for number in range(1000)])
        assert isinstance(first.outcome, TryLater if codes is AWAY else Refused)
        assert first.taken + len(first.rest) == 1000
        assert first.rest[0].log_record.attributes["evsys.ordinal"] == first.taken
        failing.clear()
        second = sender.deliver(first.rest)
        assert (second.outcome, second.rest) == (Taken(), [])
        assert numbers_of(receiver.taken("logs")) == list(range(1000))
        sender.close()


def test_metrics_are_handed_back_as_metrics() -> None:
    """The rest of metrics is metrics data of the points that were not taken, resources and scopes intact."""
    with OtlpReceiver("grpc", lambda request: Answer(None if request.number == 1 else Code.UNAVAILABLE)) as receiver:
        sent = make_series(40, 400)
        result = deliver_to(receiver, "metrics", [sent])
        expected = records_of(KINDS["metrics"].encode(KINDS["metrics"].unpack([sent])))
        rest = records_of(KINDS["metrics"].encode(KINDS["metrics"].unpack(result.rest)))
        assert [*receiver.taken("metrics"), *rest] == list(expected)
        assert 0 < result.taken < 40


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_requests_of_several_records_stay_within_the_bound(signal: Signal) -> None:
    """Whatever the sizes and scripts of the texts, and few requests are much smaller than they need be."""
    chance = random.Random(4)
    texts = [chance.choice(["a", "é", "漢", "🙂", "\n"]) * chance.randrange(20_000) for _ in range(300)]
    items: dict[str, list[Any]] = {
        "traces": [make_span(n, text=text) for n, text in enumerate(texts, 1)],
        "logs": [make_log(n, body={"model_output": text, "reward": 1.0}) for n, text in enumerate(texts)],
        "metrics": [make_series(40, 300, resource=Resource({"service.instance.id": str(n)})) for n in range(4)],
    }
    with OtlpReceiver("grpc") as receiver:
        result = deliver_to(receiver, signal, items[signal], otlp_max_request_bytes=200_000)
        assert result.outcome == Taken()
        assert max(len(request.body) for request in receiver.requests) <= 200_000
        total = sum(len(request.body) for request in receiver.requests)
        assert len(receiver.requests) <= 2 * total / 200_000 + 1


def test_a_record_beyond_the_requests_bound_goes_alone_and_whole() -> None:
    """Between the two bounds a record is neither shortened nor does it take others with it."""
    items = [make_log(1), make_log(2, body={"model_output": "x" * 2 * MIB}), make_log(3)]
    with OtlpReceiver("grpc") as receiver:
        result = deliver_to(receiver, "logs", items)
        assert [numbers_of(request.records) for request in receiver.requests] == [[1], [2], [3]]
        assert result.shortened == 0
        assert len(value_of(receiver.taken("logs")[1].body)["model_output"]) == 2 * MIB


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("text", ["x" * 6_000_000, "漢字🙂" * 700_000], ids=["ascii", "wide"])
def test_a_record_beyond_its_bound_has_its_texts_shortened_and_is_marked(protocol: Any, text: str) -> None:
    """The longest text is cut at a character's boundary; ids, short texts and the rest arrive as they were."""
    body = {"task_id": "task-1", "model_output": text, "expected": "short", "reward": 0.5}
    with OtlpReceiver(protocol) as receiver:
        result = deliver_to(receiver, "logs", [make_log(1), make_log(2, body=body)])
        assert (result.outcome, result.taken, result.shortened, result.parked) == (Taken(), 2, 1, [])
        whole, shortened = receiver.taken("logs")
        assert "evsys.shortened" not in attributes_of(whole)
        assert attributes_of(shortened) == {"evsys.run.id": RUN_ID, "evsys.ordinal": 2, "evsys.shortened": True}
        arrived = value_of(shortened.body)
        assert text.startswith(arrived["model_output"])
        assert {**arrived, "model_output": text} == body
        assert 2.9 * MIB < len(receiver.requests[-1].body) <= 3 * MIB


def test_shortening_cuts_the_longest_texts_alike_and_replaces_json() -> None:
    """Two long texts share what room there is; JSON, worthless when cut, is replaced by its length."""
    json_text = '{"k":"' + "c" * 4_000_000 + '"}'
    texts = {"instruction": "a" * 3_000_000, "model_output": "b" * 4_000_000, "metadata": json_text}
    with OtlpReceiver("grpc") as receiver:
        assert deliver_to(receiver, "logs", [make_log(1, body=texts)]).shortened == 1
        arrived = value_of(receiver.taken("logs")[0].body)
        assert len(arrived["instruction"]) == len(arrived["model_output"])
        assert arrived["metadata"] == '{"evsys.bytes":4000008}'


def test_spans_are_shortened_in_attributes_and_status() -> None:
    """An error of megabytes stands in an attribute and in the span's status."""
    span = make_span(1, **{"evsys.run.error": "e" * 6_000_000, "evsys.run.config": '{"a":"' + "c" * 6_000_000 + '"}'})
    span.status._description = "e" * 6_000_000  # type: ignore[attr-defined]
    with OtlpReceiver("grpc") as receiver:
        result = deliver_to(receiver, "traces", [span])
        assert (result.taken, result.shortened) == (1, 1)
        (arrived,) = receiver.taken("traces")
        attributes = attributes_of(arrived)
        assert len(attributes["evsys.run.error"]) == len(arrived.status.message) > 100_000
        assert attributes["evsys.run.config"] == '{"evsys.bytes":6000008}'
        assert attributes["evsys.run.id"] == RUN_ID


def test_what_no_shortening_helps_is_parked() -> None:
    """A point has no texts to cut, and thousands of small texts none that is long."""
    point = make_metrics({"loss": [make_point("loss", [0.5] * 6_000), make_point("loss", [0.5])]})
    many = make_log(1, body={f"key-{n}": "some text" for n in range(15_000)})
    with OtlpReceiver("grpc") as receiver:
        for signal, items in (("metrics", [point]), ("logs", [many, make_log(2)])):
            result = deliver_to(receiver, signal, items, otlp_max_record_bytes=300_000)  # type: ignore[arg-type]
            assert (result.outcome, result.taken) == (Taken(), 1)
            assert "cannot be shortened" in result.parked[0].reason


@pytest.mark.parametrize("bad", [{"n": 2**63}, {"n": "\ud800"}, {"n": {1, 2}}], ids=["2^63", "surrogate", "set"])
def test_a_record_that_the_encoder_raises_for_is_found_and_parked(bad: Any) -> None:
    """One that cannot be encoded fails no other, and its reason is the encoder's."""
    items = [make_log(number, body=bad if number == 77 else None) for number in range(200)]
    with OtlpReceiver("grpc") as receiver:
        result = deliver_to(receiver, "logs", items)
        assert (result.outcome, result.taken, len(receiver.taken("logs"))) == (Taken(), 199, 199)
        assert result.parked[0].description.endswith("ordinal=77")
        assert result.parked[0].reason.startswith("it cannot be encoded: ")


def test_a_point_that_the_encoder_raises_for_is_found_and_parked() -> None:
    """A metric value that is no number names itself without the whole metric's text."""
    points = [make_point("loss", [0.5, number]) for number in range(50)]
    points[20] = make_point("loss", ["no number"])  # type: ignore[list-item]
    with OtlpReceiver("grpc") as receiver:
        result = deliver_to(receiver, "metrics", [make_metrics({"loss": points})])
        assert (result.taken, len(result.parked)) == (49, 1)
        assert "NumberDataPoint" not in result.parked[0].reason


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_receiver_with_a_small_limit_gets_small_requests(protocol: Any) -> None:
    """RESOURCE_EXHAUSTED without a wish, or 413: what is too large for the receiver is halved until it fits."""
    with OtlpReceiver(protocol, max_bytes=30_000) as receiver:
        items = [*(make_log(number) for number in range(1000)), make_log(1000, body={"model_output": "x" * 40_000})]
        result = deliver_to(receiver, "logs", items)
        assert (result.outcome, result.taken, len(result.parked)) == (Taken(), 1000, 1)
        assert sorted(numbers_of(receiver.taken("logs"))) == list(range(1000))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_record_that_breaks_its_receiver_is_found_and_parked(protocol: Any) -> None:
    """INTERNAL and 500 are tried again; when they go on while other records pass, the record at fault is parked."""
    with OtlpReceiver(protocol, refusing(BROKEN[protocol], 40)) as receiver:
        sender = sender_to(receiver, "logs")
        items: list[Any] = [make_log(number) for number in range(100)]
        results = []
        for _ in range(5):
            results.append(sender.deliver(items))
            items = results[-1].rest
        assert [type(result.outcome) for result in results] == [TryLater, TryLater, TryLater, Taken, Taken]
        assert [parked.description[-10:] for result in results for parked in result.parked] == ["ordinal=40"]
        assert sorted({*numbers_of(receiver.taken("logs"))}) == [n for n in range(100) if n != 40]
        assert len(receiver.taken("logs")) == 99 + 1, "one of them was sent twice, as the witness"
        sender.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_outage_that_answers_500_parks_nothing(protocol: Any) -> None:
    """However long it lasts, and however few the records: then everything is taken, once."""
    broken = threading.Event()
    broken.set()
    with OtlpReceiver(protocol, lambda _: Answer(BROKEN[protocol] if broken.is_set() else None)) as receiver:
        for count in (1, 2, MAX_SUSPECTS + 1, 100):
            sender = sender_to(receiver, "logs")
            broken.set()
            items: list[Any] = [make_log(number) for number in range(count)]
            for _ in range(30):
                result = sender.deliver(items)
                assert isinstance(result.outcome, TryLater)
                assert (len(result.rest), result.parked) == (count, [])
                items = result.rest
            broken.clear()
            assert sender.deliver(items).taken == count
            sender.close()
        assert Counter(numbers_of(receiver.taken("logs")))[0] == 4


def deliver_until_settled(sender: SignalSender[Any, Any], items: list[Any], most: int = 12) -> DeliveryResult[Any]:
    """Deliver as a lane does, again and again; return the last result, with everything that was parked."""
    parked = []
    for _ in range(most):
        result = sender.deliver(items)
        parked += result.parked
        items = result.rest
        if not items:
            break
    result.parked = parked
    return result


def test_a_lone_record_that_breaks_its_receiver_is_parked_since_an_earlier_one_is_taken_again() -> None:
    """With nothing else to send, the last record that was taken tells whether the receiver is well."""
    with OtlpReceiver("grpc", refusing(Code.INTERNAL, 1)) as receiver:
        sender = sender_to(receiver, "logs")
        assert sender.deliver([make_log(0)]).taken == 1
        assert len(deliver_until_settled(sender, [make_log(1)]).parked) == 1
        sender.close()


def test_a_receiver_that_takes_nothing_but_empty_requests_has_nothing_parked() -> None:
    """Such an answer does not touch the database that is down; what was taken before the outage does."""
    down = threading.Event()

    def answers(request: Received) -> Answer:
        return Answer(Code.INTERNAL if down.is_set() and request.records else None)

    with OtlpReceiver("grpc", answers) as receiver:
        for before in (0, 1):
            sender = sender_to(receiver, "logs")
            down.clear()
            sender.deliver([make_log(1000 + number) for number in range(before)])
            down.set()
            result = deliver_until_settled(sender, [make_log(before)], most=40)
            assert (len(result.rest), result.parked) == (1, [])
            down.clear()
            assert sender.deliver(result.rest).taken == 1
            sender.close()


@pytest.mark.parametrize("passing", range(8))
def test_an_outage_in_the_middle_of_a_search_parks_nothing(passing: int) -> None:
    """That some were taken before says nothing of a receiver that has failed since."""
    left = [0]

    def answers(request: Received) -> Answer:
        left[0] -= 1
        return Answer(Code.INTERNAL if left[0] < 0 else None)

    with OtlpReceiver("grpc", answers) as receiver:
        sender = sender_to(receiver, "logs")
        items: list[Any] = [make_log(number) for number in range(6)]
        for delivery in range(4):
            left[0] = passing if delivery == 3 else 0
            result = sender.deliver(items)
            assert result.parked == []
            items = result.rest
        left[0] = 1000
        assert sender.deliver(items).parked == []
        assert sorted({*numbers_of(receiver.taken("logs"))}) == list(range(6))
        sender.close()


def test_more_records_in_a_row_than_an_outage_is_told_by_are_parked_too() -> None:
    """A receiver that breaks at every other text gets the rest; the lane is not held up for good."""
    bad = [*range(10, 10 + 3 * MAX_SUSPECTS), 40]
    with OtlpReceiver("grpc", refusing(Code.INTERNAL, *bad)) as receiver:
        sender = sender_to(receiver, "logs")
        result = deliver_until_settled(sender, [make_log(number) for number in range(50)])
        assert sorted(int(parked.description.rpartition("=")[2]) for parked in result.parked) == bad
        assert {*numbers_of(receiver.taken("logs"))} == {*range(50)} - {*bad}
        sender.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_partial_success_counts_what_it_rejected(protocol: Any) -> None:
    """The delivery goes on, and the counts say how many were dropped at the receiver."""
    with OtlpReceiver(protocol, lambda _: Answer(rejected=3, message="too old")) as receiver:
        result = deliver_to(receiver, "traces", [make_span(n) for n in range(1, 11)])
        assert (result.outcome, result.taken, result.rejected, len(receiver.requests)) == (Taken(), 7, 3, 1)


def test_equal_resources_of_different_batches_lose_nothing() -> None:
    """The official encoder keeps the last of equal resources and scopes; ours are made one before."""
    batches = [make_series(2, 3, first_step=step, resource=Resource(dict(RESOURCE.attributes))) for step in (0, 3, 6)]
    with OtlpReceiver("grpc") as receiver:
        assert deliver_to(receiver, "metrics", batches).taken == 6
        assert len(receiver.requests[0].message.resource_metrics) == 1
        steps = sorted(
            value_of(exemplar.filtered_attributes[0].value)
            for point in receiver.taken("metrics")
            for exemplar in point.exemplars
        )
        assert steps == sorted([*range(9)] * 2)


def test_a_delivery_of_nothing_is_taken_without_a_request() -> None:
    """No signals, no points: no request."""
    with OtlpReceiver("grpc") as receiver:
        for signal, items in (("traces", []), ("logs", []), ("metrics", []), ("metrics", [make_metrics({})])):
            assert deliver_to(receiver, signal, items).outcome == Taken()  # type: ignore[arg-type]
        assert receiver.requests == []


def test_close_ends_a_paced_delivery() -> None:
    """A backlog that waits for its pace goes when asked to, with its rest."""
    with OtlpReceiver("grpc") as receiver:
        sender = sender_to(receiver, "logs", otlp_max_bytes_per_second=1000)
        found: list[DeliveryResult[Any]] = []
        items = [make_log(number, body={"model_output": "x" * 600_000}) for number in range(4)]
        thread = threading.Thread(target=lambda: found.append(sender.deliver(items)))
        thread.start()
        receiver.wait_for(lambda r: len(r.requests) >= 1)
        sender.close()
        thread.join(10)
        assert not thread.is_alive()
        assert len(found[0].rest) + found[0].taken == 4
        assert isinstance(found[0].outcome, TryLater)


def test_the_pacer_lets_small_traffic_pass_and_holds_a_backlog_to_its_rate() -> None:
    """A full bucket lets a burst go at once; after it bytes flow at the rate, and rest fills the bucket again."""
    now = [0.0]
    pacer = Pacer(1000.0, 500.0, monotonic=lambda: now[0])
    assert pacer.wait(500)
    assert pacer.seconds_until(100) == pytest.approx(0.1)
    now[0] += 0.1
    assert pacer.wait(100)
    now[0] += 100.0
    assert pacer.seconds_until(10_000) == 0.0
    assert pacer.wait(10_000)
    assert pacer.seconds_until(500) == pytest.approx(10.0)
    pacer.stop()
    assert not pacer.wait(1)


def test_a_request_as_encoded_is_what_the_sender_gets() -> None:
    """Nothing between packing and the wire changes bytes."""

    class Collecting:
        def __init__(self) -> None:
            self.sent: list[bytes] = []

        def send(self, request: bytes) -> Taken:
            self.sent.append(request)
            return Taken()

        def close(self) -> None: ...

    collecting = Collecting()
    sender = SignalSender(KINDS["metrics"], collecting, Limits(MIB, 3 * MIB), Pacer(1e12))
    sender.deliver([make_series(20, 500)])
    (request,) = [ExportMetricsServiceRequest.FromString(sent) for sent in collecting.sent]
    assert len(list(records_of(request))) == 20


def test_a_closed_sender_leaves_everything_for_later() -> None:
    """After close nothing is sent, nothing raises, nothing is lost."""
    with OtlpReceiver("grpc") as receiver:
        destination = resolve_destinations(resolve_settings({}), receiver.environ())["logs"]
        sender = SignalSender(LOGS, open_sender(destination), Limits(MIB, MIB), Pacer(1e12))
        sender.close()
        result = sender.deliver([make_log(1)])
        assert isinstance(result.outcome, TryLater)
        assert len(result.rest) == 1
