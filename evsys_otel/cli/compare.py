"""Runs and groups in, what differs between them out: config keys, and final metrics with deviations over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a comparison needs of one run; ``finals`` maps (split, metric) to the last value."""

    id: str
    name: str
    status: str
    config: Mapping[str, Any]
    finals: Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class Column:
    """One side of a comparison: a run, or a group with all of its runs."""

    kind: str
    id: str
    name: str
    runs: Sequence[RunFacts] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Summary:
    """Final values of one metric over a column's runs.

    ``mean`` is that of the finite values, NaN when there are none; ``deviation`` is the sample standard deviation, None
    below two finite values; ``finite`` of ``runs`` runs have a finite value.
    """

    mean: float
    deviation: float | None
    finite: int
    runs: int


@dataclass(frozen=True, slots=True)
class ConfigRow:
    """A config key that differs; ``values`` holds for each column the distinct values of its runs."""

    key: str
    values: list[list[Any]]


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric of one split; ``cells`` holds a summary for each column, None where no run has it."""

    split: str
    name: str
    cells: list[Summary | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that is to be shown."""

    columns: list[Column]
    config: list[ConfigRow]
    metrics: list[MetricRow]


ABSENT = "(absent)"
"""What stands for a config key that a run does not have."""


def compare(columns: Sequence[Column]) -> Comparison:
    """Return what differs in the columns' configs, and every final metric side by side."""
    return Comparison(list(columns), differing_config(columns), final_metrics(columns))


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested config as dotted keys; maps inside lists are numbered, lists of plain values stay whole."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{path}."))
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            flat.update(flatten({f"[{i}]": item for i, item in enumerate(value)}, path))
        else:
            flat[path] = value
    return flat


def differing_config(columns: Sequence[Column]) -> list[ConfigRow]:
    """Return the keys whose distinct values are not the same in every column, in order of first appearance."""
    configs = [[flatten(run.config) for run in column.runs] for column in columns]
    keys = dict.fromkeys(key for column in configs for config in column for key in config)
    rows = [
        ConfigRow(key, [distinct(config.get(key, ABSENT) for config in column) for column in configs]) for key in keys
    ]
    return [row for row in rows if any(not _same(row.values[0], other) for other in row.values[1:])]


def final_metrics(columns: Sequence[Column]) -> list[MetricRow]:
    """Return every metric that any run has, by split and name: train, then val, then the others."""
    keys = {key for column in columns for run in column.runs for key in run.finals}
    return [
        MetricRow(split, name, [_summary_of(column, (split, name)) for column in columns])
        for split, name in sorted(keys, key=lambda key: (split_order(key[0]), key[1]))
    ]


def summarise(values: Iterable[float], runs: int) -> Summary:
    """Return the mean and the sample standard deviation of the finite values; NaN never wins."""
    finite = [value for value in values if math.isfinite(value)]
    try:
        mean = statistics.fmean(finite) if finite else math.nan
        deviation = statistics.stdev(finite) if len(finite) > 1 else None
    except OverflowError:  # Beyond the range of floats there is no mean to speak of.
        return Summary(math.inf, None, len(finite), runs)
    return Summary(mean, deviation, len(finite), runs)


def split_order(split: str) -> tuple[int, str]:
    """Order splits as people read them."""
    known = {"train": 0, "val": 1, "eval": 2}
    return known.get(split, len(known)), split


def distinct(values: Iterable[Any]) -> list[Any]:
    """Return values without repetition, sorted where they can be; 1 and True are told apart."""
    unique = list({(type(value).__name__, repr(value)): value for value in values}.values())
    try:
        return sorted(unique)
    except TypeError:
        return sorted(unique, key=repr)


def _same(left: list[Any], right: list[Any]) -> bool:
    return list(map(repr, left)) == list(map(repr, right))


def _summary_of(column: Column, key: tuple[str, str]) -> Summary | None:
    values = [run.finals[key] for run in column.runs if key in run.finals]
    if not values:
        return None
    if len(column.runs) == 1:  # One run's value is said as it is, also when it is not finite.
        return Summary(values[0], None, int(math.isfinite(values[0])), 1)
    return summarise(values, len(column.runs))
