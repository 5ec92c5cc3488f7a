"""Data points in, as either reader gives them; series of step values out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from evsys_otel import conventions as c
from evsys_otel.records import EXTERNAL_SPLIT, StepSeries
from evsys_otel.translate.attributes import (
    INT32_MAX,
    INT64_MAX,
    INT64_MIN,
    Attributes,
    as_number,
    clean_name,
    is_time,
)
from evsys_otel.translate.collector import Collector
from evsys_otel.translate.statement import Source, Statement, read_attempt

_NANOSECONDS_IN_MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Exemplars:
    """Exemplars of one point as columns; ``first`` are the first one's attributes, a step is None where it has none."""

    first: Any
    steps: list[Any]
    times: list[Any]
    values: list[Any]


@dataclass(frozen=True, slots=True)
class PointFacts:
    """What the translator reads of a point of a gauge or a sum; ``value`` is None where it has none."""

    attributes: Any
    time_unix_nano: Any
    value: Any
    exemplars: Exemplars


def take_point(collector: Collector, instrument: Any, point: PointFacts, source: Source) -> None:
    """Take a point of ours, or any of a resource that carries our run's id; another one is ignored and counted.

    In order: exemplars that carry steps; a step among the point's own attributes; somebody else's instrument.
    """
    attributes = Attributes(point.attributes)
    said = Statement.read(attributes, source, point.time_unix_nano)
    run_id = said.run_id or source.run_id
    name = clean_name(instrument) if isinstance(instrument, str) else ""
    series = run_id and (
        _take_exemplars(collector, said, run_id, name, point.exemplars)
        or _take_step(collector, said, run_id, name, point.value)
        or _take_external(said, name, point.value)
    )
    if series:
        collector.records.series.append(series)
        collector.mention(said, series.times[0], series.times[-1])
    else:
        collector.ignore()
    collector.ignore(attributes.malformed)


def _take_exemplars(
    collector: Collector, said: Statement, run_id: str, name: str, told: Exemplars
) -> StepSeries | None:
    steps, times, values = told.steps, told.times, told.values
    kept = len(steps)
    if not _are_sound(steps, times, values):
        steps, times, values = _sound_rows(steps, times, values)
        collector.ignore(kept - len(steps) if steps else 0)
    if not steps:
        return None
    first = Attributes(told.first)
    keyset, ordinal = first.integer(c.KEYSET, 0, INT32_MAX), first.integer(c.ORDINAL, 0, INT64_MAX - kept)
    if keyset is None or ordinal is None or len(steps) < kept:
        keyset = ordinal = None  # numbers count from the first on: with a gap they say nothing
    attempt = read_attempt(first) if c.ATTEMPT in first else said.attempt
    collector.ignore(first.malformed)
    collector.see(run_id, attempt, times[-1], steps[-1])
    return StepSeries(
        run_id, _split_of(said), _metric_of(said, name), attempt.number, keyset, ordinal, steps, times, values,
        attempt.id,
    )


def _take_step(collector: Collector, said: Statement, run_id: str, name: str, value: Any) -> StepSeries | None:
    step, number = said.attributes.integer(c.STEP), as_number(value)
    if step is None or number is None or not is_time(said.time_unix_nano):
        return None
    split, metric, time = _split_of(said), _metric_of(said, name), said.time_unix_nano
    collector.see(run_id, said.attempt, time, step)
    return StepSeries(run_id, split, metric, said.attempt.number, None, None, [step], [time], [number], said.attempt.id)


def _take_external(said: Statement, name: str, value: Any) -> StepSeries | None:
    """Take a measurement of somebody else's instrument; it is no sign of life of the run."""
    number, source, time = as_number(value), said.source, said.time_unix_nano
    if source.run_id is None or c.STEP in said.attributes or not name or number is None or not is_time(time):
        return None
    step = time // _NANOSECONDS_IN_MILLISECOND
    metric = clean_name(name + _labels(said.attributes.items()))
    attempt = source.attempt
    return StepSeries(
        source.run_id, EXTERNAL_SPLIT, metric, attempt.number, None, None, [step], [time], [number], attempt.id
    )


def _labels(attributes: Iterable[tuple[Any, Any]]) -> str:
    """Return an instrument's series apart from its others, as Prometheus writes it: ``{gpu=0}``."""
    labels = sorted(f"{key}={value}" for key, value in attributes if not str(key).startswith("evsys."))
    return "{" + ",".join(labels) + "}" if labels else ""


def _split_of(said: Statement) -> str:
    return said.attributes.name(c.SPLIT) or c.SPLIT_TRAIN


def _metric_of(said: Statement, instrument: str) -> str:
    return said.attributes.name(c.METRIC_NAME) or instrument.removeprefix(c.METRIC_PREFIX)


def _are_sound(steps: list[Any], times: list[Any], values: list[Any]) -> bool:
    """Return whether every row is what a store can hold; the check of the hot path, a whole column at once."""
    return (
        bool(steps)
        and {*map(type, steps), *map(type, times)} == {int}
        and set(map(type, values)) == {float}
        and min(steps) >= INT64_MIN
        and max(steps) <= INT64_MAX
        and min(times) > 0
        and max(times) <= INT64_MAX
    )


def _sound_rows(
    steps: list[Any], times: list[Any], values: list[Any]
) -> tuple[list[int], list[int], list[float]]:
    """Return the rows that can be used, integers among the values as float64."""
    rows = [
        (step, time, number)
        for step, time, value in zip(steps, times, values, strict=True)
        if type(step) is int and INT64_MIN <= step <= INT64_MAX and is_time(time)
        if (number := as_number(value)) is not None
    ]
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
