"""What the senders make of a receiver's answers, over real sockets."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import grpc
import pytest
from kit.certificates import Certificates
from kit.otlp_receiver import Answer, OtlpReceiver, free_port
from kit.sdk_signals import make_span
from opentelemetry import context

from evsys_otel.otlp import Destination, Outcome, Refused, Taken, TryLater, open_sender, outcomes
from evsys_otel.otlp.encode import encode_spans
from evsys_otel.otlp.outcomes import GRPC_CODES, HTTP_CODES, MAX_WISH_SECONDS, parse_retry_after

Code = grpc.StatusCode
REQUEST = encode_spans([make_span()]).SerializeToString()
PROTOCOLS = ["grpc", "http"]


def destination_to(receiver: OtlpReceiver, **changes: Any) -> Destination:
    if receiver.protocol == "grpc":
        fields = {"protocol": "grpc", "endpoint": f"127.0.0.1:{receiver.port}", "insecure": not receiver.certificates}
    else:
        fields = {"protocol": "http/protobuf", "endpoint": f"{receiver.endpoint}/v1/traces"}
    return Destination(**{"signal": "traces", "timeout_seconds": 10.0, **fields, **changes})


def ask(protocol: Any, answer: Any, **changes: Any) -> Outcome:
    """Send one request to a receiver that answers so."""
    with OtlpReceiver(protocol, lambda _: answer) as receiver:
        sender = open_sender(destination_to(receiver, **changes))
        try:
            return sender.send(REQUEST)
        finally:
            sender.close()


def sort_of(outcome: Outcome) -> str:
    if isinstance(outcome, Taken):
        return "taken"
    if isinstance(outcome, Refused):
        return outcome.scope
    return "doubtful" if outcome.doubtful else "later"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (Code.OK, "taken"),
        (Code.CANCELLED, "later"),
        (Code.DEADLINE_EXCEEDED, "later"),
        (Code.ABORTED, "later"),
        (Code.OUT_OF_RANGE, "later"),
        (Code.UNAVAILABLE, "later"),
        (Code.DATA_LOSS, "later"),
        (Code.RESOURCE_EXHAUSTED, "doubtful"),
        (Code.INTERNAL, "doubtful"),
        (Code.UNKNOWN, "doubtful"),
        (Code.FAILED_PRECONDITION, "doubtful"),
        (Code.ALREADY_EXISTS, "doubtful"),
        (Code.INVALID_ARGUMENT, "record"),
        (Code.UNAUTHENTICATED, "sender"),
        (Code.PERMISSION_DENIED, "sender"),
        (Code.UNIMPLEMENTED, "sender"),
        (Code.NOT_FOUND, "sender"),
    ],
)
def test_each_grpc_code_has_one_outcome(code: grpc.StatusCode, expected: str) -> None:
    """The whole table, each code answered by a real server."""
    outcome = ask("grpc", Answer(code, "because"))
    assert sort_of(outcome) == expected
    if not isinstance(outcome, Taken):
        assert outcome.reason == f"{code.name}: because"


def test_the_grpc_table_leaves_no_code_out() -> None:
    """Every code that gRPC has, but OK, stands in the table."""
    assert set(GRPC_CODES) == {code.name for code in grpc.StatusCode} - {"OK"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, "taken"), (202, "taken"), (204, "taken"),
        (301, "sender"), (302, "sender"), (303, "sender"), (304, "sender"), (307, "sender"), (308, "sender"),
        (400, "record"), (413, "record"), (422, "record"),
        (401, "sender"), (403, "sender"), (404, "sender"), (405, "sender"), (407, "sender"), (415, "sender"),
        (408, "later"), (425, "later"), (429, "later"), (502, "later"), (503, "later"), (504, "later"), (507, "later"),
        (500, "doubtful"), (501, "sender"),
    ],
)
def test_each_http_status_has_one_outcome(status: int, expected: str) -> None:
    """The whole table; what it does not name is the sender's fault below 500 and for later above."""
    answer = Answer(status, body=b"", headers={"location": "/elsewhere"} if 300 <= status < 400 else {})
    assert sort_of(ask("http", answer)) == expected
    assert status in HTTP_CODES or expected in {"taken", "sender", "later"}


