"""A URL becomes a store: which URLs, what is created, versions and migrations, and many processes at once."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from kit.store_records import RUN, attempt_records, merged, series
from sqlalchemy import Connection, text

from evsys_otel.errors import ConfigurationError, StoreError, StoreUnavailable, StoreVersionError
from evsys_otel.records import Records
from evsys_otel.store import Store, database, open_store
from evsys_otel.store.database import Database
from evsys_otel.store.location import locate, network_file_system
from evsys_otel.store.migrate import prepare


def test_folders_and_tables_are_created_and_the_file_is_in_wal_mode(tmp_path: Path) -> None:
    """A first run needs no preparation; several may write while others read."""
    path = tmp_path / "a" / "b" / "evsys.db"
    with open_store(f"sqlite:///{path}") as store:
        assert store.list_experiments() == []
        assert store.url_without_password == f"sqlite:///{path}"
    with sqlite3.connect(path) as conn:
        assert conn.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_default_is_the_settings_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing given means `.evsys/evsys.db` in the working directory; `none` means that there is none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVSYS_OTEL_STORE", raising=False)
    monkeypatch.delenv("EVSYS_OTEL_DIR", raising=False)
    with open_store():
        assert (tmp_path / ".evsys" / "evsys.db").exists()
    monkeypatch.setenv("EVSYS_OTEL_STORE", "none")
    with pytest.raises(ConfigurationError):
        open_store()


@pytest.mark.parametrize("url", [
    "", "nonsense", "sqlite://", "sqlite:///:memory:", "sqlite+aiosqlite:///x.db", "mysql://u:hunter2@h/db",
    "postgresql+asyncpg://u:hunter2@h/db", "postgresql://u:hunter2@h:port/db",
])  # fmt: skip
def test_a_url_that_cannot_be_used_is_refused_in_one_sentence(url: str) -> None:
    """Before any work, and without the password."""
    with pytest.raises(ConfigurationError) as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


def test_a_missing_driver_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mend is a command."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"evsys-otel\[postgres\]"):
        open_store("postgresql://u:hunter2@h/db")


def test_a_newer_schema_is_refused_and_untouched(store: Store, store_url: str) -> None:
    """The sentence says both versions and how to upgrade."""
    store.write(merged(attempt_records(calls=3)))
    with store._database.writing() as tx:
        tx.conn.execute(text("UPDATE evsys_schema SET version = 99"))
    with pytest.raises(StoreVersionError, match=r"version 99 .* upgrade"):
        open_store(store_url)
    assert len(store.get_metrics(RUN)) == 6


def test_an_older_schema_is_brought_forward_once_with_its_records(store: Store, store_url: str) -> None:
    """Every migration between, in order, in one transaction; what a failing one did is undone."""
    store.write(merged(attempt_records(calls=3)))
    before = store.dump()
    done: list[str] = []

    def add_column(conn: Connection) -> None:
        conn.execute(text("ALTER TABLE evsys_runs ADD COLUMN colour TEXT"))
        done.append("colour")

    def fill_column(conn: Connection) -> None:
        conn.execute(text("UPDATE evsys_runs SET colour = 'blue'"))
        done.append("fill")

    def fail(conn: Connection) -> None:
        conn.execute(text("ALTER TABLE evsys_runs ADD COLUMN shape TEXT"))
        raise RuntimeError("no")

    opened = Database(locate(store_url))
    prepare(opened, 3, {1: add_column, 2: fill_column})
    prepare(opened, 3, {1: add_column, 2: fill_column})
    assert done == ["colour", "fill"]
    with pytest.raises(RuntimeError):
        prepare(opened, 4, {3: fail})
    with opened.reading() as conn:
        assert conn.scalar(text("SELECT colour FROM evsys_runs")) == "blue"
        assert conn.scalar(text("SELECT version FROM evsys_schema")) == 3
    with pytest.raises(StoreError), opened.reading() as conn:
        conn.execute(text("SELECT shape FROM evsys_runs"))
    assert store.dump() == before
    opened.close()


OPENER = """
import sys
from evsys_otel.records import Records, StepSeries
from evsys_otel.store import open_store
sys.stdin.read(1)
with open_store(sys.argv[1]) as store:
    store.write(Records(series=[StepSeries(f"run-{sys.argv[2]}", "train", "x", 1, 0, 0, [1], [1], [1.0])]))
"""


@pytest.mark.real
def test_sixteen_processes_open_a_new_store_at_once(store_url: str) -> None:
    """Each finds or makes the tables, and writes; none fails."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, store_url, str(number)], stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for number in range(16)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"x")
        process.stdin.flush()
    errors = [process.communicate()[1].decode() for process in processes]
    assert [error for error in errors if error] == []
    with open_store(store_url) as store:
        assert len(store.list_runs()) == 16


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/local ext4 rw 0 0
server:/with\\040space /mnt/with\\040space cifs rw 0 0
me@host: /mnt/ssh fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(("path", "kind"), [
    ("/data/evsys.db", None), ("/home/me/evsys.db", "nfs4"), ("/home/local/evsys.db", None),
    ("/mnt/with space/evsys.db", "cifs"), ("/mnt/ssh/x/evsys.db", "fuse.sshfs"), ("/homes/evsys.db", None),
])  # fmt: skip
def test_network_file_systems_are_recognised(tmp_path: Path, path: str, kind: str | None) -> None:
    """By the longest mount point above the file; where nothing can be known, nothing is claimed."""
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert network_file_system(Path(path), mounts) == kind
    assert network_file_system(Path(path), tmp_path / "none") is None


def test_on_a_network_file_system_there_is_no_wal_and_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """WAL needs memory shared by all who use the file."""
    monkeypatch.setattr(database, "network_file_system", lambda path: "nfs4")
    with caplog.at_level(logging.WARNING), open_store(f"sqlite:///{tmp_path}/evsys.db") as store:
        store.write(Records(series=[series()]))
        assert len(store.get_metrics(RUN)) == 10
    assert [record.message.count("nfs4") for record in caplog.records] == [1]
    with sqlite3.connect(tmp_path / "evsys.db") as conn:
        assert conn.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_folder_that_cannot_be_made_is_an_unavailable_store(tmp_path: Path) -> None:
    """The sentence names the folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="file/folder"):
        open_store(f"sqlite:///{tmp_path}/file/folder/evsys.db")
