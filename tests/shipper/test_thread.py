"""The shipper as a thread, for exporter objects that cannot cross a process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from kit.journals import START, append_events, run_events, step_events, write_journal
from kit.otlp_receiver import OtlpReceiver, attributes_of
from kit.processes import wait_until
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from evsys_otel import conventions as c
from evsys_otel.errors import ConfigurationError
from evsys_otel.events import JournalClosed
from evsys_otel.journal import JournalLock, StatusFile, current_identity
from evsys_otel.pipeline import start_shipper_thread
from evsys_otel.settings import Settings, resolve_settings
from evsys_otel.store import open_store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return resolve_settings(environ={}, dir=tmp_path)


class CollectingMetricExporter(MetricExporter):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[MetricsData] = []

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        self.taken.append(metrics_data)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        pass


class FailingSpanExporter(SpanExporter):
    """Fails, or raises, as long as it is told to."""

    def __init__(self, *, raises: bool) -> None:
        self.raises = raises
        self.fails = True
        self.taken: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.fails and self.raises:
            raise RuntimeError("not now")
        if self.fails:
            return SpanExportResult.FAILURE
        self.taken += spans
        return SpanExportResult.SUCCESS


def state_of(folder: Path, name: str) -> str | None:
    status = StatusFile(folder).read()
    return next((lane.state for lane in status.lanes if lane.name == name), None) if status else None


def test_exporters_get_everything_beside_the_store(settings: Settings) -> None:
    """Steps as they come, spans and logs too; the thread ends by itself when the journal is closed and delivered."""
    writer = write_journal(settings.journal_root, run_events(10, ended=False, closed=False), current_identity(settings))
    spans, metrics, logs = InMemorySpanExporter(), CollectingMetricExporter(), InMemoryLogRecordExporter()
    thread = start_shipper_thread(writer.folder, settings, [spans, metrics, logs])
    wait_until(lambda: metrics.taken)
    append_events(writer, step_events(10, 10))
    append_events(writer, [JournalClosed(START + 1000)])
    wait_until(lambda: not thread.is_alive())
    steps = [
        exemplar.filtered_attributes[c.STEP]
        for data in metrics.taken
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        if metric.name == "evsys.run.loss"
        for point in metric.data.data_points
        for exemplar in point.exemplars
    ]
    assert steps == list(range(20))
    assert {span.attributes[c.RECORD] for span in spans.get_finished_spans()} == {"experiment", "run"}
    assert c.EVENT_RUN_START in {log.log_record.event_name for log in logs.get_finished_logs()}
    with open_store(settings.store_url) as store:
        assert len(store.get_metrics(store.list_runs()[0]["id"])) == 40


def test_the_official_exporter_delivers_the_same(settings: Settings) -> None:
    """The signals handed to it as objects arrive whole at a real receiver."""
    writer = write_journal(settings.journal_root, run_events(100), current_identity(settings))
    with OtlpReceiver("grpc") as receiver:
        exporter = OTLPMetricExporter(endpoint=receiver.endpoint, insecure=True)
        thread = start_shipper_thread(writer.folder, settings, [exporter])
        wait_until(lambda: not thread.is_alive())
        points = receiver.taken("metrics")
    assert {attributes_of(point)[c.METRIC_NAME] for point in points} == {"loss", "accuracy"}
    assert sum(len(point.exemplars) for point in points) == 200


@pytest.mark.parametrize("raises", [False, True])
def test_a_failing_exporter_is_tried_again_and_holds_up_nobody(settings: Settings, raises: bool) -> None:
    """FAILURE and exceptions are for later; the store's lane is done meanwhile; stopping does not wait."""
    exporter = FailingSpanExporter(raises=raises)
    writer = write_journal(settings.journal_root, run_events(10), current_identity(settings))
    thread = start_shipper_thread(writer.folder, settings, [exporter])
    wait_until(lambda: state_of(writer.folder, "store") == "done")
    wait_until(lambda: state_of(writer.folder, "exporter.0.traces") == "backing_off")
    exporter.fails = False
    wait_until(lambda: not thread.is_alive())
    assert [span.name for span in exporter.taken] == ["run run", "experiment experiment"]


def test_stopping_leaves_the_rest_for_sync(settings: Settings) -> None:
    """A stopped thread lets the journal's lock go, whatever its lanes were at."""
    exporter = FailingSpanExporter(raises=False)
    writer = write_journal(settings.journal_root, run_events(10), current_identity(settings))
    thread = start_shipper_thread(writer.folder, settings, [exporter])
    wait_until(lambda: state_of(writer.folder, "exporter.0.traces") == "backing_off")
    assert thread.stop()
    with JournalLock(writer.folder):
        pass


def test_a_journal_shipped_by_another_is_left_to_it(settings: Settings) -> None:
    """The lock decides, also within a process."""
    writer = write_journal(settings.journal_root, run_events(10), current_identity(settings))
    with JournalLock(writer.folder):
        thread = start_shipper_thread(writer.folder, settings, [InMemorySpanExporter()])
        wait_until(lambda: not thread.is_alive())
    assert state_of(writer.folder, "store") is None


def test_what_is_no_exporter_is_refused_at_once(settings: Settings) -> None:
    """A wrong argument raises where it is given."""
    writer = write_journal(settings.journal_root, run_events(1), current_identity(settings))
    with pytest.raises(ConfigurationError, match="no exporter"):
        start_shipper_thread(writer.folder, settings, ["otlp"])
