"""How the standard variables and our settings are read, against the official exporters' own reading."""

from __future__ import annotations

import http.client
import logging
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.certificates import Certificates
from kit.otlp_receiver import OtlpReceiver, Received
from kit.sdk_signals import make_log, make_series, make_span
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.util.re import parse_env_headers

from evsys_otel.errors import ConfigurationError
from evsys_otel.otlp import SIGNALS, Destination, Signal, Taken, open_signal_sender, resolve_destinations
from evsys_otel.otlp.headers import parse_headers
from evsys_otel.settings import resolve_settings

E = "OTEL_EXPORTER_OTLP_"
OFFICIAL: dict[str, dict[str, Any]] = {
    "grpc": {"traces": GrpcSpanExporter, "metrics": GrpcMetricExporter, "logs": GrpcLogExporter},
    "http/protobuf": {"traces": HttpSpanExporter, "metrics": HttpMetricExporter, "logs": HttpLogExporter},
}
OWN_HEADERS = {"user-agent", "content-length"}
"""Headers that are ours to say, or follow from the body; everything else a server sees must be equal."""

HTTP_TABLE: dict[str, dict[str, str]] = {
    "base": {f"{E}ENDPOINT": "{base}"},
    "base with slash": {f"{E}ENDPOINT": "{base}/"},
    "base with two slashes": {f"{E}ENDPOINT": "{base}//"},
    "base with path": {f"{E}ENDPOINT": "{base}/otlp"},
    "own endpoint is taken as it is": {f"{E}{{signal}}_ENDPOINT": "{base}/a/{path}"},
    "own endpoint without path": {f"{E}{{signal}}_ENDPOINT": "{base}"},
    "own endpoint beats the base": {f"{E}ENDPOINT": "http://127.0.0.1:9", f"{E}{{signal}}_ENDPOINT": "{base}/b"},
    "own endpoint empty": {f"{E}ENDPOINT": "{base}", f"{E}{{signal}}_ENDPOINT": ""},
    "user info": {f"{E}ENDPOINT": "http://me:pass%20word@127.0.0.1:{port}"},
    "query": {f"{E}{{signal}}_ENDPOINT": "{base}/v1/x?key=value"},
    "headers": {f"{E}ENDPOINT": "{base}", f"{E}HEADERS": "a=b,C-D=e%20f%3D, g = h i ,bad,=x,q=1=2"},
    "own headers": {f"{E}ENDPOINT": "{base}", f"{E}HEADERS": "a=b", f"{E}{{signal}}_HEADERS": "c=d"},
    "own headers empty": {f"{E}ENDPOINT": "{base}", f"{E}HEADERS": "a=b", f"{E}{{signal}}_HEADERS": ""},
    "authorization": {f"{E}ENDPOINT": "{base}", f"{E}HEADERS": "Authorization=Bearer abc%2C123"},
    "gzip": {f"{E}ENDPOINT": "{base}", f"{E}COMPRESSION": "gzip"},
    "gzip in capitals": {f"{E}ENDPOINT": "{base}", f"{E}COMPRESSION": " GZIP "},
    "deflate": {f"{E}ENDPOINT": "{base}", f"{E}COMPRESSION": "deflate"},
    "own compression": {f"{E}ENDPOINT": "{base}", f"{E}COMPRESSION": "gzip", f"{E}{{signal}}_COMPRESSION": "none"},
    "unknown compression": {f"{E}ENDPOINT": "{base}", f"{E}COMPRESSION": "zstd"},
    "odd timeouts": {f"{E}ENDPOINT": "{base}", f"{E}TIMEOUT": "3.5", f"{E}{{signal}}_TIMEOUT": "7"},
    "bad timeout": {f"{E}ENDPOINT": "{base}", f"{E}TIMEOUT": "soon"},
}

GRPC_TABLE: dict[str, dict[str, str]] = {
    "url": {f"{E}ENDPOINT": "{base}"},
    "url with path": {f"{E}ENDPOINT": "{base}/ignored"},
    "host and port": {f"{E}ENDPOINT": "127.0.0.1:{port}", f"{E}INSECURE": "true"},
    "host and port, own insecure": {f"{E}ENDPOINT": "localhost:{port}", f"{E}{{signal}}_INSECURE": "True"},
    "own endpoint": {f"{E}ENDPOINT": "http://127.0.0.1:9", f"{E}{{signal}}_ENDPOINT": "{base}"},
    "own insecure beats the general": {
        f"{E}ENDPOINT": "127.0.0.1:{port}", f"{E}INSECURE": "false", f"{E}{{signal}}_INSECURE": "true",
    },
    "headers": {f"{E}ENDPOINT": "{base}", f"{E}HEADERS": "a=b,C-D=e%20f%3D, g = h i ,bad"},
    "own headers": {f"{E}ENDPOINT": "{base}", f"{E}HEADERS": "a=b", f"{E}{{signal}}_HEADERS": "c=d"},
    "gzip": {f"{E}ENDPOINT": "{base}", f"{E}COMPRESSION": "gzip"},
    "own gzip": {f"{E}ENDPOINT": "{base}", f"{E}{{signal}}_COMPRESSION": "Gzip"},
    "own timeout": {f"{E}ENDPOINT": "{base}", f"{E}TIMEOUT": "3.5", f"{E}{{signal}}_TIMEOUT": "7"},
}

