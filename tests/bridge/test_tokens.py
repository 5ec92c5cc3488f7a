"""Tokens on the wire: who has none, a wrong one, or another project's writes nothing and reads nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.status_pb2 import Status
from kit.bridges import RunningBridge, get, post, running_bridge
from kit.otlp_messages import points, run_start, together
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from evsys_otel.store import Store, open_store

ONE, BOTH, ALL = "t0ken-of-a", "t0ken-of-both", "t0ken-of-all"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/evsys.db"


@pytest.fixture
def tokens_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"{ONE}=a\n{BOTH}=a+b\n{ALL}=*\n")
    return path


@pytest.fixture
def bridge(url: str, tokens_file: Path) -> Iterator[RunningBridge]:
    with running_bridge(url, tokens=str(tokens_file)) as running:
        yield running


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url) as opened:
        yield opened


def send(bridge: RunningBridge, protocol: str, request: Any, token: str | None) -> tuple[str, Any]:
    """Send a request; return ``ok``, ``denied`` or ``forbidden``, and the response or the reason."""
    is_logs = isinstance(request, ExportLogsServiceRequest)
    response = (ExportLogsServiceResponse if is_logs else ExportMetricsServiceResponse)()
    bearer = {} if token is None else {"authorization": f"Bearer {token}"}
    if protocol == "http":
        reply = post(f"{bridge.http}/v1/{'logs' if is_logs else 'metrics'}", request.SerializeToString(), **bearer)
        if reply.status == 200:
            response.ParseFromString(reply.body)
            return "ok", response
        if reply.status == 401:
            assert reply.headers["www-authenticate"] == "Bearer"
        return {401: "denied", 403: "forbidden"}[reply.status], Status.FromString(reply.body).message
    service = "logs.v1.LogsService" if is_logs else "metrics.v1.MetricsService"
    with grpc.insecure_channel(bridge.grpc) as channel:
        call = channel.unary_unary(f"/opentelemetry.proto.collector.{service}/Export")
        try:
            response.ParseFromString(call(request.SerializeToString(), metadata=[*bearer.items()], timeout=30))
        except grpc.RpcError as error:
            codes = {grpc.StatusCode.UNAUTHENTICATED: "denied", grpc.StatusCode.PERMISSION_DENIED: "forbidden"}
            return codes[error.code()], error.details()
    return "ok", response


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_who_has_no_token_or_a_wrong_one_writes_nothing(bridge: RunningBridge, store: Store, protocol: str) -> None:
    """401 and UNAUTHENTICATED, before the body is looked at; the right one is taken."""
    for token in (None, "", "wrong", ONE[:-1], ONE + "x"):
        assert send(bridge, protocol, run_start("a", "r1"), token)[0] == "denied"
    assert all(not rows for rows in store.dump().values())
    assert send(bridge, protocol, run_start("a", "r1"), ONE)[0] == "ok"
    assert [run["project_id"] for run in store.list_runs()] == ["a"]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_another_projects_records_are_forbidden(bridge: RunningBridge, store: Store, protocol: str) -> None:
    """403 and PERMISSION_DENIED, for another project's name as for another project's ids; nothing is written."""
    assert send(bridge, protocol, run_start("b", "r1", "e1"), ALL)[0] == "ok"
    before = store.dump()
    for request in (run_start("b", "r2"), run_start("a", "r1"), run_start(None, "r2", "e1"), points("a", "r1", 1)):
        assert send(bridge, protocol, request, ONE)[0] == "forbidden"
    assert send(bridge, protocol, run_start("a", "r1"), BOTH)[0] == "forbidden"  # both are its own, the run is b's
    assert send(bridge, protocol, run_start(None, "r1"), ALL)[0] == "forbidden"
    assert store.dump() == before


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_what_is_refused_of_a_request_is_counted(bridge: RunningBridge, store: Store, protocol: str) -> None:
    """The rest is committed, and the answer is a success in part, with a message."""
    batch = together(points("a", "r1", 1, 2), points("b", "r2", 1), points("c", "r3", 1, 2, 3), points(None, "r4", 1))
    outcome, response = send(bridge, protocol, batch, BOTH)
    assert (outcome, response.partial_success.rejected_data_points) == ("ok", 4)
    assert "evsys.project.id" in response.partial_success.error_message
    assert {run["id"]: run["project_id"] for run in store.list_runs()} == {"r1": "a", "r2": "b"}
    assert b"evsys_bridge_rejected" in get(f"{bridge.http}/metrics").body


def test_nothing_can_be_read(bridge: RunningBridge, store: Store) -> None:
    """No page shows records, and that of metrics names the runs of a token's projects to that token alone."""
    for project_id in ("a", "b"):
        send(bridge, "http", run_start(project_id, f"run-of-{project_id}", f"of-{project_id}"), ALL)
    for path in ("/", "/v1/logs", "/v1/traces", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"):
        assert b"run-of-" not in get(bridge.http + path).body
    for token, seen in ((None, []), ("wrong", []), (ONE, ["a"]), (BOTH, ["a", "b"]), (ALL, ["a", "b"])):
        page = get(f"{bridge.http}/metrics", **({} if token is None else {"authorization": f"Bearer {token}"})).body
        assert b"evsys_bridge_requests_total" in page
        assert [each for each in ("a", "b") if f'"run-of-{each}"'.encode() in page] == seen


def test_a_token_that_is_taken_away_opens_nothing(bridge: RunningBridge, tokens_file: Path) -> None:
    """At the next request, without a restart; a broken file changes nothing."""
    tokens_file.write_text("nonsense")
    assert send(bridge, "http", run_start("a", "r1"), ONE)[0] == "ok"
    tokens_file.write_text("another=a")
    assert send(bridge, "http", run_start("a", "r1"), ONE)[0] == "denied"
    assert send(bridge, "grpc", run_start("a", "r1"), "another")[0] == "ok"


def test_no_token_is_logged(bridge: RunningBridge, tokens_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Right or wrong, at any level, in any answer."""
    with caplog.at_level(logging.DEBUG):
        for token in (ONE, "wrong-t0ken"):
            for protocol in ("http", "grpc"):
                assert token not in str(send(bridge, protocol, run_start("b", "r1"), token))
        tokens_file.write_text(f"{ONE} {BOTH}")
        send(bridge, "http", run_start("a", "r1"), ONE)
    assert "t0ken" not in caplog.text
