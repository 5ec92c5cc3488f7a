"""Comparisons: which config keys differ, and what a group's seeds say of a metric."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest

from evsys_otel.cli.compare import (
    ABSENT,
    Column,
    RunFacts,
    compare,
    differing_config,
    distinct,
    final_metrics,
    flatten,
    summarise,
)


def run(name: str, config: dict[str, Any], **finals: float) -> RunFacts:
    return RunFacts(name, name, "completed", config, {("train", metric): value for metric, value in finals.items()})


def column(*runs: RunFacts) -> Column:
    return Column("run" if len(runs) == 1 else "group", runs[0].id, runs[0].name, runs)


def test_nested_configs_become_dotted_keys() -> None:
    """Maps are opened, maps in lists numbered, plain lists and empty maps kept whole."""
    config = {"lr": 0.1, "model": {"layers": [{"size": 8}, {"size": 4}], "tags": ["a", "b"]}, "empty": {}}
    assert flatten(config) == {
        "lr": 0.1,
        "model.layers[0].size": 8,
        "model.layers[1].size": 4,
        "model.tags": ["a", "b"],
        "empty": {},
    }


def test_only_keys_that_differ_are_shown() -> None:
    """A key that all have alike is left out; one that is absent on a side is not."""
    rows = differing_config(
        [column(run("a", {"lr": 0.1, "width": 8})), column(run("b", {"lr": 0.2, "width": 8, "x": 1}))]
    )
    assert [(row.key, row.values) for row in rows] == [("lr", [[0.1], [0.2]]), ("x", [[ABSENT], [1]])]


def test_seeds_that_vary_alike_in_two_groups_do_not_differ() -> None:
    """What varies within every group in the same way does not tell the groups apart."""
    groups = [column(*(run(f"{lr}{seed}", {"lr": lr, "seed": seed}) for seed in (0, 1))) for lr in (0.1, 0.2)]
    assert [row.key for row in differing_config(groups)] == ["lr"]


def test_true_and_one_are_different_values() -> None:
    """Python holds True and 1 equal; a config does not."""
    assert len(distinct([1, True, 1.0])) == 3
    assert [row.key for row in differing_config([column(run("a", {"x": 1})), column(run("b", {"x": True}))])] == ["x"]


def test_a_group_gives_mean_and_sample_deviation_over_its_seeds() -> None:
    """The deviation is the sample's, with n - 1."""
    row = final_metrics([column(*(run(str(i), {}, loss=value) for i, value in enumerate((1.0, 2.0, 4.0))))])[0]
    cell = row.cells[0]
    assert cell is not None
    assert (cell.mean, cell.deviation) == (pytest.approx(7 / 3), pytest.approx(statistics.stdev([1.0, 2.0, 4.0])))


def test_nan_never_wins_but_is_counted() -> None:
    """The mean is of the finite values, and says of how many runs."""
    summary = summarise([1.0, math.nan, 3.0], 4)
    assert (summary.mean, summary.finite, summary.runs) == (2.0, 2, 4)
    assert math.isnan(summarise([math.nan], 2).mean)


def test_one_run_that_ends_in_nan_says_so() -> None:
    """A single value is shown as it is."""
    cell = final_metrics([column(run("a", {}, loss=math.nan))])[0].cells[0]
    assert cell is not None
    assert math.isnan(cell.mean)


def test_values_beyond_the_range_of_sums_do_not_raise() -> None:
    """The mean of values near the largest float is infinite rather than an error."""
    assert summarise([1.7e308, 1.7e308], 2).finite == 2


def test_metrics_that_one_side_lacks_have_no_cell_there() -> None:
    """Splits stand in reading order: train, val, then the others."""
    left = RunFacts("a", "a", "completed", {}, {("val", "loss"): 1.0, ("train", "loss"): 2.0, ("eval", "t/acc"): 3.0})
    found = compare([column(left), column(run("b", {}, loss=5.0))])
    assert [(row.split, row.name, [cell and cell.mean for cell in row.cells]) for row in found.metrics] == [
        ("train", "loss", [2.0, 5.0]),
        ("val", "loss", [1.0, None]),
        ("eval", "t/acc", [3.0, None]),
    ]