def test_a_redirect_is_not_followed() -> None:
    """The request and its credentials go nowhere else, and the reason says where the endpoint should point."""
    with OtlpReceiver("http") as other:
        location = f"http://me:hunter2@127.0.0.1:{other.port}/v1/traces?key=hunter2"
        outcome = ask("http", Answer(307, headers={"location": location}), headers=(("authorization", "hunter3"),))
        assert outcome == Refused(
            f"HTTP 307: redirects to http://127.0.0.1:{other.port}/v1/traces; set the endpoint to that", "sender"
        )
        assert other.requests == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_partial_success_is_taken_and_counted(protocol: str) -> None:
    """It names no record, and must not be sent again (OTLP, "Partial Success")."""
    assert ask(protocol, Answer(rejected=3, message="no room")) == Taken(3, "no room")
    assert ask(protocol, Answer(message="a warning only")) == Taken(0, "a warning only")


def test_an_answer_that_is_not_compressed_as_it_says_counts_by_its_status() -> None:
    """What cannot be read beside a status changes nothing of what the status says."""
    for status, expected in ((200, Taken()), (503, TryLater("HTTP 503: Service Unavailable"))):
        answer = Answer(status, body=b"plain", headers={"content-encoding": "gzip"})
        assert ask("http", answer) == expected


def test_json_answers_are_read_too() -> None:
    """Some receivers answer a protobuf request in JSON."""
    body = b'{"partialSuccess": {"rejectedSpans": "2", "errorMessage": "old", "more": 1}}'
    assert ask("http", Answer(body=body, content_type="application/json; charset=utf-8")) == Taken(2, "old")


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b"", "application/x-protobuf", "taken"),
        (b"", "", "taken"),
        (b"OK", "text/plain", "taken"),
        (b"\xff\xff\xff", "application/x-protobuf", "taken"),
        (b"nonsense", "application/json", "taken"),
        (b"null", "application/json", "taken"),
        (b"5", "application/json", "taken"),
        (b"[" * 30_000, "application/json", "taken"),
        (b"<html>Please log in</html>", "text/html; charset=utf-8", "sender"),
        (b"\n<!DOCTYPE html><html>", "", "sender"),
    ],
)
def test_a_200_is_taken_unless_it_is_a_page_for_people(body: bytes, content_type: str, expected: str) -> None:
    """A captive portal or a login page is no receiver; any other body of a 200 cannot undo the status."""
    assert sort_of(ask("http", Answer(200, body=body, content_type=content_type))) == expected


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_servers_wish_is_handed_on(protocol: str) -> None:
    """RetryInfo in the status details, on both transports; a Retry-After header goes before it."""
    code: Any = Code.UNAVAILABLE if protocol == "grpc" else 503
    outcome = ask(protocol, Answer(code, "busy", retry_info=2.5))
    assert isinstance(outcome, TryLater)
    assert outcome.after_seconds == 2.5
    assert outcome.reason.endswith("busy")


def test_exhausted_with_a_wish_is_for_later_without_doubt() -> None:
    """RESOURCE_EXHAUSTED with RetryInfo is retryable by the specification."""
    assert ask("grpc", Answer(Code.RESOURCE_EXHAUSTED, "quota", retry_info=1)) == TryLater(
        "RESOURCE_EXHAUSTED: quota", 1.0
    )


def test_a_message_beyond_the_receivers_limit_is_the_records_fault() -> None:
    """A real gRPC server at its limit answers RESOURCE_EXHAUSTED without RetryInfo; it must lead to a split."""
    with OtlpReceiver("grpc", max_bytes=100) as receiver:
        outcome = open_sender(destination_to(receiver)).send(REQUEST)
    assert sort_of(outcome) == "record", outcome


