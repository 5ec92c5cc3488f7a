"""The sessions of this process, one for each set of settings, and their ends: normal exit, exception, fork."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from dataclasses import replace
from types import TracebackType

from evsys_otel.recorder.guard import forget_told, guarded
from evsys_otel.recorder.roles import exit_timeout_seconds, is_multiprocessing_child, is_silent
from evsys_otel.recorder.scope import status_of
from evsys_otel.recorder.session import Session, open_session, silent_session
from evsys_otel.settings import Settings
from evsys_otel.sources import SYSTEM_SOURCES, Sources

_logger = logging.getLogger(__name__)

Key = tuple[Settings, tuple[tuple[str, str], ...], tuple[int, ...]]


class Sessions:
    """All sessions of this process; thread-safe. ``sources`` is where a test puts its own."""

    def __init__(self, sources: Sources = SYSTEM_SOURCES) -> None:
        self.sources = sources
        self._lock = threading.RLock()
        self._sessions: dict[Key, Session] = {}
        self._uncaught: BaseException | None = None
        self._excepthook: object = None
        self._hooked = False
        self._finalizer_pid = 0

    def get(self, settings: Settings, exporters: tuple[object, ...] = ()) -> Session:
        """Return the session of these settings, opened on its first use; a silent one where nothing is recorded.

        Raises:
            ConfigurationError: an exporter object cannot be used.
        """
        if is_silent(settings):
            return silent_session(settings, self.sources)
        key = _key(settings, exporters)
        with self._lock:
            self._hook()
            if key not in self._sessions:
                self._sessions[key] = open_session(key[0], exporters, self.sources)
            return self._sessions[key]

    def flush(self, timeout: float | None) -> bool:
        """Wait until every session is acknowledged; whether all are."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            sessions = list(self._sessions.values())
        done = True
        for session in sessions:
            done &= session.flush(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return done

    @guarded(None)
    def close(self, error: BaseException | None = None) -> None:
        """End what is open as this exception, or its absence, says, and wait for the shippers for a bounded time."""
        with self._lock:
            sessions, self._sessions = list(self._sessions.values()), {}
        status, text = status_of(error)
        for session in sessions:
            session.end_open(status, text)
        begin = time.monotonic()
        try:
            for session in sessions:
                session.drain(begin + exit_timeout_seconds(session.settings))
        except KeyboardInterrupt:
            _logger.info("the wait for the shipper was interrupted; it goes on without us")

    def forget(self) -> None:
        """Let go, in a forked child, of what belongs to the parent."""
        forget_told()
        self._lock = threading.RLock()
        self._uncaught = None
        for session in self._sessions.values():
            session.silence()
        self._sessions = {}

    def _hook(self) -> None:
        """Have the end of the process told; multiprocessing's children run its finalizers alone."""
        if is_multiprocessing_child() and self._finalizer_pid != os.getpid():
            from multiprocessing import util

            self._finalizer_pid = os.getpid()
            util.Finalize(None, self._close_child, exitpriority=0)
        if not self._hooked:
            self._hooked = True
            atexit.register(self._close_at_exit)
            os.register_at_fork(after_in_child=self.forget)
            self._chain_excepthook()

    def _close_at_exit(self) -> None:
        """End as the script ended; the interpreter keeps its exception where another's hook took the place of ours."""
        self.close(None if hasattr(sys, "ps1") else self._uncaught or self._untold())

    def _untold(self) -> BaseException | None:
        return None if sys.excepthook is self._excepthook else getattr(sys, "last_value", None)

    def _close_child(self) -> None:
        self.close(sys.exc_info()[1])

    def _chain_excepthook(self) -> None:
        before = sys.excepthook

        def note_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
            self._uncaught = error
            before(kind, error, traceback)

        self._excepthook = sys.excepthook = note_uncaught


SESSIONS = Sessions()


def _key(settings: Settings, exporters: tuple[object, ...]) -> Key:
    """Return what makes a session another: where it writes and ships, not whose experiment it is."""
    alike = replace(settings, project_id=None, experiment=None, dir=str(settings.root))
    otel = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("OTEL_")))
    return alike, otel, tuple(id(exporter) for exporter in exporters)
