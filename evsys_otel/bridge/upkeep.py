"""A long-running server's periodic work: old shipped journals are removed, and, by a setting, old experiments.

That a run ended without a word needs no work: readers see it by its last signal (``stale``, then ``silent``).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evsys_otel.errors import NotFoundError, StoreError
from evsys_otel.journal import remove_shipped
from evsys_otel.store import Store

_logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 3600.0
DAY = 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept, and how long; ``records_days`` None keeps every experiment."""

    journal_root: Path
    journal_days: float
    journal_bytes: int
    records_days: float | None = None


class Upkeep:
    """Tidies at the start and then once an hour, in a thread of its own; what fails is said, and tried again.

    Args:
        open_store: Returns the store; may raise StoreUnavailable.
        retention: What is kept.
        clock: Nanoseconds since the epoch.
    """

    def __init__(
        self, open_store: Callable[[], Store], retention: Retention, *, clock: Callable[[], int] = time.time_ns,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:  # fmt: skip
        self._open_store = open_store
        self._retention = retention
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evsys-otel-upkeep", daemon=True)

    def start(self) -> None:
        """Begin; the first round is done at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the removal that is under way."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def tidy(self) -> tuple[list[str], list[str]]:
        """Do one round; return the ids of the removed journals and experiments. Raises StoreError."""
        kept, now = self._retention, self._clock()
        journals = remove_shipped(kept.journal_root, kept.journal_days, kept.journal_bytes, now)
        if kept.records_days is None:
            return journals, []
        return journals, self._remove_experiments(now - int(kept.records_days * DAY))

    def _remove_experiments(self, since_unix_nano: int) -> list[str]:
        """Remove each in a transaction of its own, so that writers wait for one at most."""
        store = self._open_store()
        removed = []
        for experiment_id in store.quiet_experiments(since_unix_nano):
            if self._stopped.is_set():
                break
            if _remove(store, experiment_id):
                removed.append(experiment_id)
        return removed

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._tidy_safely()
            self._stopped.wait(self._interval_seconds)

    def _tidy_safely(self) -> None:
        try:
            journals, experiments = self.tidy()
        except StoreError as error:
            _logger.warning("old experiments could not be removed and will be tried again: %s", error)
        except Exception as error:
            _logger.exception("the upkeep failed because of %s and will be tried again", type(error).__name__)
        else:
            if journals or experiments:
                _logger.warning(
                    "removed what is older than is kept: %d journals, %d experiments", len(journals), len(experiments)
                )


def _remove(store: Store, experiment_id: str) -> bool:
    try:
        store.remove(experiment_id)
    except NotFoundError:  # another server was faster
        return False
    return True
