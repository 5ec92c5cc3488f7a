"""Experiments and their groups: they open runs, hand on their ids, and end what they hold before themselves."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evsys_otel.conventions import COMPLETED, group_id_of, span_id_of
from evsys_otel.events import ExperimentEnded, ExperimentStarted, GroupEnded, GroupStarted
from evsys_otel.handles import ExperimentHandle, encode_handle
from evsys_otel.normalize import clean_text, to_number, to_step
from evsys_otel.recorder.guard import guarded
from evsys_otel.recorder.inputs import clean_config, clean_tags, clean_traceparent, given_name, required_name
from evsys_otel.recorder.run import Run, RunFacts
from evsys_otel.recorder.scope import Scope, clean_end

if TYPE_CHECKING:
    from evsys_otel.recorder.session import Session


@dataclass(frozen=True, slots=True)
class ExperimentFacts:
    """What an experiment is started with, normalised.

    ``attempt`` is from 2 where it was reopened; ``joined`` when another process owns it, whose its end is to tell.
    ``ends_with_runs`` when it was opened for the sake of runs and ends with the last of them.
    """

    id: str
    name: str
    project_id: str | None = None
    hypothesis: str | None = None
    tags: tuple[str, ...] = ()
    attempt: int = 1
    joined: bool = False
    ends_with_runs: bool = False


class Experiment(Scope):
    """An experiment. Thread-safe; made by ``start_experiment``, and by ``start_run`` for a run of its own."""

    def __init__(self, session: Session, facts: ExperimentFacts, *, trace: bool = False) -> None:
        super().__init__(session, facts.id, facts.name, trace=trace)
        self._facts = facts
        self._attempt = facts.attempt
        self._conclusion: str | None = None
        self._best_score: float | None = None
        self._groups: dict[str, Group] = {}
        self._group_attempts: dict[str, int] = {}
        self._runs: list[Run] = []
        self._open()

    @property
    def trace_id(self) -> str:
        """The experiment's trace id, 32 hex digits: its id without dashes."""
        return self._id.replace("-", "")

    @property
    def span_id(self) -> str:
        """The id of the experiment's span, 16 hex digits."""
        return f"{span_id_of(self._id):016x}"

    @property
    def project_id(self) -> str | None:
        """The project that the experiment belongs to, if any."""
        return self._facts.project_id

    @property
    def handle(self) -> str:
        """A short text by which others join: as ``experiment=`` or in ``EVSYS_OTEL_EXPERIMENT``."""
        return encode_handle(self.handle_facts())

    @property
    def joined(self) -> bool:
        """Whether another process owns the experiment."""
        return self._facts.joined

    def handle_facts(self) -> ExperimentHandle:
        """Return what the handle says."""
        return ExperimentHandle(self._id, self._name, self.project_id, self._channel.last_time_unix_nano)

    def group(self, name: str) -> Group:
        """Open a group of runs, or return the open one of that name."""
        clean = given_name(name, "group")
        with self._channel.lock:
            group = self._groups.get(clean)
            if group is None or group.ended:
                self._reopen()
                group = self._groups[clean] = Group(self, clean, self._next_group_attempt(clean))
            return group

    def run(
        self, name: str, *, group: Group | str | None = None, config: Any = None, seed: Any = None, recipe: Any = None,
        trace: bool | None = None,
    ) -> Run:
        """Start a run in this experiment; ``group`` takes a name too."""
        facts = RunFacts(
            self._session.sources.random_uuid(), given_name(name, "run"), to_step(seed),
            None if recipe is None else clean_text(recipe), clean_config(config, self._session.settings),
        )
        return self.start(facts, group if group is None or isinstance(group, Group) else self.group(group), trace=trace)

    def start(self, facts: RunFacts, group: Group | None = None, *, trace: bool | None = None) -> Run:
        """Start a run, or an attempt of one, from normalised facts."""
        with self._channel.lock:
            self._reopen()
            if group is not None:
                group = self.group(group.name)
            run = Run(self, group, facts, trace=self._trace if trace is None else trace)
            self._runs.append(run)
        self._session.announce(run)
        return run

    def reopen_group(self, name: str, attempt: int) -> Group:
        """Open a group that an earlier attempt of a run, in another process, had opened."""
        with self._channel.lock:
            self._group_attempts[name] = max(self._group_attempts.get(name, 0), attempt - 1)
            return self.group(name)

    def set(self, *, conclusion: Any = None, best_score: Any = None) -> None:
        """Note what the experiment's end is to say; None leaves it as it is."""
        if conclusion is not None:
            self._conclusion = clean_text(conclusion)
        if best_score is not None:
            self._best_score = to_number(best_score)

    @guarded(None)
    def end(
        self, status: str = COMPLETED, error: object = None, *, conclusion: Any = None, best_score: Any = None
    ) -> None:
        """End the experiment, its open runs and groups first; ending twice is harmless.

        One that was joined is ended by its owner: here only a conclusion or a best score is passed on.
        """
        self.set(conclusion=conclusion, best_score=best_score)
        status, text = clean_end(status, error)
        with self._channel.lock:
            if self._ended:
                return
            self._ended = True
            for scope in (*self._runs, *self._groups.values()):
                scope.end(status, text)
            if not self._facts.joined or self._conclusion is not None or self._best_score is not None:
                self._channel.put(
                    ExperimentEnded(0, self._number, status, self._conclusion, self._best_score, text)
                )
        self._session.closed(self)

    def run_ended(self, run: Run, status: str, error: str | None) -> None:
        """Take note that a run ended; one that was opened for its runs ends with the last."""
        with self._channel.lock:
            self._runs = [other for other in self._runs if other is not run]
            last = not self._runs and self._facts.ends_with_runs
        if last:
            self.end(status, error)

    def runs_of(self, group: Group) -> list[Run]:
        """Return the group's open runs."""
        return [run for run in self._runs if run.group is group]

    def abandon(self) -> None:
        """Make this a copy that records nothing, in a forked child of the process that owns the experiment."""
        self._ended = True
        for run in self._runs:
            run.abandon()

    def __reduce__(self) -> tuple[Any, ...]:
        from evsys_otel.recorder.start import silent_experiment

        return silent_experiment, (self.handle,)

    def _open(self) -> None:
        self._ended = False
        self._number = self._channel.next_number("experiment")
        facts = self._facts
        self._channel.put(
            ExperimentStarted(
                0, self._number, facts.id, facts.name, facts.project_id, facts.hypothesis, list(facts.tags),
                self._attempt, facts.joined, clean_traceparent(os.environ.get("TRACEPARENT")),
            )
        )
        self._session.opened(self)

    def _reopen(self) -> None:
        """Open again, as the next attempt, what a notebook ended and goes on with."""
        if self._ended and not self._channel.silent:
            self._attempt += 1
            self._open()

    def _next_group_attempt(self, name: str) -> int:
        self._group_attempts[name] = self._group_attempts.get(name, 0) + 1
        return self._group_attempts[name]


