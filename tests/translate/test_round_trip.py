"""The central property: in process or over the wire, the same signals lead to the same state."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.event_sequences import EventSequence, batches, event_sequences
from kit.record_fold import FoldedRecords, fold_records
from kit.wire import shuffled_requests, translate_in_process, translate_request

from evsys_otel.signals import SignalBuilder, Signals

LATER_NANO = 10**9
CUTS = st.lists(st.integers(0, 200), max_size=4)
many = settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
some = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def signals_of(sequence: EventSequence, cuts: list[int], *, limit: int = 1000) -> list[Signals]:
    """Build all signals of a journal whose process then dies, a heartbeat before that included."""
    builder = SignalBuilder(sequence.identity, max_point_exemplars=limit)
    built = [builder.build(batch) for batch in batches(sequence.events, cuts)]
    beat = builder.heartbeat(sequence.identity.created_unix_nano + LATER_NANO)
    return [*built, beat, builder.crash(sequence.losses)]


def fold_in_process(signals: list[Signals]) -> FoldedRecords:
    return fold_records(records for told in signals for records in translate_in_process(told))


@many
@given(event_sequences(), CUTS, CUTS, st.integers(1, 5), st.data())
def test_in_process_and_over_the_wire_are_the_same(
    sequence: EventSequence, cuts: list[int], other_cuts: list[int], limit: int, data: st.DataObject
) -> None:
    """Signals taken in process, and encoded, split, doubled and shuffled ones, lead to the same state."""
    in_process = fold_in_process(signals_of(sequence, cuts))
    requests = shuffled_requests(signals_of(sequence, other_cuts, limit=limit), data)
    over_the_wire = fold_records(map(translate_request, requests))
    assert over_the_wire == in_process


@some
@given(event_sequences(), CUTS)
def test_every_value_arrives_as_it_was_logged(sequence: EventSequence, cuts: list[int]) -> None:
    """The state holds each appended value, the newest of each step, bit by bit, and nothing else."""
    assert fold_in_process(signals_of(sequence, cuts)).values == sequence.values


@some
@given(event_sequences(), CUTS)
def test_receipts_lack_exactly_what_was_lost(sequence: EventSequence, cuts: list[int]) -> None:
    """Each attempt's totals count the lost calls too, and its receipts have all the others."""
    state = fold_in_process(signals_of(sequence, cuts))
    calls = {
        (run, attempt, keyset[0], keyset[1]): keyset[3]
        for (run, attempt), (_, parts) in state.totals.items()
        for part in parts.values()
        for keyset in part[5]
    }
    assert calls == sequence.calls
    assert set(state.totals) == sequence.attempts
    missing = sum(calls[key[:4]] - len(numbers) for key, numbers in state.ordinals.items())
    silent = sum(
        count * len(names)
        for (run, attempt), (_, parts) in state.totals.items()
        for part in parts.values()
        for split, keyset, names, count in part[5]
        if (run, attempt, split, keyset, names[0]) not in state.ordinals
    )
    assert missing + silent == sum(lost.values for lost in sequence.losses if lost.kind == "step")


@some
@given(event_sequences(), CUTS)
def test_logs_and_metrics_are_enough_and_spans_add_nothing(sequence: EventSequence, cuts: list[int]) -> None:
    """Spans, which teams sample, may come or not: the state is the same."""
    signals = signals_of(sequence, cuts)
    without = [Signals([], told.metrics, told.logs) for told in signals]
    assert fold_in_process(without) == fold_in_process(signals)


@some
@given(event_sequences(), CUTS)
def test_spans_alone_tell_all_records_but_predictions_and_steps(sequence: EventSequence, cuts: list[int]) -> None:
    """A back end that takes traces alone knows all groups, runs, evals, checkpoints, and experiments of its own."""
    signals = signals_of(sequence, cuts)
    alone = fold_in_process([Signals(told.spans) for told in signals])
    everything = fold_in_process([Signals([], [], told.logs) for told in signals])
    joined = {("experiment", event.id) for event in sequence.events if getattr(event, "joined", False)}
    facts, all_facts = alone.facts(), everything.facts()
    assert {key: facts.get(key) for key in all_facts.keys() - joined} == {
        key: told for key, told in all_facts.items() if key not in joined
    }
    assert alone.checkpoints == everything.checkpoints
    told = {key: numbers for key, numbers in everything.receipts.items() if key[2] != "prediction"}
    assert alone.receipts == told


@some
@given(event_sequences(), CUTS, st.integers(0, 200))
def test_a_fold_that_skips_what_was_delivered_goes_on_the_same(
    sequence: EventSequence, cuts: list[int], delivered: int
) -> None:
    """A lane that starts again in the middle of a journal sends what is left as if it had never stopped."""
    begin = delivered % (len(sequence.events) + 1)
    first, again = SignalBuilder(sequence.identity), SignalBuilder(sequence.identity)
    before, left = sequence.events[:begin], sequence.events[begin:]
    first.build(before)
    again.skip(before)
    expected = [first.build(left), first.crash(sequence.losses)]
    got = [*(again.build(batch) for batch in batches(left, cuts)), again.crash(sequence.losses)]
    assert fold_in_process(got) == fold_in_process(expected)
