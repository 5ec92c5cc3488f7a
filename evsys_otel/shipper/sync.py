"""A folder of journals goes in, deliveries of what their processes left behind and a report come out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evsys_otel.errors import EvsysOtelError
from evsys_otel.events import RunEnded, RunStarted
from evsys_otel.journal import Identity, JournalFolder, JournalLock, JournalReader, list_journals, owner_state
from evsys_otel.shipper.board import DONE, SWITCHED_OFF
from evsys_otel.shipper.collector import calm_collector
from evsys_otel.shipper.shipment import Shipment
from evsys_otel.shipper.sinks import Sink
from evsys_otel.shipper.watch import DeadWatch

_logger = logging.getLogger(__name__)

TURN_SECONDS = 0.05
PATIENCE_SECONDS = 15.0
"""How long the lanes of one journal may stand still before the next journal's turn."""
LITTLE_PATIENCE_SECONDS = 2.0
"""The same once a journal was left for that: what is down for one is down for the next."""
UNTOUCHED_SECONDS = 300.0
"""After this long without a write a journal whose process cannot be asked after counts as left behind."""


@dataclass
class SyncReport:
    """What a sync did: journals shipped, events and step values delivered, records parked.

    ``switched_off`` counts lanes that their destinations refuse, ``still_running`` journals of live processes, and
    ``waiting`` journals with lanes that could not be finished now or whose destination is not configured here.
    """

    journals: int = 0
    events: int = 0
    values: int = 0
    parked: int = 0
    switched_off: int = 0
    still_running: int = 0
    waiting: int = 0


@dataclass(frozen=True)
class Progress:
    """How far a sync is: ``shipped_bytes`` of ``total_bytes`` of journal number ``number`` of ``count``."""

    journal_id: str
    number: int
    count: int
    shipped_bytes: int
    total_bytes: int


MakeSinks = Callable[[Identity], Sequence[Sink]]
Tell = Callable[[Progress], None]


@dataclass(frozen=True)
class _Task:
    """One journal to ship: to which sinks, whether from its start, and what lanes it needs to count as shipped."""

    journal: JournalFolder
    sinks: Sequence[Sink]
    needed: Sequence[str]
    again: bool


def sync_folder(
    root: Path, make_sinks: MakeSinks, *, again: str | None = None, to: str = "", tell: Tell | None = None,
    now_unix_nano: Callable[[], int] = time.time_ns,
) -> SyncReport:
    """Ship every journal below ``root`` whose process is dead; safe to repeat and to run beside live processes.

    Args:
        root: folder of the journals.
        make_sinks: all destinations that are configured here.
        again: a run's id; the journals that hold it, shipped or not, are sent once more from their start.
        to: beginning of the names of the lanes that are to ship; by default all.
        tell: called with the progress, some times a second.
        now_unix_nano: the clock.
    """
    report = SyncReport()
    tasks: list[_Task] = []
    for journal in list_journals(root):
        if journal.identity is None or (again is not None and not _holds_run(journal.path, again)):
            continue
        if _may_be_alive(journal.identity, journal.last_write_unix_nano, now_unix_nano()):
            report.still_running += 1
            continue
        task = _task_of(journal, make_sinks(journal.identity), to, again is not None)
        if task.sinks and (task.again or _has_work(task)):
            tasks.append(task)
    with calm_collector():
        for number, task in enumerate(tasks, start=1):
            _ship(task, report, _teller(tell, task.journal, number, len(tasks)))
    return report


def _may_be_alive(identity: Identity, last_write_unix_nano: int, now_unix_nano: int) -> bool:
    state = owner_state(identity)
    if state == "unknown":
        return now_unix_nano - last_write_unix_nano < UNTOUCHED_SECONDS * 1e9
    return state == "alive"


def _task_of(journal: JournalFolder, sinks: Sequence[Sink], to: str, again: bool) -> _Task:
    """Return what is to do; a journal that had an OTLP endpoint is not shipped until it got to one."""
    needed = [sink.name for sink in sinks]
    if journal.identity is not None and journal.identity.otlp:
        needed.append("otlp.")
    return _Task(journal, [sink for sink in sinks if sink.name.startswith(to)], needed, again)


def _has_work(task: _Task) -> bool:
    """Whether a destination that is configured here has not been given all of the journal."""
    status = task.journal.status
    if status is None or status.shipped_unix_nano is None:
        return True
    at_end = [lane for lane in status.lanes if lane.state == DONE and lane.position >= task.journal.end]
    done = {(lane.name, lane.destination) for lane in at_end}
    return any((sink.name, sink.destination) not in done for sink in task.sinks)


def _holds_run(folder: Path, run_id: str) -> bool:
    reader = JournalReader(folder)
    while chunk := reader.read(final=True):
        if any(isinstance(event, (RunStarted, RunEnded)) and event.id == run_id for event in chunk.events):
            return True
    return False


def _ship(task: _Task, report: SyncReport, tell: Callable[[int], None]) -> None:
    """Ship one journal, unless somebody else does."""
    lock = JournalLock(task.journal.path)
    try:
        if not lock.acquire():
            report.still_running += 1
            return
        again = frozenset(sink.name for sink in task.sinks) if task.again else frozenset[str]()
        shipment = Shipment(task.journal.path, task.sinks, DeadWatch(), again=again)
        shipment.board.switch_off_others("exporter.", (), "the exporter object is gone with its process")
        parked_before = shipment.parked
        shipped = _turn(shipment, task, LITTLE_PATIENCE_SECONDS if report.waiting else PATIENCE_SECONDS, tell)
        _add_to(report, shipment, shipped, shipment.parked - parked_before)
    except (EvsysOtelError, OSError) as error:
        report.waiting += 1
        _logger.warning("%s cannot be shipped now: %s", task.journal.path, error)
    finally:
        lock.release()


def _turn(shipment: Shipment, task: _Task, patience_seconds: float, tell: Callable[[int], None]) -> bool:
    with shipment:
        while not (shipment.settled or shipment.is_stuck(patience_seconds)):
            shipment.turn(TURN_SECONDS)
            tell(shipment.position)
        return shipment.mark_if_shipped(task.needed)


def _add_to(report: SyncReport, shipment: Shipment, shipped: bool, parked: int) -> None:
    report.journals += 1
    report.events += max((lane.events for lane in shipment.lanes), default=0)
    report.values += max((lane.values for lane in shipment.lanes), default=0)
    report.parked += parked
    report.switched_off += sum(lane.state == SWITCHED_OFF for lane in shipment.own_lanes())
    report.waiting += not shipped


def _teller(tell: Tell | None, journal: JournalFolder, number: int, count: int) -> Callable[[int], None]:
    def say(position: int) -> None:
        if tell is not None:
            tell(Progress(journal.id, number, count, position, journal.end))

    return say
