"""What the evsys SDK's own callback writes to the evsys store, by the contract's table of operations: the yardstick.

Its faults are left out where they lose data, so that what is compared is what it means to write.
"""

from __future__ import annotations

import itertools
from typing import Any


class ReferenceStore:
    """Keeps the arguments of each write."""

    def __init__(self) -> None:
        self.records: dict[str, list[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)

    def create(self, kind: str, **arguments: Any) -> dict[str, Any]:
        record = {"id": f"{kind}-{next(self._numbers)}", **arguments}
        self.records.setdefault(kind, []).append(record)
        return record

    def of(self, kind: str) -> list[dict[str, Any]]:
        return self.records.get(kind, [])

    def update(self, record_id: str, **patch: Any) -> None:
        for records in self.records.values():
            for record in records:
                if record["id"] == record_id:
                    record.update(patch)


class ReferenceLogger:
    """Writes by the contract, section 2; arms must be sequential."""

    def __init__(self) -> None:
        self.store = ReferenceStore()
        self.ids: dict[str, str] = {}

    def on_experiment_start(self, ctx: Any) -> None:
        metadata = ctx.config.metadata
        record = self.store.create(
            "experiment", name=ctx.config.name, hypothesis=metadata.get("hypothesis"),
            tags=list(metadata.get("tags") or []),
        )
        self.ids["experiment"] = record["id"]

    def on_group_start(self, ctx: Any, group_name: str) -> None:
        self.ids[f"group:{group_name}"] = self.store.create("group", name=group_name)["id"]

    def on_run_start(self, ctx: Any) -> None:
        config = ctx.run_config
        record = self.store.create(
            "run", group=ctx.group_name, seed=config.seed, recipe_kind=config.algorithm.kind,
            run_config=config.model_dump(), status="running",
        )
        self.ids["run"] = record["id"]

    def on_step_end(self, state: Any, step_idx: int, batch: Any, metrics: dict[str, float]) -> None:
        self._log(step_idx, metrics, "train")

    def on_eval(self, state: Any, step_idx: int, eval_name: str, metrics: dict[str, float]) -> None:
        self._log(step_idx, {f"{eval_name}/{name}": value for name, value in metrics.items()}, "val")

    def on_checkpoint(self, state: Any, row: Any) -> None:
        self.store.create(
            "checkpoint", run_id=self.ids["run"], uri=row.sampler_path or row.state_path, label=row.name, step=row.batch
        )

    def on_benchmark_eval(self, ctx: Any, eval_result: Any, predictions: list[Any], *, step: int | None = None) -> None:
        record = self.store.create(
            "eval", run_id=self.ids["run"], benchmark_id=eval_result.benchmark_id, metrics=dict(eval_result.metrics),
            breakdowns=dict(eval_result.breakdowns) or None, step=step,
        )
        for row in predictions:
            self.store.create("prediction", run_id=self.ids["run"], eval_id=record["id"], row=row)

    def on_run_end(self, ctx: Any, run_result: Any, arm: Any) -> None:
        status = getattr(run_result, "status", None) or arm.status
        error = getattr(run_result, "error", None) or arm.error
        self.store.update(self.ids["run"], status=status, **({"error_message": error} if error else {}))

    def on_experiment_end(self, ctx: Any, result: Any) -> None:
        self.store.update(
            self.ids["experiment"], status=result.status, conclusion=result.conclusion, best_score=result.best_score
        )

    def _log(self, step: int, metrics: dict[str, float], split: str) -> None:
        for name, value in metrics.items():
            self.store.create("metric", run_id=self.ids["run"], step=step, name=name, value=float(value), split=split)
