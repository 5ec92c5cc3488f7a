"""Ended spans go in, records in the store come out."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from evsys_otel.exporters.target import StoreTarget
from evsys_otel.store import Store
from evsys_otel.translate import translate_spans


class EvsysSpanExporter(SpanExporter):
    """Writes evsys spans into a store; spans without evsys ids are not ours and are taken without a word.

    Args:
        store: an open store, which stays the caller's, or its URL; None is the configured store.

    Raises:
        ConfigurationError: the URL cannot be used.
    """

    def __init__(self, store: Store | str | None = None) -> None:
        self._target = StoreTarget(store)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Return SUCCESS once the records are committed."""
        written = self._target.write(lambda: translate_spans(spans))
        return SpanExportResult.SUCCESS if written else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the store if it was opened here."""
        self._target.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back."""
        return True
