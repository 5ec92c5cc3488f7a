"""What arrives, in any order and as often as it may, ends in one state; on both databases."""

from __future__ import annotations

import dataclasses
import math
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.store_records import (
    EXPERIMENT,
    GROUP,
    RUN,
    START,
    attempt_records,
    end_time,
    merged,
    parents,
    run_end,
    run_start,
    series,
    shuffled_batches,
    uuid_of,
)

from evsys_otel.errors import StoreError
from evsys_otel.records import NO_STEP, Checkpoint, Entity, Prediction, Receipt, Records, Seen, StepSeries, Totals
from evsys_otel.store import Store, open_store
from evsys_otel.store.schema import metadata, schema_version


def sweep() -> list[Records]:
    """Two runs, one of them resumed, with an experiment and a group."""
    other = uuid_of(101)
    return [
        *parents(), *attempt_records(RUN, 1), *attempt_records(RUN, 2, first_step=30),
        *attempt_records(other, 1, piece=11),
    ]


def test_a_shuffled_repeated_and_regrouped_sweep_ends_in_the_same_state(store: Store) -> None:
    """Order, repetition and grouping change nothing."""
    store.write(merged(sweep()))
    whole = store.dump()
    assert whole["values"]
    for seed in range(4):
        for batch in shuffled_batches(sweep(), seed):
            store.write(batch)
        assert store.dump() == whole


def test_a_sweep_that_arrives_shuffled_from_the_start_is_the_same(store: Store, tmp_path: Path) -> None:
    """The first arrivals may be the last events, and SQLite and PostgreSQL end the same."""
    with open_store(f"sqlite:///{tmp_path}/ordered.db") as ordered:
        for piece in sweep():
            ordered.write(piece)
        for batch in shuffled_batches(sweep(), seed=7):
            store.write(batch)
        assert store.dump() == ordered.dump()


def test_values_are_kept_exactly_nan_and_infinities_among_them(store: Store) -> None:
    """Step, value and split come back as they were, on both databases."""
    values = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308, 0.1]
    steps = [-(2**63), -1, 0, 1, 2, 2**62, 2**63 - 1]
    store.write(Records(series=[StepSeries(RUN, "val", "x", 1, 0, 0, steps, [START] * 7, values)]))
    rows = store.get_metrics(RUN)
    assert [row["step"] for row in rows] == steps
    for row, value in zip(rows, values, strict=True):
        assert row["split"] == "val"
        assert str(row["value"]) == str(value)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ((1, 9, 5.0), (2, 1, 1.0)),  # a higher attempt, whatever the time
        ((1, 1, 5.0), (1, 2, 1.0)),  # a later time
        ((1, 1, 1.0), (1, 1, 5.0)),  # a tie: the greater value
        ((1, 1, math.nan), (1, 1, -math.inf)),  # a tie: NaN loses
        ((1, 1, 1.0), (1, 2, math.nan)),  # newer is newer, also as NaN
    ],
)
def test_of_two_values_of_a_step_the_newest_wins(store: Store, older: tuple, newer: tuple) -> None:
    """By attempt, then time, then value; in whichever order they come, in one write or two."""
    def said(split: str, facts: tuple) -> StepSeries:
        return StepSeries(RUN, split, "x", facts[0], 0, 0, [4], [START + facts[1]], [facts[2]])

    for split, order in (("forth", (older, newer)), ("back", (newer, older))):
        store.write(Records(series=[said(split, facts) for facts in order]))
        for facts in order:
            store.write(Records(series=[said(split + "2", facts)]))
    found = store.get_metrics(RUN)
    assert len(found) == 4
    assert all(row["value"] == newer[2] or (math.isnan(row["value"]) and math.isnan(newer[2])) for row in found)


