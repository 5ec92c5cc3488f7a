"""A private PostgreSQL server for tests, from the machine's binaries, in a temporary folder, a database a test."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


def find_binaries() -> Path | None:
    """Return the folder that holds initdb and postgres, the newest version, None when there is no server."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    folders.sort(key=lambda path: float(path.parent.name))
    if folders:
        return folders[-1]
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@dataclass(frozen=True)
class PostgresServer:
    """A running server; it trusts whoever reaches its loopback port."""

    port: int
    user: str

    def url(self, database: str) -> str:
        """Return the URL of a database of this server."""
        return f"postgresql://{self.user}:secret-word@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """Create an empty database, give its URL, drop it."""
        import psycopg

        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {name}")
            try:
                yield self.url(name)
            finally:
                conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """Start a server of our own, as the user `postgres` where we are root (PostgreSQL refuses root), and stop it."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: its half of the store's tests does not run (sh tests/servers.sh)")
    pytest.importorskip("psycopg", reason="the [postgres] extra is not installed")
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    folder = Path(tempfile.mkdtemp(prefix="evsys-pg-"))
    try:
        if os.getuid() == 0:
            shutil.chown(folder, user)
        yield from _serve(binaries, folder, user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _serve(binaries: Path, folder: Path, user: str) -> Iterator[PostgresServer]:
    def run(*command: str | Path) -> None:
        done = subprocess.run(
            [str(part) for part in command], user=user if os.getuid() == 0 else None, cwd=folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
        )
        assert done.returncode == 0, done.stdout

    data, port = folder / "data", _free_port()
    run(binaries / "initdb", "-D", data, "-U", user, "--auth=trust", "--encoding=UTF8", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    run(binaries / "pg_ctl", "-D", data, "-w", "-t", "60", "-l", folder / "log", "-o", options, "start")
    try:
        yield PostgresServer(port, user)
    finally:
        run(binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server for all of a session's tests."""
    with running_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database."""
    with postgres_server.database() as url:
        yield url
