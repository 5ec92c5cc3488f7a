"""A location goes in, transactions come out: engine, pragmas, who waits for whom, and the store's clock."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, Table, event
from sqlalchemy.dialects import postgresql, sqlite

from evsys_otel.store.failures import mapped_errors
from evsys_otel.store.location import Location, make_folder, network_file_system

_logger = logging.getLogger(__name__)

BUSY_SECONDS = 30.0
"""How long a writer waits for another one."""

_WRITES = "evsys_writes"


@dataclass(frozen=True, slots=True)
class Transaction:
    """A write transaction: its connection, its dialect, and the time at which the store's host began it."""

    conn: Connection
    postgres: bool
    now_unix_nano: int

    def insert(self, table: Table) -> Any:
        """Return an INSERT that knows ON CONFLICT."""
        return postgresql.insert(table) if self.postgres else sqlite.insert(table)


class Database:
    """One database and its connections; thread-safe."""

    def __init__(self, location: Location, clock: Callable[[], int] | None = None) -> None:
        self.location = location
        self.postgres = location.path is None
        self._clock = clock
        self._engine = _postgres_engine(location) if self.postgres else _sqlite_engine(location)
        self._writer = self._engine.execution_options(**{_WRITES: True})
        self._reader = self._engine
        if self.postgres:
            self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """Open a write transaction, committed at the end of the block, undone when the block raises."""
        with mapped_errors(self.location.shown, self.location.secrets), self._writer.begin() as conn:
            if self.postgres:
                conn.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")
            yield Transaction(conn, self.postgres, self.now_unix_nano(conn))

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the database."""
        with mapped_errors(self.location.shown, self.location.secrets), self._reader.begin() as conn:
            yield conn

    def now_unix_nano(self, conn: Connection) -> int:
        """Return the clock of the store's host, which alone compares arrivals that several machines wrote."""
        if self._clock is not None:
            return self._clock()
        if not self.postgres:
            return time.time_ns()
        seconds = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        return int(conn.exec_driver_sql(seconds).scalar_one()) * 1000

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()


def _postgres_engine(location: Location) -> Engine:
    return sqlalchemy.create_engine(
        location.url, pool_pre_ping=True, pool_size=4, max_overflow=12, isolation_level="READ COMMITTED"
    )


def _sqlite_engine(location: Location) -> Engine:
    assert location.path is not None
    make_folder(location.path)
    network = network_file_system(location.path.parent)
    if network is not None:
        _logger.warning(
            "%s is on a network file system (%s): only one host may use it at a time, and readers wait for writers; "
            "a local disk or PostgreSQL has neither limit", location.shown, network,
        )
    engine = sqlalchemy.create_engine(
        location.url, connect_args={"timeout": BUSY_SECONDS}, pool_size=4, max_overflow=12
    )

    @event.listens_for(engine, "connect")
    def connect(driver: sqlite3.Connection, _: object) -> None:
        driver.isolation_level = None  # transactions begin where we say so
        _set_journal_mode(driver, "delete" if network else "wal")
        # The journal that a write acknowledges may be removed: its commit must outlive a power cut too.
        driver.execute("PRAGMA synchronous = FULL")
        driver.execute("PRAGMA cache_size = -16000")
        driver.execute("PRAGMA journal_size_limit = 67108864")

    @event.listens_for(engine, "begin")
    def begin(conn: Connection) -> None:
        # A transaction that reads before it writes cannot wait for another writer: SQLite fails it at once.
        conn.exec_driver_sql("BEGIN IMMEDIATE" if conn.get_execution_options().get(_WRITES) else "BEGIN")

    return engine


def _set_journal_mode(driver: sqlite3.Connection, mode: str) -> None:
    """Set the file's journal mode once; the lock that this needs is one for which SQLite does not always wait."""
    deadline = time.monotonic() + BUSY_SECONDS
    while not _journal_mode_is(driver, mode):
        if time.monotonic() > deadline:
            raise sqlite3.OperationalError(f"database is locked, its journal mode cannot become {mode}")
        time.sleep(0.01)


def _journal_mode_is(driver: sqlite3.Connection, mode: str) -> bool:
    try:
        if driver.execute("PRAGMA journal_mode").fetchone()[0] == mode:
            return True
        return bool(driver.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0] == mode)
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return False
        raise
