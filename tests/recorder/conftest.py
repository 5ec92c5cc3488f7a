"""Every test here records into a folder of its own, with errors raised and no variable of ours set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evsys_otel.recorder.guard import forget_told
from evsys_otel.recorder.sessions import SESSIONS


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory of the test; its journals are in ``.evsys/journal``. Sessions are closed at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVSYS_OTEL_RAISE", "1")
    for name in ("EVSYS_OTEL_EXPERIMENT", "EVSYS_PROJECT_ID", "TRACEPARENT", "RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    forget_told()
    yield tmp_path
    SESSIONS.close()
