"""Failed attempts go in, the seconds to wait before the next one come out."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_SECONDS = 0.25
MOST_SECONDS = 30.0
SWITCHED_OFF_SECONDS = 60.0
"""How long a switched-off lane waits before it tries again."""


class Backoff:
    """Exponential waiting with jitter, from a quarter of a second to half a minute; a server's own wish goes before.

    Not so a wish of nothing at all: servers send it with every failure, and would be asked without a pause.
    """

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._failures = 0

    def reset(self) -> None:
        """Forget earlier failures: something was taken."""
        self._failures = 0

    def next_seconds(self, wish: float | None = None) -> float:
        """Return how long to wait after one more failure; ``wish`` is the server's (RetryInfo, Retry-After)."""
        ceiling = min(MOST_SECONDS, FIRST_SECONDS * 2.0 ** min(self._failures, 16))
        self._failures += 1
        if wish is not None:
            return max(wish, FIRST_SECONDS)
        return ceiling * (0.5 + 0.5 * self._jitter())
