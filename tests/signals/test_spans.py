"""Spans: ids, parents, links, times and status, as the design names them."""

from __future__ import annotations

import uuid

from kit.event_sequences import make_identity
from kit.programs import EVAL_ID, EXPERIMENT_ID, GROUP_ID, RUN_ID, T0, TRACEPARENT, closing, opening
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from evsys_otel import conventions as c
from evsys_otel import events as e
from evsys_otel.signals import SignalBuilder


def spans_of(events: list[e.Event]) -> dict[str, ReadableSpan]:
    built = SignalBuilder(make_identity()).build(events).spans
    return {span.name: span for span in built}


def low_bits(record_id: str) -> int:
    return uuid.UUID(record_id).int & (2**64 - 1)


def test_the_trace_id_is_the_experiments_id() -> None:
    """An experiment's id pastes into a trace tool with its dashes removed."""
    spans = spans_of([*opening(), *closing()])
    assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {EXPERIMENT_ID.replace("-", "")}


def test_a_span_is_the_low_half_of_its_records_id_under_its_parent() -> None:
    """Experiment, group and run nest, and each span's id is the low 64 bits of its record's."""
    spans = spans_of([*opening(), *closing()])
    experiment, group, run = spans["experiment sweep"], spans["group lr=0.1"], spans["run seed=0"]
    assert experiment.context.span_id == low_bits(EXPERIMENT_ID)
    assert group.context.span_id == low_bits(GROUP_ID)
    assert run.context.span_id == low_bits(RUN_ID)
    assert experiment.parent is None
    assert group.parent is not None
    assert group.parent.span_id == experiment.context.span_id
    assert run.parent is not None
    assert run.parent.span_id == group.context.span_id


def test_a_run_without_a_group_hangs_under_its_experiment() -> None:
    """The parent of a run without a group is the experiment."""
    events = [*opening()[:1], e.RunStarted(T0 + 3, 0, 0, RUN_ID, "r"), e.RunEnded(T0 + 4, 0, RUN_ID, "completed")]
    parent = spans_of(events)["run r"].parent
    assert parent is not None
    assert parent.span_id == low_bits(EXPERIMENT_ID)


def test_the_root_is_linked_to_the_caller() -> None:
    """TRACEPARENT is a link of the experiment's span; a malformed one is none."""
    (link,) = spans_of([*opening(), *closing()])["experiment sweep"].links
    assert f"{link.context.trace_id:032x}-{link.context.span_id:016x}" == TRACEPARENT[3:52]
    start = e.ExperimentStarted(T0, 0, EXPERIMENT_ID, "x", traceparent="00-zz")
    assert spans_of([start, e.ExperimentEnded(T0 + 1, 0, "completed")])["experiment x"].links == ()


def test_a_later_attempt_has_its_own_span_linked_to_the_first() -> None:
    """From attempt 2 the recorder draws the run's span id; the group's and experiment's parts have derived ones."""
    spans = spans_of([*opening(attempt=2, span_id="00000000000000ff"), *closing()])
    run = spans["run seed=0"]
    assert run.context.span_id == 0xFF
    assert [link.context.span_id for link in run.links] == [low_bits(RUN_ID)]
    assert run.parent is not None
    assert run.parent.span_id == low_bits(GROUP_ID)
    part = spans["experiment sweep"]
    assert part.context.span_id not in (low_bits(EXPERIMENT_ID), 0)
    assert part.parent is not None
    assert part.parent.span_id == low_bits(EXPERIMENT_ID)
    assert part.attributes is not None
    assert part.attributes[c.ATTEMPT] == 2


def test_a_failed_run_has_status_error_and_says_why() -> None:
    """Failed and crashed are errors with a description, completed and cancelled are not."""
    spans = spans_of([*opening(), *closing("failed", "ValueError: nan")])
    assert spans["run seed=0"].status.status_code is StatusCode.ERROR
    assert spans["run seed=0"].status.description == "ValueError: nan"
    assert spans["group lr=0.1"].status.description == "failed"
    for status in ("completed", "cancelled"):
        assert spans_of([*opening(), *closing(status)])["run seed=0"].status.status_code is StatusCode.UNSET


def test_a_span_holds_what_became_known_later() -> None:
    """A run's span carries the facts of its start, its updates and its end."""
    update = e.RunUpdated(T0 + 50, 0, config='{"lr":0.2}', wandb_url="https://w")
    attributes = spans_of([*opening(), update, *closing()])["run seed=0"].attributes
    assert attributes is not None
    told = {key: attributes[key] for key in (c.RUN_CONFIG, c.RUN_WANDB_URL, c.RUN_SEED, c.RUN_STATUS, c.GROUP_NAME)}
    assert list(told.values()) == ['{"lr":0.2}', "https://w", 0, "completed", "lr=0.1"]


def test_evals_and_checkpoints_are_children_of_their_run() -> None:
    """An eval lasts from its begin to its time, a checkpoint has no length; both hang under the run's span."""
    events = [
        *opening(),
        e.EvalLogged(T0 + 60, 0, 0, EVAL_ID, "digits", '{"acc":1}', start_time_unix_nano=T0 + 50),
        e.CheckpointLogged(T0 + 70, 0, 0, "file:///c", 5, "step_5"),
    ]
    spans = spans_of(events)
    evaluation, checkpoint = spans["eval digits"], spans["checkpoint step_5"]
    assert (evaluation.start_time, evaluation.end_time) == (T0 + 50, T0 + 60)
    assert (checkpoint.start_time, checkpoint.end_time) == (T0 + 70, T0 + 70)
    assert evaluation.context.span_id == low_bits(EVAL_ID)
    assert checkpoint.context.span_id == low_bits(c.checkpoint_id_of(RUN_ID, "file:///c", 5))
    assert {span.parent.span_id for span in spans.values() if span.parent} == {low_bits(RUN_ID)}
