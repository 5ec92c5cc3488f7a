"""Loss is told from silence: whatever is taken out on the way, the run says how many values are missing and where."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kit.full_disk import small_disk
from kit.processes import wait_until
from opentelemetry.sdk.metrics.export import MetricsData, NumberDataPoint

from evsys_otel.journal import JournalReader, list_journals
from evsys_otel.pipeline import sync_journals
from evsys_otel.settings import resolve_settings
from evsys_otel.signals import SignalBuilder
from evsys_otel.store import Completeness, Store, open_store
from evsys_otel.translate import translate_logs, translate_metrics, translate_spans

STEPS = 1500

TRAINER = """
import sys, evsys_otel
run = evsys_otel.start_run("r", experiment="x", dir=sys.argv[1], mode="journal", quiet=True)
for step in range(1500):
    run.log({"loss": 1.0 * step, "accuracy": 2.0 * step}, step=step)
    if step % 100 == 0:
        run.log({"loss": 0.5}, step=step, split="val")
run.log_predictions([{"task_id": str(i), "output": "x"} for i in range(7)], step=3)
run.end()
print(run.id)
"""


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, str]:
    """A finished run in a journal that nobody has shipped: 3,015 values and 7 predictions."""
    done = subprocess.run([sys.executable, "-c", TRAINER, str(tmp_path)], capture_output=True, text=True, check=True)
    return tmp_path, done.stdout.strip()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/evsys.db") as opened:
        yield opened


def completeness_later(tmp_path: Path, run_id: str) -> Completeness:
    with two_minutes_later(f"sqlite:///{tmp_path}/evsys.db") as reader:
        return reader.completeness(run_id)


def two_minutes_later(url: str) -> Store:
    """Open a store for one who reads when nothing more can be on its way: what lacks is `behind` for a minute."""
    return open_store(url, clock=lambda: time.time_ns() + 120 * 10**9)


def ship_with(folder: Path, store: Store, taken_out: Callable[[MetricsData, NumberDataPoint], bool]) -> None:
    """Carry a journal to the store by hand, less the points for which ``taken_out`` is true."""
    (journal,) = list_journals(folder / "journal")
    reader = JournalReader(journal.path)
    builder = SignalBuilder(reader.identity, max_point_exemplars=100)
    while (chunk := reader.read()).events:
        signals = builder.build(chunk.events)
        for data in signals.metrics:
            for resource in data.resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        metric.data.data_points[:] = [p for p in metric.data.data_points if not taken_out(data, p)]
            store.write(translate_metrics(data))
        store.write(translate_logs(signals.logs))
        store.write(translate_spans(signals.spans))


def sync(folder: Path, **arguments: object) -> None:
    sync_journals(resolve_settings({}, dir=str(folder), quiet=True), **arguments)


def test_nothing_taken_out_is_whole(recorded: tuple[Path, str], store: Store) -> None:
    """The same way with nothing taken out makes a whole run: the other tests fail for what they take out alone."""
    folder, run_id = recorded
    ship_with(folder, store, lambda data, point: False)
    assert store.completeness(run_id).state == "whole"


def test_a_point_taken_out_is_missing_by_name_and_number(recorded: tuple[Path, str], store: Store) -> None:
    """A data point lost on the way: as many values as it held are missing, in its series, until they are sent again."""
    folder, run_id = recorded
    taken: list[int] = []

    def once(data: MetricsData, point: NumberDataPoint) -> bool:
        attributes = point.attributes or {}
        if not taken and attributes["evsys.metric.name"] == "accuracy" and point.exemplars[0].value > 0:
            taken.append(len(point.exemplars))
            return True
        return False

    ship_with(folder, store, once)
    told = completeness_later(folder, run_id)
    assert (told.state, told.missing) == ("missing", taken[0])
    assert {(gap.split, gap.name) for gap in told.gaps} == {("train", "accuracy")}
    sync(folder, again=run_id)
    assert store.completeness(run_id).state == "whole"


def test_a_whole_series_taken_out_is_missing(recorded: tuple[Path, str], store: Store) -> None:
    """A series of which nothing at all arrives is known by the totals of its key set."""
    folder, run_id = recorded
    ship_with(folder, store, lambda data, point: (point.attributes or {})["evsys.split"] == "val")
    told = completeness_later(folder, run_id)
    assert (told.state, told.missing) == ("missing", 15)
    assert {(gap.split, gap.name) for gap in told.gaps} == {("val", "loss")}


def test_a_damaged_frame_is_missing(recorded: tuple[Path, str], store: Store) -> None:
    """Bytes that rot in the middle of the journal cost the steps in them, which are then said to be missing."""
    folder, run_id = recorded
    (journal,) = list_journals(folder / "journal")
    (segment,) = journal.path.glob("*.seg")
    with segment.open("r+b") as file:
        file.seek(segment.stat().st_size // 2)
        file.write(b"\xff" * 8)
    sync(folder)
    told = completeness_later(folder, run_id)
    assert told.state == "missing"
    assert 1 <= told.missing <= 4
    assert len(store.get_metrics(run_id)) == 2 * STEPS + 15 - told.missing


FULL_DISK_TRAINER = """
import os, sys, evsys_otel
run = evsys_otel.start_run("r", experiment="x", dir=sys.argv[1], mode="journal", quiet=True)
for step in range(100):
    run.log({"loss": 1.0 * step, "accuracy": 2.0 * step}, step=step)
