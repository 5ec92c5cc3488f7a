"""A run, group or experiment in; all that is known of it, in maps and lists, out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evsys_otel.cli.compare import Column, RunFacts, split_order
from evsys_otel.cli.curves import Curve
from evsys_otel.cli.listing import experiment_row, run_row
from evsys_otel.cli.output import UsageError
from evsys_otel.cli.scores import CHARTS, charts_of
from evsys_otel.errors import NotFoundError

if TYPE_CHECKING:
    from evsys_otel.cli.access import Place, Target
    from evsys_otel.store import BestMetric, Completeness, CurvePoint, FinalMetric, Store

Key = tuple[str, str]
"""A series of a run: its split and its metric's name."""

BUCKETS = 200
"""Points of a curve: more than a terminal has dots across, few enough to be read at once."""
MARKS = 24
"""Points of the curves that are drawn as marks; more of them would hide the line."""


def gather(place: Place, target: Target, *, metrics: Sequence[str] | None = None) -> dict[str, Any]:
    """Return what `show` shows, with ``kind`` and ``now_unix_nano``.

    Raises:
        NotFoundError: a metric of that name is not in the run.
        UsageError: metrics were named of what is no run.
    """
    if metrics and target.kind != "run":
        raise UsageError(f"{target.name!r} is a {target.kind}; curves are those of a run.")
    if target.kind == "run":
        found = _gather_run(place, target, metrics)
    else:
        found = _gather_group(place, target) if target.kind == "group" else _gather_experiment(place, target)
    return {"kind": target.kind, "now_unix_nano": time.time_ns(), **found}


def handle_of(place: Place, target: Target) -> str:
    """Return the text that continues a run, or joins an experiment, in another process.

    Raises:
        UsageError: the target is a group.
    """
    from evsys_otel.handles import ExperimentHandle, encode_handle

    if target.kind == "run":
        return encode_handle(place.store.run_handle(target.id))
    if target.kind == "group":
        raise UsageError(f"{target.name!r} is a group; handles are those of runs and experiments.")
    runs = place.store.list_runs(experiment_id=target.id)
    last = max((run["last_signal_unix_nano"] or 0 for run in runs), default=0)
    return encode_handle(ExperimentHandle(target.id, target.name, target.record["project_id"], last))


def comparison_columns(place: Place, targets: Sequence[Target]) -> list[Column]:
    """Return a column for each run and group, an experiment's groups and ungrouped runs in its place."""
    columns: list[Column] = []
    for target in targets:
        if target.kind != "experiment":
            columns.append(Column(target.kind, target.id, target.name, _facts(place, place.runs_of(target))))
            continue
        runs = place.runs_of(target)
        for group in place.store.list_groups(target.id):
            members = [run for run in runs if run["group_id"] == group["id"]]
            if members:
                columns.append(Column("group", group["id"], group["name"], _facts(place, members)))
        columns += [Column("run", run["id"], run["name"], _facts(place, [run])) for run in runs if not run["group_id"]]
    return columns


def _gather_run(place: Place, target: Target, metrics: Sequence[str] | None) -> dict[str, Any]:
    store, run = place.store, target.record
    experiment = store.get_experiment(run["experiment_id"]) if run["experiment_id"] else None
    groups = store.list_groups(run["experiment_id"]) if run["group_id"] else []
    finals, extremes = store.final_metrics(target.id), store.best_metrics(target.id)
    charts = charts_of(finals)
    chosen = list(charts)[:CHARTS] if metrics is None else _titles(charts, metrics, target)
    return {
        "run": run,
        "experiment": _reference(experiment),
        "group": _reference(next((group for group in groups if group["id"] == run["group_id"]), None)),
        "completeness": completeness_facts(store.completeness(target.id)),
        "metrics": [_metric_row(key, finals[key], extremes[key]) for key in in_order(finals)],
        "curves": [{"name": name, "splits": _curves(store, target.id, name, charts[name], finals)} for name in chosen],
        "undrawn": len(charts) - len(chosen),
        "evals": store.list_evals(target.id),
        "checkpoints": store.list_checkpoints(target.id),
        "predictions": count_predictions(store, target.id),
    }


def _gather_group(place: Place, target: Target) -> dict[str, Any]:
    detail = place.store.experiment_detail(target.record["experiment_id"])
    runs = [run_row(run) for run in (detail or {}).get("runs", []) if run["group_id"] == target.id]
    return {"group": target.record, "experiment": _reference(detail), "runs": runs}


