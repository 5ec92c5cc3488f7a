"""Objects of evsys training code go in, arguments of the recorder come out; every function is pure and never raises.

The shapes are those of the evsys SDK's RunConfig, ExperimentConfig, EvalResult, ManifestRow, RunResult and ArmResult in
all versions known; each may also come as a mapping, and any of their fields may be missing.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from evsys_otel.conventions import CANCELLED, COMPLETED, END_STATUSES, FAILED
from evsys_otel.normalize import clean_text, to_number, to_step

_logger = logging.getLogger(__name__)

FINAL = "final"
"""The name of the checkpoint that the training loop writes at its end."""

STATE_LABEL_SUFFIX = "/state"
"""Marks the checkpoint that is a training state, written beside the one that a sampler loads."""

_STEP_NAME = re.compile(r"step_(\d{1,18})")
_MAX_SECONDS = 1e8


def attribute(owner: Any, name: str, default: Any = None) -> Any:
    """Return a field of an object or a mapping; the default where it is missing, None, or cannot be had."""
    try:
        value = owner.get(name) if isinstance(owner, Mapping) else getattr(owner, name, None)
    except Exception:  # noqa: BLE001 (a property of somebody else's)
        return default
    return default if value is None else value


def mapping_of(value: Any) -> dict[Any, Any]:
    """Return a mapping's, a model's or a plain object's fields as a dict of its own, empty for anything else."""
    if value is None or isinstance(value, (str, bytes, type)):
        return {}
    if isinstance(value, Mapping):
        return _dict_or_none(lambda: value) or {}
    return _dict_or_none(lambda: value.model_dump()) or _dict_or_none(lambda: vars(value)) or {}


def _dict_or_none(source: Callable[[], Any]) -> dict[Any, Any] | None:
    try:
        found = source()
        return dict(found) if isinstance(found, Mapping) else None
    except Exception:  # noqa: BLE001 (somebody else's model or mapping)
        return None


def each_of(values: Any) -> Iterator[Any]:
    """Yield what is in a list or any iterable; nothing for a text, a mapping or no iterable.

    One that raises half way gives what came before, with a warning.
    """
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes, Mapping)):
        return
    try:
        yield from values
    except Exception as error:  # noqa: BLE001 (somebody else's generator)
        _logger.warning("rows of type %s broke off, the rest of them is not recorded: %r", type(values).__name__, error)


def text_of(value: Any) -> str | None:
    """Return a text that is not blank, or None."""
    text = clean_text(value) if value is not None else ""
    return text if text.strip() else None


def directory_of(state: Any) -> str | None:
    """Return the directory that a loop writes to, as text; None when its state names none."""
    directory = attribute(state, "output_dir")
    try:
        return os.fsdecode(directory) or None if directory is not None else None
    except TypeError:
        return None


def experiment_arguments(ctx: Any) -> dict[str, Any]:
    """Return name, hypothesis and tags of an experiment from its context.

    The goal that an experiment serves has no field of its own in our records, so it is kept as a tag.
    """
    config = attribute(ctx, "config")
    metadata = attribute(config, "metadata")
    tags = attribute(metadata, "tags", [])
    tags = [tags] if isinstance(tags, str) else list(each_of(tags))
    goal = text_of(attribute(metadata, "project_goal_id"))
    return {
        "name": text_of(attribute(config, "name")) or "experiment",
        "hypothesis": text_of(attribute(metadata, "hypothesis")),
        "tags": tags if goal is None else [*tags, f"project_goal_id:{goal}"],
    }


def run_arguments(run_config: Any) -> dict[str, Any]:
    """Return config, seed and recipe of a run; the recipe is the kind of the config's algorithm."""
    algorithm = attribute(run_config, "algorithm")
    recipe = algorithm if isinstance(algorithm, str) else attribute(algorithm, "kind")
    return {
        "config": None if run_config is None else plain_config(run_config),
        "seed": to_step(attribute(run_config, "seed")),
        "recipe": text_of(recipe if recipe is not None else attribute(run_config, "recipe_kind")),
    }


def plain_config(run_config: Any) -> Any:
    """Return a config as a mapping where it is one or can be made one, else as it is."""
    return mapping_of(run_config) or run_config


