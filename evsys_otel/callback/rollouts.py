"""A step's on-policy rollouts in any of evsys's shapes go in, rows of predictions come out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evsys_otel.callback.payloads import attribute, each_of, mapping_of

_TEXT_NAMES = ("completion", "output", "model_output", "text")


def rollout_rows(rollouts: Any, items: Any = None) -> Iterator[dict[str, Any]]:
    """Yield one row for each sampled trajectory, groups in their order.

    A rollout is a group with ``trajectories``, a list of trajectories, or a row as it is. ``items`` are the tasks that
    the groups were sampled from, one for each group; they name task, instruction and what was expected.
    """
    tasks = list(each_of(items))
    for number, group in enumerate(each_of(rollouts)):
        task = tasks[number] if number < len(tasks) else None
        trajectories = _trajectories(group)
        if trajectories is None:
            row = mapping_of(group)
            if row:
                yield {**_task_fields(number, group, task), **{k: v for k, v in row.items() if v is not None}}
            continue
        common = _task_fields(number, group, task)
        for sample, trajectory in enumerate(trajectories):
            yield {**common, **_trajectory_fields(trajectory, number), "sample_idx": sample}


def _trajectories(group: Any) -> list[Any] | None:
    """Return what was sampled from one task, None when the group is a single row."""
    if isinstance(group, (list, tuple)):
        return list(group)
    found = attribute(group, "trajectories")
    return None if found is None else list(each_of(found))


def _task_fields(number: int, group: Any, task: Any) -> dict[str, Any]:
    return {
        "task_id": attribute(task, "task_id") or attribute(group, "task_id") or f"group-{number}",
        "instruction": attribute(task, "instruction", attribute(group, "instruction")),
        "expected": attribute(attribute(task, "verifier"), "expected", attribute(task, "expected")),
    }


def _trajectory_fields(trajectory: Any, number: int) -> dict[str, Any]:
    metadata = mapping_of(attribute(trajectory, "metadata"))
    usage = attribute(metadata, "usage", {})
    counted = {name: attribute(usage, name) for name in ("latency_s", "prompt_tokens", "completion_tokens")}
    return {
        "model_output": _text(trajectory),
        "reward": attribute(trajectory, "reward"),
        "advantage": attribute(trajectory, "advantage"),
        "metadata": {**metadata, "group_idx": number, **{k: v for k, v in counted.items() if v is not None}},
    }


def _text(trajectory: Any) -> Any:
    """Return the last text that the model wrote; its turns carry one where the engine decoded the tokens."""
    turns = [attribute(turn, "text") for turn in each_of(attribute(trajectory, "turns"))]
    own = [attribute(trajectory, name) for name in _TEXT_NAMES]
    return next((text for text in (*reversed(turns), *own) if text), None)
