"""One small training program as events, with ids that a test can name."""

from __future__ import annotations

import struct

from evsys_otel import events as e
from evsys_otel.conventions import group_id_of

T0 = 1_700_000_000_000_000_000
EXPERIMENT_ID = "11111111-2222-4333-8444-555555555555"
RUN_ID = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
EVAL_ID = "99999999-8888-4777-8666-555555555555"
GROUP_ID = group_id_of(EXPERIMENT_ID, "lr=0.1")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def pack(*values: float) -> bytes:
    """Return one step's values as a journal holds them."""
    return struct.pack(f"<{len(values)}d", *values)


def opening(*, attempt: int = 1, span_id: str | None = None) -> list[e.Event]:
    """Return the starts of an experiment, a group and a run that logs ``loss`` and ``acc`` to ``train``."""
    return [
        e.ExperimentStarted(T0 + 1, 0, EXPERIMENT_ID, "sweep", "p-1", "it helps", ["a", "b"], traceparent=TRACEPARENT,
                            attempt=attempt),
        e.GroupStarted(T0 + 2, 0, 0, GROUP_ID, "lr=0.1", attempt=attempt),
        e.RunStarted(T0 + 3, 0, 0, RUN_ID, "seed=0", 0, seed=0, recipe="sft", config='{"lr":0.1}', attempt=attempt,
                     span_id=span_id),
        e.KeySetDeclared(0, ["loss", "acc"]),
        e.StreamDeclared(0, 0, "train", 0),
    ]  # fmt: skip


def steps(*numbers: int, ordinal: int = 0, stream: int = 0, time: int = T0 + 100) -> list[e.Event]:
    """Return one log call for each step number, of values (step + 0.5, -step)."""
    return [
        e.StepLogged(time + index, stream, step, ordinal + index, pack(step + 0.5, -float(step)))
        for index, step in enumerate(numbers)
    ]


def closing(status: str = "completed", error: str | None = None, calls: int = 0) -> list[e.Event]:
    """Return the ends of the run, its group and its experiment."""
    totals = [e.StreamTotal(0, "train", 0, ["loss", "acc"], calls)]
    return [
        e.RunEnded(T0 + 1000, 0, RUN_ID, status, error, streams=totals),
        e.GroupEnded(T0 + 1001, 0, status),
        e.ExperimentEnded(T0 + 1002, 0, status, "it did", 0.9, error),
    ]
