"""Real processes for tests: trainers as scripts, ways to kill them, and waiting for what they leave behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_TELLING = ("EVSYS_", "OTEL_", "RANK", "TRACEPARENT", "WORLD_")
"""How variables begin that would change what a recorder does."""

DEADLINE_SECONDS = 30.0


def wait_until(condition: Callable[[], T], seconds: float = DEADLINE_SECONDS, what: str = "the condition") -> T:
    """Poll until ``condition`` returns something true, and return it; fail after a generous deadline."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {seconds} s; last seen: {value!r}")
        time.sleep(0.02)


def process_is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        if sys.platform == "linux":
            return False
        with contextlib.suppress(OSError):
            os.kill(pid, 0)
            return True
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in {"Z", "X"}


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to one process, which may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class Trainer:
    """A training script in a process of its own; what it prints can be read line by line, and it can be spoken to."""

    def __init__(self, script: str, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self.errors = folder / "trainer.stderr"
        with self.errors.open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-c", script, *arguments],
                cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True,
                env=clean_environment(**environment),
            )

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    def read_line(self) -> str:
        """Return the next line that the script printed; fail when it ended instead."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the trainer ended: {self.errors.read_text()}")
        return line.rstrip("\n")

    def read_rest(self) -> list[str]:
        """Return all lines up to the end of the output; a line torn by a kill is left out."""
        assert self.process.stdout is not None
        return [line[:-1] for line in self.process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]

    def say(self, line: str) -> None:
        """Write a line to the script's standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """Kill the process as a machine does, and reap it."""
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)

    def wait(self, seconds: float = 60.0) -> int:
        """Wait for the process's own end and return its exit code."""
        return self.process.wait(seconds)


@contextlib.contextmanager
def trainer(script: str, folder: Path, *arguments: str, **environment: str) -> Iterator[Trainer]:
    """Run a training script in ``folder``; whatever happens in the test, it is gone afterwards."""
    started = Trainer(script, folder, *arguments, **environment)
    try:
        yield started
    finally:
        started.kill()
        for pipe in (started.process.stdin, started.process.stdout):
            if pipe is not None:
                pipe.close()


def clean_environment(**variables: str) -> dict[str, str]:
    """Return the environment without settings of ours and of OpenTelemetry, plus ``variables``."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_TELLING)}
    return {**kept, **variables}