def test_steps_that_a_later_attempt_repeats_are_overwritten_and_the_others_stay(store: Store) -> None:
    """A resumed run has one value for each step."""
    store.write(Records(series=[series(RUN, 0, 10)]))
    store.write(Records(series=[series(RUN, 0, 5, attempt=2, number=1000, first_step=6)]))
    values = {row["step"]: row["value"] for row in store.get_metrics(RUN)}
    assert sorted(values) == list(range(11))
    assert values[2] == 1.0
    assert values[6] == 1003.0


def test_field_by_field_the_newest_wins_and_an_end_beats_a_start(store: Store) -> None:
    """Of a start and an end of one attempt the end counts, whatever their times; other fields stay."""
    late_start = dataclasses.replace(run_start(), time_unix_nano=end_time(1) + 5)
    store.write(Records(entities=[run_end(), late_start]))
    run = store.get_run(RUN)
    assert run is not None
    assert (run["status"], run["seed"], run["run_config"]) == ("completed", 0, {"lr": 0.1})
    assert (run["recipe_kind"], run["ended_unix_nano"]) == ("sft", end_time(1))


def test_what_a_child_mentions_of_its_parent_never_beats_what_the_parent_said(store: Store) -> None:
    """Attempt 0 is below every attempt, but enough for a name where nothing else came."""
    mention = Entity("experiment", EXPERIMENT, 0, False, START + 10**15, None, {"name": "mentioned"})
    store.write(Records(entities=[mention]))
    assert store.list_experiments()[0]["name"] == "mentioned"
    store.write(merged(parents()))
    store.write(Records(entities=[mention]))
    assert store.list_experiments()[0]["name"] == "lr-sweep"


def test_contradictions_of_one_version_are_decided_without_regard_to_arrival(store: Store) -> None:
    """Two different texts with the same attempt and time: the same one wins in both orders."""
    one, two = run_start(uuid_of(7), config='{"a":1}'), run_start(uuid_of(7), config='{"a":2}')
    store.write(Records(entities=[one]))
    store.write(Records(entities=[two]))
    first = store.dump()
    store.write(Records(entities=[one, two]))
    store.write(Records(entities=[one]))
    assert store.dump() == first


def prediction(**changes: object) -> Prediction:
    plain = Prediction(RUN, "", "eval", NO_STEP, "t", 0, 1, START, 0, "ask", "answer", "truth", 1.0, -1.0, '{"a":1}')
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def test_a_prediction_is_one_row_however_often_it_comes(store: Store) -> None:
    """A key without a step and without an eval is a key too; another sample is another row."""
    for _ in range(3):
        store.write(Records(predictions=[prediction(), prediction(), prediction(sample_idx=1)]))
    rows = store.list_predictions(RUN)
    assert [(row["sample_idx"], row["step"], row["eval_id"]) for row in rows] == [(0, None, None), (1, None, None)]
    assert rows[0]["metadata"] == {"a": 1}
    assert (rows[0]["reward"], rows[0]["advantage"]) == (1.0, -1.0)


def test_a_shortened_prediction_never_replaces_the_whole_one(store: Store) -> None:
    """The sender's shortening is for the wire; a later attempt's word still beats both."""
    whole, short = prediction(), prediction(model_output="ans", shortened=True)
    for order in ((whole, short), (short, whole)):
        for row in order:
            store.write(Records(predictions=[row]))
        assert store.list_predictions(RUN)[0]["model_output"] == "answer"
        assert store.list_predictions(RUN)[0]["shortened"] is False
    store.write(Records(predictions=[prediction(attempt=2, model_output="new")]))
    assert store.list_predictions(RUN)[0]["model_output"] == "new"


@pytest.mark.parametrize("reward", [math.nan, math.inf, -math.inf, None, 0.1])
def test_rewards_are_kept_exactly_and_nan_is_not_none(store: Store, reward: float | None) -> None:
    """SQLite makes NULL of NaN; the store does not."""
    store.write(Records(predictions=[prediction(reward=reward)]))
    assert str(store.list_predictions(RUN)[0]["reward"]) == str(reward)


