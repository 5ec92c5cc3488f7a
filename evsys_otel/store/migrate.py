"""A database of any earlier version goes in, one of the present version comes out; a newer one is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, insert, inspect, select, update

from evsys_otel.errors import StoreVersionError
from evsys_otel.store import schema
from evsys_otel.store.database import Database, Transaction

Migration = Callable[[Connection], None]

MIGRATIONS: dict[int, Migration] = {}
"""Version -> what makes it the next one. A migration runs once, under a lock, in one transaction with the others."""

_ADVISORY_LOCK = 0x65767379_73
"""Number of the lock that keeps two processes from migrating one PostgreSQL database at once ("evsys")."""


def prepare(
    database: Database, version: int = schema.SCHEMA_VERSION, migrations: Mapping[int, Migration] = MIGRATIONS
) -> None:
    """Create the tables, or bring them to ``version``; safe in any number of processes at once.

    Raises:
        StoreVersionError: the database was written by a newer version of this package.
    """
    with database.reading() as conn:
        found = _version_of(conn)
    if found == version:
        return
    with database.writing() as tx:
        if tx.postgres:
            tx.conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        _bring_forward(tx, database.location.shown, version, migrations)


def _bring_forward(tx: Transaction, where: str, version: int, migrations: Mapping[int, Migration]) -> None:
    found = _version_of(tx.conn)
    if found is None:
        schema.metadata.create_all(tx.conn)
        tx.conn.execute(insert(schema.schema_version).values(version=version))
        return
    if found > version:
        raise StoreVersionError(
            f"The store {where} has schema version {found} and this evsys-otel knows versions up to {version}; "
            "upgrade it with: pip install --upgrade evsys-otel"
        )
    for step in range(found, version):
        migrations[step](tx.conn)
    if found != version:
        tx.conn.execute(update(schema.schema_version).values(version=version))


def _version_of(conn: Connection) -> int | None:
    if not inspect(conn).has_table(schema.schema_version.name):
        return None
    return conn.execute(select(schema.schema_version.c.version)).scalar()
