"""The beginning of an id goes in, the one record that it names comes out; a run's facts for a handle too."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from evsys_otel.errors import NotFoundError
from evsys_otel.handles import ExperimentHandle, RunHandle
from evsys_otel.records import EXTERNAL_SPLIT, EntityKind
from evsys_otel.store.attempts import attempt_of
from evsys_otel.store.entities import versions_of
from evsys_otel.store.schema import ENTITY_TABLES, attempts, experiments, groups, runs, series, step_values

_FOUND: tuple[EntityKind, ...] = ("experiment", "group", "run")
_SHOWN = 5


def find_id(conn: Connection, prefix: str) -> tuple[EntityKind, str]:
    """Return kind and id of the experiment, group or run whose id begins so; a trace id (no dashes) is one too.

    Raises:
        NotFoundError: no id begins so, or several do.
    """
    wanted = _dashed(prefix.strip().lower()) or prefix.strip()
    found: list[tuple[EntityKind, str]] = []
    for kind in _FOUND:
        column = ENTITY_TABLES[kind].c.id
        within = select(column).where(column >= wanted, column < wanted + "\U0010ffff").order_by(column)
        found += [(kind, record_id) for record_id in conn.scalars(within.limit(_SHOWN + 1))]
    exact = [each for each in found if each[1] == wanted]
    if wanted and len(exact or found) == 1:
        return (exact or found)[0]
    if not wanted or not found:
        raise NotFoundError(f"No experiment, group or run has an id that begins with {prefix!r}; see evsys-otel ls.")
    several = ", ".join(record_id for _, record_id in found[:_SHOWN])
    raise NotFoundError(f"{prefix!r} begins several ids ({several}); give more characters.")


def read_run_handle(conn: Connection, run_id: str) -> RunHandle:
    """Return what another process needs to continue a run. Raises NotFoundError when there is no such run."""
    found = conn.execute(select(runs).where(runs.c.id == run_id)).first()
    if found is None:
        raise NotFoundError(f"There is no run {run_id}; see evsys-otel ls.")
    row = found._asdict()
    known = [attempt_of(each) for each in conn.execute(select(attempts).where(attempts.c.run_id == run_id)).mappings()]
    times = [each.event_unix_nano for each in known] + [version[2] for version in versions_of(row).values()]
    last = max(times, default=0)
    group_name = conn.scalar(select(groups.c.name).where(groups.c.id == row["group_id"]))
    return RunHandle(
        id=run_id, name=row["name"] or run_id, experiment=_experiment_handle(conn, row["experiment_id"] or "", last),
        group_id=row["group_id"], group_name=group_name, seed=row["seed"], recipe=row["recipe"],
        attempt=max((each.attempt for each in known), default=1), last_time_unix_nano=last,
        last_steps=_last_steps(conn, run_id),
    )  # fmt: skip


def _experiment_handle(conn: Connection, experiment_id: str, last_time_unix_nano: int) -> ExperimentHandle:
    found = conn.execute(select(experiments).where(experiments.c.id == experiment_id)).first()
    if found is None:
        return ExperimentHandle(id=experiment_id, name=experiment_id, last_time_unix_nano=last_time_unix_nano)
    row = found._asdict()
    last = max((version[2] for version in versions_of(row).values()), default=0)
    return ExperimentHandle(
        id=experiment_id, name=row["name"] or experiment_id, project_id=row["project_id"],
        last_time_unix_nano=max(last, last_time_unix_nano),
    )  # fmt: skip


def _last_steps(conn: Connection, run_id: str) -> dict[str, int]:
    last = select(func.max(step_values.c.step)).where(step_values.c.series == series.c.id).scalar_subquery()
    own = select(series.c.split, last).where(series.c.run_id == run_id, series.c.split != EXTERNAL_SPLIT)
    steps: dict[str, int] = {}
    for split, step in conn.execute(own):
        if step is not None:
            steps[split] = max(step, steps.get(split, step))
    return dict(sorted(steps.items()))


def _dashed(prefix: str) -> str | None:
    """Return the beginning of a trace id as that of a UUID, None for what has dashes or is no hex."""
    if not prefix or len(prefix) > 32 or set(prefix) - set("0123456789abcdef"):
        return None
    parts = [prefix[start:end] for start, end in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))]
    return "-".join(filter(None, parts))