def test_checkpoints_are_keyed_by_run_uri_and_step(store: Store) -> None:
    """The same again is the same row, newest wins; without a step is a step of its own."""
    plain = Checkpoint(RUN, "c1", "file:///a", 3, 1, START, 0, "step_3")
    store.write(Records(checkpoints=[plain, plain, dataclasses.replace(plain, step=NO_STEP, id="c2")]))
    store.write(Records(checkpoints=[dataclasses.replace(plain, time_unix_nano=START + 1, is_final=True)]))
    store.write(Records(checkpoints=[plain]))
    assert [(row["id"], row["step"], row["is_final"]) for row in store.list_checkpoints(RUN)] == [
        ("c2", None, False), ("c1", 3, True),
    ]


def test_what_a_database_cannot_hold_is_made_storable(store: Store) -> None:
    """NUL and lone surrogates become U+FFFD, a text of 6 MB is kept whole, a key of 6 MB keeps its begin."""
    big = "x" * 6_000_000
    nasty = "a\0b\ud800c"
    rows = [prediction(task_id=big + end, model_output=big, instruction=nasty) for end in "12"]
    store.write(Records(
        entities=[run_start(name=nasty, config=big, host=nasty)], predictions=rows,
        series=[dataclasses.replace(series(RUN, 0, 2), name=big, split=nasty)],
        checkpoints=[Checkpoint(RUN, "c", big, 1, 1, START)],
    ))  # fmt: skip
    run = store.get_run(RUN)
    assert run is not None
    assert (run["name"], run["run_config"]) == ("a\ufffdb\ufffdc", big)
    found = store.list_predictions(RUN)
    assert len(found) == 2
    assert found[0]["model_output"] == big
    assert found[0]["task_id"].startswith("xxx")
    assert store.metric_names(RUN)[0][0] == "a\ufffdb\ufffdc"
    assert len(store.list_checkpoints(RUN)) == 1


def test_keys_as_long_as_they_may_be_fit_every_index(store: Store) -> None:
    """Texts that do not compress, at their longest in every key column."""
    chance = random.Random(1)

    def noise(size: int) -> str:
        return "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=size))

    run_id = noise(255)
    store.write(Records(
        predictions=[prediction(run_id=run_id, eval_id=noise(255), kind=noise(255), task_id=noise(1024))],
        checkpoints=[Checkpoint(run_id, noise(255), noise(2000), 1, 1, START)],
        series=[dataclasses.replace(series(run_id, 0, 2), name=noise(1024), split=noise(1024), attempt_id=noise(99))],
    ))  # fmt: skip
    assert len(store.get_metrics(run_id)) == 2


def test_a_field_of_the_wrong_type_is_not_said_and_stops_nothing(store: Store) -> None:
    """Another SDK may send anything under our names."""
    store.write(Records(entities=[run_start(seed="seven", start_time=2**70, name=5, status=["x"])]))
    run = store.get_run(RUN)
    assert run is not None
    assert (run["seed"], run["started_at"], run["name"]) == (None, None, "5")


def test_an_acknowledged_position_comes_with_its_records_and_never_goes_back(store: Store) -> None:
    """The lane's offset and the records are one transaction; a failing write leaves neither."""
    store.write(Records(series=[series(RUN, 0, 5)]), journal=("j", 100))
    store.write(Records(), journal=("j", 50))
    assert store.journal_position("j") == 100
    assert store.journal_position("other") == 0
    poisoned = dataclasses.replace(series(RUN, 5, 5), steps=[5, 6, 7, 8, 2**70])
    with pytest.raises(StoreError):
        store.write(Records(series=[series(uuid_of(3), 0, 1), poisoned]), journal=("j", 200))
    assert store.journal_position("j") == 100
    assert len(store.get_metrics(RUN)) == 5
    store.write(Records(series=[series(uuid_of(3), 0, 1), series(RUN, 5, 5)]), journal=("j", 200))
    assert len(store.get_metrics(RUN)) == 10
    assert len(store.get_metrics(uuid_of(3))) == 1


