"""Log records go in, experiments, runs, evals, checkpoints and predictions in the store come out."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

from evsys_otel.exporters.target import StoreTarget
from evsys_otel.store import Store
from evsys_otel.translate import translate_logs


class EvsysLogExporter(LogRecordExporter):
    """Writes evsys log events into a store; other log records are not ours and are taken without a word.

    Args:
        store: an open store, which stays the caller's, or its URL; None is the configured store.

    Raises:
        ConfigurationError: the URL cannot be used.
    """

    def __init__(self, store: Store | str | None = None) -> None:
        self._target = StoreTarget(store)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Return SUCCESS once the records are committed."""
        written = self._target.write(lambda: translate_logs(batch))
        return LogRecordExportResult.SUCCESS if written else LogRecordExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the store if it was opened here."""
        self._target.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back."""
        return True
