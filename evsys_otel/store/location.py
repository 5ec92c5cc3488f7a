"""A store's URL goes in; where that is, checked and normalised, comes out."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from evsys_otel.errors import ConfigurationError, StoreUnavailable

CONNECT_SECONDS = 10
"""How long a connection to PostgreSQL may take; the URL's own `connect_timeout` beats it."""

MOUNTS = Path("/proc/mounts")

NETWORK_FILE_SYSTEMS = {
    "9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "pvfs2", "smb3",
    "smbfs", "virtiofs", "wekafs",
}
"""File systems on which the shared memory of SQLite's WAL does not work (https://www.sqlite.org/wal.html)."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a store is: ``url`` for SQLAlchemy, ``shown`` for people, ``path`` of the file for SQLite alone."""

    url: URL
    shown: str
    path: Path | None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that no message may hold."""
        return (self.url.password,) if self.url.password else ()


def locate(url: str) -> Location:
    """Return where a URL points: ``sqlite:///path`` or ``postgresql://user@host/database``.

    Raises:
        ConfigurationError: the URL cannot be read, names another database, or lacks its driver.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "The store's URL cannot be read; give sqlite:///path or postgresql://user:password@host/database."
        ) from None
    backend = parsed.drivername.split("+")[0]
    if backend == "sqlite":
        return _locate_sqlite(parsed)
    if backend in {"postgresql", "postgres"}:
        return _locate_postgres(parsed)
    raise ConfigurationError(f"The store cannot be a {backend} database; give a sqlite:/// or postgresql:// URL.")


def _locate_sqlite(url: URL) -> Location:
    if not url.database or url.database == ":memory:" or "mode=memory" in url.database:
        raise ConfigurationError("The store is read by several processes and needs a file; give sqlite:///path.")
    if url.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise ConfigurationError(f"The store does not use the driver {url.drivername}; give a sqlite:/// URL.")
    path = Path(url.database).expanduser().absolute()
    url = url.set(drivername="sqlite+pysqlite", database=str(path))
    return Location(url, f"sqlite:///{path}", path)


def _locate_postgres(url: URL) -> Location:
    driver = url.drivername.partition("+")[2]
    if driver not in {"", "psycopg"}:
        raise ConfigurationError(f"The store does not use the driver {driver}; give a postgresql:// URL.")
    if importlib.util.find_spec("psycopg") is None:
        raise ConfigurationError("A PostgreSQL store needs its driver: pip install 'evsys-otel[postgres]'.")
    url = url.set(drivername="postgresql+psycopg")
    if "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": str(CONNECT_SECONDS)})
    shown = URL.create("postgresql", url.username, None, url.host, url.port, url.database)
    return Location(url, shown.render_as_string(), None)


def make_folder(path: Path) -> None:
    """Create the folder of a store's file. Raises StoreUnavailable when that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(f"The folder {path.parent} cannot be created ({error.strerror}).") from error


def network_file_system(path: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the type of the network file system that holds the path, None where it is local or cannot be known."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
        resolved = path.resolve()
    except OSError:
        return None
    best: tuple[int, str] = (-1, "")
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        point = Path(_unescape(fields[1]))
        if resolved.is_relative_to(point) and len(point.parts) >= best[0]:  # a later mount covers an earlier one
            best = (len(point.parts), fields[2])
    kind = best[1]
    return kind if kind in NETWORK_FILE_SYSTEMS or kind.startswith("fuse.") else None


def _unescape(field: str) -> str:
    """Undo the octal escapes of /proc/mounts (getmntent(3))."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, char)
    return field
