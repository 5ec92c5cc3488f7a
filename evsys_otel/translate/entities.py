"""Attributes of experiments, groups, runs and evals in, Entity records out, by one table of fields."""

from __future__ import annotations

from evsys_otel import conventions as c
from evsys_otel.records import Entity, EntityKind, FieldValue
from evsys_otel.translate.attributes import INT64_MAX, Attributes
from evsys_otel.translate.statement import Attempt, Statement

_Table = tuple[tuple[str, str, str], ...]

START_FIELDS: dict[str, _Table] = {
    "experiment": (
        ("name", c.EXPERIMENT_NAME, "name"),
        ("hypothesis", c.EXPERIMENT_HYPOTHESIS, "text"),
        ("tags", c.EXPERIMENT_TAGS, "texts"),
    ),
    "group": (("experiment_id", c.EXPERIMENT_ID, "record_id"), ("name", c.GROUP_NAME, "name")),
    "run": (
        ("experiment_id", c.EXPERIMENT_ID, "record_id"),
        ("group_id", c.GROUP_ID, "record_id"),
        ("name", c.RUN_NAME, "name"),
        ("seed", c.RUN_SEED, "integer"),
        ("recipe", c.RUN_RECIPE, "text"),
        ("config", c.RUN_CONFIG, "json"),
        ("wandb_url", c.RUN_WANDB_URL, "text"),
    ),
}
"""What a start says: field of the record, attribute, how it is read."""

END_FIELDS: dict[str, _Table] = {
    "experiment": (
        ("conclusion", c.EXPERIMENT_CONCLUSION, "text"),
        ("best_score", c.EXPERIMENT_BEST_SCORE, "number"),
        ("error", c.EXPERIMENT_ERROR, "text"),
    ),
    "group": (),
    "run": (("error", c.RUN_ERROR, "text"),),
}
"""What an end says besides its status."""

CONCLUSION_FIELDS: _Table = END_FIELDS["experiment"][:2]
"""What the end of a part says of the whole."""

UPDATE_FIELDS: _Table = START_FIELDS["run"][3:]
"""What may become known of a run later."""

EVAL_FIELDS: _Table = (
    ("run_id", c.RUN_ID, "record_id"),
    ("name", c.EVAL_NAME, "name"),
    ("benchmark_id", c.BENCHMARK_ID, "name"),
    ("step", c.STEP, "integer"),
    ("metrics", c.EVAL_METRICS, "json"),
    ("breakdowns", c.EVAL_BREAKDOWNS, "json"),
    ("tags", c.EVAL_TAGS, "texts"),
)

STATUS_KEYS = {"experiment": c.EXPERIMENT_STATUS, "group": c.GROUP_STATUS, "run": c.RUN_STATUS}


def start_entities(kind: EntityKind, record_id: str, said: Statement) -> list[Entity]:
    """Return what a start says: the record is running.

    The time of a later attempt's start, or of a joining process's, is told as if a child mentioned it: the record
    began with the first.
    """
    fields = _read(said.attributes, START_FIELDS[kind])
    fields["status"] = c.RUNNING
    if kind == "run" and said.source.host:
        fields["host"] = said.source.host
    began: dict[str, FieldValue] = {"start_time": said.time_unix_nano}
    if said.attempt.number == 1 and not _is_joined(kind, said):
        return [_entity(kind, record_id, said, {**fields, **began})]
    return [_entity(kind, record_id, said, fields), _entity(kind, record_id, said, began, attempt=0)]


def end_entity(kind: EntityKind, record_id: str, said: Statement, failure: str | None = None) -> Entity:
    """Return what an end says; without a status it is ``completed``, or ``failed`` when a span's own status says so.

    A process that only joined an experiment does not end it, but may conclude it.

    Args:
        kind: of the record.
        record_id: its id.
        said: the signal, its time being the end's.
        failure: the description of a span whose status is ERROR, else None.
    """
    if _is_joined(kind, said):
        return _entity(kind, record_id, said, _read(said.attributes, CONCLUSION_FIELDS), is_end=True)
    fields = _read(said.attributes, END_FIELDS[kind])
    status = said.attributes.text(STATUS_KEYS[kind])
    if status not in c.END_STATUSES:
        status = c.COMPLETED if failure is None else c.FAILED
        if failure and kind != "group":
            fields.setdefault("error", failure)
    return _entity(kind, record_id, said, {**fields, "status": status, "end_time": said.time_unix_nano}, is_end=True)


def update_entities(run_id: str, said: Statement) -> list[Entity]:
    """Return facts of a run that became known after its start."""
    fields = _read(said.attributes, UPDATE_FIELDS)
    return [_entity("run", run_id, said, fields)] if fields else []


def eval_entity(eval_id: str, said: Statement, began_unix_nano: int | None) -> Entity:
    """Return an eval, which is told once, when it has ended; its begin is an attribute, else a span's start."""
    fields = _read(said.attributes, EVAL_FIELDS)
    start_time = said.attributes.integer(c.EVAL_START_TIME, 1, INT64_MAX) or began_unix_nano
    if start_time is not None:
        fields["start_time"] = start_time
    return _entity("eval", eval_id, said, {**fields, "end_time": said.time_unix_nano}, is_end=True)


def _entity(
    kind: EntityKind,
    record_id: str,
    said: Statement,
    fields: dict[str, FieldValue],
    *,
    attempt: int | None = None,
    is_end: bool = False,
) -> Entity:
    said_by = said.attempt if attempt is None else Attempt(attempt, "")
    return Entity(
        kind, record_id, said_by.number, is_end, said.time_unix_nano, said.source.project_id, fields, said_by.id
    )


def _is_joined(kind: EntityKind, said: Statement) -> bool:
    return kind == "experiment" and bool(said.attributes.flag(c.EXPERIMENT_JOINED))


def _read(attributes: Attributes, table: _Table) -> dict[str, FieldValue]:
    read = ((field, getattr(attributes, how)(key)) for field, key, how in table)
    return {field: value for field, value in read if value is not None}
