"""Memory of the trainer and of its shipper over a million steps, with everything up and with the endpoint down."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile

import psutil

STEPS = 1_000_000
POINTS = 10

TRAINER = """
import json, os, sys, evsys_otel
folder, steps, points, endpoint = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
import psutil
from evsys_otel.journal import StatusFile
run = evsys_otel.start_run("bench", dir=folder, quiet=True, exit_timeout_seconds=0, otlp_endpoint=endpoint or None)
me = psutil.Process()
def shipper():
    for path in os.scandir(os.path.join(folder, "journal")):
        status = StatusFile(__import__("pathlib").Path(path.path)).read()
        if status: return status.pid
seen = []
for step in range(steps):
    run.log({"loss": 1 / (step + 1), "accuracy": step / steps}, step=step)
    if step % (steps // points) == steps // points - 1:
        pid = shipper()
        try: ship = psutil.Process(pid).memory_info().rss if pid else 0
        except psutil.NoSuchProcess: ship = 0
        seen.append((me.memory_info().rss, ship))
print(json.dumps({"seen": seen, "shipper": shipper()}))
"""


def measure(endpoint: str) -> dict[str, float]:
    """Return MiB of both processes early, at the end, and the growth between."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        done = subprocess.run(
            [sys.executable, "-c", TRAINER, folder, str(STEPS), str(POINTS), endpoint],
            check=True, capture_output=True, text=True,
        )
        told = json.loads(done.stdout.strip().splitlines()[-1])
        if told["shipper"] and psutil.pid_exists(told["shipper"]):
            process = psutil.Process(told["shipper"])
            process.kill()
            psutil.wait_procs([process], timeout=10)
    trainer = [row[0] / 2**20 for row in told["seen"]]
    shipper = [row[1] / 2**20 for row in told["seen"] if row[1]]
    return {
        "trainer MiB at 20 %": trainer[POINTS // 5 - 1], "trainer MiB at the end": trainer[-1],
        "shipper MiB at 20 %": shipper[min(POINTS // 5, len(shipper)) - 1], "shipper MiB at the end": shipper[-1],
        "shipper MiB at most": max(shipper),
    }


def measure_memory() -> dict[str, dict[str, float]]:
    """Return the memory with the store alone and with an OTLP endpoint that never answers."""
    return {"store alone": measure(""), "endpoint down": measure("http://127.0.0.1:9")}
