"""Log events in, as either reader gives them; records out, by the event's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from evsys_otel import conventions as c
from evsys_otel.records import EntityKind
from evsys_otel.translate.attributes import Attributes, is_time
from evsys_otel.translate.children import take_checkpoint, take_eval, take_prediction, take_totals
from evsys_otel.translate.collector import Collector
from evsys_otel.translate.entities import end_entity, start_entities, update_entities
from evsys_otel.translate.statement import Source, Statement

_EVENT_NAME = "event.name"
"""The attribute by which SDKs older than the record's own field name an event."""


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What the translator reads of a log record; the time is the event's, else that of its observation."""

    event_name: str | None
    time_unix_nano: Any
    attributes: Any
    body: Any


def take_log(collector: Collector, log: LogFacts, source: Source) -> None:
    """Take a log event of ours; another log record, or one that cannot be used, is ignored and counted."""
    attributes = Attributes(log.attributes)
    take = _TAKERS.get(log.event_name or attributes.text(_EVENT_NAME) or "")
    if take is None or not is_time(log.time_unix_nano):
        return collector.ignore()
    said = Statement.read(attributes, source, log.time_unix_nano)
    if take(collector, said, log.body):
        collector.mention(said, said.time_unix_nano, said.time_unix_nano)
    else:
        collector.ignore()
    return collector.ignore(attributes.malformed)


def _take_start(kind: EntityKind, collector: Collector, said: Statement, body: Any) -> bool:
    record_id = said.id_of(kind)
    if record_id is None:
        return False
    collector.records.entities += start_entities(kind, record_id, said)
    _see(kind, collector, said)
    return True


def _take_end(kind: EntityKind, collector: Collector, said: Statement, body: Any) -> bool:
    record_id = said.id_of(kind)
    if record_id is None:
        return False
    collector.records.entities.append(end_entity(kind, record_id, said))
    if kind == "run" and c.RUN_TOTALS in said.attributes and not take_totals(collector, said):
        collector.ignore()
    _see(kind, collector, said)
    return True


def _take_update(collector: Collector, said: Statement, body: Any) -> bool:
    if said.run_id is None:
        return False
    collector.records.entities += update_entities(said.run_id, said)
    _see("run", collector, said)
    return True


def _take_totals(collector: Collector, said: Statement, body: Any) -> bool:
    return take_totals(collector, said)


def _take_heartbeat(collector: Collector, said: Statement, body: Any) -> bool:
    if said.run_id is None:
        return False
    step = said.attributes.integer(c.RUN_LAST_STEP)
    collector.see(said.run_id, said.attempt, said.time_unix_nano, step, heartbeat=True)
    return True


def _take_eval(collector: Collector, said: Statement, body: Any) -> bool:
    return take_eval(collector, said)


def _take_checkpoint(collector: Collector, said: Statement, body: Any) -> bool:
    return take_checkpoint(collector, said)


def _see(kind: EntityKind, collector: Collector, said: Statement) -> None:
    if kind == "run" and said.run_id is not None:
        collector.see(said.run_id, said.attempt, said.time_unix_nano)


_TAKERS: dict[str, Callable[[Collector, Statement, Any], bool]] = {
    c.EVENT_EXPERIMENT_START: partial(_take_start, "experiment"),
    c.EVENT_EXPERIMENT_END: partial(_take_end, "experiment"),
    c.EVENT_GROUP_START: partial(_take_start, "group"),
    c.EVENT_GROUP_END: partial(_take_end, "group"),
    c.EVENT_RUN_START: partial(_take_start, "run"),
    c.EVENT_RUN_UPDATE: _take_update,
    c.EVENT_RUN_END: partial(_take_end, "run"),
    c.EVENT_RUN_TOTALS: _take_totals,
    c.EVENT_RUN_HEARTBEAT: _take_heartbeat,
    c.EVENT_EVAL: _take_eval,
    c.EVENT_CHECKPOINT: _take_checkpoint,
    c.EVENT_PREDICTION: take_prediction,
}
