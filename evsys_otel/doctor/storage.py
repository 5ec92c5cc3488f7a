"""The configured store and folder in; whether they can be written, their versions, room and file systems, out."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from evsys_otel.cli.formats import format_bytes
from evsys_otel.doctor.check import Check, fail, ok, warn
from evsys_otel.errors import EvsysOtelError, StoreUnavailable, StoreVersionError
from evsys_otel.settings import Settings

LITTLE_ROOM_BYTES = 1024**3


def check_storage(settings: Settings) -> Iterator[Check]:
    """Yield findings on the folder of the journals and on the store."""
    yield from check_folder(settings.root)
    yield check_store(settings)


def check_folder(root: Path) -> Iterator[Check]:
    """Yield whether the folder can be written, how much room it has, and whether it is on this machine."""
    from evsys_otel.store.location import network_file_system

    present = next(path for path in (root, *root.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=present):
            pass
    except OSError as error:
        yield fail(
            "folder", f"{root} cannot be written: {error.strerror}", "set EVSYS_OTEL_DIR to a folder that can be"
        )
        return
    free = shutil.disk_usage(present).free
    detail = f"{root}, {format_bytes(free)} free"
    if free < LITTLE_ROOM_BYTES:
        yield warn("folder", detail, "make room: on a full disk step values are refused", free_bytes=free)
    else:
        yield ok("folder", detail, free_bytes=free)
    system = network_file_system(present)
    if system is not None:
        mend = "use PostgreSQL, or a local folder: one host at a time may write here"
        yield warn("file system", f"{root} is on a network file system ({system})", mend, file_system=system)


def check_store(settings: Settings) -> Check:
    """Open the store, which creates one that is not there, and say how it is."""
    from evsys_otel.store import open_store

    if settings.store_url is None:
        return warn("store", "no local store is written", "unset EVSYS_OTEL_STORE to have `ls` and `show`")
    try:
        with open_store(settings.store_url) as store:
            count = len(store.list_experiments())
            return ok("store", f"{store.url_without_password}, {count:,} experiments", experiments=count)
    except StoreVersionError as error:
        return fail("store", str(error), "pip install --upgrade evsys-otel")
    except StoreUnavailable as error:
        return fail("store", str(error), "start the database, or check the URL in EVSYS_OTEL_STORE")
    except EvsysOtelError as error:
        return fail("store", str(error), "check the URL in EVSYS_OTEL_STORE")
