"""What the callback shows: the reference's constructor, attributes and seams, its Config, its place in the registry."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kit.evsys_stored import metric_rows, recording, stored
from kit.processes import clean_environment

from evsys_otel import ConfigurationError, EvsysLoggerCallback, EvsysLoggerConfig
from evsys_otel import callback as callback_package
from evsys_otel.callback.config import PlainConfig, setting_names

REFERENCE_HOOKS = {
    "on_experiment_start": ["ctx"], "on_group_start": ["ctx", "group_name"], "on_run_start": ["ctx"],
    "on_benchmark_eval": ["ctx", "eval_result", "predictions", "step"], "on_run_end": ["ctx", "run_result", "arm"],
    "on_step_end": ["state", "step_idx", "batch", "metrics"], "on_eval": ["state", "step_idx", "eval_name", "metrics"],
    "on_checkpoint": ["state", "row"], "on_experiment_end": ["ctx", "result"], "on_train_start": ["state"],
    "on_train_end": ["state", "artifacts"], "on_train_data": ["ctx", "rows"],
    "on_rollout": ["state", "step_idx", "rollouts", "rollout_items"],
}


def test_the_hooks_have_the_references_parameters() -> None:
    """Names and order of each hook's parameters are the contract's, ``step`` by keyword alone."""
    for name, want in REFERENCE_HOOKS.items():
        assert list(inspect.signature(getattr(EvsysLoggerCallback, name)).parameters) == ["self", *want]
    step = inspect.signature(EvsysLoggerCallback.on_benchmark_eval).parameters["step"]
    assert (step.kind, step.default) == (step.KEYWORD_ONLY, None)


def test_the_constructor_and_attributes_are_the_references() -> None:
    """Keyword only, with its defaults; ``flush_every`` is a whole number from 1 on."""
    parameters = list(inspect.signature(EvsysLoggerCallback).parameters.values())
    assert {p.name: p.default for p in parameters[:2]} == {"project_id": None, "flush_every": 1}
    assert all(p.kind in {p.KEYWORD_ONLY, p.VAR_KEYWORD} for p in parameters)
    callback = EvsysLoggerCallback(project_id="p", flush_every="7")  # type: ignore[arg-type]
    assert (callback.name, callback.project_id, callback.flush_every) == ("evsys_logger", "p", 7)
    assert EvsysLoggerCallback(flush_every=-3).flush_every == 1
    assert EvsysLoggerCallback.Config is EvsysLoggerConfig is callback.Config


def test_the_package_has_no_other_names() -> None:
    """A slip in an import from ``evsys_otel.callback`` is an AttributeError like any other module's."""
    with pytest.raises(AttributeError, match="EvsysLoggerConfi"):
        callback_package.EvsysLoggerConfi  # noqa: B018


def test_a_bad_argument_raises_at_once() -> None:
    """An unknown setting or a bad value is named before any training begins."""
    with pytest.raises(ConfigurationError, match="stroe"):
        EvsysLoggerCallback(stroe="sqlite://")
    with pytest.raises(ConfigurationError, match="mode"):
        EvsysLoggerCallback(mode="fast")


def test_the_seams_are_there(tmp_path: Path) -> None:
    """``_store``, ``_ensure_store``, ``_id`` and ``_flush`` answer as the reference's do."""
    callback = recording(tmp_path)
    assert callback._store is None
    assert (callback._id({"id": "7"}), callback._id({}), callback._id("text")) == ("7", None, None)
    ctx = SimpleNamespace(ids={}, config=None)
    assert callback._ensure_store(ctx).id == ctx.ids["experiment_id"]
    assert callback._flush(ctx) is None
    store = object()
    callback._store = store
    assert callback._ensure_store(ctx) is store
    assert recording(tmp_path)._ensure_store(SimpleNamespace(store=store)) is None


def test_a_store_object_that_is_not_written_to_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is to believe that an injected object holds the records; they go where the settings say all the same."""
    callback = recording(tmp_path)
    callback._store = object()
    ctx = SimpleNamespace(ids={}, config=SimpleNamespace(name="one", metadata=None), run_key="a")
    callback.on_experiment_start(ctx)
    callback.on_run_start(ctx)
    callback.on_step_end(SimpleNamespace(ctx=ctx), 0, None, {"loss": 1.0})
    callback.on_run_end(ctx, None)
    callback.on_experiment_end(ctx, None)
    assert [record.getMessage() for record in caplog.records if "does not write to" in record.getMessage()] == [
        "evsys_logger does not write to the store object that it was given in this version; what is recorded goes "
        "where the settings say"
    ]
    with stored(tmp_path) as store:
        (run,) = store.list_runs()
        assert metric_rows(store, run["id"]) == [(0, "loss", 1.0)]


def test_the_project_is_the_experiments(tmp_path: Path) -> None:
    """``project_id`` is recorded with the experiment, for a bare loop's too."""
    callback = recording(tmp_path, project_id="vision")
    callback.on_experiment_start(SimpleNamespace(config=SimpleNamespace(name="one", metadata=None)))
    callback.on_experiment_end(None, None)
    callback.on_step_end(SimpleNamespace(output_dir="x/bare"), 0, None, {"loss": 1.0})
    with stored(tmp_path) as store:
        assert sorted(row["name"] for row in store.list_experiments(project_id="vision")) == ["bare", "one"]


