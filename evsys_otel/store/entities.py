"""What was said of experiments, groups, runs and evals goes into their rows: field by field the newest wins."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, update

from evsys_otel.conventions import CRASHED, RUNNING
from evsys_otel.records import Entity, EntityKind
from evsys_otel.store.attempts import Attempt, AttemptKey
from evsys_otel.store.database import Transaction
from evsys_otel.store.locks import Rows
from evsys_otel.store.schema import ENTITY_FIELDS, ENTITY_TABLES
from evsys_otel.store.texts import canonical

Version = tuple[int, int, int]
"""(attempt, is_end, time in nanoseconds) of what a field holds; the greater one is newer."""


def versions_of(row: Mapping[str, Any]) -> dict[str, Version]:
    """Return the version of each field that the row holds."""
    return {name: (version[0], version[1], version[2]) for name, version in json.loads(row["versions"]).items()}


def write_entities(
    tx: Transaction, rows: Rows, entities: Sequence[Entity], attempts: Mapping[str, Mapping[AttemptKey, Attempt]]
) -> None:
    """Merge what was said into the locked rows; ``attempts`` are those of the runs that this write touches."""
    by_id: dict[EntityKind, dict[str, list[Entity]]] = {kind: defaultdict(list) for kind in ENTITY_TABLES}
    for entity in entities:
        by_id[entity.kind][entity.id].append(entity)
    for kind, table in ENTITY_TABLES.items():
        changed = []
        for record_id in sorted(set(by_id[kind]) | (set(attempts) if kind == "run" else set())):
            row = merge(kind, rows[kind][record_id], by_id[kind][record_id])
            if kind == "run":
                row["current_status"] = current_status(row, attempts.get(record_id, {}))
            if row != rows[kind][record_id]:
                changed.append({"id_": row.pop("id"), **row})
        if changed:
            tx.conn.execute(update(table).where(table.c.id == bindparam("id_")), changed)


def merge(kind: EntityKind, row: Mapping[str, Any], entities: Iterable[Entity]) -> dict[str, Any]:
    """Return the row with what the entities say; the outcome does not depend on their order.

    Of contradictions with equal versions the one with the greater canonical JSON counts.
    """
    merged = dict(row)
    versions = versions_of(row)
    first = row["first_unix_nano"]
    for entity in entities:
        version = (entity.attempt, int(entity.is_end), entity.time_unix_nano)
        first = entity.time_unix_nano if first is None else min(first, entity.time_unix_nano)
        for name, value in entity.fields.items():
            held = versions.get(name)
            if held is None or (version, canonical(value)) > (held, canonical(merged[name])):
                merged[name], versions[name] = value, version
    merged["first_unix_nano"] = first
    merged["versions"] = json.dumps({name: versions[name] for name in ENTITY_FIELDS[kind] if name in versions})
    return merged


def current_status(row: Mapping[str, Any], attempts: Mapping[AttemptKey, Attempt]) -> str:
    """Return the status of a run by everything that is known of it.

    It is running again when a later attempt was heard of than the one that ended, or another of the same number that
    did not end, or when an attempt did something after it had been declared crashed (it was only out of sight). The
    crash's own time is derived, not an event's.
    """
    version = versions_of(row).get("status")
    if version is None or max((key.number for key in attempts), default=0) > version[0]:
        return RUNNING
    status = str(row["status"])
    peers = [each for key, each in attempts.items() if key.number == version[0]]
    came_back = status == CRASHED and any(each.event_unix_nano > version[2] for each in peers)
    goes_on = any(not each.end_unix_nano for each in peers) and any(each.end_unix_nano for each in peers)
    return RUNNING if came_back or goes_on else status
