"""Questions about experiments, groups, runs and what belongs to them go in, lists of dicts come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, Table, func, select, tuple_
from sqlalchemy.sql import ColumnElement

from evsys_otel.conventions import RUNNING
from evsys_otel.store import views
from evsys_otel.store.completeness import judge
from evsys_otel.store.database import Database
from evsys_otel.store.facts import read_facts
from evsys_otel.store.schema import checkpoints, evals, experiments, groups, predictions, runs
from evsys_otel.store.views import Dict

PIECE_PREDICTIONS = 1_000
"""Predictions hold whole texts: a piece is bounded by their number."""


class Clocks:
    """The two times of a reading: ``received`` by the store's clock, ``signals`` by this machine's."""

    __slots__ = ("received", "signals")

    def __init__(self, received: int, signals: int) -> None:
        self.received, self.signals = received, signals


def paged(statement: Select[Any], limit: int | None, offset: int) -> Select[Any]:
    """Return the statement for one page; no limit means all."""
    if limit is not None:
        statement = statement.limit(limit)
    return statement.offset(offset) if offset else statement


def read_experiments(
    conn: Connection, *where: ColumnElement[bool], limit: int | None = None, offset: int = 0
) -> list[Dict]:
    """Return experiments, the oldest first."""
    running = select(runs.c.id).where(runs.c.experiment_id == experiments.c.id, runs.c.current_status == RUNNING)
    chosen = select(experiments, running.exists().label("running")).where(*where)
    chosen = chosen.order_by(*_oldest(experiments))
    rows = _rows(conn, paged(chosen, limit, offset))
    return [views.experiment_view(row, running=bool(row["running"])) for row in rows]


def read_groups(conn: Connection, *where: ColumnElement[bool]) -> list[Dict]:
    """Return groups, the oldest first."""
    running = select(runs.c.id).where(runs.c.group_id == groups.c.id, runs.c.current_status == RUNNING)
    chosen = select(groups, running.exists().label("running")).where(*where)
    chosen = chosen.order_by(*_oldest(groups))
    return [views.group_view(row, running=bool(row["running"])) for row in _rows(conn, chosen)]


def read_runs(
    conn: Connection, clocks: Clocks, *where: ColumnElement[bool], limit: int | None = None, offset: int = 0
) -> list[Dict]:
    """Return runs with completeness and liveness, the oldest first; the number of queries does not grow with them."""
    chosen = select(runs).where(*where).order_by(*_oldest(runs))
    rows = _rows(conn, paged(chosen, limit, offset))
    facts = read_facts(conn, [row["id"] for row in rows])
    return [
        views.run_view(row, facts[row["id"]].attempts, judge(facts[row["id"]], clocks.received), clocks.signals)
        for row in rows
    ]


def read_evals(conn: Connection, *where: ColumnElement[bool]) -> list[Dict]:
    """Return evals, the oldest first."""
    return [views.eval_view(row) for row in _rows(conn, select(evals).where(*where).order_by(*_oldest(evals)))]


def read_checkpoints(conn: Connection, *where: ColumnElement[bool]) -> list[Dict]:
    """Return checkpoints by step and time."""
    order = (checkpoints.c.step, checkpoints.c.time_unix_nano, checkpoints.c.uri)
    return [views.checkpoint_view(row) for row in _rows(conn, select(checkpoints).where(*where).order_by(*order))]


def read_predictions(
    conn: Connection, *where: ColumnElement[bool], limit: int | None = None, offset: int = 0
) -> list[Dict]:
    """Return predictions by kind, step, eval, task and sample: the order of their key."""
    chosen = select(predictions).where(*where).order_by(*predictions.primary_key.columns)
    return [views.prediction_view(row) for row in _rows(conn, paged(chosen, limit, offset))]


def predictions_in_pieces(
    database: Database, *where: ColumnElement[bool], piece_rows: int = PIECE_PREDICTIONS
) -> Iterator[list[Dict]]:
    """Yield the same in pieces, each read in a transaction of its own."""
    key = predictions.primary_key.columns
    chosen = select(predictions).where(*where).order_by(*key).limit(piece_rows)
    after: tuple[Any, ...] | None = None
    while True:
        with database.reading() as conn:
            rows = _rows(conn, chosen if after is None else chosen.where(tuple_(*key) > after))
        if rows:
            yield [views.prediction_view(row) for row in rows]
            after = tuple(rows[-1][column.name] for column in key)
        if len(rows) < piece_rows:
            return


def attach(conn: Connection, own: Sequence[Dict], experiment_id: str) -> None:
    """Put ``evals`` and ``checkpoints`` into each of an experiment's runs."""
    ids = select(runs.c.id).where(runs.c.experiment_id == experiment_id)
    by_id = {run["id"]: run for run in own}
    for run in own:
        run |= {"evals": [], "checkpoints": []}
    for found in read_evals(conn, evals.c.run_id.in_(ids)):
        by_id[found["run_id"]]["evals"].append(found)
    for found in read_checkpoints(conn, checkpoints.c.run_id.in_(ids)):
        by_id[found["run_id"]]["checkpoints"].append(found)


def summarise(listed: Sequence[Dict], own_runs: Mapping[str, Sequence[Dict]]) -> list[Dict]:
    """Return experiments with what their runs come to: how many of each status, and completeness."""
    return [{**experiment, **_sums(own_runs.get(experiment["id"], ()))} for experiment in listed]


def _sums(own: Sequence[Dict]) -> Dict:
    statuses: dict[str, int] = {}
    for run in own:
        statuses[run["status"]] = statuses.get(run["status"], 0) + 1
    states = [run["completeness"] for run in own]
    worst = next((state for state in ("missing", "behind", "unknown", "whole") if state in states), None)
    return {
        "runs": len(own), "run_statuses": statuses, "completeness": worst,
        "missing": sum(run["missing"] for run in own),
        "last_signal_unix_nano": max((run["last_signal_unix_nano"] or 0 for run in own), default=0) or None,
    }


def _rows(conn: Connection, statement: Select[Any]) -> list[Dict]:
    return [row._asdict() for row in conn.execute(statement)]


def _oldest(table: Table) -> tuple[ColumnElement[Any], ...]:
    """Return the order of entities; those of which no time is known come first, on both databases."""
    return func.coalesce(table.c.first_unix_nano, 0), table.c.id
