"""A run: a training loop's hooks go in, events in the journal come out; no method raises after the start."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evsys_otel.conventions import COMPLETED, SPLIT_TRAIN, span_id_of
from evsys_otel.events import CheckpointLogged, EvalLogged, Event, PredictionsLogged, RunEnded, RunStarted, RunUpdated
from evsys_otel.handles import RunHandle, encode_handle
from evsys_otel.normalize import clean_name, clean_text, redact_uri, to_json, to_number, to_step
from evsys_otel.recorder.guard import guarded, mishap, say_once
from evsys_otel.recorder.inputs import clean_config, clean_flag, clean_tags, clean_url, number_metrics
from evsys_otel.recorder.rows import DEFAULT_KIND, Piece, Place, in_pieces
from evsys_otel.recorder.scope import Scope, clean_end
from evsys_otel.recorder.streams import INT64_MAX, RunStreams

if TYPE_CHECKING:
    from evsys_otel.recorder.experiment import Experiment, Group

MAX_EVAL_SECONDS = 10.0**9
"""An evaluation that is said to have taken longer has no begin."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run is started with, normalised; ``span_id`` is drawn for attempts from 2."""

    id: str
    name: str
    seed: int | None = None
    recipe: str | None = None
    config: str | None = None
    attempt: int = 1
    span_id: str | None = None
    last_steps: dict[str, int] = field(default_factory=dict)


