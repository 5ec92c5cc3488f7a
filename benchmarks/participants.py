"""Who is measured: each gives a function that logs one step of 20 metrics and one that ends."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

Log = Callable[[dict[str, float], int], None]
End = Callable[[], None]
Participant = Callable[[Path], tuple[Log, End]]


def nobody(folder: Path) -> tuple[Log, End]:
    """The loop alone."""
    return lambda metrics, step: None, lambda: None


def bare_append(folder: Path) -> tuple[Log, End]:
    """The limit: encode the values, sum, write to a file; nothing else."""
    import msgspec

    encode = msgspec.msgpack.Encoder().encode
    descriptor = os.open(folder / "bare", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def log(metrics: dict[str, float], step: int) -> None:
        payload = encode((step, list(metrics.values())))
        os.write(descriptor, zlib.crc32(payload).to_bytes(4, "little") + payload)

    return log, lambda: os.close(descriptor)


def evsys_otel_default(folder: Path) -> tuple[Log, End]:
    """evsys-otel with default settings: the journal here, the shipper in its process."""
    import evsys_otel

    run = evsys_otel.start_run("bench", dir=str(folder / "evsys"), quiet=True)
    return lambda metrics, step: run.log(metrics, step=step), run.end


def evsys_otel_thread(folder: Path) -> tuple[Log, End]:
    """evsys-otel with an exporter object handed in: the shipper is a thread here."""
    import evsys_otel

    run = evsys_otel.start_run("bench", dir=str(folder / "evsys"), quiet=True, exporters=[exporter_to_nowhere()])
    return lambda metrics, step: run.log(metrics, step=step), run.end


def exporter_to_nowhere() -> Any:
    """Return an SDK metric exporter that takes everything and keeps nothing."""
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

    class Nowhere(MetricExporter):
        def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kw: object) -> MetricExportResult:
            return MetricExportResult.SUCCESS

        def force_flush(self, timeout_millis: float = 10_000) -> bool:
            return True

        def shutdown(self, timeout_millis: float = 30_000, **kw: object) -> None:
            return None

    return Nowhere()


def stock_gauges(folder: Path) -> tuple[Log, End]:
    """Twenty gauges of the stock SDK, set once a step; the reader exports to nowhere."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    provider = MeterProvider([PeriodicExportingMetricReader(exporter_to_nowhere(), export_interval_millis=1000)])
    meter = provider.get_meter("bench")
    gauges = {f"metric/{i}": meter.create_gauge(f"metric/{i}") for i in range(20)}
    attributes = {"evsys.run.id": "bench", "evsys.split": "train"}

    def log(metrics: dict[str, float], step: int) -> None:
        for name, value in metrics.items():
            gauges[name].set(value, attributes)

    return log, provider.shutdown


def wandb_offline(folder: Path) -> tuple[Log, End]:
    """wandb without its server."""
    import wandb

    settings = wandb.Settings(mode="offline", silent=True, console="off", x_disable_stats=True, x_disable_meta=True)
    run = wandb.init(project="bench", dir=str(folder), settings=settings)
    return lambda metrics, step: run.log(metrics, step=step), run.finish


def trackio(folder: Path) -> tuple[Log, End]:
    """trackio into its own local database."""
    os.environ["TRACKIO_DIR"] = str(folder)
    import trackio as tracker

    run = tracker.init(project="bench", embed=False)
    return lambda metrics, step: run.log(metrics, step=step), tracker.finish


def tensorboardx(folder: Path) -> tuple[Log, End]:
    """tensorboardX: one scalar a call, twenty calls a step."""
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(str(folder), flush_secs=1)

    def log(metrics: dict[str, float], step: int) -> None:
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)

    return log, writer.close


PARTICIPANTS: dict[str, Participant] = {
    "the loop alone": nobody,
    "bare append": bare_append,
    "evsys-otel": evsys_otel_default,
    "evsys-otel, shipper in a thread": evsys_otel_thread,
    "20 stock OTel gauges": stock_gauges,
    "trackio": trackio,
    "wandb offline": wandb_offline,
    "tensorboardX": tensorboardx,
}
