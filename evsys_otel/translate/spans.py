"""Spans in, as either reader gives them; records out: those of the log events that the span's begin and end were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from evsys_otel import conventions as c
from evsys_otel.records import EntityKind
from evsys_otel.translate.attributes import Attributes, is_time
from evsys_otel.translate.children import take_checkpoint, take_eval
from evsys_otel.translate.collector import Collector
from evsys_otel.translate.entities import end_entity, start_entities
from evsys_otel.translate.statement import Source, Statement


@dataclass(frozen=True, slots=True)
class SpanFacts:
    """What the translator reads of an ended span; ``failure`` describes its status when that is ERROR, else None."""

    start_unix_nano: Any
    end_unix_nano: Any
    attributes: Any
    failure: str | None


def take_span(collector: Collector, span: SpanFacts, source: Source) -> None:
    """Take a span of ours; another one, or one that cannot be used, is ignored and counted."""
    attributes = Attributes(span.attributes)
    record = attributes.text(c.RECORD)
    take = _TAKERS.get(record) if record is not None else None
    if take is None or not (is_time(span.start_unix_nano) and is_time(span.end_unix_nano)):
        return collector.ignore()
    said = Statement.read(attributes, source, span.end_unix_nano)
    if take(collector, said, span):
        collector.mention(said, said.time_unix_nano, said.time_unix_nano)
    else:
        collector.ignore()
    return collector.ignore(attributes.malformed)


def _take_entity(kind: EntityKind, collector: Collector, said: Statement, span: SpanFacts) -> bool:
    record_id = said.id_of(kind)
    if record_id is None:
        return False
    began = replace(said, time_unix_nano=span.start_unix_nano)
    collector.records.entities += start_entities(kind, record_id, began)
    collector.records.entities.append(end_entity(kind, record_id, said, span.failure))
    if kind == "run":
        collector.see(record_id, said.attempt, said.time_unix_nano)
    return True


def _take_eval(collector: Collector, said: Statement, span: SpanFacts) -> bool:
    # Our own spans without a known begin have no length, and say nothing of it, as their log events do not.
    has_length = span.start_unix_nano < span.end_unix_nano
    return take_eval(collector, said, span.start_unix_nano if has_length else None)


def _take_checkpoint(collector: Collector, said: Statement, span: SpanFacts) -> bool:
    return take_checkpoint(collector, said)


_TAKERS: dict[str, Callable[[Collector, Statement, SpanFacts], bool]] = {
    "experiment": partial(_take_entity, "experiment"),
    "group": partial(_take_entity, "group"),
    "run": partial(_take_entity, "run"),
    "eval": _take_eval,
    "checkpoint": _take_checkpoint,
}
