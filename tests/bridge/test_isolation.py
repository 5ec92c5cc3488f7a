"""Of its projects' records, and of no others, a token lets write; what is refused is counted by signal."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from kit.event_sequences import EventSequence, event_sequences
from kit.otlp_messages import foreign_spans, logs, points, run_start, together
from kit.wire import encoded_requests, translate_request

from evsys_otel.bridge.auth import Grant
from evsys_otel.bridge.isolation import admit, admit_all
from evsys_otel.bridge.replies import Refused, Taken
from evsys_otel.conventions import EVENT_EVAL, EVENT_PREDICTION
from evsys_otel.signals import SignalBuilder
from evsys_otel.store import Store, open_store

A, AB, ALL = Grant(frozenset({"a"})), Grant(frozenset({"a", "b"})), Grant(None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/evsys.db") as opened:
        yield opened


def send(store: Store, message: Any, grant: Grant) -> Taken:
    """Do with a request what the receiver does with it."""
    admission = admit(message, translate_request, grant)
    return admission.settle(store.write_parts(admission.parts) if admission.parts else [])


def projects_of(store: Store) -> dict[str, str | None]:
    return {run["id"]: run["project_id"] for run in store.list_runs()}


def test_what_names_no_project_belongs_to_the_tokens(store: Store) -> None:
    """With one project: a record without evsys.project.id is that project's, the run's as the experiment's."""
    assert send(store, together(run_start(None, "r1"), run_start("a", "r2")), A) == Taken()
    assert send(store, points(None, "r3", 1), A) == Taken()
    assert projects_of(store) == {"r1": "a", "r2": "a", "r3": "a"}
    assert [experiment["project_id"] for experiment in store.list_experiments()] == ["a"]


def test_another_projects_records_are_refused(store: Store) -> None:
    """Nothing is written; with several projects, what names none is refused too, since none can be guessed."""
    for message, grant in (
        (run_start("b", "r1"), A), (points("b", "r1", 1, 2), A), (run_start("c", "r1"), AB),
        (run_start(None, "r1"), AB),
    ):  # fmt: skip
        with pytest.raises(Refused) as caught:
            send(store, message, grant)
        assert caught.value.fault == "forbidden"
        assert "evsys.project.id" in caught.value.reason
    assert all(not rows for rows in store.dump().values())


def test_each_record_of_a_collectors_token_is_decided_by_its_own_project(store: Store) -> None:
    """A token of several projects or of all speaks for many trainers at once; what it may not is counted."""
    batch = together(run_start("a", "r1", "e1"), run_start("b", "r2", "e2"), run_start("c", "r3", "e3"))
    taken = send(store, batch, AB)
    assert (taken.rejected, projects_of(store)) == (1, {"r1": "a", "r2": "b"})
    assert "evsys.project.id" in taken.message
    assert send(store, together(batch, run_start(None, "r4", "e4")), ALL) == Taken()
    assert projects_of(store) == {"r1": "a", "r2": "b", "r3": "c", "r4": None}


def test_an_id_that_belongs_to_another_project_is_not_written_to(store: Store) -> None:
    """By a request of its own: 403; beside what is the sender's: a partial success that counts the signals."""
    send(store, run_start("a", "r1"), ALL)
    before = store.dump()
    for message in (
        points("b", "r1", 1, 2), run_start("b", "r1", "e2"), run_start("b", "r2", "e1"), points(None, "r1", 1),
    ):  # fmt: skip
        with pytest.raises(Refused) as caught:
            send(store, message, ALL)
        assert (caught.value.fault, "another project" in caught.value.reason) == ("forbidden", True)
    assert store.dump() == before
    taken = send(store, together(points("b", "r1", 1, 2, 3), points("b", "r9", 4)), ALL)
    assert (taken.rejected, "another project" in taken.message) == (3, True)
    assert (store.get_metrics("r1"), len(store.get_metrics("r9"))) == ([], 1)


def test_two_trainers_in_one_batch_cannot_write_to_one_run(store: Store) -> None:
    """Collectors merge requests: what another project's resource says beside the owner's is still told apart."""
    send(store, run_start("a", "r1"), ALL)
    taken = send(store, together(points("b", "r1", 7, 8), points("a", "r1", 1, 2)), ALL)
    assert taken.rejected == 2
    assert [row["step"] for row in store.get_metrics("r1")] == [1, 2]


def test_evals_and_predictions_are_guarded_like_runs(store: Store) -> None:
    """An eval id, and a run's children of every kind."""
    said = {"RUN_ID": "r1", "EVAL_ID": "v1", "EVAL_NAME": "test"}
    send(store, together(run_start("a", "r1"), logs("a", (EVENT_EVAL, said))), ALL)
    before = store.dump()
    for other in (said, {**said, "EVAL_ID": "v2"}, {**said, "RUN_ID": "r2"}):
        with pytest.raises(Refused):
            send(store, logs("b", (EVENT_EVAL, other)), ALL)
    prediction = logs("b", (EVENT_PREDICTION, {"RUN_ID": "r1"}))
    body = prediction.resource_logs[0].scope_logs[0].log_records[0].body.kvlist_value.values.add(key="kind")
    body.value.string_value = "train"
    with pytest.raises(Refused):
        send(store, prediction, ALL)
    assert store.dump() == before


def test_foreign_telemetry_needs_no_project(store: Store) -> None:
    """It is ignored and counted, and nothing of it is rejected, beside refused records too."""
    admission = admit(foreign_spans(3), translate_request, AB)
    assert (admission.parts, admission.ignored, admission.settle([])) == ([], 3, Taken())
    mixed = together(logs(None, ("app.started", {"team": "search"})), run_start("a", "r1"), run_start("c", "r2"))
    assert send(store, mixed, AB).rejected == 1


def test_where_no_token_is_needed_the_newest_word_counts(store: Store) -> None:
    """An open server writes what the local store would: nothing is anybody's own."""
    for message in (run_start("a", "r1"), run_start("b", "r2"), together(run_start("a", "r3"), run_start(None, "r4"))):
        admission = admit_all(message, translate_request, ALL)
        store.write(admission.parts[0].records)
        assert admission.settle([True]) == Taken()
    assert projects_of(store) == {"r1": "a", "r2": "b", "r3": "a", "r4": None}
    assert admit_all(foreign_spans(2), translate_request, ALL).settle([]) == Taken()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(event_sequences(20))
def test_taken_apart_a_request_says_the_same(sequence: EventSequence) -> None:
    """Records of the parts, written in any order, are those of the whole request."""
    requests = encoded_requests(SignalBuilder(sequence.identity).build(sequence.events))
    with tempfile.TemporaryDirectory() as folder:
        with open_store(f"sqlite:///{folder}/parts.db") as parts, open_store(f"sqlite:///{folder}/whole.db") as whole:
            for request in requests:
                admission = admit(request, translate_request, ALL)
                parts.write_parts(admission.parts[::-1])
                whole.write(translate_request(request))
            assert parts.dump() == whole.dump()
