"""What may heal is told from what does not, and no message holds a password."""

from __future__ import annotations

import sqlite3
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.postgres import PostgresServer
from kit.store_records import RUN, attempt_records, merged, series

from evsys_otel.errors import StoreError, StoreUnavailable
from evsys_otel.records import Records
from evsys_otel.store import Store, database, open_store

PASSWORD = "hunter" + "2"  # no line of a traceback shows it


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "evsys.db"


@pytest.fixture
def sqlite_store(path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{path}") as store:
        yield store


def test_a_locked_file_is_unavailable_and_heals(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time to wait is over; the same call succeeds when the lock is gone."""
    with open_store(f"sqlite:///{path}"):
        pass
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    with open_store(f"sqlite:///{path}") as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            store.write(Records(series=[series()]))
        other.execute("ROLLBACK")
        other.close()
        store.write(Records(series=[series()]))
        assert len(store.get_metrics(RUN)) == 10


def test_a_full_disk_is_unavailable_and_heals(sqlite_store: Store) -> None:
    """The write that failed left nothing; later it is taken whole."""
    def limit(pages: int) -> None:
        with sqlite_store._database.writing() as tx:
            tx.conn.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    limit(1)  # SQLite takes the present size where this is smaller
    with pytest.raises(StoreUnavailable, match="full"):
        sqlite_store.write(Records(series=[series(RUN, 0, 20_000)]))
    limit(1_000_000)
    assert sqlite_store.list_runs() == []
    sqlite_store.write(Records(series=[series(RUN, 0, 20_000)]))
    assert len(sqlite_store.get_metrics(RUN)) == 20_000


def test_a_file_that_is_no_database_is_an_error_that_does_not_heal(path: Path) -> None:
    """Somebody named a wrong file: waiting does not help."""
    path.write_bytes(b"a text, and not a database" * 100)
    with pytest.raises(StoreError) as caught:
        open_store(f"sqlite:///{path}")
    assert not isinstance(caught.value, StoreUnavailable)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    """Connection refused may heal; the password is in no part of what is said."""
    with pytest.raises(StoreUnavailable) as caught:
        open_store(f"postgresql://me:{PASSWORD}@127.0.0.1:9/evsys")
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_a_database_that_is_not_there_names_it_without_the_password(postgres_server: PostgresServer) -> None:
    """It may still be created."""
    with pytest.raises(StoreUnavailable, match="nowhere") as caught:
        open_store(postgres_server.url("nowhere"))
    assert "secret-word" not in "".join(traceback.format_exception(caught.value))


def test_a_lost_connection_is_unavailable_and_heals(postgres_url: str) -> None:
    """The server ended every connection: one call may fail, the next has a new one."""
    import psycopg

    with open_store(postgres_url) as store:
        def end_connections() -> None:
            with psycopg.connect(postgres_url, autocommit=True) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )

        def write_while_they_end() -> None:
            with store._database.writing() as tx:
                end_connections()
                tx.conn.exec_driver_sql("SELECT 1")

        with pytest.raises(StoreUnavailable):
            write_while_they_end()
        end_connections()
        store.write(Records(series=[series()]))
        assert len(store.get_metrics(RUN)) == 10
        assert "secret-word" not in store.url_without_password


def test_a_mistake_of_ours_does_not_heal(store: Store) -> None:
    """A wrong statement is StoreError, not a reason to wait."""
    with pytest.raises(StoreError) as caught, store._database.reading() as conn:
        conn.exec_driver_sql("SELECT nothing FROM nowhere")
    assert not isinstance(caught.value, StoreUnavailable)


def test_one_store_serves_several_threads(store: Store) -> None:
    """Writers and readers in threads of one process; nothing is lost and nobody fails."""
    failures: list[BaseException] = []
    pieces = attempt_records(calls=40, piece=4)

    def work(offset: int) -> None:
        try:
            for piece in pieces[offset::4]:
                store.write(piece)
                store.list_runs()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    in_threads = store.dump()
    store.write(merged(pieces))
    assert store.dump() == in_threads
    assert store.completeness(RUN).state == "whole"