print(run.id, flush=True)
sys.stdin.readline()
for step in range(100, 20_000):
    run.log({"loss": 1.0 * step, "accuracy": 2.0 * step}, step=step)
run.log({"never declared": 1.0}, step=1, split="other")
print("logged", flush=True)
if sys.stdin.readline() == "go on\\n":
    for step in range(20_000, 20_100):
        run.log({"loss": 1.0 * step, "accuracy": 2.0 * step}, step=step)
    run.end()
    print("ended", flush=True)
else:
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("recovers", [True, False], ids=["room-returns", "killed-while-full"])
def test_appends_that_fail_on_a_full_disk_are_missing(tmp_path: Path, recovers: bool) -> None:
    """What a full disk refused is counted exactly, also when the process is killed before there is room again."""
    with small_disk(tmp_path / "disk", 640 * 1024) as disk:
        trainer = subprocess.Popen(
            [sys.executable, "-c", FULL_DISK_TRAINER, str(disk.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        assert trainer.stdin is not None
        assert trainer.stdout is not None
        run_id = trainer.stdout.readline().strip()
        disk.fill()
        trainer.stdin.write("\n")
        trainer.stdin.flush()
        assert trainer.stdout.readline() == "logged\n"
        if recovers:
            disk.make_room()
        trainer.stdin.write("go on\n" if recovers else "die\n")
        trainer.stdin.flush()
        assert trainer.wait(60) == (0 if recovers else -signal.SIGKILL)
        if not recovers:
            disk.make_room()
        url = f"sqlite:///{tmp_path}/evsys.db"
        sync_journals(resolve_settings({}, dir=str(disk.path), store=url, quiet=True))
        with two_minutes_later(url) as store:
            told = store.completeness(run_id)
            stored = len(store.get_metrics(run_id))
            logged = 2 * (20_100 if recovers else 20_000) + 1
            assert told.state == "missing"
            assert told.missing == logged - stored
            assert stored < logged
            assert store.get_run(run_id)["status"] == ("completed" if recovers else "crashed")


RESUMER = """
import sys, evsys_otel
run = evsys_otel.resume_run(sys.argv[2], dir=sys.argv[1], quiet=True)
print("ready", flush=True)
sys.stdin.readline()
for step in range(50, 150):
    run.log({"loss": float(sys.argv[3])}, step=step)
run.end()
"""


def test_two_processes_that_resume_one_run_at_once_are_both_whole(tmp_path: Path) -> None:
    """Two attempts with one number never blur: the run is whole, and each step holds the value that is newer."""
    first = (
        "import sys, evsys_otel\n"
        "run = evsys_otel.start_run('r', experiment='x', dir=sys.argv[1], quiet=True)\n"
        "for step in range(100): run.log({'loss': 0.0}, step=step)\n"
        "print(run.id, run.handle)\n"
    )
    done = subprocess.run([sys.executable, "-c", first, str(tmp_path)], capture_output=True, text=True, check=True)
    run_id, handle = done.stdout.split()
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", RESUMER, str(tmp_path), handle, value],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ,
        )
        for value in ("1", "2")
    ]
    for process in pair:
        assert process.stdout is not None
        process.stdout.readline()
    for process in pair:
        process.communicate("\n", timeout=60)
        assert process.returncode == 0
    with open_store(f"sqlite:///{tmp_path}/evsys.db") as store:

        def rows() -> dict[int, float]:
            found = store.get_metrics(run_id, name="loss", split="train")
            return {row["step"]: row["value"] for row in found}

        # Each trainer waits for its shipper for a bounded time only: on a slow machine the store comes after.
        wait_until(lambda: rows().get(149) == 2.0 and store.completeness(run_id).state == "whole", what="both attempts")
        assert len(store.completeness(run_id).attempts) == 3
        assert sorted(rows()) == list(range(150))
        assert {rows()[step] for step in range(50)} == {0.0}
        assert {rows()[step] for step in range(50, 150)} <= {1.0, 2.0}
