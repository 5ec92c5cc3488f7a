"""What the bridge does goes in, Prometheus text comes out, by the OpenTelemetry SDK and a meter provider of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from evsys_otel._version import __version__
from evsys_otel.bridge.auth import NOTHING, Grant
from evsys_otel.records import Records
from evsys_otel.store import Part

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Telemetry:
    """The bridge's own metrics; the process's global meter provider stays as it is.

    Args:
        waiting_records: Values and records that wait for the store.
        waiting_bytes: Bytes of the requests that have no answer yet.
    """

    def __init__(self, waiting_records: Callable[[], int], waiting_bytes: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._rendering = threading.Lock()
        self._scraper = NOTHING
        self._provider = MeterProvider(
            [PrometheusMetricReader(registry=self._registry, scope_info_enabled=False)],
            resource=Resource({"service.name": "evsys-otel-bridge", "service.version": __version__}),
            views=[View(
                instrument_name="evsys.bridge.write.duration", aggregation=ExplicitBucketHistogramAggregation(_SECONDS),
            )],
            shutdown_on_exit=False,
        )  # fmt: skip
        self.meter = meter = self._provider.get_meter("evsys_otel.bridge", __version__)
        self._requests = meter.create_counter("evsys.bridge.requests", description="Requests by outcome")
        self._records = meter.create_counter("evsys.bridge.records", description="Committed records by kind")
        self._ignored = meter.create_counter("evsys.bridge.ignored", description="Signals that are not evsys'")
        self._rejected = meter.create_counter("evsys.bridge.rejected", description="Records refused by partial success")
        self._writes = meter.create_histogram(
            "evsys.bridge.write.duration", unit="s", description="Duration of a committed transaction"
        )
        meter.create_observable_gauge(
            "evsys.bridge.queue.records", [_observer(waiting_records)], description="Records that wait for the store"
        )
        meter.create_observable_gauge(
            "evsys.bridge.queue.size", [_observer(waiting_bytes)], unit="By",
            description="Bytes of requests that have no answer yet",
        )  # fmt: skip

    def count_request(self, signal: str, protocol: str, outcome: str) -> None:
        """Count a request that was answered; ``outcome`` is ``taken``, ``later`` or the name of a fault."""
        self._requests.add(1, {"signal": signal, "protocol": protocol, "outcome": outcome})

    def count_ignored(self, signal: str, count: int) -> None:
        """Count signals of a request that are not ours."""
        if count:
            self._ignored.add(count, {"signal": signal})

    def count_rejected(self, signal: str, count: int) -> None:
        """Count records of a request that were refused."""
        if count:
            self._rejected.add(count, {"signal": signal})

    def note_write(self, parts: Sequence[Part], seconds: float) -> None:
        """Note a committed transaction."""
        self._writes.record(seconds)
        for kind, count in chain.from_iterable(_counts(part.records) for part in parts):
            if count:
                self._records.add(count, {"kind": kind})

    def render(self, grant: Grant) -> bytes:
        """Return the metrics, of runs those that the grant allows to see, as Prometheus reads them."""
        with self._rendering:
            self._scraper = grant
            return generate_latest(self._registry)

    def shows(self, project_id: str | None) -> bool:
        """Return whether the page that is being made may show a project's runs."""
        return self._scraper.allows(project_id)

    def close(self) -> None:
        """Stop the provider."""
        self._provider.shutdown()


def _counts(records: Records) -> Iterable[tuple[str, int]]:
    for kind in ("experiment", "group", "run", "eval"):
        yield kind, sum(entity.kind == kind for entity in records.entities)
    yield "value", sum(len(series.values) for series in records.series)
    yield "prediction", len(records.predictions)
    yield "checkpoint", len(records.checkpoints)


def _observer(read: Callable[[], int]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda options: [Observation(read())]
