"""A journal's folder goes in, a process that ships it until its writer is gone and all is delivered comes out."""

from __future__ import annotations

import logging
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from evsys_otel import pipeline
from evsys_otel.errors import EvsysOtelError
from evsys_otel.journal import JournalLock, JournalReader, remove_shipped
from evsys_otel.settings import Settings, resolve_settings
from evsys_otel.shipper.collector import calm_collector
from evsys_otel.shipper.shipment import Shipment
from evsys_otel.shipper.watch import watch_owner

_logger = logging.getLogger(__name__)

TURN_SECONDS = 0.05
PATIENCE_SECONDS = 600.0
"""How long the last lanes may stand still after the writer's end before the rest is left to ``evsys-otel sync``."""
HURRY_SECONDS = 5.0
"""The same once somebody asked this process to go: a machine that shuts down."""


def main(folder: str) -> int:
    """Ship the journal in ``folder``; return at once when another process ships it. Returns the exit code."""
    hurry = _Hurry()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = resolve_settings()
    lock = JournalLock(Path(folder))
    try:
        if not lock.acquire():
            return 0
    except EvsysOtelError as error:
        _logger.error("%s", error)
        return 1
    try:
        _ship(Path(folder), settings, hurry)
    finally:
        lock.release()
    remove_shipped(settings.journal_root, settings.journal_keep_days, settings.journal_keep_bytes, time.time_ns())
    return 0


class _Hurry:
    """SIGTERM, SIGINT and SIGHUP go to whole jobs: they are noted, and shorten the patience after the writer's end."""

    def __init__(self) -> None:
        self.asked = False
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True


def _ship(folder: Path, settings: Settings, hurry: _Hurry) -> None:
    identity = JournalReader(folder).identity
    sinks = pipeline.build_sinks(settings, identity)
    if not sinks:
        return
    shipment = Shipment(folder, sinks, watch_owner(identity), heartbeat_seconds=settings.heartbeat_seconds)
    with calm_collector(), shipment:
        while not shipment.settled:
            shipment.turn(TURN_SECONDS)
            if shipment.is_stuck(HURRY_SECONDS if hurry.asked else PATIENCE_SECONDS):
                _logger.warning("lanes stand still; the rest is left to `evsys-otel sync`")
                break
        shipment.mark_if_shipped()
