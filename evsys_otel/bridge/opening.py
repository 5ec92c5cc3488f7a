"""A store's URL goes in, the open store comes out when it can be had: a bridge may start before its store does."""

from __future__ import annotations

import contextlib
import threading

from evsys_otel.errors import StoreUnavailable
from evsys_otel.store import Store, open_store


class StoreDoor:
    """Opens a store when it is first needed and can be; thread-safe.

    Raises:
        ConfigurationError: the URL cannot be used.
        StoreVersionError: the store was written by a newer version of this package.
    """

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._closed = False
        with contextlib.suppress(StoreUnavailable):
            self.open()

    def open(self) -> Store:
        """Return the store. Raises StoreUnavailable while it cannot be reached, or once the door was closed."""
        with self._lock:
            if self._closed:
                raise StoreUnavailable("The store is closed, since the server goes down.")
            if self._store is None:
                self._store = open_store(self._url)
            return self._store

    @property
    def label(self) -> str:
        """Where the store is, for people, or why it cannot be reached yet."""
        try:
            return self.open().url_without_password
        except StoreUnavailable as error:
            return f"a store that cannot be reached yet ({error})"

    def check(self) -> None:
        """Read from the store; raises StoreError when that cannot be done now."""
        self.open().journal_position("")

    def close(self) -> None:
        """Close the store for good."""
        with self._lock:
            self._closed = True
            if self._store is not None:
                self._store.close()
