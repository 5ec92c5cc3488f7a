"""Memory of the trainer and of its shipper over a million steps, with everything up and with the endpoint down."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile

STEPS = 1_000_000
EVERY = 20_000

TRAINER = """
import json, sys, time
from pathlib import Path
import psutil
import evsys_otel
from evsys_otel.journal import StatusFile, list_journals

folder, steps, every, endpoint = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
run = evsys_otel.start_run("bench", dir=folder, quiet=True, exit_timeout_seconds=0, otlp_endpoint=endpoint or None)
me, samples, shipper = psutil.Process(), [], None

def sample(step):
    global shipper
    (journal,) = list_journals(Path(folder) / "journal")
    status = StatusFile(journal.path).read()
    if status is None:
        return 0
    if shipper is None or shipper.pid != status.pid:
        shipper = psutil.Process(status.pid)
    shipped = next((lane.position for lane in status.lanes if lane.name == "store"), 0)
    samples.append((step, shipped / journal.end, me.memory_info().rss, shipper.memory_info().rss))
    return shipped / journal.end

for step in range(steps):
    run.log({"loss": 1 / (step + 1), "accuracy": step / steps}, step=step)
    if step % every == every - 1:
        sample(step + 1)
        time.sleep(0.05)
while sample(steps) < 1:
    time.sleep(0.1)
print(json.dumps(samples))
shipper.kill()
"""


def measure(endpoint: str) -> dict[str, float]:
    """Return MiB of the trainer by step and of the shipper by what it has shipped: at a fifth, at the end, at most."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        done = subprocess.run(
            [sys.executable, "-c", TRAINER, folder, str(STEPS), str(EVERY), endpoint],
            capture_output=True, text=True, check=False,
        )
    if done.returncode:
        raise RuntimeError(done.stderr)
    samples = json.loads(done.stdout.strip().splitlines()[-1])
    early = next(trainer for step, _, trainer, _ in samples if step >= STEPS / 5)
    shipper = [memory for *_, memory in samples]
    return {
        "trainer at 20 %": early / 2**20, "trainer at the end": samples[-1][2] / 2**20,
        "shipper at 20 %": shipper[len(shipper) // 5] / 2**20, "shipper at the end": shipper[-1] / 2**20,
        "shipper at most": max(shipper) / 2**20,
    }


def measure_memory() -> dict[str, dict[str, float]]:
    """Return MiB with the store alone and with an OTLP endpoint that nobody answers."""
    return {"store alone": measure(""), "endpoint down": measure("http://127.0.0.1:9")}
