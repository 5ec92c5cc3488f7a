"""Records of concurrent requests go in, shared transactions come out; each request learns what became of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import compress

from evsys_otel.errors import StoreError, StoreUnavailable
from evsys_otel.records import Records
from evsys_otel.store import Part

_logger = logging.getLogger(__name__)

MAX_WAITING = 2_000_000
"""Values and other records that may wait; a request alone may have more."""

MAX_TOGETHER = 200_000
"""Values and other records of one transaction, unless a request alone has more: longer ones make others wait."""


class Busy(Exception):  # noqa: N818 (a state, not a mistake)
    """As much waits as may; nothing of the request was taken."""


@dataclass(slots=True)
class _Job:
    parts: Sequence[Part]
    weight: int
    done: Future[Sequence[bool]]


class GroupWriter:
    """Writes what is submitted by one thread, as much in one transaction as came while the last one was under way.

    Args:
        write: Writes parts in one transaction, all or nothing; ``Store.write_parts``.
        on_write: Is told of each transaction: its parts, and its duration in seconds.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Part]], Sequence[bool]],
        on_write: Callable[[Sequence[Part], float], None] = lambda parts, seconds: None,
        *,
        max_waiting: int = MAX_WAITING,
        max_together: int = MAX_TOGETHER,
    ) -> None:
        self._write = write
        self._on_write = on_write
        self._max_waiting = max_waiting
        self._max_together = max_together
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self.waiting = 0
        self._thread = threading.Thread(target=self._run, name="evsys-otel-writer", daemon=True)
        self._thread.start()

    def submit(self, parts: Sequence[Part]) -> Future[Sequence[bool]]:
        """Return a future that is done, with whether each part was written, when they are committed.

        The future raises StoreUnavailable for what may heal and StoreError for what does not; either way nothing of
        these parts was committed.

        Raises:
            Busy: too much waits, or the writer was closed.
        """
        job = _Job(parts, sum(weigh(part.records) for part in parts), Future())
        job.done.set_running_or_notify_cancel()  # from here on nobody's going away changes what is written
        with self._changed:
            if self._closed or (self._jobs and self.waiting + job.weight > self._max_waiting):
                raise Busy
            self._jobs.append(job)
            self.waiting += job.weight
            self._changed.notify()
        return job.done

    def close(self) -> None:
        """Write what waits, take nothing more, and return when all of it was answered."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while jobs := self._next_jobs():
            self._settle(jobs)

    def _next_jobs(self) -> list[_Job]:
        """Wait for work, and return what goes into one transaction; nothing once closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            jobs: list[_Job] = []
            weight = 0
            while self._jobs and (not jobs or weight + self._jobs[0].weight <= self._max_together):
                jobs.append(self._jobs.popleft())
                weight += jobs[-1].weight
            self.waiting -= weight
            return jobs

    def _settle(self, jobs: list[_Job]) -> None:
        """Write the jobs together; when the store refuses them, each alone, so that one does not fail the others."""
        error = self._try_to_write(jobs)
        if error is None:
            return
        if len(jobs) == 1 or isinstance(error, StoreUnavailable):
            for job in jobs:
                job.done.set_exception(error)
            return
        for job in jobs:
            self._settle([job])

    def _try_to_write(self, jobs: list[_Job]) -> Exception | None:
        """Write the jobs in one transaction and resolve them; return the error when nothing was committed."""
        parts = [part for job in jobs for part in job.parts]
        began = time.perf_counter()
        try:
            written = self._write(parts)
        except StoreError as error:
            return error
        except Exception as error:
            _logger.exception("records could not be written because of %s", type(error).__name__)
            return error
        self._on_write([*compress(parts, written)], time.perf_counter() - began)
        for job in jobs:
            own, written = written[: len(job.parts)], written[len(job.parts) :]
            job.done.set_result(own)
        return None


def weigh(records: Records) -> int:
    """Return how much work records are: one for each value, ten for each other record."""
    others = (
        len(records.entities) + len(records.predictions) + len(records.checkpoints) + len(records.receipts)
        + len(records.totals) + len(records.seen)
    )  # fmt: skip
    return sum(len(series.values) for series in records.series) + 10 * others


def merge(parts: Iterable[Part]) -> Records:
    """Return the records of all parts as one batch; the parts stay as they are."""
    records = Records()
    for part in parts:
        records.extend(part.records)
    return records
