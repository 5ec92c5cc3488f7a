"""Both databases for the one suite that states the store's contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.postgres import postgres_server, postgres_url

from evsys_otel.store import Store, open_store

__all__ = ["postgres_server", "postgres_url"]


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty store, once for each database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/evsys.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


class Clock:
    """A clock that a test sets; nanoseconds."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000_000

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(store_url: str, clock: Clock) -> Iterator[Store]:
    with open_store(store_url, clock=clock) as opened:
        yield opened
