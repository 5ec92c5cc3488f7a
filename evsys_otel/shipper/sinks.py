"""What a lane delivers to: signals go in, a delivery's outcome and what remains of the signals come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from evsys_otel.journal import Identity
from evsys_otel.otlp import Outcome, Refused, TryLater
from evsys_otel.shipper.parked import Parked
from evsys_otel.signals import SignalBuilder, Signals

Trouble = TryLater | Refused
"""Why a lane cannot go on now: for a while, or (scope ``sender``) until somebody mends the configuration."""


@dataclass
class Delivery:
    """What became of some signals: ``rest`` is what was not taken, None when all was taken, parked or counted."""

    outcome: Outcome
    rest: Signals | None = None
    parked: Sequence[Parked] = field(default=())
    shortened: int = 0
    rejected: int = 0


class Sink(Protocol):
    """A destination as its lane sees it; used by one thread, but for ``interrupt``, and none of its calls raises."""

    name: str
    """The lane's name in the status; the acknowledged position is kept under it."""
    destination: str
    """Where it delivers to, without credentials."""
    heartbeats: bool
    """Whether it takes the live shipper's signs of life."""

    def builder(self, identity: Identity) -> SignalBuilder:
        """Return a builder of the signals that this destination takes."""
        ...

    def open(self, acknowledged: int) -> int | Trouble:
        """Connect; return the position acknowledged so far, ``acknowledged`` where the destination keeps none."""
        ...

    def deliver(self, signals: Signals, position: int) -> Delivery:
        """Deliver the signals of all events up to ``position``; blocks for a bounded time."""
        ...

    def interrupt(self) -> None:
        """End a call that blocks, from another thread; the sink is not used after it."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