@pytest.mark.parametrize("config", [EvsysLoggerConfig, PlainConfig])
def test_the_config_takes_every_parameter_and_refuses_others(config: Any) -> None:
    """What YAML may say is what the constructor takes; a slip of the pen and a bad value are refused."""
    endpoint = "http://127.0.0.1:4317"
    dumped = config(flush_every=5, rollout_cap=3, store="sqlite:///x.db", otlp_endpoint=endpoint).model_dump()
    assert set(dumped) == {"project_id", "flush_every", "rollout_cap", *setting_names()}
    callback = EvsysLoggerCallback(**dumped)
    assert (callback.flush_every, callback.rollout_cap) == (5, 3)
    assert EvsysLoggerCallback(**config().model_dump()).flush_every == 1
    assert (config(rollout_cap=9).rollout_cap, hasattr(config(), "nonsense")) == (9, False)
    for wrong in ({"flush": 1}, {"mode": "fast"}):
        with pytest.raises(ValueError, match=r"flush|mode"):
            config(**wrong)


SDK = {
    "__init__.py": "from evsys_sdk.registry import register_callback\n",
    "registry.py": """
CALLBACKS = {}
def register_callback(name):
    def register(cls):
        if CALLBACKS.get(name, cls) is not cls:
            raise ValueError(name)
        CALLBACKS[name] = cls
        return cls
    return register
""",
}


def run_python(script: str, folder: Path, *paths: Path) -> str:
    lines = [f"import sys; sys.path[:0] = {[str(path) for path in paths]!r}", script]
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def write_sdk(folder: Path, **files: str) -> Path:
    (folder / "evsys_sdk").mkdir()
    for name, text in files.items():
        (folder / "evsys_sdk" / name).write_text(text)
    return folder


BUILD = """
from evsys_sdk.registry import CALLBACKS
import evsys_otel.callback
kind = CALLBACKS["otel_logger"]
print(sorted(CALLBACKS), kind(**kind.Config(rollout_cap=2).model_dump()).rollout_cap)
"""


def test_it_registers_as_otel_logger_with_an_installed_sdk(tmp_path: Path) -> None:
    """With evsys_sdk on the path YAML finds the callback, and builds it through its Config."""
    sdk = write_sdk(tmp_path, **SDK)
    assert run_python(BUILD, tmp_path, sdk).strip() == "['otel_logger'] 2"


def test_it_registers_where_an_older_sdk_has_the_function(tmp_path: Path) -> None:
    """``register_callback`` may be at the top of the package."""
    sdk = write_sdk(tmp_path, **{"__init__.py": SDK["registry.py"]})
    script = "import evsys_sdk, evsys_otel.callback\nprint(sorted(evsys_sdk.CALLBACKS))"
    assert run_python(script, tmp_path, sdk).strip() == "['otel_logger']"


@pytest.mark.parametrize("text", ["raise RuntimeError('broken')", "", "import evsys_otel.callback.no_such"])
def test_a_broken_sdk_is_no_reason_not_to_record(tmp_path: Path, text: str) -> None:
    """An SDK that cannot be imported, or knows no callbacks, costs one warning."""
    sdk = write_sdk(tmp_path, **{"__init__.py": text})
    out = run_python("import evsys_otel.callback\nprint(evsys_otel.callback.EvsysLoggerCallback.name)", tmp_path, sdk)
    assert "evsys_logger" in out
    assert out.count("is not registered") == 1


HEAVY = ["opentelemetry.sdk", "grpc", "sqlalchemy", "requests", "pydantic", "numpy"]

LIGHT = f"""
from pathlib import Path
from types import SimpleNamespace
from evsys_otel import EvsysLoggerCallback
callback = EvsysLoggerCallback(mode="journal", quiet=True)
ctx = SimpleNamespace(config=None, ids={{}}, extras={{}}, run_key="arm", run_config={{"a": 1}}, group_name="g")
callback.on_experiment_start(ctx)
callback.on_run_start(ctx)
callback.on_step_end(SimpleNamespace(ctx=ctx, output_dir=Path("x/arm")), 0, None, {{"loss": 1.0}})
callback.on_run_end(ctx, None, None)
callback.on_experiment_end(ctx, None)
print([name for name in {HEAVY!r} if name in sys.modules])
"""


def test_importing_and_recording_are_light(tmp_path: Path) -> None:
    """No SDK, no gRPC, no SQL and no pydantic is imported in the training process."""
    assert run_python(LIGHT, tmp_path).strip() == "[]"


def test_without_pydantic_the_config_is_a_plain_class(tmp_path: Path) -> None:
    """Where pydantic cannot be imported everything works with the same parameters."""
    show = "print(evsys_otel.EvsysLoggerConfig(rollout_cap=1).rollout_cap)"
    script = f"sys.modules['pydantic'] = None\nimport evsys_otel\n{show}"
    assert run_python(script, tmp_path).strip() == "1"


def test_a_hook_costs_the_loop_no_look_for_its_arm(tmp_path: Path) -> None:
    """A step of a known directory is found in one look-up, whatever number of arms is open."""
    callback = recording(tmp_path)
    for number in range(100):
        ctx = SimpleNamespace(ids={}, config=None, run_key=f"arm{number}", run_config=None)
        callback.on_run_start(ctx)
    state = SimpleNamespace(output_dir=tmp_path / "arm7", ctx=ctx)
    callback.on_step_end(state, 0, None, {"loss": 1.0})
    callback._arms._find = None  # type: ignore[assignment,method-assign]
    callback.on_step_end(state, 1, None, {"loss": 0.5})
    with stored(tmp_path) as store:
        (run,) = [run for run in store.list_runs() if run["name"] == "arm7"]
        assert len(metric_rows(store, run["id"])) == 2
