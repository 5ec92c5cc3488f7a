"""The shipper is looked after: it is started again when it dies, whatever the wall clock does."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from kit.recorded import of_kind, only_events

from evsys_otel.events import StepLogged
from evsys_otel.journal import ShipperStatus, StatusFile
from evsys_otel.recorder import shipping, start_run
from evsys_otel.recorder.channel import LOOK_CALLS
from evsys_otel.recorder.sessions import SESSIONS
from evsys_otel.recorder.shipping import START_SECONDS, ProcessShipping, process_lives
from evsys_otel.settings import Settings
from evsys_otel.sources import SYSTEM_SOURCES, Sources
from evsys_otel.testing import TickingClock

HOUR_NANO = 3600 * 10**9


class Ground:
    """A journal's folder in which shippers are told to live and die, and a clock of seconds."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.started = 0
        self.alive: set[int] = set()
        self._file = StatusFile(folder)
        (folder / "status").write_bytes(b"")
        monkeypatch.setattr(shipping, "spawn_shipper", self._spawn)
        monkeypatch.setattr(shipping, "process_lives", self.alive.__contains__)
        self.shipping = ProcessShipping(folder, Settings(), clock=lambda: self.now)
        self.shipping.start()

    def _spawn(self, folder: Path, settings: Settings) -> bool:
        self.started += 1
        return True

    def speak(self, pid: int, wall_unix_nano: int) -> None:
        """Let the shipper of this pid say its first word, at a time of the wall clock."""
        self.alive.add(pid)
        assert self._file.write(ShipperStatus(pid, wall_unix_nano, wall_unix_nano, []))

    def look(self, after_seconds: float) -> None:
        self.now += after_seconds
        self.shipping.look()
        deadline = time.monotonic() + 10
        while shipping.threading.active_count() > 1 and time.monotonic() < deadline:
            time.sleep(0.001)


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    return Ground(tmp_path, monkeypatch)


@pytest.mark.parametrize("set_back_nano", [0, HOUR_NANO])
def test_a_dead_shipper_is_started_again_after_a_growing_pause(ground: Ground, set_back_nano: int) -> None:
    """Its death is seen and its successor known, also when the wall clock was set back between the two."""
    ground.speak(1, 10 * HOUR_NANO)
    ground.look(10)
    assert ground.started == 1
    ground.alive.clear()
    assert not ground.shipping.active()
    ground.look(2)
    assert ground.started == 2
    assert ground.shipping.active()
    ground.speak(2, 10 * HOUR_NANO + 1 - set_back_nano)
    ground.look(1.5)
    assert ground.started == 2
    ground.alive.clear()
    ground.look(0.1)
    assert ground.started == 2
    ground.look(2)
    assert ground.started == 3


def test_a_shipper_that_never_says_a_word_is_taken_for_dead(ground: Ground) -> None:
    """It has half a minute for its imports."""
    ground.look(START_SECONDS - 1)
    assert ground.started == 1
    ground.look(2)
    assert ground.started == 2


def test_the_shipper_is_looked_after_while_the_clock_is_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that was set back stops the time of events, not the looks."""
    clock = TickingClock()
    monkeypatch.setattr(SESSIONS, "sources", Sources(clock, SYSTEM_SOURCES.random_uuid, SYSTEM_SOURCES.random_span_id))
    run = start_run("r", experiment="x", mode="journal", quiet=True)
    run.log({"loss": 1.0})
    looks: list[int] = []
    monkeypatch.setattr(type(run._session._shipping), "look", lambda self: looks.append(1))
    clock.now -= HOUR_NANO
    for _ in range(3 * LOOK_CALLS):
        run.log({"loss": 1.0})
    assert 2 <= len(looks) <= 3
    times = [event.time_unix_nano for event in of_kind(only_events(folder), StepLogged)]
    assert times == sorted(set(times))


def test_a_dead_child_is_told_and_left_to_who_waits_for_it() -> None:
    """A shipper's number may be that of a child of the user's by now: its exit status is not taken away."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert process_lives(child.pid)
    child.kill()
    deadline = time.monotonic() + 10
    while process_lives(child.pid):
        assert time.monotonic() < deadline
    child.communicate()
    assert child.returncode == -9
    assert process_lives(1)
