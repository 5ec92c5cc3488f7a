"""The SDK of Node.js, unmodified, sends a run by the conventions page, and the store then holds exactly that."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit.collectors import Bridge
from kit.node import require_packages, run_program

from evsys_otel.store import Store, open_store

pytestmark = pytest.mark.real

HERE = Path(__file__).parent
STEPS = 60
LIMITS = [math.nan, math.inf, -math.inf, -0.0]


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    folder = tmp_path_factory.mktemp("bridge")
    with Bridge(folder, f"sqlite:///{folder}/bridge.db") as started:
        yield started


@pytest.mark.parametrize("transport", ["http", "proto", "grpc"])
def test_a_run_from_node_is_in_the_store_exactly(bridge: Bridge, tmp_path: Path, transport: str) -> None:
    """Experiment, group, run, every step, eval, predictions and checkpoint, over each of OTLP's three transports."""
    endpoint = f"http://{bridge.grpc if transport == 'grpc' else bridge.http}"
    packages = require_packages(HERE)
    said = run_program(HERE / "send_run.mjs", packages, tmp_path, transport, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    ids = json.loads(said)
    with open_store(bridge.store_url) as store:
        assert_entities(store, ids)
        assert values_of(store, ids["run"]) == expected_values(json_transport=transport == "http")
        assert_children(store, ids)


def assert_entities(store: Store, ids: dict[str, str]) -> None:
    """The experiment, its only group and its only run say what was sent, in the order of time."""
    experiment, run = store.get_experiment(ids["experiment"]), store.get_run(ids["run"])
    assert experiment is not None
    assert run is not None
    (group,) = store.list_groups(ids["experiment"])
    assert [each["id"] for each in store.list_runs(experiment_id=ids["experiment"])] == [ids["run"]]
    assert_holds(experiment, {
        "name": "from Node.js", "project_id": "interop", "hypothesis": "any SDK will do", "tags": ["node", "größer"],
        "status": "completed", "conclusion": "it does", "best_score": 1.0, "error_message": None,
    })  # fmt: skip
    assert_holds(group, {"id": ids["group"], "name": "lr=0.1", "status": "completed"})
    assert_holds(run, {
        "name": "seed=7", "experiment_id": ids["experiment"], "group_id": ids["group"], "project_id": "interop",
        "seed": 7, "recipe_kind": "sft", "run_config": {"lr": 0.1}, "status": "failed", "attempt": 1,
        "error_message": "out of patience", "last_step": STEPS - 1, "missing": 0,
    })  # fmt: skip
    for each in (experiment, group, run):
        assert 0 < each["started_unix_nano"] <= each["ended_unix_nano"]


def assert_children(store: Store, ids: dict[str, str]) -> None:
    """The eval, its predictions and the checkpoint say what was sent, each once."""
    (scored,), (checkpoint,) = store.list_evals(ids["run"]), store.list_checkpoints(ids["run"])
    assert_holds(scored, {
        "id": ids["eval"], "name": "digits", "benchmark_id": "digits-v1", "step": STEPS, "tags": ["quick"],
        "metrics": {"accuracy": 0.9, "n": 10}, "breakdowns": {"odd": {"accuracy": 0.8}},
    })  # fmt: skip
    assert_holds(checkpoint, {
        "id": ids["checkpoint"], "uri": "file:///checkpoints/last", "label": "last", "step": STEPS,
        "base_model": "digits-base", "is_final": True,
    })  # fmt: skip
    predictions = store.list_predictions(ids["run"])
    assert len(predictions) == 10
    for found in predictions:
        number = 5 * found["sample_idx"] + int(found["task_id"].removeprefix("task-"))
        assert_holds(found, {
            "eval_id": ids["eval"], "kind": "eval", "step": STEPS, "instruction": "Which digit?",
            "model_output": f"{number}: ✓", "expected": str(number), "reward": number / 4, "advantage": -1.0,
            "metadata": {"i": number}, "shortened": False,
        })  # fmt: skip


def assert_holds(row: dict[str, Any], facts: dict[str, Any]) -> None:
    """A row's fields say these facts."""
    assert {name: row[name] for name in facts} == facts


def values_of(store: Store, run_id: str) -> dict[tuple[str, str, int], bytes]:
    """Return each value by split, name and step, to the bit."""
    return {
        (row["split"], row["name"], row["step"]): struct.pack("<d", row["value"]) for row in store.get_metrics(run_id)
    }


def expected_values(*, json_transport: bool) -> dict[tuple[str, str, int], bytes]:
    """Return what was logged. The SDK's JSON has no NaN and no infinities, and writes -0 as 0: the page says so."""
    told = {("train", "loss", step): 1 / (step + 1) for step in range(STEPS)}
    told |= {("train", "reward (mean)", step): float(step) for step in range(STEPS)}
    told |= {("val", "loss", step): 0.5 - step / 7 for step in range(0, STEPS, 10)}
    limits = {3: 0.0} if json_transport else dict(enumerate(LIMITS))
    told |= {("train", "limits", step): value for step, value in limits.items()}
    return {key: struct.pack("<d", value) for key, value in told.items()}
