"""Runs and experiments that go on elsewhere: handles, joined experiments, attempts, current spans."""

from __future__ import annotations

import copy
import logging
import pickle
import time
from pathlib import Path

import pytest
from kit.recorded import journals, of_kind, only_events, read_events, run_script, steps_of

from evsys_otel.errors import HandleError
from evsys_otel.events import ExperimentEnded, ExperimentStarted, GroupEnded, GroupStarted, RunEnded, RunStarted
from evsys_otel.handles import ExperimentHandle, RunHandle, decode_handle
from evsys_otel.recorder import resume_run, start_experiment, start_run
from evsys_otel.recorder.sessions import SESSIONS
from evsys_otel.testing import counting_sources

SETTINGS = {"mode": "journal", "quiet": True}


def test_a_resumed_run_is_the_next_attempt_and_goes_on_counting(folder: Path) -> None:
    """Ids and facts stay, the span is another, steps go on, and its group and experiment are open until it ends."""
    with start_experiment("x", project_id="p", dir="a", **SETTINGS) as experiment:
        first = experiment.group("g").run("r", seed=3, recipe="sft")
        first.log({"loss": 1}, 41)
        first.log({"loss": 1}, 7, split="val")
        handle = first.handle
    again = resume_run(handle, dir="b", **SETTINGS)
    assert (again.id, again.attempt, again.experiment.id) == (first.id, 2, experiment.id)
    assert again.trace_id == first.trace_id
    assert again.span_id not in {first.span_id, again.experiment.span_id}
    again.log({"loss": 2})
    again.log({"loss": 2}, split="val")
    third = decode_handle(again.handle)
    again.end()
    (journal,) = (folder / "b" / "journal").iterdir()
    events = read_events(journal)
    (opened,), (grouped,), (ran,) = (of_kind(events, kind) for kind in (ExperimentStarted, GroupStarted, RunStarted))
    assert (opened.id, opened.attempt, opened.joined, opened.project_id) == (experiment.id, 2, False, "p")
    assert (grouped.name, grouped.attempt) == ("g", 2)
    assert (ran.attempt, ran.span_id, ran.seed, ran.recipe, ran.config) == (2, again.span_id, 3, "sft", None)
    assert [(split, step) for _, split, step, _ in steps_of(events)] == [("train", 42), ("val", 8)]
    assert [event.attempt for event in of_kind(events, RunEnded)] == [2]
    assert len(of_kind(events, GroupEnded)) == len(of_kind(events, ExperimentEnded)) == 1
    assert isinstance(third, RunHandle)
    assert (third.attempt, third.last_steps) == (2, {"train": 42, "val": 8})


def test_a_run_resumed_within_its_open_experiment_leaves_that_open(folder: Path) -> None:
    """In the same process the experiment is not started twice, and the second attempt's end does not end it."""
    with start_experiment("x", **SETTINGS) as experiment:
        run = experiment.run("r")
        run.end("failed")
        resume_run(run.handle, **SETTINGS).end()
        assert not experiment.ended
    events = only_events(folder)
    assert len(of_kind(events, ExperimentStarted)) == len(of_kind(events, ExperimentEnded)) == 1
    assert [(event.attempt, event.status) for event in of_kind(events, RunEnded)] == [(1, "failed"), (2, "completed")]


def test_several_runs_resumed_into_one_experiment_end_it_with_the_last(folder: Path) -> None:
    """The experiment that they reopen together ends once."""
    with start_experiment("x", dir="a", **SETTINGS) as experiment:
        handles = [experiment.run(name).handle for name in "ab"]
    first, second = (resume_run(handle, dir="b", **SETTINGS) for handle in handles)
    first.end()
    assert not second.experiment.ended
    second.end("failed")
    (journal,) = (folder / "b" / "journal").iterdir()
    assert [event.status for event in of_kind(read_events(journal), ExperimentEnded)] == ["failed"]


