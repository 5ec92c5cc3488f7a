"""A time goes in, the experiments of which nothing was heard since come out."""

from __future__ import annotations

from sqlalchemy import Connection, Table, func, or_, select
from sqlalchemy.sql import ColumnElement

from evsys_otel.store.schema import attempts, experiments, groups, runs


def quiet_experiments(conn: Connection, since_unix_nano: int) -> list[str]:
    """Return the ids of experiments of which nothing was said, and nothing arrived, at or after that time.

    Arrivals count by the store's clock: what was trained long ago and synchronised today is not old. One of which no
    time is known at all is not old either.
    """
    heard = select(attempts.c.run_id).where(
        (attempts.c.received_unix_nano >= since_unix_nano) | (attempts.c.signal_unix_nano >= since_unix_nano)
    )
    of_groups = select(groups.c.experiment_id).where(_is_told(groups, since_unix_nano))
    of_runs = select(runs.c.experiment_id).where(_is_told(runs, since_unix_nano) | runs.c.id.in_(heard))
    quiet = select(experiments.c.id).where(
        experiments.c.first_unix_nano.is_not(None), ~_is_told(experiments, since_unix_nano),
        *(experiments.c.id.not_in(ids.where(ids.selected_columns[0].is_not(None))) for ids in (of_groups, of_runs)),
    )  # fmt: skip
    return list(conn.scalars(quiet.order_by(experiments.c.id)))


def _is_told(table: Table, since_unix_nano: int) -> ColumnElement[bool]:
    """Whether a record names a time at or after that; NULL is no time, and NOT IN a list with a NULL is never true."""
    times = (table.c.first_unix_nano, table.c.start_time, table.c.end_time)
    return or_(*(func.coalesce(time, 0) >= since_unix_nano for time in times))
