"""The hooks of evsys training code go in, calls of the recorder come out."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any, ClassVar

from evsys_otel.callback import payloads
from evsys_otel.callback.arms import Arm, Arms, folder_name
from evsys_otel.callback.config import ConfigOnDemand
from evsys_otel.callback.hooks import hook
from evsys_otel.callback.payloads import attribute
from evsys_otel.callback.rollouts import rollout_rows
from evsys_otel.conventions import CANCELLED, COMPLETED, SPLIT_VAL
from evsys_otel.errors import EvsysOtelError
from evsys_otel.recorder import Experiment, resume_run, start_experiment, start_run
from evsys_otel.recorder.guard import say_once
from evsys_otel.settings import resolve_settings

_logger = logging.getLogger(__name__)


class EvsysLoggerCallback:
    """Records evsys trainings: experiment, groups, runs, step metrics, evals, predictions, rollouts and checkpoints.

    It takes the place of the evsys SDK's callback of this name and fills ``ctx.ids`` likewise. Where the Experiment has
    a store of its own (``ctx.store``) it switches itself off. One instance serves arms that run at once in threads.
    No hook raises, and what a hook was given is on disk when it returns.

    Args:
        project_id: project of the experiment; default ``EVSYS_PROJECT_ID``.
        flush_every: kept for the sake of the name; nothing is held back.
        rollout_cap: rollouts kept of each run, from the first; None or a negative number keeps all.
        exporters: OpenTelemetry SDK exporter objects to ship to besides.
        settings: any setting of ``docs/settings.md`` by its name, such as ``store`` or ``otlp_endpoint``.

    Raises:
        ConfigurationError: an argument cannot be used.
    """

    name: ClassVar[str] = "evsys_logger"
    Config: ClassVar[Any] = ConfigOnDemand()

    def __init__(
        self, *, project_id: str | None = None, flush_every: int = 1, rollout_cap: int | None = None,
        exporters: Iterable[object] | None = None, **settings: Any,
    ) -> None:
        resolve_settings(project_id=project_id, **settings)
        self.project_id = project_id
        self.flush_every = max(1, int(flush_every))
        self.rollout_cap = None if rollout_cap is None else int(rollout_cap)
        self._settings = {"exporters": None if exporters is None else tuple(exporters), **settings}
        self._store: Any = None
        self._disabled = False
        self._experiment: Experiment | None = None
        self._arms = Arms(lambda handle: resume_run(handle, **self._options()))
        self._wandb_urls: set[str] = set()
        self._lock = threading.RLock()

    # The experiment

    @hook
    def on_experiment_start(self, ctx: Any) -> None:
        """Start the experiment; one that this callback had open before, and whose end never came, is cancelled."""
        with self._lock:
            self._end_experiment(CANCELLED)
            self._arms.forget_closed()
            self._disabled = False
        self._ensure_store(ctx)

    @hook
    def on_group_start(self, ctx: Any, group_name: Any) -> None:
        """Open a group of runs."""
        self._open_group(ctx, group_name)

    @hook
    def on_experiment_end(self, ctx: Any, result: Any) -> None:
        """End the experiment with its status, conclusion and best score."""
        self._end_experiment(**payloads.experiment_outcome(result))

    # The arm

    @hook
    def on_run_start(self, ctx: Any) -> None:
        """Start the arm's run."""
        key, run_config, group = payloads.run_name(ctx), attribute(ctx, "run_config"), attribute(ctx, "group_name")
        if self._ensure_store(ctx) is None:  # which may wait for another arm's start, that overwrites the context
            return
        with self._lock:
            arm = self._arms.of_start(key)
            if arm is None:
                arm = self._start_arm(ctx, key, run_config, group)
            else:
                arm.told = True
                self._describe(arm, run_config)
        _put_id(ctx, "run_id", arm.run.id)
        self._note_wandb(arm, ctx)

    @hook
    def on_train_data(self, ctx: Any, rows: Any) -> None:
        """Store nothing of the rows, as the SDK's callback does not."""
        self._arm_of_context(ctx)

    @hook
    def on_benchmark_eval(self, ctx: Any, eval_result: Any, predictions: Any = None, *, step: Any = None) -> None:
        """Record a benchmark's result and each of its predictions."""
        arm = self._arm_of_context(ctx) or self._guess_arm(ctx, None)
        if arm is None:
            return
        arguments = payloads.eval_arguments(eval_result, step)
        eval_id = arm.run.log_eval(**arguments)
        rows = payloads.prediction_rows(predictions, "eval")
        arm.run.log_predictions(rows, step=arguments["step"], eval_id=eval_id)

    @hook
    def on_run_end(self, ctx: Any, run_result: Any, arm: Any = None) -> None:
        """End the arm's run: failed when its training or its benchmark failed."""
        if self._disabled:
            return
        ended = self._arms.of_end(ctx, arm)
        if ended is None:
            if self._arms.has_ended(arm):
                return
            ended = self._guess_arm(ctx, None, key=payloads.text_of(attribute(arm, "name")))
        if ended is not None:
            self._describe(ended, attribute(arm, "run_config"))
            self._note_wandb(ended, ctx)
            self._arms.close(ended, *payloads.run_outcome(run_result, arm))

    # The training loop

    @hook
    def on_train_start(self, state: Any) -> None:
        """Make the arm's directory known; a loop without an experiment starts a run of its own."""
        if not self._disabled:
            self._arms.restart_bare(state)
            self._arm_of_loop(state)

    @hook
    def on_step_end(self, state: Any, step_idx: Any, batch: Any = None, metrics: Any = None) -> None:
        """Record a step's metrics."""
        if self._disabled:
            return
        arm = self._arms.of_state(state) or self._guess_arm(attribute(state, "ctx"), state)
        if arm is not None:
            arm.run.log({} if metrics is None else metrics, step_idx)

    @hook
    def on_eval(self, state: Any, step_idx: Any, eval_name: Any, metrics: Any = None) -> None:
        """Record an evaluator's metrics in the split ``val``."""
        arm = self._arm_of_loop(state)
        if arm is not None:
            arm.run.log(payloads.validation_metrics(eval_name, metrics), step_idx, SPLIT_VAL)

    @hook
    def on_checkpoint(self, state: Any, row: Any) -> None:
        """Record a checkpoint, and the training state written beside it."""
        arm = self._arm_of_loop(state)
        if arm is not None:
            for arguments in payloads.checkpoint_arguments(row, state):
                arm.run.log_checkpoint(**arguments)

    @hook
    def on_rollout(self, state: Any, step_idx: Any, rollouts: Any = None, rollout_items: Any = None) -> None:
        """Record a step's rollouts as predictions of kind ``train``, up to the run's cap."""
        arm = self._arm_of_loop(state)
        if arm is None:
            return
        capped = self.rollout_cap is not None and self.rollout_cap >= 0
        room = max(0, (self.rollout_cap or 0) - arm.rollouts) if capped else None
        rows = list(itertools.islice(rollout_rows(rollouts, rollout_items), room))
        arm.rollouts += len(rows)
        arm.run.log_predictions(rows, step=step_idx, kind="train")

    @hook
    def on_train_end(self, state: Any, artifacts: Any = None) -> None:
        """End the run of a loop without an experiment; an arm goes on to its benchmarks."""
        arm = self._arm_of_loop(state)
        if arm is not None and arm.bare:
            self._arms.close(arm, COMPLETED)

    # Seams of the SDK's callback

    def _ensure_store(self, ctx: Any) -> Any:
        """Return what takes the records: an injected store or the open experiment; None when switched off."""
        if not self._disabled and attribute(ctx, "store") is not None:
            self._disabled = True
            _logger.warning(
                "%s records nothing: the Experiment has a store of its own; give it none to use this callback",
                self.name,
            )
        if self._disabled:
            return None
        with self._lock:
            if self._experiment is None:
                self._experiment = self._start_experiment(ctx)
        if self._experiment is None:
            return None
        _put_id(ctx, "experiment_id", self._experiment.id)
        if self._store is None:
            return self._experiment
        say_once(
            ("store", id(self)), "%s does not write to the store object that it was given in this version; "
            "what is recorded goes where the settings say", self.name,
        )
        return self._store

    @staticmethod
    def _id(resp: Any) -> str | None:
        """Return the id in a store's answer."""
        return resp.get("id") if isinstance(resp, dict) else None

    def _flush(self, ctx: Any) -> None:
        """Do nothing: what a hook was given is in the journal when it returns."""

    # Records

    def _options(self) -> dict[str, Any]:
        return {**self._settings, "project_id": self.project_id}

    def _start_experiment(self, ctx: Any) -> Experiment | None:
        arguments = payloads.experiment_arguments(ctx)
        try:
            return start_experiment(**arguments, **self._options())
        except EvsysOtelError as error:
            self._disabled = True
            _logger.warning("%s records nothing: %s", self.name, error)
            return None

    def _end_experiment(self, status: str, **facts: Any) -> None:
        with self._lock:
            experiment, self._experiment = self._experiment, None
        if experiment is not None:
            self._arms.close_experiment(status)
            experiment.end(status, **facts)

    def _open_group(self, ctx: Any, group_name: Any) -> str | None:
        name = payloads.text_of(group_name)
        if name is None or self._ensure_store(ctx) is None or self._experiment is None:
            return None
        group = self._experiment.group(name)
        _put_id(ctx, f"group:{group_name if isinstance(group_name, str) else name}", group.id)
        return group.name

    def _start_arm(self, ctx: Any, key: str, run_config: Any, group_name: Any, *, told: bool = True) -> Arm:
        assert self._experiment is not None
        group = self._open_group(ctx, group_name)
        run = self._experiment.run(key, group=group, **payloads.run_arguments(run_config))
        return self._arms.open(Arm(run, key, run_config, told=told))

    def _describe(self, arm: Arm, run_config: Any) -> None:
        """Record a config that is not the one that the run was started with."""
        if run_config is not None and run_config is not arm.config:
            arm.config = run_config
            arm.run.update(**payloads.run_arguments(run_config))

    def _note_wandb(self, arm: Arm, ctx: Any) -> None:
        """Record the URL that another callback left; what is left of an earlier arm's is not this one's."""
        url = payloads.text_of(attribute(attribute(ctx, "extras"), "wandb_url"))
        if url is not None and arm.wandb_url is None and url not in self._wandb_urls and self._arms.is_only(arm):
            self._wandb_urls.add(url)
            arm.wandb_url = url
            arm.run.update(wandb_url=url)

    # Which arm

    def _arm_of_loop(self, state: Any) -> Arm | None:
        if self._disabled:
            return None
        ctx = attribute(state, "ctx")
        arm = self._arms.of_state(state) or self._guess_arm(ctx, state)
        if arm is not None and arm.wandb_url is None:
            self._note_wandb(arm, ctx)
        return arm

    def _arm_of_context(self, ctx: Any) -> Arm | None:
        arm = None if self._disabled else self._arms.of_context(ctx)
        if arm is not None:
            self._note_wandb(arm, ctx)
        return arm

    def _guess_arm(self, ctx: Any, state: Any, *, key: str | None = None) -> Arm | None:
        """Start a run for a hook whose run's start was never told: its data counts more than its name."""
        if self._disabled:
            return None
        directory = payloads.directory_of(state)
        folder = PurePath(directory).name if directory else None
        named = payloads.run_name(ctx, directory)
        with self._lock:
            if ctx is None and self._experiment is None:
                return self._start_bare(key or folder or named, directory)
            if self._ensure_store(ctx) is None:
                return None
            spoken_of = key is None and (folder is None or folder_name(named) == folder)
            name = named if spoken_of else key or folder or named
            config, group = attribute(ctx, "run_config") if spoken_of else None, attribute(ctx, "group_name")
            return self._start_arm(ctx, name, config, group, told=False)

    def _start_bare(self, name: str, directory: str | None) -> Arm | None:
        try:
            run = start_run(name, **self._options())
        except EvsysOtelError as error:
            self._disabled = True
            _logger.warning("%s records nothing: %s", self.name, error)
            return None
        return self._arms.open(Arm(run, name, directory=directory, told=False, bare=True))


def _put_id(ctx: Any, name: str, value: str) -> None:
    """Write an id where other callbacks read it, if the context has such a place."""
    ids = attribute(ctx, "ids")
    try:
        ids[name] = value
    except TypeError:
        return