@pytest.mark.parametrize(
    "details",
    [
        "grpc: received message larger than max (5242880 vs. 4194304)",
        "gRPC message exceeds maximum size 4194304: 5242880",
    ],
)
def test_other_grpc_libraries_words_for_too_large_are_known(details: str) -> None:
    """Go's and Java's words, as the details of a real answer."""
    assert sort_of(ask("grpc", Answer(Code.RESOURCE_EXHAUSTED, details))) == "record"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("3", 3.0), (" 2.5 ", 2.5), ("-1", 0.0), ("1e9", MAX_WISH_SECONDS), ("nan", None), ("inf", None),
        ("soon", None), ("", None), (None, None), (formatdate(1000, usegmt=True), 40.0),
        (formatdate(1, usegmt=True), 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, expected: float | None) -> None:
    """RFC 9110, 10.2.3; nonsense is no wish, and an absurd one is bounded."""
    assert parse_retry_after(value, now_seconds=960.0) == expected


def test_retry_after_reaches_the_outcome() -> None:
    """The header of a 429 is the wish."""
    outcome = ask("http", Answer(429, body=b"", headers={"retry-after": "7"}))
    assert outcome == TryLater("HTTP 429: Too Many Requests", 7.0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nobody_there_is_for_later_at_once(protocol: str) -> None:
    """A refused connection takes no back-off of the library's own."""
    sender = open_sender(_nowhere(protocol))
    started = time.monotonic()
    outcome = sender.send(REQUEST)
    assert sort_of(outcome) == "later"
    assert "refused" in outcome.reason.lower() or "111" in outcome.reason  # type: ignore[union-attr]
    assert time.monotonic() - started < 5
    sender.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_receiver_that_comes_back_is_found_again(protocol: Any) -> None:
    """The same sender goes on after an outage, without a long back-off inside the library."""
    port = free_port()
    with OtlpReceiver(protocol, port=port) as receiver:
        sender = open_sender(destination_to(receiver))
        assert sender.send(REQUEST) == Taken()
    for _ in range(3):
        assert sort_of(sender.send(REQUEST)) == "later"
    with OtlpReceiver(protocol, port=port):
        deadline = time.monotonic() + 15
        while not isinstance(sender.send(REQUEST), Taken):
            assert time.monotonic() < deadline
            threading.Event().wait(0.1)
    sender.close()


def test_an_unknown_host_is_for_later() -> None:
    """DNS heals."""
    for fields in ({"protocol": "grpc", "endpoint": "nowhere.invalid:1", "insecure": True},
                   {"protocol": "http/protobuf", "endpoint": "http://nowhere.invalid:1/v1/traces"}):
        sender = open_sender(Destination(signal="traces", timeout_seconds=20.0, **fields))  # type: ignore[arg-type]
        assert sort_of(sender.send(REQUEST)) == "later"
        sender.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["hang", "drip", "silent"])
def test_a_hanging_receiver_costs_the_timeout_and_no_more(protocol: Any, kind: str) -> None:
    """A server that never answers, drips its answer, or never even speaks the protocol."""
    if kind == "drip" and protocol == "grpc":
        pytest.skip("gRPC has messages, not bytes")
    with _hanging(protocol, kind) as destination:
        sender = open_sender(destination(timeout_seconds=0.5))
        outcome = sender.send(REQUEST)
        assert sort_of(outcome) in {"later"}
        sender.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["hang", "drip", "silent"])
