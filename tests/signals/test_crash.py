"""What is said of a process that died: its ends, its totals, and never that it lacks nothing when it does."""

from __future__ import annotations

import msgspec
from kit.event_sequences import make_identity
from kit.programs import EXPERIMENT_ID, RUN_ID, T0, closing, opening, steps
from opentelemetry.trace import StatusCode

from evsys_otel import conventions as c
from evsys_otel import events as e
from evsys_otel.signals import SignalBuilder, Signals


def totals_of(signals: Signals) -> dict[str, object]:
    (end,) = [log.log_record for log in signals.logs if log.log_record.event_name == c.EVENT_RUN_END]
    told: dict[str, object] = msgspec.json.decode(str((end.attributes or {})[c.RUN_TOTALS]))
    return told


def test_everything_open_ends_as_crashed_a_nanosecond_after_the_last_event() -> None:
    """The time is derived from the journal, so that whoever says it says the same, and the fold goes on unchanged."""
    builder = SignalBuilder(make_identity())
    builder.build([*opening(), *steps(1, 2)])
    first, second = builder.crash([]), builder.crash([])
    assert [log.log_record.event_name for log in first.logs] == [
        c.EVENT_RUN_END, c.EVENT_GROUP_END, c.EVENT_EXPERIMENT_END,
    ]  # fmt: skip
    assert {log.log_record.timestamp for log in first.logs} == {T0 + 102}
    assert [span.end_time for span in first.spans] == [span.end_time for span in second.spans] == [T0 + 102] * 3
    assert {span.status.status_code for span in first.spans} == {StatusCode.ERROR}
    assert builder.open_runs == [RUN_ID]
    builder.build(closing())
    assert not builder.crash([])


def test_a_joined_experiment_is_its_owners_to_end() -> None:
    """A process that joined an experiment and died ends its own run, not the experiment."""
    builder = SignalBuilder(make_identity())
    builder.build([e.ExperimentStarted(T0 + 1, 0, EXPERIMENT_ID, "sweep", joined=True), *opening()[1:]])
    crash = builder.crash([])
    assert [log.log_record.event_name for log in crash.logs] == [c.EVENT_RUN_END, c.EVENT_GROUP_END]
    assert [span.name for span in crash.spans] == ["run seed=0", "group lr=0.1"]


def test_a_crashed_runs_totals_count_what_was_lost() -> None:
    """Totals are what the journal holds and what its header says could not be appended."""
    builder = SignalBuilder(make_identity())
    builder.build([*opening(), *steps(0, 1, 2)])
    losses = [e.Lost("step", 0, 0, 5, 2, 4), e.Lost("step", 0, None, 0, 1, 20), e.Lost("prediction", 0, None, 7, 1, 7)]
    told = totals_of(builder.crash(losses))
    assert told["keysets"] == [{"split": "train", "keyset": 0, "names": ["loss", "acc"], "calls": 5}]
    assert (told["predictions"], told["unattributed"]) == (7, 20)


def test_a_loss_before_the_last_step_is_not_counted_twice() -> None:
    """What was appended after a loss has numbered on from it."""
    builder = SignalBuilder(make_identity())
    builder.build([*opening(), *steps(0), *steps(3, 4, ordinal=3, time=T0 + 200)])
    (keyset,) = totals_of(builder.crash([e.Lost("step", 0, 0, 3, 2, 4)]))["keysets"]  # type: ignore[misc]
    assert keyset["calls"] == 5


def test_damage_keeps_a_crashed_run_from_being_whole() -> None:
    """Steps whose stream is not known, and ranges that cannot be read, count as missing of every open run."""
    builder = SignalBuilder(make_identity())
    builder.build([event for event in [*opening(), *steps(0, 1)] if not isinstance(event, e.StreamDeclared)])
    assert builder.unplaced == 2
    assert totals_of(builder.crash([]))["unattributed"] == 4
    assert totals_of(builder.crash([], damage=1))["unattributed"] == 5


def test_an_end_tells_the_totals_of_a_run_whose_start_was_damaged() -> None:
    """A run whose start cannot be read ends with its id and totals, so that it is known what is missing."""
    builder = SignalBuilder(make_identity())
    signals = builder.build([*opening()[:2], *opening()[3:], *steps(0, 1), *closing(calls=2)])
    assert builder.unplaced == 3
    assert totals_of(signals)["keysets"] == [{"split": "train", "keyset": 0, "names": ["loss", "acc"], "calls": 2}]
    assert [span.name for span in signals.spans] == ["group lr=0.1", "experiment sweep"]


def test_a_damaged_experiment_takes_nothing_else_with_it() -> None:
    """Runs, groups and steps of an experiment whose start cannot be read are told without it."""
    builder = SignalBuilder(make_identity())
    signals = builder.build([*opening()[1:], *steps(0, 1), *closing(calls=2)])
    assert builder.unplaced == 1
    assert len(signals.metrics) == 1
    assert [log.log_record.event_name for log in signals.logs] == [
        c.EVENT_GROUP_START, c.EVENT_RUN_START, c.EVENT_RUN_END, c.EVENT_GROUP_END,
    ]  # fmt: skip
