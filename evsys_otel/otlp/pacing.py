"""Sizes of requests go in, the waiting that keeps a backlog below a rate comes out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

BURST_BYTES = 1024 * 1024


class Pacer:
    """A token bucket: small traffic never waits, a backlog flows at the rate; one thread waits, any may stop it.

    A request larger than the burst leaves a debt that the next one waits for.
    """

    def __init__(
        self,
        bytes_per_second: float,
        burst_bytes: float = BURST_BYTES,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = bytes_per_second
        self._burst = burst_bytes
        self._now = monotonic
        self._tokens = burst_bytes
        self._filled = monotonic()
        self._stopped = threading.Event()

    def seconds_until(self, size_bytes: int) -> float:
        """Return how long a request of this size has to wait from now on; a full bucket lets any request pass."""
        now = self._now()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        return max(0.0, (min(size_bytes, self._burst) - self._tokens) / self._rate)

    def wait(self, size_bytes: int) -> bool:
        """Wait until a request of this size may go and take its share; False when stopped."""
        seconds = self.seconds_until(size_bytes)
        if self._stopped.wait(seconds) if seconds > 0 else self._stopped.is_set():
            return False
        self.seconds_until(size_bytes)
        self._tokens -= size_bytes
        return True

    def stop(self) -> None:
        """Wake who waits, for good."""
        self._stopped.set()
