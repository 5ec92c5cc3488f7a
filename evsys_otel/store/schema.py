"""The tables of the store, version 1, as SQLAlchemy metadata; the same on SQLite and PostgreSQL.

Key columns are never NULL. There are no foreign keys: records arrive in any order, a child before its parent too.
"""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text, UniqueConstraint
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import Double, UserDefinedType

from evsys_otel.records import EntityKind
from evsys_otel.store.texts import Coercion, as_int, as_key, as_number, as_tags, as_text

SCHEMA_VERSION = 1

metadata = MetaData()

Key = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is compared by code points, as SQLite does, whatever the database's locale."""

RowNumber = BigInteger().with_variant(Integer, "sqlite")


class Number(UserDefinedType[float]):
    """A double that survives both databases.

    SQLite makes NULL of NaN, so that it is kept as the text ``NaN``, and 0.0 of -0.0 where a column has REAL affinity,
    so that the column has none.
    """

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the type's name in PostgreSQL."""
        return "DOUBLE PRECISION"

    def bind_processor(self, dialect: Any) -> Any:
        """Return what turns a float into a value of the driver."""
        if dialect.name == "sqlite":
            return lambda value: "NaN" if value is not None and math.isnan(value) else value
        return None

    def result_processor(self, dialect: Any, coltype: object) -> Any:
        """Return what turns a value of the driver into a float."""
        if dialect.name == "sqlite":
            return lambda value: None if value is None else float(value)
        return None


@compiles(Number, "sqlite")
def _number_on_sqlite(*_: Any, **__: Any) -> str:
    return ""


class PlainNumber(Double[float]):
    """A double, NULL for NaN: that of a step metric, of which there are very many."""


@compiles(PlainNumber, "sqlite")
def _plain_number_on_sqlite(*_: Any, **__: Any) -> str:
    return ""


schema_version = Table("evsys_schema", metadata, Column("version", Integer, nullable=False))

