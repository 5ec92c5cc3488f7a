"""Training through a real agent and a real gateway: store, Prometheus, Tempo and the team each get what is theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.chains import TRAIN, Chain, running_chain
from kit.collectors import example, scrape
from kit.processes import trainer, wait_until
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from evsys_otel.handles import encode_handle
from evsys_otel.store import open_store

pytestmark = pytest.mark.real

RESUME = """
import sys
import evsys_otel

run = evsys_otel.resume_run(sys.argv[1], quiet=True)
for step in range(500, 600):
    run.log({"loss": step, "train/acc": -step}, step=step)
run.end()
"""
STEPS = 500


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    keep_none = {"EVSYS_TEAM_SAMPLING": "0"}
    with running_chain(tmp_path_factory.mktemp("chain"), gateway=(example("Sampling"),), **keep_none) as started:
        yield started


def train(chain: Chain, folder: Path, protocol: str = "grpc") -> list[str]:
    """Train two runs and wait until the store behind the bridge has them."""
    with trainer(TRAIN, folder, str(STEPS), **chain.agent.endpoint(protocol)) as process:
        assert process.wait() == 0
        *run_ids, _ = process.read_rest()
    chain.wait_whole(*run_ids)
    return run_ids


def series_of(chain: Chain, run_id: str) -> dict[tuple[str, str], float]:
    """Return the samples of a run on the gateway's page by (name, split); two of one name and split fail."""
    page = scrape(f"http://{chain.gateway.prometheus}/metrics")
    found = [(name, labels, value) for name, labels, value in page if labels.get("evsys_run_id") == run_id]
    by_name = {(name, labels["evsys_split"]): value for name, labels, value in found}
    assert len(by_name) == len(found)
    return by_name


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_the_store_behind_the_collectors_equals_the_local_one(tmp_path: Path, protocol: str) -> None:
    """Field by field, NaN and infinities among it, whichever protocol the trainer speaks."""
    (tmp_path / "trainer").mkdir()
    with running_chain(tmp_path) as chain:
        train(chain, tmp_path / "trainer", protocol)
        with open_store(f"sqlite:///{tmp_path}/trainer/.evsys/evsys.db") as local:
            assert chain.store.dump() == local.dump()


def test_prometheus_sees_one_series_a_run_and_metric_after_a_resume_too(chain: Chain, tmp_path: Path) -> None:
    """Never one a step; the value is the last one logged, and the resumed run goes on in its own series."""
    run_ids = train(chain, tmp_path)
    for run_id in run_ids:
        values = series_of(chain, run_id)
        train_series = {("evsys_run_loss", "train"), ("evsys_run_train_acc", "train")}
        assert values.keys() == {("evsys_run_loss", "val"), *train_series}
        assert values["evsys_run_train_acc", "train"] == 1 - STEPS
    handle = encode_handle(chain.store.run_handle(run_ids[0]))
    with trainer(RESUME, tmp_path, handle, **chain.agent.endpoint()) as process:
        assert process.wait() == 0
    wait_until(lambda: chain.store.get_run(run_ids[0])["attempt"] == 2)  # type: ignore[index]
    chain.wait_whole(run_ids[0])
    wait_until(lambda: series_of(chain, run_ids[0])["evsys_run_train_acc", "train"] == -599)
    assert len(series_of(chain, run_ids[0])) == 3
    assert len(series_of(chain, run_ids[1])) == 3


def test_every_span_reaches_the_trace_store_whatever_the_team_samples(chain: Chain, tmp_path: Path) -> None:
    """The team keeps none of its own traces here; of evsys' each span arrives, of experiments to checkpoints."""
    run_ids = train(chain, tmp_path)
    trace_id = bytes.fromhex(chain.store.get_run(run_ids[0])["experiment_id"].replace("-", ""))  # type: ignore[index]

    def names() -> list[str]:
        return sorted(span.name for span in chain.tempo.taken("traces") if span.trace_id == trace_id)

    above = ["experiment sweep", "group lr=0.1", "run seed=0", "run seed=1"]
    want = ["checkpoint last"] * 2 + ["eval digits"] * 2 + above
    wait_until(lambda: len(names()) >= len(want))
    assert names() == want
    send_foreign(f"http://{chain.agent.grpc}")
    wait_until(lambda: chain.gateway.total("otelcol_receiver_accepted_spans") > len(chain.tempo.taken("traces")))
    assert "pay" not in {span.name for span in chain.tempo.taken("traces")}


def send_foreign(endpoint: str) -> str:
    """Send a span, a sum and a log line of a service that knows nothing of evsys; return the span's id."""
    resource = Resource({"service.name": "checkout", "deployment.environment": "prod"})
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=True)))
    with tracers.get_tracer("shop").start_as_current_span("pay", attributes={"amount": 12}) as span:
        span_id = f"{span.get_span_context().span_id:016x}"
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=endpoint, insecure=True), 3_600_000)
    meters = MeterProvider([reader], resource=resource)
    meters.get_meter("shop").create_counter("orders").add(3, {"kind": "book"})
    meters.shutdown()
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(endpoint=endpoint, insecure=True)))
    loggers.get_logger("shop").emit(body="paid", attributes={"order": "7"})
    loggers.shutdown()
    tracers.shutdown()
    return span_id


def test_the_teams_telemetry_passes_untouched(tmp_path: Path) -> None:
    """It reaches the team's own servers as it was sent, once, and neither the bridge nor the runs' page."""
    with running_chain(tmp_path) as chain:
        span_id = send_foreign(f"http://{chain.agent.grpc}")
        wait_until(lambda: chain.tempo.taken("traces") and chain.team.taken("metrics") and chain.team.taken("logs"))
        (span,), (log,), (point,) = chain.tempo.taken("traces"), chain.team.taken("logs"), chain.team.taken("metrics")
        assert span.span_id.hex() == span_id
        assert (span.name, span.trace_state, [each.key for each in span.attributes]) == ("pay", "", ["amount"])
        assert (log.body.string_value, [each.key for each in log.attributes]) == ("paid", ["order"])
        assert (point.as_int, [each.key for each in point.attributes]) == (3, ["kind"])
        request = chain.team.requests[0].message
        outer = (request.resource_metrics if hasattr(request, "resource_metrics") else request.resource_logs)[0]
        assert {each.key for each in outer.resource.attributes} == {"service.name", "deployment.environment"}
        assert chain.gateway.total("otelcol_exporter_sent_spans", exporter="otlp_grpc/bridge") == 0
        assert chain.gateway.total("otelcol_exporter_sent_log_records", exporter="otlp_grpc/bridge") == 0
        assert not [name for name, _, _ in scrape(f"http://{chain.gateway.prometheus}/metrics") if "orders" in name]
