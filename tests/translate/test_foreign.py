"""What other senders' telemetry becomes: a run, metrics beside a run, or a count of what was ignored."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from kit.programs import EXPERIMENT_ID, RUN_ID, T0
from kit.record_fold import fold_records
from kit.storable import assert_storable
from kit.wire import encoded_requests, translate_in_process, translate_request
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

from evsys_otel import conventions as c
from evsys_otel.records import NO_STEP, Records
from evsys_otel.signals import Signals

DOCS = Path(__file__).parents[2] / "docs"


class StockSdk:
    """The official SDK with exporters in memory, as any program uses it."""

    def __init__(self, **resource: Any) -> None:
        self._spans, self._logs = InMemorySpanExporter(), InMemoryLogRecordExporter()
        self._reader = InMemoryMetricReader()
        made = Resource(resource)
        tracers, loggers = TracerProvider(resource=made), LoggerProvider(resource=made)
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        loggers.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
        self.tracer, self.logger = tracers.get_tracer("theirs"), loggers.get_logger("theirs")
        self.meter = MeterProvider([self._reader], resource=made).get_meter("theirs")

    def records(self) -> Records:
        """Return what both readers make of all that was sent; they agree."""
        data = self._reader.get_metrics_data()
        metrics = [data] if isinstance(data, MetricsData) else []
        signals = Signals(list(self._spans.get_finished_spans()), metrics, list(self._logs.get_finished_logs()))
        in_process, over_the_wire = Records(), Records()
        for records in translate_in_process(signals):
            in_process.extend(records)
        for request in encoded_requests(signals):
            over_the_wire.extend(translate_request(request))
        assert fold_records([in_process]) == fold_records([over_the_wire])
        assert in_process.ignored == over_the_wire.ignored
        assert_storable(in_process)
        return in_process


def test_the_pages_example_sends_a_run() -> None:
    """A run sent by a stock SDK as the page for users shows arrives with its steps, eval and prediction."""
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "semantic-conventions.md").read_text(), flags=re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    sdk = StockSdk()
    namespace["send_run"](sdk.logger, sdk.meter, sdk.tracer)
    records = sdk.records()
    state = fold_records([records])
    (run,) = [fields for (kind, _), fields in state.facts().items() if kind == "run"]
    assert (run["name"], run["seed"], run["config"], run["status"]) == ("seed=0", 0, '{"lr": 0.1}', "completed")
    assert sorted(step for _, split, name, step in state.values if (split, name) == ("train", "loss")) == [*range(100)]
    (scores,) = [entity.fields["metrics"] for entity in records.entities if entity.kind == "eval"]
    assert scores == '{"accuracy": 0.9}'
    (prediction,) = records.predictions
    assert (prediction.task_id, prediction.model_output, prediction.step) == ("7", "seven", NO_STEP)
    assert {(seen.attempt, seen.heartbeat) for seen in records.seen} == {(1, False)}
    assert (records.receipts, records.totals, records.ignored) == ([], [], 0)


def test_other_instruments_of_a_runs_resource_are_its_external_metrics() -> None:
    """Gauges and sums of a resource with a run's id are metrics of that run by time; each series is kept apart."""
    sdk = StockSdk(**{"evsys.run.id": RUN_ID})
    sdk.meter.create_gauge("gpu.util").set(0.5, {"gpu": 0})
    sdk.meter.create_gauge("gpu.util").set(0.7, {"gpu": 1})
    sdk.meter.create_counter("samples").add(3)
    sdk.meter.create_histogram("latency").record(1.0)
    begin = time.time_ns() // 10**6
    records = sdk.records()
    told = {(series.run_id, series.split, series.name): series.values for series in records.series}
    assert told == {
        (RUN_ID, "external", "gpu.util{gpu=0}"): [0.5],
        (RUN_ID, "external", "gpu.util{gpu=1}"): [0.7],
        (RUN_ID, "external", "samples"): [3.0],
    }
    assert all(begin - 60_000 < series.steps[0] <= time.time_ns() // 10**6 for series in records.series)
    assert (records.seen, records.ignored) == ([], 1)


def test_foreign_telemetry_is_ignored_and_counted() -> None:
    """What carries no evsys ids makes no record, and is no error."""
    sdk = StockSdk(**{"service.name": "web"})
    with sdk.tracer.start_as_current_span("GET /"):
        sdk.logger.emit(event_name="login", body="hello", attributes={"user": "x"})
        sdk.logger.emit(body={"deep": [1, {"a": b"bytes"}]})
    sdk.meter.create_gauge("temperature").set(20, {"room": "kitchen"})
    records = sdk.records()
    assert not records
    assert records.ignored == 4


def test_a_record_without_its_id_is_ignored_and_counted() -> None:
    """A required attribute that is absent or malformed costs that record only."""
    sdk = StockSdk()
    for run_id in ("", "x" * 129, "a\0b", 7, None):
        sdk.logger.emit(event_name=c.EVENT_RUN_START, attributes={} if run_id is None else {c.RUN_ID: run_id})
    sdk.logger.emit(event_name=c.EVENT_RUN_START, attributes={c.RUN_ID: "r1"})
    records = sdk.records()
    assert {entity.id for entity in records.entities} == {"r1"}
    assert records.ignored >= 5


def test_an_attribute_of_another_type_is_left_out_and_counted() -> None:
    """A malformed attribute leaves the rest of its record as it is."""
    sdk = StockSdk()
    attributes = {c.RUN_ID: "r1", c.RUN_SEED: "zero", c.RUN_CONFIG: "{lr: 0.1}", c.RUN_RECIPE: "s\0ft"}
    sdk.logger.emit(event_name=c.EVENT_RUN_START, attributes=attributes)
    records = sdk.records()
    (run,) = records.entities
    assert run.fields == {"recipe": "s\ufffdft", "status": "running", "start_time": run.time_unix_nano}
    assert records.ignored == 2


def test_a_span_that_failed_ends_its_run_as_failed() -> None:
    """A run's span of another SDK, without our status, tells how it ended by the span's own status."""
    sdk = StockSdk()
    for run_id, status in (("r1", Status(StatusCode.ERROR, "out of memory")), ("r2", Status(StatusCode.UNSET))):
        with sdk.tracer.start_as_current_span("train") as span:
            span.set_attributes({c.RECORD: "run", c.RUN_ID: run_id})
            span.set_status(status)
    state = fold_records([sdk.records()])
    told = {run_id: (fields["status"], fields.get("error")) for (_, run_id), fields in state.facts().items()}
    assert told == {"r1": ("failed", "out of memory"), "r2": ("completed", None)}


def test_an_event_may_be_named_by_an_attribute() -> None:
    """SDKs without the field for an event's name put it into ``event.name``."""
    sdk = StockSdk()
    sdk.logger.emit(attributes={"event.name": c.EVENT_RUN_START, c.RUN_ID: "r1"}, timestamp=T0)
    (run,) = sdk.records().entities
    assert (run.id, run.time_unix_nano) == ("r1", T0)


def test_a_later_start_does_not_move_the_begin() -> None:
    """A run began with its first attempt, an experiment with the process that did not join it."""
    sdk = StockSdk()
    ids = {c.EXPERIMENT_ID: EXPERIMENT_ID, c.RUN_ID: RUN_ID}
    for moment, attempt in ((T0, 1), (T0 + 10, 2)):
        sdk.logger.emit(event_name=c.EVENT_RUN_START, timestamp=moment, attributes={**ids, c.ATTEMPT: attempt})
    for moment, joined in ((T0, False), (T0 + 10, True)):
        attributes = {**ids, c.EXPERIMENT_JOINED: joined}
        sdk.logger.emit(event_name=c.EVENT_EXPERIMENT_START, timestamp=moment, attributes=attributes)
    facts = fold_records([sdk.records()]).facts()
    assert facts["run", RUN_ID]["start_time"] == T0
    assert facts["experiment", EXPERIMENT_ID]["start_time"] == T0


def test_who_joined_an_experiment_may_conclude_it_but_does_not_end_it() -> None:
    """The end of a joining process leaves the experiment's status and end to its owner."""
    sdk = StockSdk()
    ids = {c.EXPERIMENT_ID: EXPERIMENT_ID}
    sdk.logger.emit(event_name=c.EVENT_EXPERIMENT_START, timestamp=T0, attributes=ids)
    told = {**ids, c.EXPERIMENT_JOINED: True, c.EXPERIMENT_CONCLUSION: "it did", c.EXPERIMENT_STATUS: "failed"}
    sdk.logger.emit(event_name=c.EVENT_EXPERIMENT_END, timestamp=T0 + 10, attributes=told)
    (facts,) = fold_records([sdk.records()]).facts().values()
    assert facts == {"status": "running", "start_time": T0, "conclusion": "it did"}


def test_a_step_that_a_view_moved_to_the_exemplar_is_that_points_step() -> None:
    """A view that takes the step off a point leaves it on the exemplar; an integer there is a number as well."""
    keep = {c.RUN_ID, c.METRIC_NAME}
    reader = InMemoryMetricReader()
    views = [View(instrument_name="*", attribute_keys=keep)]
    meter = MeterProvider([reader], views=views, exemplar_filter=AlwaysOnExemplarFilter()).get_meter("theirs")
    gauge = meter.create_gauge("evsys.run.tokens")
    for step, value in ((1, 10), (2, 0)):
        gauge.set(value, {c.RUN_ID: RUN_ID, c.METRIC_NAME: "tokens", c.STEP: step})
        data = reader.get_metrics_data()
        assert isinstance(data, MetricsData)
        for records in (translate_in_process(Signals(metrics=[data]))[1], translate_request(encode_metrics(data))):
            (series,) = records.series
            told = (series.run_id, series.name, series.steps, series.values, series.ordinal)
            assert told == (RUN_ID, "tokens", [step], [float(value)], None)


def test_a_gauge_of_ours_that_lost_its_exemplars_is_no_external_metric() -> None:
    """A point on which a back end left no exemplars holds no step, and is ignored and counted."""
    sdk = StockSdk()
    sdk.meter.create_gauge("evsys.run.loss").set(0.3, {c.RUN_ID: RUN_ID, c.METRIC_NAME: "loss", c.SPLIT: "train"})
    records = sdk.records()
    assert (records.series, records.ignored) == ([], 1)
