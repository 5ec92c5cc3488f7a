"""Poison in every field that a user can fill arrives normalised, in the store and over OTLP, and harms nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kit.otlp_receiver import OtlpReceiver, Protocol, attributes_of
from kit.processes import clean_environment

from evsys_otel.journal import list_journals
from evsys_otel.store import open_store

TRAINER = '''
import datetime, json, sys
import numpy
import evsys_otel

def cycle():
    me = {}
    me["me"] = me
    return me

def nest(depth):
    return [nest(depth - 1)] if depth else "leaf"

class Hostile:
    def __str__(self): raise RuntimeError("no")
    __repr__ = __float__ = __iter__ = __str__

POISONS = {
    "surrogate": "a\\ud800b", "nul": "a\\0b", "big": 2**70, "numpy float": numpy.float32(0.5),
    "numpy int": numpy.int64(7), "numpy array": numpy.arange(5), "set": {1, 2},
    "datetime": datetime.datetime(2024, 1, 2), "cycle": cycle(), "nested": nest(64), "bytes": b"\\xff\\0",
    "hostile": Hostile(), "text of 6 MB": "x" * 6_000_000,
}
told = {}
for name, p in POISONS.items():
    text = p if isinstance(p, str) else name
    e = evsys_otel.start_experiment(text, hypothesis=p, tags=[p, "plain"], project_id=None, quiet=True)
    g = e.group(p)
    r = g.run(p, config={"p": p, "plain": 1}, seed=p, recipe=p)
    for step in range(3):
        r.log({"loss": step, "poison": p, str(p)[:9] if name != "hostile" else "h": 1.0}, step=step)
    r.log({"loss": 1.0}, step=p)
    r.log({"loss": 1.0}, step=1, split=p)
    r.log_checkpoint(p, step=p, label=p, base_model=p, is_final=p)
    r.log_eval(p, {"accuracy": 0.5, "p": p}, step=p, tags=[p], breakdowns={"p": p}, benchmark_id=p,
               predictions=[{"task_id": p, "output": p, "instruction": p, "expected": p, "reward": p, "metadata": p}])
    r.log_predictions([{"task_id": "t", "model_output": p, "advantage": p, "sample_idx": p}], step=p, kind=p)
    r.update(config={"later": p}, wandb_url=p)
    r.end(status="completed", error=p)
    g.end()
    e.end(conclusion=p, best_score=p)
    told[name] = r.id
evsys_otel.flush(60)
print(json.dumps(told))
'''


def texts_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts_in(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts_in(part)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_poison_in_every_field_arrives_and_nothing_else_is_lost(tmp_path: Path, protocol: Protocol) -> None:
    """Each poisoned run is whole in the store, its plain values exact, and nothing of it is parked without a trace."""
    with OtlpReceiver(protocol) as receiver:
        done = subprocess.run(
            [sys.executable, "-c", TRAINER], cwd=tmp_path, capture_output=True, text=True, timeout=200,
            env=clean_environment(**receiver.environ()), check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        told: dict[str, str] = json.loads(done.stdout.strip().splitlines()[-1])
        sent = {attributes_of(log).get("evsys.run.id") for log in receiver.taken("logs")} - {None}
        spans = {attributes_of(span).get("evsys.run.id") for span in receiver.taken("traces")} - {None}
    with open_store(f"sqlite:///{tmp_path}/.evsys/evsys.db") as store:
        for name, run_id in told.items():
            run = store.get_run(run_id)
            assert run is not None, name
            assert run["status"] == "completed", name
            assert store.completeness(run_id).state == "whole", (name, store.completeness(run_id))
            rows = store.get_metrics(run_id, name="loss", split="train")
            assert {0: 0.0, 2: 2.0}.items() <= {row["step"]: row["value"] for row in rows}.items(), name
            assert len(store.list_checkpoints(run_id)) == 1, name
            assert len(store.list_evals(run_id)) == 1, name
            assert len(store.list_predictions(run_id)) == 2, name
            for text in texts_in([run, store.list_evals(run_id), store.list_predictions(run_id)]):
                assert "\0" not in text
                text.encode()
        whole = store.list_predictions(told["text of 6 MB"])
        assert {len(row["model_output"]) for row in whole} == {6_000_000}
    (journal,) = list_journals(tmp_path / ".evsys" / "journal")
    assert journal.status is not None
    lanes = {lane.name: lane for lane in journal.status.lanes}
    assert {name: lane.parked for name, lane in lanes.items()} == dict.fromkeys(lanes, 0)
    assert sent == spans == set(told.values())
    assert lanes["otlp.logs"].shortened >= 2
