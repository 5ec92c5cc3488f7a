"""Collected metrics go in, step values in the store come out."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

from evsys_otel.exporters.target import StoreTarget
from evsys_otel.store import Store
from evsys_otel.translate import translate_metrics


class EvsysMetricExporter(MetricExporter):
    """Writes the metrics of runs into a store; metrics without a run's id are not ours and are taken without a word.

    Args:
        store: an open store, which stays the caller's, or its URL; None is the configured store.

    Raises:
        ConfigurationError: the URL cannot be used.
    """

    def __init__(self, store: Store | str | None = None) -> None:
        super().__init__()
        self._target = StoreTarget(store)

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Return SUCCESS once the records are committed."""
        written = self._target.write(lambda: translate_metrics(metrics_data))
        return MetricExportResult.SUCCESS if written else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing is held back."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Close the store if it was opened here."""
        self._target.close()