class Group(Scope):
    """A group of runs, as of one setting under several seeds. Thread-safe; made by ``experiment.group``."""

    def __init__(self, experiment: Experiment, name: str, attempt: int) -> None:
        super().__init__(experiment._session, group_id_of(experiment.id, name), name)
        self._experiment = experiment
        self._number = self._channel.next_number("group")
        self._channel.put(GroupStarted(0, self._number, experiment._number, self._id, name, attempt))

    @property
    def experiment(self) -> Experiment:
        """The experiment that the group belongs to."""
        return self._experiment

    @property
    def trace_id(self) -> str:
        """The experiment's trace id, 32 hex digits."""
        return self._experiment.trace_id

    @property
    def span_id(self) -> str:
        """The id of the group's span, 16 hex digits."""
        return f"{span_id_of(self._id):016x}"

    def run(
        self, name: str, *, config: Any = None, seed: Any = None, recipe: Any = None, trace: bool | None = None
    ) -> Run:
        """Start a run in this group."""
        return self._experiment.run(name, group=self, config=config, seed=seed, recipe=recipe, trace=trace)

    @guarded(None)
    def end(self, status: str = COMPLETED, error: object = None) -> None:
        """End the group, its open runs first; ending twice is harmless."""
        status, text = clean_end(status, error)
        with self._channel.lock:
            if self._ended:
                return
            self._ended = True
            for run in self._experiment.runs_of(self):
                run.end(status, text)
            self._channel.put(GroupEnded(0, self._number, status))

    def __reduce__(self) -> tuple[Any, ...]:
        return Experiment.group, (self._experiment, self._name)


def new_experiment(
    session: Session, name: str, *, hypothesis: Any = None, tags: Iterable[str] = (), project_id: Any = None,
    trace: bool = False, ends_with_runs: bool = False,
) -> Experiment:
    """Start an experiment of its own. Raises ConfigurationError for a bad name."""
    facts = ExperimentFacts(
        session.sources.random_uuid(), required_name(name, "an experiment"),
        None if project_id is None else clean_text(project_id), None if hypothesis is None else clean_text(hypothesis),
        tuple(clean_tags(tags)), ends_with_runs=ends_with_runs,
    )
    return Experiment(session, facts, trace=trace)