journals = Table(
    "evsys_journals", metadata,
    Column("id", Key, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

tombstones = Table("evsys_tombstones", metadata, Column("id", Key, primary_key=True))

ENTITY_FIELDS: dict[EntityKind, dict[str, Coercion]] = {
    "experiment": {
        "project_id": as_key, "name": as_text, "hypothesis": as_text, "tags": as_tags, "status": as_text,
        "conclusion": as_text, "best_score": as_number, "error": as_text, "start_time": as_int, "end_time": as_int,
    },
    "group": {
        "experiment_id": as_key, "project_id": as_key, "name": as_text, "status": as_text, "start_time": as_int,
        "end_time": as_int,
    },
    "run": {
        "experiment_id": as_key, "group_id": as_key, "project_id": as_key, "name": as_text, "seed": as_int,
        "recipe": as_text, "config": as_text, "status": as_text, "error": as_text, "wandb_url": as_text,
        "start_time": as_int, "end_time": as_int, "host": as_text,
    },
    "eval": {
        "run_id": as_key, "project_id": as_key, "name": as_text, "benchmark_id": as_text, "step": as_int,
        "metrics": as_text, "breakdowns": as_text, "tags": as_tags, "start_time": as_int, "end_time": as_int,
    },
}
"""Fields of each kind, which are columns too, and what makes a field storable."""

_COLUMN_TYPES: dict[Coercion, Any] = {as_key: Key, as_int: BigInteger, as_number: Number()}


def _entity_table(kind: EntityKind, *more: Any) -> Table:
    fields = (Column(name, _COLUMN_TYPES.get(coerce, Text)) for name, coerce in ENTITY_FIELDS[kind].items())
    return Table(
        f"evsys_{kind}s", metadata,
        Column("id", Key, primary_key=True),
        *fields,
        Column("versions", Text, nullable=False),  # JSON: field -> [attempt, is_end, time] of what is held
        Column("first_unix_nano", BigInteger),  # earliest time of what was said of it
        *more,
    )


experiments = _entity_table("experiment", Index("evsys_experiments_project", "project_id"))
groups = _entity_table("group", Index("evsys_groups_experiment", "experiment_id"))
runs = _entity_table(
    "run",
    Column("current_status", Text, nullable=False, server_default="running"),  # see entities.current_status
    Index("evsys_runs_experiment", "experiment_id"),
    Index("evsys_runs_group", "group_id"),
)
evals = _entity_table("eval", Index("evsys_evals_run", "run_id"))

ENTITY_TABLES: dict[EntityKind, Table] = {"experiment": experiments, "group": groups, "run": runs, "eval": evals}

attempts = Table(
    "evsys_attempts", metadata,
    Column("run_id", Key, primary_key=True),
    Column("attempt", BigInteger, primary_key=True),
    Column("attempt_id", Key, primary_key=True),  # two processes that resume a run at once have one number
    Column("event_unix_nano", BigInteger, nullable=False),  # newest of the trainer's events
    Column("signal_unix_nano", BigInteger, nullable=False),  # newest of all signals, heartbeats included
    Column("end_unix_nano", BigInteger, nullable=False),  # newest end, 0 for none
    Column("step_unix_nano", BigInteger, nullable=False),  # time of the sign of life that named last_step
    Column("last_step", BigInteger),
    Column("received_unix_nano", BigInteger, nullable=False),  # the store's clock at the newest arrival
)

series = Table(
    "evsys_series", metadata,
    Column("id", RowNumber, primary_key=True),
    Column("run_id", Key, nullable=False),
    Column("split", Key, nullable=False),
    Column("name", Key, nullable=False),
    UniqueConstraint("run_id", "split", "name"),
)

step_values = Table(
    "evsys_step_values", metadata,
    Column("series", RowNumber, primary_key=True, autoincrement=False),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("value", PlainNumber),  # NULL is NaN
    Column("attempt", BigInteger, nullable=False),
    Column("time_unix_nano", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

streams = Table(
    "evsys_streams", metadata,
    Column("id", RowNumber, primary_key=True),
    Column("run_id", Key, nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("attempt_id", Key, nullable=False),
    Column("kind", Key, nullable=False),
    Column("split", Key, nullable=False),
    Column("keyset", BigInteger, nullable=False),
    Column("name", Key, nullable=False),
    UniqueConstraint("run_id", "attempt", "attempt_id", "kind", "split", "keyset", "name"),
)

receipts = Table(
    "evsys_receipts", metadata,
    Column("stream", RowNumber, primary_key=True, autoincrement=False),
    Column("last", BigInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

totals = Table(
    "evsys_totals", metadata,
    Column("run_id", Key, primary_key=True),
    Column("attempt", BigInteger, primary_key=True),
    Column("attempt_id", Key, primary_key=True),
    Column("part", BigInteger, primary_key=True),
    Column("parts", BigInteger, nullable=False),
    Column("time_unix_nano", BigInteger, nullable=False),
    Column("counts", Text, nullable=False),  # JSON, see totals.py
)

predictions = Table(
    "evsys_predictions", metadata,
    Column("run_id", Key, primary_key=True),
    Column("kind", Key, primary_key=True),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("eval_id", Key, primary_key=True),
    Column("task_id", Key, primary_key=True),
    Column("sample_idx", BigInteger, primary_key=True, autoincrement=False),
    Column("instruction", Text),
    Column("model_output", Text),
    Column("expected", Text),
    Column("reward", Number()),
    Column("advantage", Number()),
    Column("metadata", Text),
    Column("shortened", Integer, nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("time_unix_nano", BigInteger, nullable=False),
    Column("rank", Key, nullable=False),  # decides between equals, see texts.rank_of
)

checkpoints = Table(
    "evsys_checkpoints", metadata,
    Column("run_id", Key, primary_key=True),
    Column("uri", Key, primary_key=True),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Key, nullable=False),
    Column("label", Text),
    Column("is_final", Integer, nullable=False),
    Column("base_model", Text),
    Column("attempt", BigInteger, nullable=False),
    Column("time_unix_nano", BigInteger, nullable=False),
    Column("rank", Key, nullable=False),
)
