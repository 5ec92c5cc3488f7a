"""A driver's exception goes in, StoreUnavailable or StoreError comes out: decided once, at the boundary."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, quote_plus

from sqlalchemy import exc

from evsys_otel.errors import EvsysOtelError, StoreError, StoreUnavailable

_SQLITE_HEALS = {5, 6, 7, 8, 10, 13, 14, 15}
"""Result codes (https://www.sqlite.org/rescode.html) that may heal: BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL,
CANTOPEN and PROTOCOL."""

_SQLITE_HEALS_TEXTS = (
    "locked", "busy", "full", "disk i/o error", "unable to open", "out of memory", "locking protocol", "readonly",
)
"""The same on Python 3.10, whose driver names no codes."""

_POSTGRES_HEALS = ("08", "53", "57", "58", "40", "55P03", "25006")
"""SQLSTATEs (PostgreSQL, appendix A) that may heal: connection, resources (a full disk), shutdown, system, deadlock,
lock not to be had, read-only during a failover."""


@contextmanager
def mapped_errors(where: str, secrets: tuple[str, ...] = ()) -> Iterator[None]:
    """Turn what a driver raises within into StoreUnavailable or StoreError; the message holds none of ``secrets``.

    Args:
        where: The store as a person may see it, without its password.
        secrets: Texts that a driver's message might repeat.
    """
    try:
        yield
    except EvsysOtelError:
        raise
    except exc.TimeoutError as error:  # every connection of the pool is in use
        raise StoreUnavailable(f"The store {where} has no free connection; try again later.") from error
    except exc.DBAPIError as error:
        raise _error_of(error.orig or error, where, secrets) from error
    except sqlite3.Error as error:  # from what makes a new connection ready
        raise _error_of(error, where, secrets) from error
    except exc.SQLAlchemyError as error:
        raise StoreError(f"The store {where} cannot do this ({type(error).__name__}).") from error
    except (OverflowError, UnicodeError) as error:
        raise StoreError(f"The store {where} cannot keep a value ({error}); numbers must fit 64 bits.") from error


def hide(text: str, secrets: tuple[str, ...]) -> str:
    """Return the text with each secret, also in the forms that URLs give it, replaced."""
    for secret in filter(None, secrets):
        for form in (secret, quote(secret, safe=""), quote_plus(secret)):
            text = text.replace(form, "***")
    return text


def _error_of(error: BaseException, where: str, secrets: tuple[str, ...]) -> StoreError:
    lines = str(error).strip().splitlines()  # the lines after the first may hold a row's values
    said = hide(lines[0], secrets) if lines else type(error).__name__
    if _heals(error):
        return StoreUnavailable(f"The store {where} is not available ({said}); the same call may succeed later.")
    return StoreError(f"The store {where} refused ({said}).")


def _heals(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None:
            return code & 0xFF in _SQLITE_HEALS
        return any(text in str(error).lower() for text in _SQLITE_HEALS_TEXTS)
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_POSTGRES_HEALS)
    # psycopg gives no state where no server answered, or where the connection broke.
    return type(error).__name__ in {"OperationalError", "InterfaceError", "ConnectionTimeout", "PoolTimeout"}
