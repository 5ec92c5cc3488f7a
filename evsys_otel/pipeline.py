"""Settings go in, sinks, a shipper thread or a whole sync come out: the one place where both halves meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Literal

from evsys_otel.journal import Identity, JournalReader, remove_shipped
from evsys_otel.settings import Settings
from evsys_otel.shipper.otlp_lane import otlp_sinks
from evsys_otel.shipper.sinks import Sink
from evsys_otel.shipper.sync import SyncReport, Tell, sync_folder

if TYPE_CHECKING:
    from evsys_otel.shipper.thread import ShipperThread

Target = Literal["store", "otlp"]


def build_sinks(
    settings: Settings,
    identity: Identity,
    *,
    exporters: Sequence[object] = (),
    environ: Mapping[str, str] | None = None,
) -> list[Sink]:
    """Return where a journal goes: the store, one sink for each signal of OTLP, one for each exporter object.

    Raises:
        ConfigurationError: a setting or an exporter object cannot be used.
    """
    sinks: list[Sink] = []
    if settings.store_url is not None:
        from evsys_otel.shipper.store_lane import StoreSink

        sinks.append(StoreSink(settings.store_url, identity.journal_id))
    sinks += otlp_sinks(settings, environ)
    if exporters:
        from evsys_otel.shipper.exporter_lane import exporter_sinks

        sinks += exporter_sinks(exporters)
    return sinks


def start_shipper_thread(folder: Path, settings: Settings, exporters: Sequence[object]) -> ShipperThread:
    """Ship the journal of this very process in a thread: for exporter objects alone, which cannot cross a process.

    Raises:
        ConfigurationError: one of ``exporters`` is none of the OpenTelemetry SDK.
    """
    from evsys_otel.shipper.thread import ShipperThread

    sinks = build_sinks(settings, JournalReader(folder).identity, exporters=exporters)
    thread = ShipperThread(folder, sinks, heartbeat_seconds=settings.heartbeat_seconds)
    thread.start()
    return thread


def sync_journals(
    settings: Settings,
    *,
    root: Path | None = None,
    again: str | None = None,
    to: Target | None = None,
    progress: Tell | None = None,
) -> SyncReport:
    """Ship what dead processes left below ``root`` (default: the settings' folder), then remove what was kept enough.

    Args:
        settings: where it goes.
        root: folder of the journals.
        again: id of a run whose journals are sent once more from their start, to ``to`` or to all.
        to: only ``store`` or only ``otlp``.
        progress: called some times a second from this thread.
    """
    root = settings.journal_root if root is None else root
    report = sync_folder(root, partial(build_sinks, settings), again=again, to=to or "", tell=progress)
    remove_shipped(root, settings.journal_keep_days, settings.journal_keep_bytes, time_ns())
    return report
