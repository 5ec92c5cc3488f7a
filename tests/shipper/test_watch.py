"""A writer's death is told from its process alone, whoever inherited what."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kit.processes import Trainer, kill, trainer, wait_until

from evsys_otel.journal import Identity
from evsys_otel.shipper.watch import DeadWatch, KqueueWatch, OwnWatch, PidfdWatch, PollingWatch, Watch, watch_owner

SLEEPER = """
import os, sys, time, msgspec
from evsys_otel.journal import current_identity
from evsys_otel.settings import resolve_settings
print(msgspec.json.encode(current_identity(resolve_settings())).decode())
if sys.argv[1] == "forks":
    worker = os.fork()
    if worker == 0:
        time.sleep(60)
    print(worker)
time.sleep(60)
"""

WATCHES: list[Callable[[Identity], Watch]] = [watch_owner, PollingWatch]


def identity_of(process: Trainer) -> Identity:
    return msgspec.json.decode(process.read_line(), type=Identity)


@pytest.mark.parametrize("make_watch", WATCHES)
def test_death_is_told_and_life_too(tmp_path: Path, make_watch: Callable[[Identity], Watch]) -> None:
    """No news while the process lives; news, again and again, when it was killed, though nobody reaped it yet."""
    with trainer(SLEEPER, tmp_path, "alone") as process:
        watch = make_watch(identity_of(process))
        assert not watch.wait(0.05)
        kill(process.pid)  # not reaped: a zombie
        assert wait_until(lambda: watch.wait(0.05))
        assert watch.wait(0.05)
        watch.close()


def test_a_forked_worker_that_lives_on_hides_no_death(tmp_path: Path) -> None:
    """What DataLoader workers inherit says nothing of the trainer."""
    with trainer(SLEEPER, tmp_path, "forks") as process:
        watch = watch_owner(identity_of(process))
        worker = int(process.read_line())
        try:
            kill(process.pid)
            assert wait_until(lambda: watch.wait(0.05))
        finally:
            kill(worker)
            watch.close()


def test_a_dead_process_is_dead_from_the_start(tmp_path: Path) -> None:
    """A watch that comes late says so at once."""
    with trainer(SLEEPER, tmp_path, "alone") as process:
        identity = identity_of(process)
        process.kill()
    assert watch_owner(identity).wait(0)


def test_another_process_with_the_same_pid_is_not_the_writer(tmp_path: Path) -> None:
    """The start time tells a pid that was used again."""
    with trainer(SLEEPER, tmp_path, "alone") as process:
        identity = msgspec.structs.replace(identity_of(process), process_start="1")
        assert isinstance(watch_owner(identity), DeadWatch)
        assert PollingWatch(identity).wait(0)


def test_a_system_without_pidfd_is_polled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old kernel or a sandbox that refuses the call costs nothing but a little time."""

    def refuse(pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse, raising=False)
    with trainer(SLEEPER, tmp_path, "alone") as process:
        watch = watch_owner(identity_of(process))
        assert isinstance(watch, PollingWatch)
        assert not watch.wait(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="pidfd is Linux's")
def test_linux_uses_a_pidfd_that_no_child_inherits(tmp_path: Path) -> None:
    """The watch holds a pidfd, closed on exec."""
    with trainer(SLEEPER, tmp_path, "alone") as process:
        watch = watch_owner(identity_of(process))
        assert isinstance(watch, PidfdWatch)
        watch.close()


def test_ones_own_process_is_never_dead() -> None:
    """In thread mode the writer's end is told by the journal alone."""
    assert not OwnWatch().wait(0.0)


class FakeKqueue:
    """What of kqueue(2) the watch needs, for systems that have none; the test says when the process exits."""

    def __init__(self) -> None:
        self.registered: list[Any] = []
        self.exits: list[Any] = []
        self.closed = False

    def control(self, changes: list[Any] | None, count: int, seconds: float | None = None) -> list[Any]:
        self.registered += changes or []
        return [self.exits.pop()] if count and self.exits else []

    def close(self) -> None:
        self.closed = True


@pytest.mark.skipif(hasattr(select, "kqueue"), reason="the real one is tested above")
def test_kqueue_tells_an_exit_once_and_the_watch_remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    """NOTE_EXIT comes a single time; whoever asks later is told as well."""
    queue = FakeKqueue()
    monkeypatch.setattr(select, "kqueue", lambda: queue, raising=False)
    monkeypatch.setattr(select, "kevent", lambda pid, **facts: (pid, facts), raising=False)
    for name in ("KQ_FILTER_PROC", "KQ_EV_ADD", "KQ_NOTE_EXIT"):
        monkeypatch.setattr(select, name, name, raising=False)
    watch = KqueueWatch(42)
    assert [pid for pid, _ in queue.registered] == [42]
    assert not watch.wait(0)
    queue.exits.append("exit")
    assert watch.wait(0)
    assert watch.wait(0)
    watch.close()
    assert queue.closed
