"""Hooks never raise: whatever they are called with, training goes on, and what makes sense among it is recorded."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.evsys_stored import metric_rows, recording, stored

from evsys_otel.callback import EvsysLoggerCallback

HOOKS = sorted(name for name in vars(EvsysLoggerCallback) if name.startswith("on_"))


class Hostile:
    """Every attribute, every text and every length of it raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("repr")

    __str__ = __repr__
    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise RuntimeError("bool")

    def __iter__(self) -> Any:
        raise RuntimeError("iter")

    def __len__(self) -> int:
        raise RuntimeError("len")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")


class HostileModel:
    """A config that cannot be dumped."""

    name = "hostile"
    seed = 2**80

    def model_dump(self) -> Any:
        raise RuntimeError("dump")


def endless_generator() -> Any:
    yield {"task_id": "t"}
    raise RuntimeError("half way")


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = {"a": value}
    return value


CYCLE: dict[str, Any] = {}
CYCLE["self"] = CYCLE

NONSENSE = st.one_of(
    st.sampled_from([None, object(), CYCLE, nested(64), {1, 2}, b"\xff", 2**80, 1j]), st.just(Hostile),
    st.builds(Hostile), st.builds(HostileModel), st.builds(endless_generator),
    st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("\ud800\0"),
    st.just(math.nan), st.just(print), st.just(Path("a")),
)
FIELDS = [
    "ctx", "output_dir", "ids", "extras", "config", "metadata", "run_key", "run_config", "group_name", "name", "step",
    "batch", "sampler_path", "state_path", "status", "error", "run_id", "metrics", "breakdowns", "tags", "eval_seconds",
    "best_score", "conclusion", "algorithm", "kind", "seed", "trajectories", "turns", "text", "task_id", "reward",
]
VALUES = st.recursive(
    NONSENSE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
        st.dictionaries(st.sampled_from(FIELDS), inner, max_size=8).map(lambda fields: SimpleNamespace(**fields)),
    ),
    max_leaves=12,
)
CALLS = st.lists(st.tuples(st.sampled_from(HOOKS), st.lists(VALUES, min_size=4, max_size=5)), max_size=12)


@pytest.fixture(autouse=True)
def _swallow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVSYS_OTEL_RAISE", raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nonsense")


def test_there_is_a_hook_for_every_name_of_the_contract() -> None:
    """All hooks of all versions are there."""
    assert set(HOOKS) == {
        "on_benchmark_eval", "on_checkpoint", "on_eval", "on_experiment_end", "on_experiment_start", "on_group_start",
        "on_rollout", "on_run_end", "on_run_start", "on_step_end", "on_train_data", "on_train_end", "on_train_start",
    }


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS)
def test_no_sequence_of_hooks_raises_whatever_it_is_given(calls: list[tuple[str, list[Any]]], folder: Path) -> None:
    """Any hooks in any order with any arguments: nothing reaches the training loop."""
    callback = recording(folder)
    for name, arguments in calls:
        getattr(callback, name)(*arguments)


@pytest.mark.parametrize("name", HOOKS)
@pytest.mark.parametrize("make", [type(None), Hostile, int, str, list, dict, SimpleNamespace, endless_generator])
def test_each_hook_takes_nonsense_in_all_of_its_places(name: str, make: Callable[[], Any], folder: Path) -> None:
    """None, wrong types and missing attributes do not raise, and a good hook afterwards is kept."""
    callback = recording(folder)
    hook = getattr(callback, name)
    places = [p for p in inspect.signature(hook).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    hook(*[make() for _ in places])
    callback.on_train_start(SimpleNamespace(output_dir="x/good"))
    arm = callback._arms.of_state(SimpleNamespace(output_dir="x/good"))
    assert arm is not None
    assert arm.run.attempt == 1


CONFIGS: dict[str, Callable[[], Any]] = {
    "cannot be dumped": HostileModel, "hostile": Hostile, "cycle": lambda: CYCLE, "deep": lambda: nested(64),
    "odd": lambda: {"f": print, 3: {1, 2}}, "text": lambda: "text", "number": lambda: 7,
}


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_a_config_that_cannot_be_serialised_costs_only_itself(tmp_path: Path, kind: str) -> None:
    """The run is there with its steps, and as much of its config as can be told."""
    callback = recording(tmp_path)
    config = CONFIGS[kind]()
    ctx = SimpleNamespace(config=None, ids={}, extras={}, run_key="arm", run_config=config, group_name=None)
    state = SimpleNamespace(ctx=ctx, output_dir=tmp_path / "arm")
    callback.on_experiment_start(ctx)
    callback.on_run_start(ctx)
    callback.on_step_end(state, 0, None, {"loss": 1.0})
    callback.on_run_end(ctx, None, SimpleNamespace(name="arm", status="completed"))
    with stored(tmp_path) as store:
        (run,) = store.list_runs()
        assert (run["name"], run["status"]) == ("arm", "completed")
        assert metric_rows(store, run["id"]) == [(0, "loss", 1.0)]


def test_a_context_whose_ids_cannot_be_written_is_recorded(tmp_path: Path) -> None:
    """Without a place for ids, arms are found by directory and thread."""
    callback = recording(tmp_path)
    for ids in (None, 7, (), Hostile()):
        ctx = SimpleNamespace(config=None, ids=ids, run_key="arm", run_config=None)
        callback.on_experiment_start(ctx)
        callback.on_run_start(ctx)
        callback.on_step_end(SimpleNamespace(ctx=ctx, output_dir="x/arm"), 0, None, {"loss": 1.0})
        callback.on_experiment_end(ctx, None)
    with stored(tmp_path) as store:
        assert [len(metric_rows(store, run["id"])) for run in store.list_runs()] == [1] * 4


def test_rows_that_break_off_are_kept_up_to_there(tmp_path: Path) -> None:
    """A generator of predictions or rollouts that raises half way gives what came before."""
    callback = recording(tmp_path)
    state = SimpleNamespace(output_dir="x/arm", ctx=None)
    callback.on_rollout(state, 0, endless_generator())
    callback.on_run_start(SimpleNamespace(run_key="arm"))
    callback.on_benchmark_eval(SimpleNamespace(), SimpleNamespace(name="test"), endless_generator())
    with stored(tmp_path) as store:
        kinds = [row["kind"] for run in store.list_runs() for row in store.list_predictions(run["id"])]
        assert sorted(kinds) == ["eval", "train"]


def test_a_start_that_fails_is_told_once_and_costs_no_hook(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing can be opened the callback says so once and training goes on."""
    for first in ("on_experiment_start", "on_step_end"):
        callback = recording(tmp_path)
        callback._settings["mode"] = "no such mode"
        getattr(callback, first)(SimpleNamespace(), *[None] * (first == "on_step_end"))
        for _ in range(3):
            callback.on_step_end(SimpleNamespace(), 0, None, {"loss": 1.0})
            callback.on_run_start(SimpleNamespace(run_key="arm"))
            callback.on_benchmark_eval(None, None, None)
            callback.on_run_end(None, None, None)
    assert len([record for record in caplog.records if "records nothing" in record.message]) == 2


def test_under_test_our_own_mistakes_are_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What production swallows and tells once reaches a test that asks for it; production goes on."""
    callback = recording(tmp_path)
    callback._arms = None  # type: ignore[assignment]
    callback.on_step_end(SimpleNamespace(), 0, None, {})
    monkeypatch.setenv("EVSYS_OTEL_RAISE", "1")
    with pytest.raises(AttributeError):
        callback.on_step_end(SimpleNamespace(), 0, None, {})
