"""The configured path in; a marked run with a burst sent down it, and what of it came back, out.

The marked run's journal is in a folder of its own, its store and OTLP destinations are the configured ones. Afterwards
its experiment is removed from the store, and stays removed should it arrive once more by way of a collector.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evsys_otel.cli.formats import format_bytes, format_count, format_duration
from evsys_otel.doctor.check import Check, fail, ok, warn
from evsys_otel.doctor.destinations import plain_reason
from evsys_otel.doctor.training import METRICS, steps_and_texts, value_of
from evsys_otel.settings import MIB, Settings, settings_to_environment

if TYPE_CHECKING:
    from evsys_otel.journal import JournalFolder, LaneStatus
    from evsys_otel.store import Store

BURST_BYTES = 8 * MIB
TIMEOUT_SECONDS = 60.0
DISMISS_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Burst:
    """What the marked training said of itself, and how each lane stood when it had ended."""

    facts: dict[str, Any]
    lanes: list[LaneStatus]
    steps: int
    texts: int


def check_path(
    settings: Settings,
    *,
    without: Sequence[str] = (),
    burst_bytes: int = BURST_BYTES,
    timeout: float = TIMEOUT_SECONDS,
) -> Iterator[Check]:
    """Send the marked run and yield a finding for each lane, and one on what the store gives back.

    ``without`` names signals that are not sent over OTLP: their destinations are known not to answer.
    """
    if settings.mode == "disabled":
        return
    present = next(path for path in (settings.root, *settings.root.parents) if path.exists())
    with tempfile.TemporaryDirectory(prefix=".evsys-doctor-", dir=present, ignore_cleanup_errors=True) as folder:
        store = settings.store_url or "none"
        own = replace(settings, dir=folder, store=store, mode="process", quiet=True, experiment=None)
        done = _train(own, without, burst_bytes, timeout)
        if isinstance(done, Check):
            yield done
            return
        yield from (_lane(lane, done) for lane in done.lanes if lane.name != "store")
        if settings.store_url is not None:
            yield from _read_back(settings.store_url, done)


def _train(own: Settings, without: Sequence[str], burst_bytes: int, timeout: float) -> Burst | Check:
    """Run the marked training in a process of its own and return what it said."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("EVSYS_OTEL_")}
    environ |= settings_to_environment(own)
    environ |= {"RANK": "0", "WORLD_SIZE": "1"}
    environ |= {f"OTEL_{signal.upper()}_EXPORTER": "none" for signal in without}
    # Not `-m`: that would put the working directory, and a random.py in it, before everything else.
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        f"from evsys_otel.doctor.training import train; train({burst_bytes}, {timeout})"
    )
    command = [sys.executable, "-c", code]
    try:
        ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=timeout + 60, check=False)
    except subprocess.TimeoutExpired:
        return fail("marked run", f"did not end in {format_duration(timeout + 60)}", "run evsys-otel doctor --quick")
    facts: dict[str, Any] = {}
    for line in ended.stdout.splitlines():
        facts |= json.loads(line)
    if "logged_unix_nano" not in facts:
        reason = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
        return fail("marked run", f"could not be recorded: {reason}", "mend what is said above first")
    lanes = [lane for folder in _journals(own.journal_root) if folder.status for lane in folder.status.lanes]
    _dismiss(own.journal_root)
    return Burst(facts, lanes, *steps_and_texts(burst_bytes))


def _journals(root: Path) -> list[JournalFolder]:
    from evsys_otel.journal import list_journals

    return list_journals(root)


def _dismiss(root: Path) -> None:
    """Send away a shipper that still tries, before the folder is removed beneath it."""
    from evsys_otel.journal import JournalLock

    for folder in _journals(root):
        deadline = time.monotonic() + DISMISS_SECONDS
        lock = JournalLock(folder.path)
        while not lock.acquire():
            if folder.status is None or time.monotonic() > deadline + 1:
                break
            with suppress(ProcessLookupError, PermissionError):
                os.kill(folder.status.pid, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
            time.sleep(0.05)
        lock.release()


def _lane(lane: LaneStatus, done: Burst) -> Check:
    """Say of an OTLP lane whether all was taken; what it took cannot be read back from here."""
    name, place, refused = f"burst {lane.name}", lane.destination, lane.parked + lane.rejected
    facts = {"parked": lane.parked, "rejected": lane.rejected, "state": lane.state}
    reason = plain_reason(lane.reason or "not all was taken in time")
    if lane.state == "switched_off":
        return fail(name, f"{place} refuses: {reason}", "check its token and what it takes", **facts)
    if refused:
        detail = f"{place} refused {format_count(refused, 'record')}" + (f": {reason}" if lane.reason else "")
        return fail(name, detail, "read the receiver's log; raise its limits where records are too large", **facts)
    if lane.state == "backing_off" or not (done.facts.get("flushed") or lane.state == "done"):
        return fail(name, f"{place}: {reason}", "start the receiver or correct the endpoint", **facts)
    seconds = max(lane.last_progress_unix_nano - done.facts["logged_unix_nano"], 0) / 1e9
    return ok(name, f"{place} took all, {format_duration(seconds)} after the last call", seconds=seconds, **facts)


def _read_back(url: str, done: Burst) -> Iterator[Check]:
    from evsys_otel.store import open_store

    with open_store(url) as store:
        try:
            yield _compare(store, done)
        finally:
            store.remove(done.facts["experiment_id"])


def _compare(store: Store, done: Burst) -> Check:
    """Say how much of what was logged the store gives back, exact and once."""
    run_id = done.facts["run_id"]
    expected = {(step, name): value_of(step, i) for i, name in enumerate(METRICS) for step in range(done.steps)}
    wrong = doubled = 0
    seen: set[tuple[int, str]] = set()
    for row in (row for piece in store.iter_metrics(run_id) for row in piece):
        key = (row["step"], row["name"])
        doubled += key in seen
        wrong += expected.get(key) != row["value"]
        seen.add(key)
    texts = sum(1 for row in store.list_predictions(run_id, kind="train") if row["model_output"])
    lost = len(expected) - len(seen & expected.keys()) + max(done.texts - texts, 0)
    doubled += max(texts - done.texts, 0)
    seconds = max(done.facts.get("acknowledged_unix_nano", 0) - done.facts["logged_unix_nano"], 0) / 1e9
    facts = {"lost": lost, "doubled": doubled, "altered": wrong, "seconds": seconds}
    facts |= {"values": len(expected), "predictions": done.texts}
    size = f"{len(expected):,} values and {format_bytes(done.texts * 65536)} of text"
    if lost or doubled or wrong:
        detail = f"of {size}: {lost:,} lost, {doubled:,} doubled, {wrong:,} altered"
        return fail("burst store", detail, "run evsys-otel sync, then evsys-otel doctor again", **facts)
    if not done.facts.get("flushed"):
        return warn("burst store", f"{size} came back, but not all lanes in time", "see the lanes above", **facts)
    state = store.completeness(run_id).state
    detail = f"{size}, {format_duration(seconds)} after the last call: 0 lost, 0 doubled, {state}"
    return ok("burst store", detail, state=state, **facts)
