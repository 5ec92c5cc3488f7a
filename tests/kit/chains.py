"""A chain of real processes: agent, gateway, bridge and store, with receivers that stand for Tempo and the team."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kit.collectors import Bridge, Hop
from kit.otlp_receiver import OtlpReceiver
from kit.processes import wait_until

from evsys_otel.pipeline import sync_journals
from evsys_otel.settings import resolve_settings
from evsys_otel.store import Store, open_store

TRAIN = """
import math, sys
import evsys_otel

steps = int(sys.argv[1])
with evsys_otel.start_experiment("sweep", hypothesis="it helps", tags=["a"], quiet=True) as experiment:
    for seed in range(2):
        with experiment.run(f"seed={seed}", group="lr=0.1", seed=seed, config={"lr": 0.1}) as run:
            for step in range(steps):
                run.log({"loss": math.nan if step == 7 else 1 / (step + 1), "train/acc": -step}, step=step)
                if step % 10 == 0:
                    run.log({"loss": math.inf if step == 10 else step}, step=step, split="val")
            run.log_eval("digits", metrics={"accuracy": 0.9}, step=steps)
            run.log_checkpoint("file:///checkpoints/last", step=steps, label="last")
            run.log_predictions([{"kind": "eval", "task_id": i, "output": "seven"} for i in range(20)], step=steps)
        print(run.id, flush=True)
print("ended", flush=True)
"""
"""Argument: steps a run. Prints the id of each of its two runs, then `ended`."""


@dataclass
class Chain:
    """The hops, the receivers that stand for the team's own servers, and the store behind the bridge."""

    agent: Hop
    gateway: Hop
    bridge: Bridge
    tempo: OtlpReceiver
    team: OtlpReceiver
    store: Store

    def wait_whole(self, *run_ids: str, seconds: float = 60) -> None:
        """Wait until the store says of each run that it is whole."""
        for run_id in run_ids:
            wait_until_whole(self.store, run_id, seconds)


def wait_until_whole(store: Store, run_id: str, seconds: float = 60) -> None:
    """Wait until a store says of a run that it is whole."""
    def is_whole() -> bool:
        return store.get_run(run_id) is not None and store.completeness(run_id).state == "whole"

    wait_until(is_whole, seconds, f"the wholeness of {run_id}")


@contextlib.contextmanager
def running_chain(
    folder: Path, *, agent: tuple[str, ...] = (), gateway: tuple[str, ...] = (), **environ: str
) -> Iterator[Chain]:
    """Start it; ``agent`` and ``gateway`` are configuration to merge over theirs, ``environ`` variables of both."""
    store_url = f"sqlite:///{folder}/bridge.db"
    with contextlib.ExitStack() as stack:
        tempo, team = stack.enter_context(OtlpReceiver("grpc")), stack.enter_context(OtlpReceiver("http"))
        bridge = stack.enter_context(Bridge(folder, store_url))
        servers = {"EVSYS_TEMPO": f"127.0.0.1:{tempo.port}", "EVSYS_TEAM": team.endpoint, "EVSYS_BRIDGE": bridge.grpc}
        second = stack.enter_context(Hop("gateway", folder, *gateway, **servers, **environ))
        first = stack.enter_context(Hop("agent", folder, *agent, EVSYS_GATEWAY=second.grpc, **environ))
        store = stack.enter_context(open_store(store_url))
        yield Chain(first, second, bridge, tempo, team, store)


def send_again(folder: Path, run_id: str, endpoint: dict[str, str]) -> None:
    """Do what ``evsys-otel sync --again RUN --to otlp`` does, in the trainer's folder."""
    settings = resolve_settings(
        dir=str(folder / ".evsys"), otlp_endpoint=endpoint["OTEL_EXPORTER_OTLP_ENDPOINT"], otlp_protocol="grpc"
    )
    sync_journals(settings, again=run_id, to="otlp")
