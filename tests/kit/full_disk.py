"""A real file system of a few hundred kilobytes that can be filled and emptied again; needs root to be mounted."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


class SmallDisk:
    """A mounted tmpfs; ``fill`` takes all room that is left, ``make_room`` gives it back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Write until the disk refuses a single byte."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                with suppress(OSError):
                    while True:
                        file.write(b"\0" * size)

    def make_room(self) -> None:
        """Remove what ``fill`` wrote."""
        self._filler.unlink()


@contextmanager
def small_disk(path: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Mount a disk of that size at ``path``; skips the test, aloud, where this cannot be done."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a full disk needs root to mount a small tmpfs")
    path.mkdir(parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(path)], capture_output=True)
    if done.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted here: {done.stderr.decode()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