def _gather_experiment(place: Place, target: Target) -> dict[str, Any]:
    detail = place.store.experiment_detail(target.id)
    if detail is None:
        raise NotFoundError(f"The experiment {target.id} is no longer in {place.label}.")
    summary = experiment_row(detail)
    runs = summary.pop("runs")
    known = {group["id"] for group in detail["groups"]}
    groups = [{**group, "runs": [run for run in runs if run["group_id"] == group["id"]]} for group in detail["groups"]]
    return {
        "experiment": target.record,
        "summary": summary,
        "groups": groups,
        "runs": [run for run in runs if run["group_id"] not in known],
    }


def count_predictions(store: Store, run_id: str) -> int:
    """Return how many predictions a run has, by halving: their texts may be large and are not read."""
    low, high = 0, 1
    while store.list_predictions(run_id, limit=1, offset=high - 1):
        low, high = high, high * 2
    while high - low > 1:  # There are at least ``low`` and fewer than ``high``.
        middle = (low + high) // 2
        if store.list_predictions(run_id, limit=1, offset=middle - 1):
            low = middle
        else:
            high = middle
    return low


def completeness_facts(found: Completeness) -> dict[str, Any]:
    """Return ``{state, missing, text, attempts, gaps}``; a gap has the numbers of log calls that lack, as intervals."""
    return {
        "state": found.state,
        "missing": found.missing,
        "text": found.text,
        "attempts": [
            {"attempt": each.attempt, "state": each.state, "missing": each.missing} for each in found.attempts
        ],
        "gaps": [gap._asdict() for gap in found.gaps],
    }


def in_order(keys: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (split, name) pairs as people read them."""
    return sorted(keys, key=lambda key: (split_order(key[0]), key[1]))


def _metric_row(key: tuple[str, str], final: FinalMetric, extremes: BestMetric) -> dict[str, Any]:
    numbers = {"step": final.step, "last": final.value, "min": extremes.lowest, "max": extremes.highest}
    return {"split": key[0], "name": key[1], **numbers}


def _titles(charts: Mapping[str, Sequence[Key]], metrics: Sequence[str], target: Target) -> list[str]:
    """Return the charts that show these metrics."""
    titles = {name: title for title, keys in charts.items() for _, name in keys} | {title: title for title in charts}
    for name in metrics:
        if name not in titles:
            known = ", ".join(sorted(titles)[:12]) or "none"
            raise NotFoundError(f"The run {target.name!r} has no metric {name!r}; it has {known}.")
    return list(dict.fromkeys(titles[name] for name in metrics))


def _curves(
    store: Store,
    run_id: str,
    title: str,
    keys: Sequence[Key],
    finals: Mapping[Key, FinalMetric],
) -> list[Curve]:
    """Return a chart's series: the first in as many points as there are dots, the others in few."""
    curves = []
    for number, (split, name) in enumerate(keys):
        label = split if name == title else f"{split} {name.rpartition('/')[0]}"
        points = store.curve(run_id, name, split, MARKS if number else BUCKETS)
        curves.append(_curve(label, points, finals[split, name].value))
    return curves


def _curve(label: str, points: Sequence[CurvePoint], final: float) -> Curve:
    steps = [point.step for point in points]
    if points:  # A bucket bears its last step; the axis begins where the first bucket does.
        steps[0] -= points[0][-1] - 1
    lowest, highest = [point.lowest for point in points], [point.highest for point in points]
    return Curve(label, steps, lowest, highest, [point.last for point in points], final)


def _facts(place: Place, runs: list[dict[str, Any]]) -> list[RunFacts]:
    return [RunFacts(run["id"], run["name"], run["status"], _config_of(run), _finals(place, run["id"])) for run in runs]


def _config_of(run: dict[str, Any]) -> dict[str, Any]:
    """Return a run's config, with its seed and recipe where the config does not say them itself."""
    config = run["run_config"] if isinstance(run["run_config"], dict) else {}
    facts = {"seed": run["seed"], "recipe": run["recipe_kind"]}
    return {**{name: value for name, value in facts.items() if value is not None and name not in config}, **config}


def _finals(place: Place, run_id: str) -> dict[tuple[str, str], float]:
    """Return the last value of each metric, and those of each eval's last time under the split `eval`."""
    finals = {key: final.value for key, final in place.store.final_metrics(run_id).items()}
    for record in place.store.list_evals(run_id):
        for name, value in (record["metrics"] or {}).items():
            if isinstance(value, (int, float)):
                finals["eval", f"{record['name']}/{name}"] = float(value)
    return finals


def _reference(record: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if record is None else {"id": record["id"], "name": record["name"]}
