"""Evals, or names of metrics, in; the one score of a run that a list shows, and the metrics worth drawing, out."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evsys_otel.cli.compare import split_order
from evsys_otel.conventions import SPLIT_TRAIN

_LOWER_IS_BETTER = frozenset(
    {"loss", "error", "err", "mse", "mae", "rmse", "nll", "perplexity", "ppl", "wer", "cer", "regret"}
)
_TELLING = ("loss", "accuracy", "acc", "reward", "score", "f1", "perplexity")
_BOOKKEEPING = frozenset({"progress", "time", "optim", "lr", "epoch", "step"})
CHARTS = 4
"""Charts that `show` draws unless it is told which."""


def words_of(name: str) -> list[str]:
    """Return the words of a metric's name, in lower case."""
    return [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]


def lower_is_better(name: str) -> bool:
    """Return whether a metric of this name is the better the smaller it is."""
    return not _LOWER_IS_BETTER.isdisjoint(words_of(name))


def run_score(evals: Sequence[Mapping[str, Any]]) -> tuple[str, float] | None:
    """Return the name and value of the most telling metric of a run's last eval, None where it has no finite one."""
    for record in reversed(evals):
        metrics = {name: value for name, value in (record["metrics"] or {}).items() if _is_finite(value)}
        if metrics:
            # Accuracy before loss: of an eval people quote what is to be high.
            name = min(metrics, key=lambda name: (lower_is_better(name), _rank(name)))
            return name, float(metrics[name])
    return None


def best_score(scores: Iterable[tuple[str, float] | None]) -> tuple[str, float] | None:
    """Return the best of runs' scores where all of them are of one metric."""
    found = [score for score in scores if score is not None]
    if len({name for name, _ in found}) != 1:
        return None
    choose = min if lower_is_better(found[0][0]) else max
    return choose(found, key=lambda score: score[1])


def charts_of(keys: Iterable[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    """Return (split, name) pairs by the chart that they share: equal names, and `x/loss` of another split with `loss`.

    The latter is how the evsys callback names what an eval measured. Charts of several series come first, then those
    of the telling names; a chart's series are in reading order.
    """
    pairs = sorted(keys, key=lambda key: (split_order(key[0]), key[1]))
    titles = {name for split, name in pairs if split == SPLIT_TRAIN}
    charts: dict[str, list[tuple[str, str]]] = {}
    for split, name in pairs:
        last = name.rpartition("/")[2]
        charts.setdefault(last if split != SPLIT_TRAIN and last in titles else name, []).append((split, name))
    order = sorted(charts, key=lambda title: (_is_bookkeeping(title), -len(charts[title]), _rank(title), title))
    return {title: charts[title] for title in order}


def _rank(name: str) -> int:
    words = words_of(name)
    return next((rank for rank, word in enumerate(_TELLING) if word in words), len(_TELLING))


def _is_bookkeeping(name: str) -> bool:
    return not _BOOKKEEPING.isdisjoint(words_of(name))


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
