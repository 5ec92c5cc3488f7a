"""Records go in, and whether the store took them comes out: what the three exporters share."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from evsys_otel.errors import StoreError, StoreUnavailable
from evsys_otel.records import Records
from evsys_otel.store import Store, open_store

_logger = logging.getLogger(__name__)


class StoreTarget:
    """A store that is opened when it can be; thread-safe. A store handed in as an object is the caller's to close.

    Raises:
        ConfigurationError: the URL cannot be used.
        StoreVersionError: the store was written by a newer version of this package.
    """

    def __init__(self, store: Store | str | None) -> None:
        self._lock = threading.Lock()
        self._given = isinstance(store, Store)
        self._url = None if isinstance(store, Store) else store
        self._store: Store | None = store if isinstance(store, Store) else None
        self._closed = False
        self._said: set[str] = set()
        if self._store is None:
            self._try_to_open()

    def write(self, translate: Callable[[], Records]) -> bool:
        """Translate and write; return whether the store has it now. Never raises; each kind of problem is said once."""
        try:
            store = self._opened()
            if store is None:
                return False
            records = translate()
            if records:
                store.write(records)
            return True
        except Exception as error:  # noqa: BLE001 (telemetry never breaks its host)
            self._say(error)
            return False

    def close(self) -> None:
        """Take nothing more, and close the store if it was opened here."""
        with self._lock:
            self._closed = True
            if self._store is not None and not self._given:
                self._store.close()
            self._store = None

    def _opened(self) -> Store | None:
        with self._lock:
            if self._store is None and not self._closed:
                self._try_to_open()
            return self._store

    def _try_to_open(self) -> None:
        try:
            self._store = open_store(self._url)
        except StoreUnavailable as error:
            self._say(error)

    def _say(self, error: Exception) -> None:
        kind = type(error).__name__
        if kind not in self._said:
            self._said.add(kind)
            unforeseen = not isinstance(error, StoreError)
            _logger.warning("signals could not be written to the store: %s", error, exc_info=unforeseen)
