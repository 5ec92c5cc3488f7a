"""How many step values a second the shipper moves from a journal to SQLite and to an OTLP receiver."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS, METRICS = 50_000, 20

RECORD = """
import sys, evsys_otel
run = evsys_otel.start_run("bench", dir=sys.argv[1], mode="journal", quiet=True)
for step in range(int(sys.argv[2])):
    run.log({f"metric/{i}": step * 0.001 + i for i in range(int(sys.argv[3]))}, step=step)
run.end()
"""


def record(folder: Path, steps: int = STEPS) -> None:
    """Leave a journal of a finished process in the folder."""
    subprocess.run([sys.executable, "-c", RECORD, str(folder), str(steps), str(METRICS)], check=True)


def ship(folder: Path, **arguments: object) -> dict[str, float]:
    """Ship what waits in the folder and return values a second."""
    from evsys_otel.pipeline import sync_journals
    from evsys_otel.settings import resolve_settings

    began = time.perf_counter()
    sync_journals(resolve_settings(dir=str(folder), quiet=True, **arguments))
    seconds = time.perf_counter() - began
    return {"values/s": STEPS * METRICS / seconds, "seconds": seconds}


def measure_shipping() -> dict[str, dict[str, float]]:
    """Return the rates of both destinations, each with a fresh journal of a million values."""
    sink = subprocess.Popen([sys.executable, "-m", "benchmarks.sink"], stdout=subprocess.PIPE, text=True)
    try:
        assert sink.stdout is not None
        endpoint = f"http://127.0.0.1:{int(sink.stdout.readline())}"
        rows = {}
        for name, arguments in {
            "journal -> SQLite": {},
            "journal -> OTLP/gRPC": {"store": "none", "otlp_endpoint": endpoint},
            "journal -> both at once": {"otlp_endpoint": endpoint},
        }.items():
            with tempfile.TemporaryDirectory() as folder:
                record(Path(folder), STEPS)
                rows[name] = ship(Path(folder), **arguments)
        return rows
    finally:
        sink.kill()
        sink.wait()
