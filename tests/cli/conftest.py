"""A command line to test: in this process for speed, on a real store in a folder of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kit.sweeps import sweep

from evsys_otel.cli import main
from evsys_otel.records import Records
from evsys_otel.store import open_store


@dataclass(frozen=True)
class Ended:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


Run = Callable[..., Ended]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty, without settings from outside, as wide as a usual terminal."""
    import os

    for name in list(os.environ):
        if name.startswith(("EVSYS_", "OTEL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call a command and return how it ended."""

    def call(*arguments: str) -> Ended:
        capsys.readouterr()
        code = main(list(arguments))
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return call


def write(*batches: Records) -> None:
    """Write records to the default store of the working directory."""
    with open_store() as store:
        for batch in batches:
            store.write(batch)


@pytest.fixture
def swept(folder: Path) -> Path:
    """The working directory with a store that holds one whole sweep, one with values missing, and one that runs."""
    write(sweep(0), sweep(1, missing=True), sweep(2, name="still [red]going", ended=False))
    return folder
