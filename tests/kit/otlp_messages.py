"""Small OTLP messages by hand: what a sender of one project says of a run, as the conventions have it."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from evsys_otel import conventions as c

TIME = 1_700_000_000_000_000_000


def attributes(**values: Any) -> list[KeyValue]:
    """Return attributes by the names of the conventions' constants: ``RUN_ID="..."``."""
    return [KeyValue(key=getattr(c, name, name), value=_value(value)) for name, value in values.items()]


def logs(project_id: str | None, *events: tuple[str, dict[str, Any]]) -> ExportLogsServiceRequest:
    """Return a request of log events, (name, attributes) each, from a resource of a project."""
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add(resource={"attributes": _project(project_id)}).scope_logs.add()
    for name, values in events:
        scope.log_records.add(event_name=name, time_unix_nano=TIME, attributes=attributes(**values))
    return request


def run_start(project_id: str | None, run_id: str, experiment_id: str = "e1", **more: Any) -> ExportLogsServiceRequest:
    """Return the start of a run."""
    ids = {"EXPERIMENT_ID": experiment_id, "EXPERIMENT_NAME": "sweep", "RUN_ID": run_id, "RUN_NAME": "a run"}
    return logs(project_id, (c.EVENT_RUN_START, {**ids, **more}))


def points(project_id: str | None, run_id: str, *steps: int, **more: Any) -> ExportMetricsServiceRequest:
    """Return one point a step of a run's loss, its value the step."""
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add(resource={"attributes": _project(project_id)}).scope_metrics.add()
    gauge = scope.metrics.add(name="evsys.run.loss").gauge
    for step in steps:
        gauge.data_points.add(
            time_unix_nano=TIME, as_double=float(step), attributes=attributes(RUN_ID=run_id, STEP=step, **more)
        )
    return request


def foreign_spans(count: int = 3) -> ExportTraceServiceRequest:
    """Return spans of somebody else's service."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add(resource={"attributes": attributes(team="search")}).scope_spans.add()
    for number in range(count):
        scope.spans.add(name=f"GET /{number}", start_time_unix_nano=TIME, end_time_unix_nano=TIME + 1)
    return request


def together(*requests: Any) -> Any:
    """Return one request of all resources, as a collector batches them."""
    whole = type(requests[0])()
    for request in requests:
        whole.MergeFrom(request)
    return whole


def _project(project_id: str | None) -> list[KeyValue]:
    return [] if project_id is None else attributes(PROJECT_ID=project_id)


def _value(value: Any) -> AnyValue:
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=str(value))
