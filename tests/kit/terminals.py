"""A command on a terminal of its own: what it draws there, and what a person types."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kit.processes import clean_environment


class Terminal:
    """A running command and all that it has written to its terminal so far."""

    def __init__(self, command: list[str], folder: Path, columns: int, lines: int, **environ: str) -> None:
        self._end, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        env = clean_environment(TERM="xterm-256color", **environ)
        env.pop("COLUMNS", None)
        self.process = subprocess.Popen(command, cwd=folder, env=env, stdin=child, stdout=child, stderr=child)
        os.close(child)
        self.text = ""

    def type(self, text: str) -> None:
        """Type as a person does."""
        os.write(self._end, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def read_until(self, condition: Callable[[str], bool], seconds: float = 30.0) -> str:
        """Return what was written once the condition holds for it, or the terminal was let go."""
        deadline = time.monotonic() + seconds
        while not condition(self.text):
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain for more than {self.text[-2000:]!r}")
            if select.select([self._end], [], [], 0.1)[0]:
                try:
                    piece = os.read(self._end, 65536)
                except OSError:  # Linux's way to say that nobody holds the other end
                    break
                if not piece:
                    break
                self.text += piece.decode(errors="replace")
        return self.text

    def wait(self) -> int:
        """Read to the end and return the exit code."""
        self.read_until(lambda _: False)
        return self.process.wait(30)

    def close(self) -> None:
        """End the command if it still runs."""
        self.process.kill()
        self.process.wait(30)
        with contextlib.suppress(OSError):
            os.close(self._end)


@contextlib.contextmanager
def terminal(
    command: list[str], folder: Path, *, columns: int = 100, lines: int = 40, **environ: str
) -> Iterator[Terminal]:
    """Run a command on a terminal; whatever happens in the test, it is gone afterwards."""
    opened = Terminal(command, folder, columns, lines, **environ)
    try:
        yield opened
    finally:
        opened.close()