def test_close_ends_a_hanging_request(protocol: Any, kind: str) -> None:
    """An exit never waits for the timeout of a request."""
    if kind == "drip" and protocol == "grpc":
        pytest.skip("gRPC has messages, not bytes")
    with _hanging(protocol, kind) as destination:
        sender = open_sender(destination(timeout_seconds=120.0))
        found: list[Outcome] = []
        thread = threading.Thread(target=lambda: found.append(sender.send(REQUEST)))
        thread.start()
        assert destination.asked.wait(10)
        sender.close()
        thread.join(10)
        assert not thread.is_alive()
        assert sort_of(found[0]) == "later"
        assert sort_of(sender.send(REQUEST)) == "later"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tls_and_mutual_tls_work_and_their_lack_is_for_later(protocol: Any, certificates: Certificates) -> None:
    """With the certificates a request is taken; without the authority, or the client's own, none is."""
    own = {"client_key": certificates.client_key, "client_certificate": certificates.client}
    with OtlpReceiver(protocol, certificates=certificates, mutual=True) as receiver:
        for changes, expected in (
            ({"certificate": certificates.authority, **own}, "taken"),
            ({"certificate": certificates.authority}, "later"),
            (own, "later"),
        ):
            sender = open_sender(destination_to(receiver, timeout_seconds=5.0, **changes))
            assert sort_of(sender.send(REQUEST)) == expected
            sender.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_certificate_that_is_not_there_refuses_the_sender_until_it_is(
    protocol: Any, certificates: Certificates, tmp_path: Path
) -> None:
    """The file's name is in the reason, and a later attempt reads it afresh."""
    path = tmp_path / "late.pem"
    with OtlpReceiver(protocol, certificates=certificates) as receiver:
        sender = open_sender(destination_to(receiver, certificate=str(path)))
        outcome = sender.send(REQUEST)
        assert sort_of(outcome) == "sender"
        assert "late.pem" in outcome.reason  # type: ignore[union-attr]
        path.write_bytes(Path(certificates.authority).read_bytes())
        assert sender.send(REQUEST) == Taken()
        sender.close()


@pytest.mark.parametrize("half", ["client_key", "client_certificate"])
def test_half_a_clients_pair_refuses_the_sender(half: str, certificates: Certificates) -> None:
    """Handed to gRPC it would abort the process."""
    with OtlpReceiver("grpc", certificates=certificates) as receiver:
        destination = destination_to(receiver, certificate=certificates.authority, **{half: certificates.client})
        outcome = open_sender(destination).send(REQUEST)
    assert outcome == Refused("a client certificate and its key are needed together", "sender")


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP goes through the proxy that the machine names."""
    with OtlpReceiver("http") as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.endpoint)
        monkeypatch.setenv("NO_PROXY", "")
        sender = open_sender(Destination("traces", "http/protobuf", "http://nowhere.invalid/v1/traces"))
        assert sender.send(REQUEST) == Taken()
        assert [request.path for request in proxy.requests] == ["http://nowhere.invalid/v1/traces"]


def test_a_headers_value_that_http_cannot_carry_refuses_the_sender() -> None:
    """Configuration leaves such a header out; should one come, the library's error does not repeat it."""
    with OtlpReceiver("http") as receiver:
        outcome = open_sender(destination_to(receiver, headers=(("x", "hunter2\r\nevil: 1"),))).send(REQUEST)
    assert isinstance(outcome, Refused)
    assert "hunter2" not in outcome.reason


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_status_details_that_are_rubbish_are_no_wish(protocol: Any) -> None:
    """A failure whose details cannot be decoded is still that failure."""
    trailer = (("grpc-status-details-bin", b"\xff\xff"), ("google.rpc.retryinfo-bin", b"\x0a\x02\x08\x05"))
    code: Any = Code.UNAVAILABLE if protocol == "grpc" else 503
    outcome = ask(protocol, Answer(code, body=b"\xff\xff", trailer=trailer))
    assert isinstance(outcome, TryLater)
    assert outcome.after_seconds == (5.0 if protocol == "grpc" else None)


def test_importing_the_sender_is_light() -> None:
    """Whoever only asks where things go loads neither the SDK nor a transport."""
    program = (
        "import sys, evsys_otel.otlp as o; from evsys_otel.settings import resolve_settings\n"
        "assert o.resolve_destinations(resolve_settings({}), {'OTEL_EXPORTER_OTLP_ENDPOINT': 'http://h:1'})\n"
        "print([m for m in ('grpc', 'requests', 'opentelemetry.sdk', 'google.protobuf') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_credentials_that_a_server_repeats_are_in_no_reason(
    protocol: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A server's sentence about a bad token, token included, is shown without it."""
    caplog.set_level(logging.DEBUG)
    code: Any = Code.UNAUTHENTICATED if protocol == "grpc" else 401
    answer = Answer(code, "token hunter2hunter2 of 'Bearer hunter2hunter2' is unknown " + "x" * 1000)
    outcome = ask(protocol, answer, headers=(("authorization", "Bearer hunter2hunter2"),))
    assert isinstance(outcome, Refused)
    assert "hunter2" not in outcome.reason
    assert len(outcome.reason) < 400
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("evsys_otel")]
    assert "hunter2" not in " ".join(ours)


