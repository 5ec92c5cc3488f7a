"""Training processes that each keep a store of their own, and what a store behind bridges must hold of them all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kit.processes import wait_until

from evsys_otel.journal import list_journals
from evsys_otel.store import Store, open_store

TRAIN = """
import math, sys, time
import evsys_otel

name, end = sys.argv[1], time.monotonic() + float(sys.argv[2])
with evsys_otel.start_experiment(name, hypothesis="it helps", tags=["a"], quiet=True) as experiment:
    with experiment.run("seed=0", group="lr=0.1", seed=0, config={"lr": 0.1}) as run:
        print(run.id, flush=True)
        step = 0
        while time.monotonic() < end:
            run.log({"loss": math.nan if step == 7 else 1 / (step + 1), "accuracy": -step}, step=step)
            if step % 50 == 0:
                run.log({"loss": step * 0.5}, step=step, split="val")
                run.log_predictions([{"task_id": step, "output": "seven"}], step=step)
            if step % 200 == 0:
                run.log_eval("digits", metrics={"accuracy": 0.9}, step=step)
                run.log_checkpoint(f"file:///checkpoints/{step}", step=step, label=str(step))
            step += 1
            time.sleep(0.002)
print("ended", flush=True)
"""
"""Arguments: the experiment's name, how many seconds it trains. Prints the id of its run, then `ended`."""


def local_store(folder: Path) -> str:
    """Return the URL of the store of the trainers in a folder."""
    return f"sqlite:///{folder}/.evsys/evsys.db"


def wait_until_shipped(folder: Path, seconds: float = 60) -> None:
    """Wait until each lane of each journal of a folder is done: nothing more will come of them."""
    def is_shipped() -> bool:
        journals = list_journals(folder / ".evsys" / "journal")
        lanes = [lane for journal in journals if journal.status for lane in journal.status.lanes]
        return bool(lanes) and all(lane.state == "done" for lane in lanes)

    wait_until(is_shipped, seconds, f"the end of shipping from {folder.name}")


def assert_equals_local(store: Store, folders: Sequence[Path], run_ids: Sequence[str]) -> None:
    """The store holds what the trainers' own hold together, field by field, nothing twice, and each run is whole."""
    told = []
    for folder, run_id in zip(folders, run_ids, strict=True):
        with open_store(local_store(folder)) as local:
            assert local.completeness(run_id).state == "whole"
            told.append(local.dump())
        assert store.completeness(run_id).state == "whole"
    held = store.dump()
    for kind, rows in together(told).items():
        assert held[kind] == rows, kind
    assert held.keys() == told[0].keys()


def together(dumps: Sequence[Mapping[str, list[tuple[Any, ...]]]]) -> dict[str, list[tuple[Any, ...]]]:
    """Return the dump that one store would give of what several hold."""
    return {
        kind: sorted((row for dump in dumps for row in dump[kind]), key=lambda row: json.dumps(row, default=str))
        for kind in dumps[0]
    }
