"""The three exporters in providers of the user's own, against a real store."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult

from evsys_otel import conventions as c
from evsys_otel.errors import ConfigurationError
from evsys_otel.exporters import EvsysLogExporter, EvsysMetricExporter, EvsysSpanExporter
from evsys_otel.store import Store, open_store

EXPERIMENT, RUN = str(uuid.UUID(int=1, version=4)), str(uuid.UUID(int=2, version=4))
IDS = {c.EXPERIMENT_ID: EXPERIMENT, c.EXPERIMENT_NAME: "mine", c.RUN_ID: RUN, c.RUN_NAME: "first"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/evsys.db") as opened:
        yield opened


def unreachable(tmp_path: Path) -> str:
    """Return the URL of a store that cannot be reached now: its folder's place is taken by a file."""
    (tmp_path / "file").touch()
    return f"sqlite:///{tmp_path}/file/evsys.db"


@pytest.mark.parametrize("processor", [SimpleSpanProcessor, BatchSpanProcessor])
def test_a_span_of_a_users_own_tracer_becomes_a_run(store: Store, processor: type) -> None:
    """Ids come from the attributes alone: another SDK cannot choose its span ids."""
    provider = TracerProvider()
    provider.add_span_processor(processor(EvsysSpanExporter(store)))
    with provider.get_tracer("mine").start_as_current_span(
        "run", attributes={**IDS, c.RECORD: "run", c.RUN_STATUS: "completed"}
    ):
        pass
    provider.shutdown()
    run = store.get_run(RUN)
    assert run is not None
    assert (run["name"], run["status"]) == ("first", "completed")


def test_a_gauge_of_a_users_own_meter_becomes_step_values(store: Store) -> None:
    """A point that carries a step as attribute is that step's value."""
    provider = MeterProvider([PeriodicExportingMetricReader(EvsysMetricExporter(store))])
    gauge = provider.get_meter("mine").create_gauge("evsys.run.loss")
    for step in range(3):
        gauge.set(step * 0.5, {**IDS, c.SPLIT: "train", c.METRIC_NAME: "loss", c.STEP: step})
    provider.shutdown()
    rows = store.get_metrics(RUN)
    assert [(row["name"], row["split"], row["step"], row["value"]) for row in rows] == [
        ("loss", "train", step, step * 0.5) for step in range(3)
    ]


def test_an_instrument_under_a_runs_resource_is_external(store: Store) -> None:
    """A counter of somebody else's, whose resource names the run, is a metric of that run."""
    reader = PeriodicExportingMetricReader(EvsysMetricExporter(store))
    provider = MeterProvider([reader], resource=Resource({c.RUN_ID: RUN, c.EXPERIMENT_ID: EXPERIMENT}))
    provider.get_meter("mine").create_counter("tokens").add(7)
    provider.shutdown()
    rows = store.get_metrics(RUN)
    assert [(row["name"], row["split"], row["value"]) for row in rows] == [("tokens", "external", 7.0)]


def test_a_log_event_of_a_users_own_logger_becomes_a_run(store: Store) -> None:
    """Log events are records too."""
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(EvsysLogExporter(store)))
    provider.get_logger("mine").emit(
        LogRecord(timestamp=10, event_name=c.EVENT_RUN_START, attributes={**IDS, c.RECORD: "run"})
    )
    provider.shutdown()
    run = store.get_run(RUN)
    assert run is not None
    assert run["status"] == "running"


def test_what_is_not_ours_is_taken_without_a_word(store: Store) -> None:
    """Spans without evsys ids leave the store as it is, and no error."""
    provider = TracerProvider()
    exporter = EvsysSpanExporter(store)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("other").start_as_current_span("GET /"):
        pass
    assert exporter.force_flush()
    assert store.list_experiments() == []
    assert exporter.export([]) is SpanExportResult.SUCCESS


def test_the_sdk_finds_them_under_the_name_evsys() -> None:
    """``OTEL_TRACES_EXPORTER=evsys`` and its two siblings are enough."""
    found = {
        entry.load()
        for signal in ("traces", "metrics", "logs")
        for entry in entry_points(group=f"opentelemetry_{signal}_exporter", name="evsys")
    }
    assert found == {EvsysSpanExporter, EvsysMetricExporter, EvsysLogExporter}


def test_a_store_that_cannot_be_reached_is_a_failure_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is raised into the provider; when the store can be reached, the same exporter writes."""
    url = unreachable(tmp_path)
    with caplog.at_level(logging.WARNING, "evsys_otel"):
        spans, metrics, logs = EvsysSpanExporter(url), EvsysMetricExporter(url), EvsysLogExporter(url)
        for _ in range(3):
            assert spans.export([]) is SpanExportResult.FAILURE
            assert metrics.export(MetricsData([])) is MetricExportResult.FAILURE
            assert logs.export([]) is LogRecordExportResult.FAILURE
    assert len(caplog.records) == 3
    (tmp_path / "file").unlink()
    assert spans.export([]) is SpanExportResult.SUCCESS
    spans.shutdown()
    assert spans.export([]) is SpanExportResult.FAILURE


def test_a_url_that_cannot_be_used_is_an_error_at_once() -> None:
    """A bad argument raises where it is given."""
    with pytest.raises(ConfigurationError):
        EvsysSpanExporter("not a url")


def test_a_store_that_was_handed_in_stays_the_callers(store: Store) -> None:
    """Shutdown closes only what the exporter opened."""
    exporter = EvsysSpanExporter(store)
    exporter.shutdown()
    assert store.list_experiments() == []