TARGETS = [
    {f"{E}ENDPOINT": "https://h:1"},
    {f"{E}ENDPOINT": "https://h:1", f"{E}INSECURE": "true"},
    {f"{E}ENDPOINT": "http://h:1", f"{E}INSECURE": "false"},
    {f"{E}ENDPOINT": "http://h"},
    {f"{E}ENDPOINT": "h:1"},
    {f"{E}ENDPOINT": "h:1", f"{E}TRACES_INSECURE": ""},
    {f"{E}ENDPOINT": "dns:h:1", f"{E}INSECURE": "TRUE"},
    {f"{E}ENDPOINT": "unix:/tmp/x", f"{E}INSECURE": "yes"},
    {f"{E}ENDPOINT": "ftp://h:1"},
]


def filled(row: dict[str, str], signal: str, receiver: OtlpReceiver) -> dict[str, str]:
    facts = {"signal": signal.upper(), "path": f"v1/{signal}", "base": receiver.endpoint, "port": str(receiver.port)}
    return {key.format(**facts): value.format(**facts) for key, value in row.items()}


def signals_of(signal: str) -> list[Any]:
    return {"traces": [make_span(1), make_span(2)], "metrics": [make_series(2, 3)], "logs": [make_log(1)]}[signal]


def export_officially(protocol: str, signal: str) -> Any:
    exporter = OFFICIAL[protocol][signal]()
    data = signals_of(signal)
    exporter.export(data[0] if signal == "metrics" else data)
    exporter.shutdown()
    return exporter


def destination_of(signal: Signal, **environ: str) -> Destination:
    return resolve_destinations(resolve_settings({}), environ)[signal]


def send_ours(destination: Destination) -> None:
    sender = open_signal_sender(destination, resolve_settings({}))
    result = sender.deliver(signals_of(destination.signal))
    sender.close()
    assert isinstance(result.outcome, Taken), result