def test_connection_errors_do_not_repeat_the_urls_query() -> None:
    """The library's own text holds the whole URL, with a key in it."""
    endpoint = f"http://me:hunter2@127.0.0.1:{free_port()}/v1/traces?key=hunter2"
    outcome = open_sender(Destination("traces", "http/protobuf", endpoint)).send(REQUEST)
    assert isinstance(outcome, TryLater)
    assert "hunter2" not in outcome.reason


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_compressed_requests_arrive_the_same(protocol: Any) -> None:
    """gzip on both transports, deflate over HTTP."""
    with OtlpReceiver(protocol) as receiver:
        for compression in ("none", "gzip") if protocol == "grpc" else ("none", "gzip", "deflate"):
            sender = open_sender(destination_to(receiver, compression=compression))
            assert sender.send(REQUEST) == Taken()
            sender.close()
        assert {request.body for request in receiver.requests} == {REQUEST}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_headers_are_sent_and_the_user_agent_is_ours(protocol: Any) -> None:
    """A receiver sees what was configured, and who sends."""
    with OtlpReceiver(protocol) as receiver:
        sender = open_sender(destination_to(receiver, headers=(("x-scope", "a b"),)))
        assert sender.send(REQUEST) == Taken()
        sender.close()
        assert receiver.requests[0].headers["x-scope"] == "a b"
        assert receiver.requests[0].headers["user-agent"].startswith("evsys-otel/")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_our_own_calls_are_made_under_the_sdks_suppression_key(protocol: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instrumentation of grpc and requests, which looks at that key, makes no telemetry of telemetry."""
    seen: list[object] = []
    original = context.attach
    monkeypatch.setattr(context, "attach", lambda value: seen.append(dict(value)) or original(value))
    ask(protocol, None)
    assert {getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY"): True} in seen  # noqa: B009 (private, on purpose)


def test_outcomes_are_values() -> None:
    """Equal by their fields, so that whoever compares them compares what they say."""
    assert outcomes.TryLater("a", 1.0) == outcomes.TryLater("a", 1.0)
    assert outcomes.grpc_outcome("A_CODE_OF_TOMORROW", "", None) == TryLater("A_CODE_OF_TOMORROW", None, doubtful=True)


def _nowhere(protocol: str) -> Destination:
    port = free_port()
    if protocol == "grpc":
        return Destination("traces", "grpc", f"127.0.0.1:{port}", insecure=True)
    return Destination("traces", "http/protobuf", f"http://127.0.0.1:{port}/v1/traces")


class _hanging:
    """A receiver that hangs, in one way or the other."""

    def __init__(self, protocol: Any, kind: str) -> None:
        self.asked = threading.Event()
        self._silent = kind == "silent"
        self._receiver = OtlpReceiver(protocol, self._answer_by(kind))
        self._socket = socket.create_server(("127.0.0.1", 0))

    def _answer_by(self, kind: str) -> Callable[[Any], Answer]:
        def answer(_request: Any) -> Answer:
            self.asked.set()
            return Answer(hang=kind == "hang", drip=kind == "drip")

        return answer

    def __enter__(self) -> _hanging:
        if self._silent:
            self._receiver.port = self._socket.getsockname()[1]
            threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _accept(self) -> None:
        self._connection, _ = self._socket.accept()
        self.asked.set()

    def __call__(self, **changes: Any) -> Destination:
        return destination_to(self._receiver, **changes)

    def __exit__(self, *_error: object) -> None:
        self._socket.close()
        self._receiver.close()


