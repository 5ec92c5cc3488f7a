"""A request's sizes go in, a refusal comes out where one request, or all together, are beyond bounds."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from evsys_otel.bridge.replies import Refused, TryLater
from evsys_otel.settings import MIB

MAX_DEPTH = 100
"""Levels of nesting, of JSON as of protobuf (whose decoder has this bound built in)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request (its body, also decompressed), of all at once, and of the time that a sender may take.

    ``header_seconds`` is for the headers, and for the rest of a body that is refused and thrown away.
    """

    max_request_bytes: int = 64 * MIB
    max_waiting_bytes: int = 256 * MIB
    max_attributes: int = 10_000
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    drain_seconds: float = 25.0


class Budget:
    """Bytes of every request between its first byte and its answer; thread-safe."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self.bytes = 0

    def open(self) -> Reservation:
        """Return a reservation of nothing yet, for one request."""
        return Reservation(self, self._limits.max_request_bytes)

    def add(self, reservation: Reservation, more: int) -> None:
        """Take ``more`` bytes for a reservation; a request that is alone may be larger than the whole budget.

        Raises:
            TryLater: too much waits already, or the reservation was closed, since its sender went away.
        """
        with self._lock:
            others = self.bytes - reservation.bytes
            if reservation.closed or (others > 0 and self.bytes + more > self._limits.max_waiting_bytes):
                raise TryLater("Too many bytes wait for the store; the same request will be taken later.")
            self.bytes += more
            reservation.bytes += more

    def close(self, reservation: Reservation) -> None:
        """Give a reservation's bytes back."""
        with self._lock:
            reservation.closed = True
            self.bytes -= reservation.bytes


class Reservation:
    """One request's part of the budget, given back when the block ends."""

    def __init__(self, budget: Budget, max_request_bytes: int) -> None:
        self.max_request_bytes = max_request_bytes
        self.bytes = 0
        self.closed = False
        self._budget = budget

    def add(self, more: int) -> None:
        """Take bytes. Raises TryLater when too much waits already."""
        self._budget.add(self, more)

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._budget.close(self)


def refuse_size(size: int, max_bytes: int) -> None:
    """Refuse a body of this many bytes, as it came or decompressed, when it is beyond the bound."""
    if size > max_bytes:
        raise Refused("too_large", f"A request may have {max_bytes:,} bytes, decompressed; send smaller ones.")


def check_attributes(message: Any, max_attributes: int) -> None:
    """Refuse a request that has a resource, span, log record, point or exemplar with too many attributes."""
    for attributes in _attribute_lists(message):
        if len(attributes) > max_attributes:
            raise Refused("malformed", f"A record may have {max_attributes:,} attributes; one has {len(attributes):,}.")


def _attribute_lists(message: Any) -> Iterable[Any]:
    for outer in getattr(message, "resource_spans", ()):
        yield outer.resource.attributes
        for scope in outer.scope_spans:
            for span in scope.spans:
                yield span.attributes
    for outer in getattr(message, "resource_logs", ()):
        yield outer.resource.attributes
        for scope in outer.scope_logs:
            for record in scope.log_records:
                yield record.attributes
    for outer in getattr(message, "resource_metrics", ()):
        yield outer.resource.attributes
        for scope in outer.scope_metrics:
            for metric in scope.metrics:
                yield from _attribute_lists_of_points(metric)


def _attribute_lists_of_points(metric: Any) -> Iterable[Any]:
    kind = metric.WhichOneof("data")
    for point in getattr(metric, kind).data_points if kind else ():
        yield point.attributes
        exemplars = getattr(point, "exemplars", ())
        if len(exemplars) < 100:  # in a longer list the sender's regular ones are not worth the time
            for exemplar in exemplars:
                yield exemplar.filtered_attributes