def seen(request: Received) -> tuple[str, dict[str, str], Any]:
    headers = {key: value for key, value in request.headers.items() if key not in OWN_HEADERS}
    return request.path, headers, request.message


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("name", HTTP_TABLE)
def test_http_is_read_as_the_official_exporters_read_it(
    name: str, signal: Signal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each row, a server sees the same path, headers, compression and message from both."""
    with OtlpReceiver("http", other_paths=signal) as receiver:
        environ = filled(HTTP_TABLE[name], signal, receiver) | {f"{E}PROTOCOL": "http/protobuf"}
        for variable, value in environ.items():
            monkeypatch.setenv(variable, value)
        official = export_officially("http/protobuf", signal)
        destination = destination_of(signal, **environ)
        send_ours(destination)
        assert len(receiver.requests) == 2
        assert seen(receiver.requests[0]) == seen(receiver.requests[1])
        assert official._endpoint == destination.endpoint
        assert official._client._timeout == destination.timeout_seconds


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("name", GRPC_TABLE)
def test_grpc_is_read_as_the_official_exporters_read_it(
    name: str, signal: Signal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each row, a server sees the same method, metadata and message from both, compressed by the same."""
    with OtlpReceiver("grpc") as receiver:
        environ = filled(GRPC_TABLE[name], signal, receiver)
        for variable, value in environ.items():
            monkeypatch.setenv(variable, value)
        official = export_officially("grpc", signal)
        destination = destination_of(signal, **environ)
        send_ours(destination)
        assert len(receiver.requests) == 2
        assert seen(receiver.requests[0]) == seen(receiver.requests[1])
        assert official._endpoint == destination.endpoint
        assert official._timeout == destination.timeout_seconds
        assert official._compression.name.lower().replace("nocompression", "none") == destination.compression


@pytest.mark.parametrize("environ", TARGETS, ids=str)
def test_the_rules_of_scheme_and_insecure_are_the_official_ones(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """https means TLS whatever else is said; otherwise INSECURE counts, and without it the scheme http."""
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    official: Any = GrpcSpanExporter()
    official.shutdown()
    destination = destination_of("traces", **environ)
    assert (destination.endpoint, destination.insecure) == (official._endpoint, official._insecure)


@pytest.mark.parametrize("level", ["", "TRACES_"])
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_certificates_are_read_as_the_official_exporters_read_them(
    protocol: str, level: str, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TLS and a client certificate, general or the signal's own, a server that demands one knows both."""
    kind = "grpc" if protocol == "grpc" else "http"
    with OtlpReceiver(kind, certificates=certificates, mutual=True) as receiver:  # type: ignore[arg-type]
        environ = {
            f"{E}ENDPOINT": receiver.endpoint,
            f"{E}PROTOCOL": protocol,
            f"{E}{level}CERTIFICATE": certificates.authority,
            f"{E}{level}CLIENT_KEY": certificates.client_key,
            f"{E}{level}CLIENT_CERTIFICATE": certificates.client,
        }
        for variable, value in environ.items():
            monkeypatch.setenv(variable, value)
        export_officially(protocol, "traces")
        send_ours(destination_of("traces", **environ))
        assert [request.peer_certificate for request in receiver.requests] == [True, True]


@given(st.text(alphabet="abA-_=,; \t%20é\"\\{}/:\x7f", max_size=40))
def test_headers_are_parsed_as_the_official_function_does(text: str) -> None:
    """Any text gives the same headers, but for those that HTTP cannot carry."""
    logger = logging.getLogger("opentelemetry.util.re")
    logger.disabled = True
    official = dict(parse_env_headers(text, liberal=True))
    ours = dict(parse_headers(text, grpc=False).pairs)
    assert ours.items() <= official.items()
    for name, value in official.items() - ours.items():
        with pytest.raises((ValueError, UnicodeError)):
            putrequest_of(name, value)


def putrequest_of(name: str, value: str) -> None:
    """Put a header as the HTTP library would; raises for what HTTP cannot carry."""
    connection = http.client.HTTPConnection("h")
    connection.putrequest("GET", "/")
    connection.putheader(name, value)
    if not name.isascii() or not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9a-z]+", name) or "\x7f" in value:
        raise ValueError("the library is laxer than RFC 9110, 5.1 and 5.5")


def test_without_an_endpoint_there_is_no_otlp() -> None:
    """The official default, localhost, is not ours: a cluster without a collector must not be knocked at."""
    assert resolve_destinations(resolve_settings({}), {f"{E}PROTOCOL": "grpc", "OTEL_TRACES_EXPORTER": "otlp"}) == {}


def test_one_signals_endpoint_sends_that_signal_alone() -> None:
    """An endpoint for traces is no endpoint for the others."""
    assert set(resolve_destinations(resolve_settings({}), {f"{E}TRACES_ENDPOINT": "http://h:4317"})) == {"traces"}


@pytest.mark.parametrize("value", ["true", "TRUE", " true "])
def test_the_sdk_switched_off_is_otlp_switched_off(value: str) -> None:
    """OTEL_SDK_DISABLED turns OTLP off whatever endpoint is named."""
    environ = {f"{E}ENDPOINT": "http://h:4317", "OTEL_SDK_DISABLED": value}
    assert resolve_destinations(resolve_settings({}, otlp_endpoint="http://h:1"), environ) == {}


@pytest.mark.parametrize(
    ("value", "is_on"),
    [("otlp", True), ("otlp,console", True), ("console, otlp", True), ("", True), ("otlp_proto_http", True),
     ("none", False), ("console", False), ("zipkin", False), ("OTLP", True)],
)
def test_an_exporter_other_than_otlp_turns_its_signal_off(value: str, is_on: bool) -> None:
    """OTEL_METRICS_EXPORTER speaks for metrics alone."""
    environ = {f"{E}ENDPOINT": "http://h:4317", "OTEL_METRICS_EXPORTER": value}
    expected = {"traces", "metrics", "logs"} if is_on else {"traces", "logs"}
    assert set(resolve_destinations(resolve_settings({}), environ)) == expected


@pytest.mark.parametrize(
    ("environ", "protocol", "warns"),
    [
        ({}, "grpc", False),
        ({f"{E}PROTOCOL": ""}, "grpc", False),
        ({f"{E}PROTOCOL": " http/protobuf "}, "http/protobuf", False),
        ({f"{E}PROTOCOL": "http/json"}, "http/protobuf", True),
        ({f"{E}PROTOCOL": "carrier-pigeon"}, "grpc", True),
        ({f"{E}PROTOCOL": "grpc", f"{E}LOGS_PROTOCOL": "http/protobuf"}, "http/protobuf", False),
        ({"OTEL_LOGS_EXPORTER": "otlp_proto_http"}, "http/protobuf", False),
    ],
)
def test_the_protocol_is_grpc_unless_said_otherwise(
    environ: dict[str, str], protocol: str, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Unknown protocols are warned about once; http/json is sent as protobuf to the same endpoint."""
    environ = {f"{E}ENDPOINT": "http://h:1", **environ}
    assert resolve_destinations(resolve_settings({}), environ)["logs"].protocol == protocol
    assert bool(caplog.records) == warns
    caplog.clear()
    resolve_destinations(resolve_settings({}), environ)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("environ", "field", "expected"),
    [
        ({f"{E}TIMEOUT": "soon"}, "timeout_seconds", 10.0),
        ({f"{E}TIMEOUT": "0"}, "timeout_seconds", 10.0),
        ({f"{E}TIMEOUT": "-3"}, "timeout_seconds", 10.0),
        ({f"{E}TIMEOUT": "nan"}, "timeout_seconds", 10.0),
        ({f"{E}COMPRESSION": "zstd"}, "compression", "none"),
        ({f"{E}COMPRESSION": "deflate"}, "compression", "none"),
        ({f"{E}HEADERS": "fine=1,hunter2"}, "headers", (("fine", "1"),)),
        ({f"{E}HEADERS": "fine=1,x=hunter2%0d%0aevil:1"}, "headers", (("fine", "1"),)),
    ],
)
def test_a_bad_variable_is_warned_about_and_its_default_used(
    environ: dict[str, str], field: str, expected: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the official exporter raises or sends rubbish, ours goes on, names the variable and shows no value."""
    destination = destination_of("traces", **{f"{E}ENDPOINT": "http://h:1", **environ})
    assert getattr(destination, field) == expected
    assert next(iter(environ)) in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("endpoint", ["localhost:4318", "ftp://h/", "http://", "http://h:99999", "http://[::1"])
def test_an_unusable_http_endpoint_is_warned_about_and_not_sent_to(
    endpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An endpoint that no request could reach is said at the start, not at each request."""
    assert resolve_destinations(resolve_settings({}), {f"{E}ENDPOINT": endpoint, f"{E}PROTOCOL": "http/protobuf"}) == {}
    assert f"{E}ENDPOINT" in caplog.text


def test_our_settings_go_before_the_standard_variables() -> None:
    """An endpoint, protocol or headers of our own stand in place of the standard's, a signal's own included."""
    environ = {
        f"{E}ENDPOINT": "http://h:1", f"{E}LOGS_ENDPOINT": "http://h:2", f"{E}LOGS_PROTOCOL": "grpc",
        f"{E}LOGS_HEADERS": "a=b", f"{E}TIMEOUT": "4",
    }
    settings = resolve_settings(
        {}, otlp_endpoint="http://mine:3/", otlp_protocol="http/protobuf", otlp_headers="x-token=s%20t"
    )
    destination = resolve_destinations(settings, environ)["logs"]
    assert destination.endpoint == "http://mine:3/v1/logs"
    assert destination.protocol == "http/protobuf"
    assert destination.headers == (("x-token", "s t"),)
    assert destination.timeout_seconds == 4


@pytest.mark.parametrize(
    "arguments",
    [
        {"otlp_endpoint": "localhost:4318", "otlp_protocol": "http/protobuf"},
        {"otlp_endpoint": "http://h:99999"},
        {"otlp_endpoint": "two words"},
        {"otlp_endpoint": "http://h:1", "otlp_headers": "hunter2"},
    ],
)
def test_a_bad_argument_raises_and_a_bad_variable_of_ours_warns(
    arguments: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """The same value is an error in code and a warning in the environment; neither repeats a credential."""
    with pytest.raises(ConfigurationError) as caught:
        resolve_destinations(resolve_settings({}, **arguments), {})
    assert "hunter2" not in str(caught.value)
    environ = {f"EVSYS_OTEL_{name.upper()}": value for name, value in arguments.items()}
    resolve_destinations(resolve_settings(environ), environ)
    assert len(caplog.records) >= 1
    assert "hunter2" not in caplog.text


def test_no_credential_is_in_a_destinations_repr_or_label() -> None:
    """User info, query, headers and key paths stay out of what is printed."""
    destination = destination_of("logs", **{
        f"{E}LOGS_ENDPOINT": "http://me:hunter2@h:1/v1/logs?key=hunter2", f"{E}PROTOCOL": "http/protobuf",
        f"{E}HEADERS": "authorization=Bearer hunter2",
    })
    assert destination.label == "http://h:1/v1/logs"
    assert "hunter2" not in repr(destination) + str(destination) + destination.label
    assert destination.redact("the token hunter2 of Bearer hunter2 is old") == (
        "the token <redacted> of <redacted> is old"
    )