RUNS = [uuid_of(200), uuid_of(201)]
small_time = st.integers(0, 6).map(lambda offset: START + offset)
attempts = st.integers(0, 3)
run_ids = st.sampled_from(RUNS)


@st.composite
def entities(draw: st.DrawFn) -> Entity:
    fields = draw(st.dictionaries(
        st.sampled_from(["status", "error", "name", "seed", "start_time", "end_time", "host"]),
        st.sampled_from(["running", "completed", "crashed", 1, 2]), max_size=4,
    ))  # fmt: skip
    kind, ids = draw(st.sampled_from([("run", RUNS), ("group", [GROUP]), ("experiment", [EXPERIMENT])]))
    if kind != "experiment" and draw(st.booleans()):
        fields["experiment_id"] = EXPERIMENT
    record_id, project = draw(st.sampled_from(ids)), draw(st.sampled_from([None, "p", "q"]))
    return Entity(kind, record_id, draw(attempts), draw(st.booleans()), draw(small_time), project, fields)


@st.composite
def step_series(draw: st.DrawFn) -> StepSeries:
    size = draw(st.integers(1, 4))
    numbered = draw(st.booleans())
    return StepSeries(
        draw(run_ids), draw(st.sampled_from(["train", "val"])), draw(st.sampled_from(["a", "b"])), draw(attempts),
        draw(st.integers(0, 1)) if numbered else None, draw(st.integers(0, 9)) if numbered else None,
        draw(st.lists(st.integers(-2, 4), min_size=size, max_size=size)),
        draw(st.lists(small_time, min_size=size, max_size=size)),
        draw(st.lists(st.floats(width=16), min_size=size, max_size=size)),
    )


@st.composite
def others(draw: st.DrawFn) -> Records:
    run_id, attempt, time = draw(run_ids), draw(attempts), draw(small_time)
    text = draw(st.sampled_from(["x", "y"]))
    which = draw(st.integers(0, 4))
    if which == 0:
        return Records(seen=[Seen(run_id, attempt, time, draw(st.none() | st.integers(0, 5)), draw(st.booleans()))])
    if which == 1:
        kind = draw(st.sampled_from(["prediction", "eval", "checkpoint"]))
        return Records(receipts=[Receipt(run_id, attempt, kind, draw(st.integers(0, 9)), draw(st.integers(1, 3)))])
    if which == 2:
        parts = draw(st.integers(1, 2))
        part = draw(st.integers(0, parts - 1))
        return Records(totals=[Totals(run_id, attempt, time, part, parts, [], draw(st.integers(0, 2)))])
    if which == 3:
        return Records(predictions=[prediction(
            run_id=run_id, attempt=attempt, time_unix_nano=time, model_output=text, shortened=draw(st.booleans()))])
    return Records(checkpoints=[Checkpoint(run_id, "c", "uri", 1, attempt, time, None, text)])


anything = st.lists(
    entities().map(lambda each: Records(entities=[each]))
    | step_series().map(lambda each: Records(series=[each])) | others(),
    max_size=14,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=anything, seed=st.integers(0, 2**16))
def test_any_records_in_any_order_end_in_the_same_state(store: Store, pieces: list[Records], seed: int) -> None:
    """For records that contradict each other in every way, ties included; removed between examples."""
    def emptied_and_written(batches: list[Records]) -> dict[str, list[tuple]]:
        wipe(store)
        for batch in batches:
            store.write(batch)
        return store.dump()

    in_order = emptied_and_written([merged(pieces)])
    assert emptied_and_written(shuffled_batches(pieces, seed, repeat=2, largest=4)) == in_order
    assert emptied_and_written(shuffled_batches(pieces, seed + 1, repeat=1, largest=1)) == in_order


def wipe(store: Store) -> None:
    """Empty every table, the memory of numbers too."""
    with store._database.writing() as tx:
        for table in metadata.sorted_tables:
            if table is not schema_version:
                tx.conn.execute(table.delete())
    store._book.forget()
