"""A journal of this very process and its sinks go in, a thread that ships it comes out.

Only for what cannot cross a process. It takes interpreter time from the training loop through the GIL: about 200 µs a
step of 20 metrics, and calls to ``log`` of 5 to 10 ms now and then, where the shipper process costs 20 to 40 µs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from evsys_otel.journal import JournalLock
from evsys_otel.shipper.shipment import Shipment
from evsys_otel.shipper.sinks import Sink
from evsys_otel.shipper.watch import OwnWatch

_logger = logging.getLogger(__name__)

TURN_SECONDS = 0.05


class ShipperThread(threading.Thread):
    """Ships a journal from within the process that writes it; it ends when the journal is closed and delivered."""

    def __init__(self, folder: Path, sinks: Sequence[Sink], *, heartbeat_seconds: float) -> None:
        super().__init__(name="evsys-shipper", daemon=True)
        self._folder = folder
        self._sinks = sinks
        self._heartbeat_seconds = heartbeat_seconds
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Turn the shipment until it is settled or the thread is stopped; nothing is raised."""
        lock = JournalLock(self._folder)
        try:
            if not lock.acquire():
                _logger.warning("%s is shipped by another process", self._folder)
                return
            shipment = Shipment(self._folder, self._sinks, OwnWatch(), heartbeat_seconds=self._heartbeat_seconds)
            with shipment:
                while not (shipment.settled or self._stop_asked.is_set()):
                    shipment.turn(TURN_SECONDS)
                shipment.mark_if_shipped()
        except Exception:
            _logger.exception("the shipper thread ended; `evsys-otel sync` ships the rest")
        finally:
            lock.release()

    def stop(self, timeout: float = 3.0) -> bool:
        """End what blocks and wait; return whether the thread is gone. What was not delivered waits for ``sync``."""
        self._stop_asked.set()
        self.join(timeout)
        return not self.is_alive()
