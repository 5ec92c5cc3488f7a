"""How many step values a second a bridge takes over gRPC, beside raw upserts of the same rows and the Go collector.

Requests are encoded beforehand and sent by a process of its own, so that the client binds nothing but its share of the
machine. A row of the table is a whole way: from the first request sent to the last one answered.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from evsys_otel import conventions as c

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from kit.collectors import find_collector
from kit.postgres import find_binaries, running_server

METRICS, STEPS_A_REQUEST, REQUESTS, SENDERS = 20, 500, 100, 4
VALUES = METRICS * STEPS_A_REQUEST * REQUESTS
EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


def requests() -> list[bytes]:
    """Return what four runs would send: each request 500 steps of 20 metrics of one run, as exemplars."""
    runs = [(str(uuid.uuid4()), str(uuid.uuid4())) for _ in range(SENDERS)]
    return [_request(*runs[index % SENDERS], index // SENDERS) for index in range(REQUESTS)]


def _request(experiment_id: str, run_id: str, number: int) -> bytes:
    message = ExportMetricsServiceRequest()
    scope = message.resource_metrics.add().scope_metrics.add()
    first = number * STEPS_A_REQUEST
    for index in range(METRICS):
        name = f"metric/{index}"
        point = scope.metrics.add(name=f"evsys.run.{name}").gauge.data_points.add(as_double=0.0, time_unix_nano=first)
        labels = {c.EXPERIMENT_ID: experiment_id, c.RUN_ID: run_id, c.SPLIT: "train", c.METRIC_NAME: name}
        for key, value in labels.items():
            point.attributes.add(key=key).value.string_value = value
        for step in range(first, first + STEPS_A_REQUEST):
            exemplar = point.exemplars.add(as_double=step * 0.001 + index, time_unix_nano=1_700_000_000 * 10**9 + step)
            exemplar.trace_id, exemplar.span_id = uuid.UUID(experiment_id).bytes, uuid.UUID(run_id).bytes[8:]
            exemplar.filtered_attributes.add(key=c.STEP).value.int_value = step
            if step == first:
                exemplar.filtered_attributes.add(key=c.ORDINAL).value.int_value = first
                exemplar.filtered_attributes.add(key=c.KEYSET).value.int_value = 0
    return message.SerializeToString()


def send(address: str) -> None:
    """Send all requests, four at a time, and print the seconds that it took; the program of the sending process."""
    prepared = requests()
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(address, options) as channel:
        export = channel.unary_unary(EXPORT)
        export(b"", wait_for_ready=True, timeout=60)
        began = time.perf_counter()
        under_way: list[grpc.Future] = []
        for request in prepared:
            if len(under_way) == SENDERS:
                under_way.pop(0).result()
            under_way.append(export.future(request, timeout=120))
        for call in under_way:
            call.result()
        print(json.dumps(time.perf_counter() - began))


def rate_of(address: str) -> dict[str, float]:
    """Return what a receiver takes."""
    program = "import sys; from benchmarks.bridge import send; send(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", program, address], capture_output=True, text=True, check=True)
    return _row(json.loads(done.stdout))


@contextlib.contextmanager
def bridge(store: str) -> Iterator[str]:
    """Run a bridge in front of a store and yield its gRPC address."""
    command = [str(Path(sys.executable).parent / "evsys-otel"), "serve"]
    command += ["--json", "--grpc", "127.0.0.1:0", "--http", "none", "--store", store]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            text += process.stdout.readline()
        yield json.loads(text)["grpc"]
    finally:
        process.terminate()
        process.wait(60)


TABLE = (
    "CREATE TABLE v (series BIGINT, step BIGINT, value FLOAT, attempt INTEGER, time BIGINT, PRIMARY KEY (series, step))"
)
UPSERT = (
    "INSERT INTO v VALUES (?, ?, ?, ?, ?) ON CONFLICT (series, step) DO UPDATE SET value = excluded.value,"
    " attempt = excluded.attempt, time = excluded.time WHERE (excluded.attempt, excluded.time) > (v.attempt, v.time)"
)


def raw_postgres_upserts(url: str) -> dict[str, float]:
    """Return the same of psycopg, with a tenth of the requests."""
    import psycopg

    prepared = [_rows(index) for index in range(REQUESTS // 10)]
    with psycopg.connect(url) as db:
        db.execute(TABLE)
        began = time.perf_counter()
        for rows in prepared:
            db.cursor().executemany(UPSERT.replace("?", "%s"), rows)
            db.commit()
        return _row((time.perf_counter() - began) * 10)


def raw_upserts(path: Path) -> dict[str, float]:
    """Return the rate of nothing but ``executemany`` of the same rows, a transaction a request."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(TABLE + " WITHOUT ROWID")
    prepared = [_rows(index) for index in range(REQUESTS)]
    began = time.perf_counter()
    for rows in prepared:
        db.execute("BEGIN IMMEDIATE")
        db.executemany(UPSERT, rows)
        db.execute("COMMIT")
    return _row(time.perf_counter() - began)


def _rows(index: int) -> Sequence[tuple[int, int, float, int, int]]:
    series, first = index % SENDERS * METRICS, index // SENDERS * STEPS_A_REQUEST
    steps = range(first, first + STEPS_A_REQUEST)
    return [(series + metric, step, step * 0.001 + metric, 1, step) for metric in range(METRICS) for step in steps]


def _row(seconds: float) -> dict[str, float]:
    return {"values/s": VALUES / seconds, "seconds": seconds}


def measure_bridge() -> dict[str, dict[str, float]]:
    """Return the rates on SQLite, and on PostgreSQL and of the collector where they are."""
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        rows["raw executemany upserts, SQLite"] = raw_upserts(Path(folder) / "raw.db")
        with bridge(f"sqlite:///{folder}/evsys.db") as address:
            rows["gRPC -> bridge -> SQLite"] = rate_of(address)
    if find_binaries():
        with running_server() as server, server.database() as url:
            rows["raw executemany upserts, PostgreSQL"] = raw_postgres_upserts(url)
            with bridge(url) as address:
                rows["gRPC -> bridge -> PostgreSQL"] = rate_of(address)
    if collector := find_collector():
        with collecting(collector) as address:
            rows["gRPC -> collector -> nowhere"] = rate_of(address)
    return rows


@contextlib.contextmanager
def collecting(binary: Path) -> Iterator[str]:
    """Run a collector that throws everything away and yield its gRPC address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    configuration = (
        "receivers: {otlp: {protocols: {grpc: {endpoint: '%s', max_recv_msg_size_mib: 64}}}}\nexporters: {nop: {}}\n"
        "service: {telemetry: {metrics: {level: none}}, pipelines: {metrics: {receivers: [otlp], exporters: [nop]}}}"
    )
    process = subprocess.Popen([binary, "--config", f"yaml:{configuration % address}"], stderr=subprocess.DEVNULL)
    try:
        yield address
    finally:
        process.terminate()
        process.wait(60)


if __name__ == "__main__":
    for name, row in measure_bridge().items():
        print(f"{name:40} {row['values/s']:12,.0f}")