@pytest.mark.parametrize("way", ["object", "handle", "facts", "environment", "a run's handle"])
def test_an_experiment_is_joined_and_left_open_for_its_owner(
    way: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whichever way, a run gets into the same experiment; the joining session does not end it."""
    owner = start_experiment("x", dir="a", **SETTINGS)
    given = {"object": owner, "handle": owner.handle, "facts": owner.handle_facts(), "environment": None,
             "a run's handle": owner.run("other").handle}[way]
    if way == "environment":
        monkeypatch.setenv("EVSYS_OTEL_EXPERIMENT", owner.handle)
    with start_experiment("mine", experiment=given, dir="b", **SETTINGS) as joined:
        assert (joined.id, joined.name) == (owner.id, "x")
        joined.run("r")
    start_run("s", experiment=given if way != "object" else owner.handle, dir="b", **SETTINGS).end()
    (journal,) = (folder / "b" / "journal").iterdir()
    events = read_events(journal)
    assert [(event.id, event.joined) for event in of_kind(events, ExperimentStarted)] == [(owner.id, True)] * 2
    assert len(of_kind(events, RunEnded)) == 2
    assert of_kind(events, ExperimentEnded) == []


def test_a_joined_experiment_passes_on_a_conclusion(folder: Path) -> None:
    """Whoever joined may say how it came out."""
    owner = start_experiment("x", dir="a", **SETTINGS)
    start_experiment("x", experiment=owner, dir="b", **SETTINGS).end(conclusion="done")
    (journal,) = (folder / "b" / "journal").iterdir()
    assert [event.conclusion for event in of_kind(read_events(journal), ExperimentEnded)] == ["done"]


def test_a_run_of_an_experiment_object_belongs_to_it(folder: Path) -> None:
    """start_run(experiment=object) is object.run, also with a group by name."""
    with start_experiment("x", **SETTINGS) as experiment:
        run = start_run("r", experiment=experiment, group="g", **SETTINGS)
        assert run.experiment is experiment
        assert run.group is experiment.group("g")


def test_a_bad_handle_in_the_environment_is_warned_about_and_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The process starts an experiment of its own."""
    monkeypatch.setenv("EVSYS_OTEL_EXPERIMENT", "evsys1.broken")
    for _ in range(2):
        assert start_run("r", experiment="x", **SETTINGS).experiment.name == "x"
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_only_a_runs_handle_resumes(folder: Path) -> None:
    """An experiment's handle and a name are refused before anything is recorded."""
    handle = start_experiment("x", mode="disabled").handle
    for wrong in (handle, "lr-sweep"):
        with pytest.raises(HandleError):
            resume_run(wrong, **SETTINGS)
    assert not (folder / ".evsys").exists()


def test_what_follows_a_handle_is_later_than_it_even_if_the_clock_is_behind(folder: Path) -> None:
    """Another host's clock does not turn the order round; a broken one is not believed."""
    start = start_experiment("x", mode="disabled")
    soon, never = time.time_ns() + 3600 * 10**9, 2**62
    for last, follows in ((soon, True), (never, False)):
        facts = ExperimentHandle(start.id, "x", None, last)
        start_run("r", experiment=facts, dir=str(last), **SETTINGS).end()
        (journal,) = (folder / str(last) / "journal").iterdir()
        times = [event.time_unix_nano for event in read_events(journal) if hasattr(event, "time_unix_nano")]
        assert (times[0] > last) is follows


def test_a_copied_run_is_the_same_and_a_pickled_one_is_silent(folder: Path) -> None:
    """A trainer that is copied goes on recording; one sent to another process has the ids and records nothing."""
    with start_experiment("x", **SETTINGS) as experiment:
        run = experiment.group("g").run("r")
        assert copy.copy(run) is copy.deepcopy({"run": run})["run"] is run
        sent_run, sent_experiment, sent_group = (pickle.loads(pickle.dumps(o)) for o in (run, experiment, run.group))
        assert (sent_run.id, sent_run.attempt, sent_run.span_id) == (run.id, 1, run.span_id)
        assert (sent_experiment.id, sent_group.id) == (experiment.id, run.group.id)  # type: ignore[union-attr]
        sent_run.log({"loss": 1})
        sent_experiment.run("ghost").log({"loss": 1})
        sent_group.run("ghost").end()
        sent_experiment.end()
    events = only_events(folder)
    assert len(of_kind(events, RunStarted)) == 1
    assert steps_of(events) == []


def test_the_same_calls_with_counting_sources_make_the_same_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time and chance are injected: no event holds anything of either from elsewhere."""
    told = []
    for name in "ab":
        monkeypatch.setattr(SESSIONS, "sources", counting_sources())
        with start_run("r", experiment="x", dir=name, **SETTINGS) as run:
            run.log({"loss": 1})
            run.log_eval("e", {}, predictions=[{}], seconds=1.5)
        (journal,) = (tmp_path / name / "journal").iterdir()
        told.append(read_events(journal))
    assert told[0] == told[1]


def test_the_span_is_current_on_request_alone(folder: Path) -> None:
    """With trace=True other instrumentation nests under the run, sampled; without, and after, nothing is current."""
    from opentelemetry import trace

    def current() -> tuple[str, str, bool]:
        context = trace.get_current_span().get_span_context()
        return f"{context.trace_id:032x}", f"{context.span_id:016x}", context.trace_flags.sampled

    nothing = current()
    with start_experiment("x", trace=True, **SETTINGS) as experiment:
        assert current() == (experiment.trace_id, experiment.span_id, True)
        with experiment.run("r") as run:
            assert current() == (run.trace_id, run.span_id, True)
        with experiment.run("s", trace=False):
            assert current() == (experiment.trace_id, experiment.span_id, True)
    assert current() == nothing
    with start_run("r", experiment="x", **SETTINGS):
        assert current() == nothing
    with start_run("r", experiment="x", trace=True, **SETTINGS) as run:
        assert current() == (run.trace_id, run.span_id, True)


def test_a_sweep_of_processes_is_one_experiment(tmp_path: Path) -> None:
    """Processes that are handed the experiment by their environment record into it."""
    owner = start_experiment("sweep", **SETTINGS)
    for number in range(2):
        done = run_script(
            "import evsys_otel; evsys_otel.start_run('r', experiment='own').log({'loss': 1})", tmp_path,
            EVSYS_OTEL_EXPERIMENT=owner.handle, EVSYS_OTEL_DIR=str(tmp_path / f"other{number}"),
        )
        assert done.returncode == 0, done.stderr
        (journal,) = (tmp_path / f"other{number}" / "journal").iterdir()
        assert [event.id for event in of_kind(read_events(journal), ExperimentStarted)] == [owner.id]
    assert len(journals(tmp_path)) == 1
