"""The public functions: a name and settings, or a handle, go in, an open experiment or run comes out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from evsys_otel.errors import ConfigurationError, HandleError
from evsys_otel.handles import ExperimentHandle, RunHandle, decode_handle, is_handle
from evsys_otel.normalize import clean_name, clean_text
from evsys_otel.recorder.experiment import Experiment, ExperimentFacts, Group, new_experiment
from evsys_otel.recorder.guard import say_once
from evsys_otel.recorder.inputs import required_name
from evsys_otel.recorder.run import Run, RunFacts
from evsys_otel.recorder.session import Session, silent_session
from evsys_otel.recorder.sessions import SESSIONS
from evsys_otel.settings import Settings, resolve_settings

Handle = str | ExperimentHandle | RunHandle
ExporterObjects = Iterable[object] | None


def start_experiment(
    name: str, *, hypothesis: str | None = None, tags: Iterable[str] = (), project_id: str | None = None,
    experiment: Experiment | Handle | None = None, trace: bool = False, exporters: ExporterObjects = None,
    **settings: Any,
) -> Experiment:
    """Start an experiment; use it in ``with``, or end it with ``.end()``, or leave that to the end of the process.

    Args:
        name: what it is called; a name always makes a new experiment.
        hypothesis: what it is to show.
        tags: words to find it by.
        project_id: the project it belongs to; default ``EVSYS_PROJECT_ID``.
        experiment: an Experiment or a handle to join in place of starting one of its own.
        trace: whether its span is current inside ``with``, for other instrumentation to nest under.
        exporters: OpenTelemetry SDK exporter objects to ship to besides; they cost the loop a thread.
        settings: any setting of ``docs/settings.md`` by its name.

    Raises:
        ConfigurationError: an argument cannot be used.
        HandleError: ``experiment`` is no handle.
    """
    clean = required_name(name, "an experiment")
    resolved = resolve_settings(project_id=project_id, **settings)
    handle = _given_handle(experiment) or _handle_of_environment(resolved)
    session = SESSIONS.get(resolved, _checked(exporters))
    if handle is not None:
        return _join(session, handle, trace=trace)
    return new_experiment(
        session, clean, hypothesis=hypothesis, tags=tags, project_id=resolved.project_id, trace=trace
    )


def start_run(
    name: str, *, experiment: Experiment | Handle | None = None, group: Group | str | None = None, config: Any = None,
    seed: int | None = None, recipe: str | None = None, trace: bool = False, exporters: ExporterObjects = None,
    **settings: Any,
) -> Run:
    """Start a run, the short way.

    Args:
        name: what it is called.
        experiment: the name of a new experiment, which then ends with the run; or an Experiment or a handle to join.
            Default: an experiment of the run's name.
        group: the group it belongs to, by name.
        config: what it is trained with: any mapping or object; bounded, secrets replaced.
        seed: its seed.
        recipe: the kind of training.
        trace: whether its span is current inside ``with``.
        exporters: as of :func:`start_experiment`.
        settings: any setting of ``docs/settings.md`` by its name.

    Raises:
        ConfigurationError: an argument cannot be used.
        HandleError: ``experiment`` is no handle.
    """
    required_name(name, "a run")
    if group is not None and not isinstance(group, Group):
        required_name(group, "a group")
    resolved = resolve_settings(**settings)
    if not isinstance(experiment, Experiment):
        experiment = _experiment_for_run(name, experiment, resolved, _checked(exporters))
    return experiment.run(name, group=group, config=config, seed=seed, recipe=recipe, trace=trace or None)


def resume_run(
    handle: str | RunHandle, *, trace: bool = False, exporters: ExporterObjects = None, **settings: Any
) -> Run:
    """Continue a run, elsewhere or later, as its next attempt; its experiment and group are open again until it ends.

    Raises:
        ConfigurationError: an argument cannot be used.
        HandleError: it is no handle of a run.
    """
    facts = decode_handle(handle) if isinstance(handle, str) else handle
    if not isinstance(facts, RunHandle):
        raise HandleError(f"{handle!r} is not the handle of a run; take it from run.handle.")
    session = SESSIONS.get(resolve_settings(**settings), _checked(exporters))
    return _resume(session, facts, facts.attempt + 1, trace=trace)


def flush(timeout: float | None = 30.0) -> bool:
    """Wait until all that this process logged is acknowledged by every lane that is not switched off.

    ``timeout`` is in seconds, None waits without end. Returns whether it is; False at once where nothing ships.
    """
    return SESSIONS.flush(timeout)


def silent_run(handle: str) -> Run:
    """Return a run that records nothing: what another process gets that was sent a run."""
    facts = decode_handle(handle)
    if not isinstance(facts, RunHandle):
        raise HandleError("It is not the handle of a run.")
    return _resume(silent_session(Settings(mode="disabled"), SESSIONS.sources), facts, facts.attempt)


def silent_experiment(handle: str) -> Experiment:
    """Return an experiment that records nothing: what another process gets that was sent an experiment."""
    facts = decode_handle(handle)
    if isinstance(facts, RunHandle):
        raise HandleError("It is not the handle of an experiment.")
    return _join(silent_session(Settings(mode="disabled"), SESSIONS.sources), facts)


def _experiment_for_run(
    name: str, experiment: Handle | None, settings: Settings, exporters: tuple[object, ...]
) -> Experiment:
    if experiment is not None and not isinstance(experiment, (str, ExperimentHandle, RunHandle)):
        raise ConfigurationError(f"experiment={experiment!r} cannot be used; give a name, a handle or an Experiment.")
    named = isinstance(experiment, str) and not is_handle(experiment)
    own_name = required_name(experiment if named else name, "an experiment")
    handle = (None if named else _given_handle(experiment)) or _handle_of_environment(settings)
    session = SESSIONS.get(settings, exporters)
    if handle is not None:
        return _join(session, handle, ends_with_runs=True)
    return new_experiment(session, own_name, project_id=settings.project_id, ends_with_runs=True)


def _given_handle(experiment: object) -> ExperimentHandle | None:
    """Return the experiment that an argument names. Raises ConfigurationError, HandleError."""
    if isinstance(experiment, Experiment):
        return experiment.handle_facts()
    handle = decode_handle(experiment) if isinstance(experiment, str) else experiment
    if isinstance(handle, RunHandle):
        return handle.experiment
    if handle is None or isinstance(handle, ExperimentHandle):
        return handle
    raise ConfigurationError(f"experiment={experiment!r} cannot be used; give a handle or an Experiment.")


def _handle_of_environment(settings: Settings) -> ExperimentHandle | None:
    if not settings.experiment:
        return None
    try:
        return _given_handle(settings.experiment)
    except HandleError as error:
        say_once(("handle", settings.experiment), "EVSYS_OTEL_EXPERIMENT cannot be used and is left out: %s", error)
        return None


def _join(
    session: Session, handle: ExperimentHandle, *, trace: bool = False, ends_with_runs: bool = False
) -> Experiment:
    session.not_before(handle.last_time_unix_nano)
    facts = ExperimentFacts(
        handle.id, clean_name(handle.name), _text(handle.project_id), joined=True, ends_with_runs=ends_with_runs
    )
    return Experiment(session, facts, trace=trace)


def _resume(session: Session, handle: RunHandle, attempt: int, *, trace: bool = False) -> Run:
    session.not_before(handle.last_time_unix_nano)
    with session.channel.lock:
        experiment = session.find_open(handle.experiment.id) or _reopen(session, handle.experiment, attempt)
        group = None
        if handle.group_name is not None:
            group = experiment.reopen_group(clean_name(handle.group_name), attempt)
        facts = RunFacts(
            handle.id, clean_name(handle.name), handle.seed, _text(handle.recipe), None, attempt,
            session.sources.random_span_id() if attempt > 1 else None, dict(handle.last_steps),
        )
        return experiment.start(facts, group, trace=trace)


def _reopen(session: Session, handle: ExperimentHandle, attempt: int) -> Experiment:
    facts = ExperimentFacts(
        handle.id, clean_name(handle.name), _text(handle.project_id), attempt=attempt, ends_with_runs=True
    )
    return Experiment(session, facts)


def _checked(exporters: ExporterObjects) -> tuple[object, ...]:
    """Return exporter objects as a tuple. Raises ConfigurationError when one cannot export."""
    if exporters is None:
        return ()
    given = tuple(exporters) if isinstance(exporters, Iterable) else (exporters,)
    for exporter in given:
        if not callable(getattr(exporter, "export", None)):
            raise ConfigurationError(f"{exporter!r} is no exporter; give span, metric or log exporter objects.")
    return given


def _text(given: str | None) -> str | None:
    return None if given is None else clean_text(given)
