"""The one place where our own mistakes end: swallowed and told once in production, raised under test."""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Callable, Hashable
from typing import ParamSpec, TypeVar

_logger = logging.getLogger("evsys_otel.recorder")

MAX_KINDS = 1_000

P = ParamSpec("P")
T = TypeVar("T")

_told: set[Hashable] = set()
_told_lock = threading.RLock()  # reentrant for the sake of signal handlers


def say_once(kind: Hashable, message: str, *args: object, error: BaseException | None = None) -> None:
    """Log a warning the first time that this kind of problem is met; at most 1,000 kinds are told apart."""
    with _told_lock:
        if kind in _told or len(_told) >= MAX_KINDS:
            return
        _told.add(kind)
    _logger.warning(message, *args, exc_info=error)


def forget_told() -> None:
    """Let every kind of problem be told again, and leave no lock behind that another process's thread held."""
    global _told_lock
    _told_lock = threading.RLock()
    _told.clear()


def mishap(where: str, error: Exception) -> None:
    """Take an exception that must not reach the training loop; with ``EVSYS_OTEL_RAISE=1`` it does."""
    if os.environ.get("EVSYS_OTEL_RAISE") == "1":
        raise error
    say_once((where, type(error)), "%s failed and training goes on", where, error=error)


def guarded(default: T) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a hook that returns ``default`` where it would have raised an Exception."""

    def decorate(hook: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(hook)
        def safe(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return hook(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 (telemetry never breaks its host)
                mishap(hook.__qualname__, error)
                return default

        return safe

    return decorate