def run_name(ctx: Any, directory: str | None = None) -> str:
    """Return what to call a run: its key, else its config's name, else its directory's."""
    named = text_of(attribute(ctx, "run_key")) or text_of(attribute(attribute(ctx, "run_config"), "name"))
    return named or (PurePath(directory).name if directory else "") or "run"


def validation_metrics(eval_name: Any, metrics: Any) -> dict[str, Any]:
    """Return an evaluator's metrics under ``<eval>/<metric>``."""
    prefix = text_of(eval_name) or "eval"
    return {f"{prefix}/{clean_text(name)}": value for name, value in mapping_of(metrics).items()}


def eval_arguments(eval_result: Any, step: Any) -> dict[str, Any]:
    """Return a benchmark's result as the arguments of ``Run.log_eval``; a step given beats the result's own."""
    seconds = to_number(attribute(eval_result, "eval_seconds"))
    timed = seconds is not None and math.isfinite(seconds) and 0 <= seconds < _MAX_SECONDS
    return {
        "name": text_of(attribute(eval_result, "name")) or "eval",
        "metrics": mapping_of(attribute(eval_result, "metrics")),
        "step": to_step(step if step is not None else attribute(eval_result, "step")),
        "tags": attribute(eval_result, "tags", []),
        "benchmark_id": text_of(attribute(eval_result, "benchmark_id")),
        "breakdowns": mapping_of(attribute(eval_result, "breakdowns")) or None,
        "seconds": seconds if timed else None,
    }


def prediction_rows(predictions: Any, kind: str) -> Iterator[Any]:
    """Yield predictions with ``kind`` where they name none of their own."""
    for prediction in each_of(predictions):
        row = mapping_of(prediction)
        if row:
            yield row if row.get("kind") else {**row, "kind": kind}


def checkpoint_arguments(row: Any, state: Any) -> list[dict[str, Any]]:
    """Return a manifest row as the arguments of ``Run.log_checkpoint``: one call for each path that it names.

    The sampler's weights are the checkpoint. A training state beside them is a checkpoint of its own, labelled
    ``<name>/state``; alone it is the checkpoint.
    """
    label = text_of(attribute(row, "name"))
    step = _checkpoint_step(row, state, label)
    paths = [text_of(attribute(row, "sampler_path")), text_of(attribute(row, "state_path"))]
    uris = list(dict.fromkeys(path for path in paths if path is not None))
    labels = [label, f"{label or 'checkpoint'}{STATE_LABEL_SUFFIX}"]
    return [
        {"uri": uri, "step": step, "label": name, "is_final": label == FINAL and name == label}
        for uri, name in zip(uris, labels, strict=False)
    ]


def _checkpoint_step(row: Any, state: Any, label: str | None) -> int | None:
    """Return the 0-based index of the step after which a checkpoint was written; names count from 1."""
    batch = to_step(attribute(row, "batch"))
    if batch is not None:
        return batch
    named = _STEP_NAME.fullmatch(label or "")
    return int(named[1]) - 1 if named else to_step(attribute(state, "step"))


def run_outcome(run_result: Any, arm: Any) -> tuple[str, str | None]:
    """Return status and error of an arm: the worse of what the training's result and the arm itself say.

    A benchmark that raised after a training that completed makes the arm a failed one.
    """
    error = text_of(attribute(run_result, "error")) or text_of(attribute(arm, "error"))
    said = {_status(attribute(run_result, "status")), _status(attribute(arm, "status"))}
    for status in (FAILED, CANCELLED, COMPLETED):
        if status in said:
            return status, error
    return (FAILED if error else COMPLETED), error


def experiment_outcome(result: Any) -> dict[str, Any]:
    """Return an experiment's result as the arguments of ``Experiment.end``."""
    status = _status(attribute(result, "status"))
    return {
        "status": status if status in END_STATUSES else COMPLETED,
        "error": text_of(attribute(result, "error")),
        "conclusion": text_of(attribute(result, "conclusion")),
        "best_score": to_number(attribute(result, "best_score")),
    }


def _status(value: Any) -> str:
    return clean_text(attribute(value, "value", value) if not isinstance(value, str) else value).strip().lower()