class Run(Scope):
    """One attempt of a run. Thread-safe; made by ``start_run``, ``experiment.run``, ``group.run``, ``resume_run``."""

    def __init__(self, experiment: Experiment, group: Group | None, facts: RunFacts, *, trace: bool) -> None:
        super().__init__(experiment._session, facts.id, facts.name, trace=trace)
        self._experiment = experiment
        self._group = group
        self._facts = facts
        self._number = self._channel.next_number("run")
        self._streams = RunStreams(self._channel, self._number, facts.last_steps)
        self._cache = self._streams.cache
        self._evals = self._checkpoints = self._predictions = self._updates = 0
        group_number = None if group is None else group._number
        self._put(
            RunStarted(
                0, self._number, experiment._number, facts.id, facts.name, group_number, facts.seed, facts.recipe,
                facts.config, None, facts.attempt, facts.span_id,
            )
        )

    @property
    def experiment(self) -> Experiment:
        """The experiment that the run belongs to."""
        return self._experiment

    @property
    def group(self) -> Group | None:
        """The group that the run belongs to, if any."""
        return self._group

    @property
    def attempt(self) -> int:
        """The number of this recording of the run, from 1."""
        return self._facts.attempt

    @property
    def trace_id(self) -> str:
        """The experiment's trace id, 32 hex digits."""
        return self._experiment.trace_id

    @property
    def span_id(self) -> str:
        """The id of the attempt's span, 16 hex digits: the run's own for the first, a random one for later ones."""
        return self._facts.span_id or f"{span_id_of(self._id):016x}"

    @property
    def handle(self) -> str:
        """A short text that continues the run elsewhere, with ``resume_run``; it fits into a checkpoint."""
        group, facts = self._group, self._facts
        return encode_handle(
            RunHandle(
                self._id, self._name, self._experiment.handle_facts(), None if group is None else group.id,
                None if group is None else group.name, facts.seed, facts.recipe, facts.attempt,
                self._channel.last_time_unix_nano, self._streams.last_steps(),
            )
        )

    def log(self, metrics: Mapping[str, Any], step: int | None = None, split: str = SPLIT_TRAIN) -> None:
        """Record the metrics of one step; it survives a kill of the process once this has returned.

        What is not a number is skipped with one warning naming its key; None is skipped without. Without ``step`` it is
        one more than the split's last.
        """
        try:
            key = (split, *metrics)
            stream = self._cache[key]
            values = stream.pack(*metrics.values())
            if step is not None and (type(step) is not int or not -INT64_MAX <= step <= INT64_MAX):
                raise TypeError
        except Exception:  # noqa: BLE001 (a key set's first call, or values that must be converted one by one)
            self._log_anything(metrics, step, split)
            return
        try:
            time_unix_nano = stream.append(step, values)
            if time_unix_nano is None:
                self._say_ended()
            elif time_unix_nano > self._channel.next_look_unix_nano:
                self._session.look(time_unix_nano)
        except Exception as error:  # noqa: BLE001 (telemetry never breaks its host)
            mishap("Run.log", error)

    @guarded(None)
    def log_checkpoint(
        self, uri: Any, step: int | None = None, label: str | None = None, is_final: bool = False,
        base_model: str | None = None,
    ) -> None:
        """Record that a checkpoint was written to ``uri``; user info in it is replaced."""
        make = functools.partial(
            CheckpointLogged, time_unix_nano=0, run=self._number, uri=redact_uri(clean_text(uri)), step=to_step(step),
            label=_name(label), is_final=clean_flag(is_final), base_model=_text(base_model),
        )
        with self._channel.lock:
            if not self._is_closed():
                ordinal, self._checkpoints = self._checkpoints, self._checkpoints + 1
                self._put(make(ordinal=ordinal), "checkpoint")

    def log_eval(
        self, name: str, metrics: Mapping[str, Any] | None = None, predictions: Iterable[Any] | None = None,
        step: int | None = None, tags: Iterable[str] = (), *, benchmark_id: str | None = None, breakdowns: Any = None,
        seconds: float | None = None,
    ) -> str:
        """Record a benchmark's result with its predictions, and return the eval's id.

        ``seconds`` is how long the evaluation took, up to now.
        """
        eval_id = self._session.sources.random_uuid()
        self._log_eval(
            eval_id, name, metrics, step, tags, benchmark_id=benchmark_id, breakdowns=breakdowns, seconds=seconds
        )
        if predictions is not None:
            self._log_predictions(predictions, Place("eval", to_step(step), eval_id))
        return eval_id

    def log_predictions(
        self, predictions: Iterable[Any], step: int | None = None, kind: str | None = None, *,
        eval_id: str | None = None,
    ) -> None:
        """Record predictions, mappings or objects; keys other than these join the metadata.

        ``task_id``, ``sample_idx``, ``instruction``, ``model_output`` (or ``output``, ``completion``), ``expected``,
        ``reward``, ``advantage``, ``metadata``. Where the argument is not given a row's own
        ``step``, ``kind`` (default ``train``) and ``eval_id`` count.
        """
        self._log_predictions(predictions, Place(_name(kind), to_step(step), _text(eval_id)))

    @guarded(None)
    def update(
        self, *, config: Any = None, wandb_url: Any = None, recipe: Any = None, seed: Any = None
    ) -> None:
        """Record facts that became known after the start; None leaves a fact as it is."""
        facts = RunUpdated(
            0, self._number, clean_config(config, self._session.settings), clean_url(wandb_url), _text(recipe),
            to_step(seed),
        )
        with self._channel.lock:
            if not self._is_closed():
                self._updates += 1
                self._put(facts)

    @guarded(None)
    def end(self, status: str = COMPLETED, error: object = None) -> None:
        """End the attempt; ending twice is harmless, what is logged afterwards is dropped with one warning."""
        status, text = clean_end(status, error)
        with self._channel.lock:
            if self._ended:
                return
            self._ended = True
            self._streams.close()
            self._put(
                RunEnded(
                    0, self._number, self._id, status, text, self._facts.attempt, self._streams.totals(),
                    self._predictions, self._evals, self._checkpoints, span_id=self._facts.span_id,
                    updates=self._updates,
                )
            )
        self._experiment.run_ended(self, status, text)

    def abandon(self) -> None:
        """Make this a copy that records nothing, in a forked child of the process that owns the run."""
        self._ended = True
        self._streams.close()

    def __reduce__(self) -> tuple[Any, ...]:
        from evsys_otel.recorder.start import silent_run

        return silent_run, (self.handle,)

    @guarded(None)
    def _log_anything(self, metrics: Any, step: Any, split: Any) -> None:
        if self._is_closed():
            return
        numbers, as_written = number_metrics(metrics)
        if not numbers:
            return
        split_name = SPLIT_TRAIN if split is None else clean_name(split)
        at = to_step(step)
        if at is None and step is not None:
            shown = clean_text(step, 80)
            say_once(("step", type(step)), "%r is no step; one more than the split's last is taken", shown)
        names = tuple(numbers)
        with self._channel.lock:
            if self._streams.takes_keyset(names):
                stream = self._streams.find(split_name, names)
                stream.append(at, stream.pack(*numbers.values()))
                if as_written and type(split) is str and split == split_name:
                    self._streams.remember((split_name, *names), stream)
                return
            at = min(self._streams.split(split_name).last_step + 1, INT64_MAX) if at is None else at
            for name, value in numbers.items():
                stream = self._streams.find(split_name, (name,))
                stream.append(at, stream.pack(value))

    @guarded(None)
    def _log_eval(
        self, eval_id: str, name: Any, metrics: Any, step: Any, tags: Any, *, benchmark_id: Any, breakdowns: Any,
        seconds: Any,
    ) -> None:
        make = functools.partial(
            EvalLogged, time_unix_nano=0, run=self._number, id=eval_id, name=clean_name(name),
            metrics=to_json({} if metrics is None else metrics), benchmark_id=_text(benchmark_id), step=to_step(step),
            breakdowns=None if breakdowns is None else to_json(breakdowns), tags=clean_tags(tags),
            start_time_unix_nano=self._time_before(seconds),
        )
        with self._channel.lock:
            if not self._is_closed():
                ordinal, self._evals = self._evals, self._evals + 1
                self._put(make(ordinal=ordinal), "eval")

    def _time_before(self, seconds: Any) -> int | None:
        passed = to_number(seconds)
        if passed is None or not 0 <= passed < MAX_EVAL_SECONDS:
            return None
        return self._channel.clock() - int(passed * 1e9)

    @guarded(None)
    def _log_predictions(self, predictions: Iterable[Any], place: Place) -> None:
        if not self._channel.silent:
            for piece in in_pieces(predictions, place):
                self._put_piece(piece)

    def _put_piece(self, piece: Piece) -> None:
        place = piece.place
        with self._channel.lock:
            if self._is_closed():
                return
            ordinal = self._predictions
            self._predictions += len(piece.rows)
            event = PredictionsLogged(
                0, self._number, ordinal, place.kind or DEFAULT_KIND, piece.rows, place.step, place.eval_id
            )
            self._channel.put_rows(event, self._number, ordinal, len(piece.rows))

    def _put(self, event: Event, kind: str = "event") -> None:
        self._channel.put(event, kind, self._number)

    def _is_closed(self) -> bool:
        if self._ended and not self._channel.silent:
            self._say_ended()
        return self._ended or self._channel.silent

    def _say_ended(self) -> None:
        say_once(("ended", self._id), "run %r has ended; what is logged to it is dropped", self._name)


def _text(value: Any) -> str | None:
    return None if value is None else clean_text(value)


def _name(value: Any) -> str | None:
    return None if value is None else clean_name(value)
