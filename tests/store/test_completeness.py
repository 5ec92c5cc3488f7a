"""Loss is told from silence: whole, missing, behind or unknown, and `whole` is never said of a run that is not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from kit.store_records import (
    EXPERIMENT,
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
    time_at,
    totals,
    uuid_of,
)

from evsys_otel.errors import NotFoundError
from evsys_otel.records import KeySetTotal, Receipt, Records, Seen, Totals
from evsys_otel.store import Store

from .conftest import Clock


def write(store: Store, *pieces: Records) -> None:
    store.write(merged(pieces))


def test_a_run_is_whole_when_all_that_its_totals_name_has_come(store: Store) -> None:
    """At once, without waiting, and one row for each series without gaps."""
    write(store, *attempt_records())
    said = store.completeness(RUN)
    assert (said.state, said.missing, said.gaps, said.text) == ("whole", 0, [], "whole")
    assert len(store.dump()["receipts"]) == 2 + 3  # two series; predictions, evals and checkpoints


def test_receipts_are_a_union_whatever_the_order(store: Store) -> None:
    """A shuffled and repeated attempt ends as one row for each series."""
    for batch in shuffled_batches(attempt_records(), seed=3):
        store.write(batch)
    assert store.completeness(RUN).state == "whole"
    assert len(store.dump()["receipts"]) == 5


def test_every_single_signal_that_lacks_is_told(store: Store, clock: Clock) -> None:
    """Whichever one signal of an attempt does not come, the run is not whole; when it comes, the run is."""
    pieces = attempt_records(calls=20)
    bears_nothing = {0, 1}  # the start and the end say nothing that is counted
    for lacking, piece in enumerate(pieces):
        run_id = uuid_of(1000 + lacking)
        mine = [_of_run(each, run_id) for each in pieces]
        write(store, *mine[:lacking], *mine[lacking + 1 :])
        clock.advance(61)
        counted = bool(piece.series or piece.receipts or piece.totals)
        assert counted or lacking in bears_nothing or piece.seen
        assert (store.completeness(run_id).state == "whole") != counted
        write(store, mine[lacking])
        assert store.completeness(run_id).state == "whole"


def _of_run(piece: Records, run_id: str) -> Records:
    def moved(record: object) -> object:
        return dataclasses.replace(record, run_id=run_id)  # type: ignore[type-var]

    entities = [
        dataclasses.replace(each, id=run_id) if each.kind == "run"
        else dataclasses.replace(each, id=run_id + each.id, fields={**each.fields, "run_id": run_id})
        for each in piece.entities
    ]
    kinds = ("series", "predictions", "checkpoints", "receipts", "totals", "seen")
    return Records(entities, *([moved(each) for each in getattr(piece, kind)] for kind in kinds))  # type: ignore[arg-type]


def test_missing_values_are_counted_and_named(store: Store, clock: Clock) -> None:
    """A point in the middle and a whole series: how many, of which series, which numbers."""
    names = ["loss", "acc"]
    write(store, Records(
        entities=[run_start(), run_end()],
        series=[series(RUN, 0, 3), series(RUN, 5, 5)], totals=[totals(calls=10, names=names, evals=2)],
        receipts=[Receipt(RUN, 1, "eval", 1, 1)],
    ))  # fmt: skip
    assert store.completeness(RUN).state == "behind"  # it may still come
    clock.advance(59)
    assert store.completeness(RUN).state == "behind"
    clock.advance(2)
    said = store.completeness(RUN)
    assert (said.state, said.missing) == ("missing", 2 + 10 + 1)
    assert said.gaps == [(1, "train", "acc", [(0, 9)]), (1, "train", "loss", [(3, 4)]), (1, "", "evals", [(0, 0)])]
    assert "missing 13 values" in said.text
    assert "train/loss of attempt 1: 3-4" in said.text
    run = store.get_run(RUN)
    assert run is not None
    assert (run["completeness"], run["missing"]) == ("missing", 13)


def test_what_the_recorder_lost_before_it_could_name_it_is_missing(store: Store, clock: Clock) -> None:
    """Unattributed values lack for good."""
    write(store, Records(entities=[run_end()], series=[series()], totals=[totals(unattributed=4)]))
    clock.advance(61)
    assert (store.completeness(RUN).state, store.completeness(RUN).missing) == ("missing", 4)


def test_before_its_end_a_run_is_behind_and_says_which_numbers_lack(store: Store, clock: Clock) -> None:
    """A running attempt has no totals; a hole in what came is told all the same."""
    write(store, Records(entities=[run_start()], series=[series(RUN, 0, 3), series(RUN, 5, 5)]))
    said = store.completeness(RUN)
    assert (said.state, said.missing) == ("behind", 2)
    clock.advance(299)
    assert store.completeness(RUN).state == "behind"
    clock.advance(2)  # silent for five minutes: nobody can say that more will come
    assert store.completeness(RUN).state == "unknown"


def test_an_end_without_totals_is_unknown(store: Store, clock: Clock) -> None:
    """As of traces alone: they bring the end, but no receipt."""
    write(store, Records(entities=[run_start(), run_end()], seen=[Seen(RUN, 1, end_time(1))]))
    assert store.completeness(RUN).state == "behind"
    clock.advance(61)
    assert store.completeness(RUN).state == "unknown"
    assert "attempt 1" in store.completeness(RUN).text


def test_totals_are_known_when_every_part_has_come(store: Store, clock: Clock) -> None:
    """One part of two says nothing final, though everything in it is here."""
    first = Totals(RUN, 1, end_time(1), 0, 2, [KeySetTotal("train", 0, ["loss"], 10)])
    second = dataclasses.replace(first, part=1, keysets=[KeySetTotal("train", 1, ["rare"], 1)])
    write(store, Records(entities=[run_end()], series=[series()], totals=[first]))
    clock.advance(61)
    assert store.completeness(RUN).state == "unknown"
    write(store, Records(totals=[second]))
    clock.advance(61)
    assert (store.completeness(RUN).state, store.completeness(RUN).missing) == ("missing", 1)
    write(store, Records(series=[series(RUN, 0, 1, name="rare", keyset=1)]))
    assert store.completeness(RUN).state == "whole"


def test_totals_of_an_attempt_that_came_back_are_replaced(store: Store, clock: Clock) -> None:
    """After a later event the earlier totals are not the last word, in whichever order they come."""
    early = dataclasses.replace(totals(calls=5), time_unix_nano=time_at(1, 5))
    crash = run_end(status="crashed", time=time_at(1, 5))
    write(store, Records(entities=[run_start(), crash], series=[series(RUN, 0, 5)], totals=[early]))
    assert store.completeness(RUN).state == "whole"
    write(store, Records(series=[series(RUN, 5, 5)]))
    assert store.completeness(RUN).state == "behind"
    write(store, Records(totals=[totals(calls=10)], entities=[run_end()]))
    write(store, Records(totals=[early]))
    assert store.completeness(RUN).state == "whole"


def test_numbers_beyond_the_totals_make_them_doubtful(store: Store, clock: Clock) -> None:
    """Whole is not said when more came than was said to have been sent."""
    write(store, Records(entities=[run_end()], series=[series(RUN, 0, 12)], totals=[totals(calls=10)]))
    clock.advance(61)
    assert store.completeness(RUN).state == "unknown"


def test_every_attempt_heard_of_counts(store: Store, clock: Clock) -> None:
    """A whole second attempt does not make a run whole of whose first one nothing is known."""
    write(store, *attempt_records(attempt=2))
    clock.advance(61)
    said = store.completeness(RUN)
    assert said.state == "unknown"
    assert [(each.attempt, each.state) for each in said.attempts] == [(1, "unknown"), (2, "whole")]
    write(store, *attempt_records(attempt=1))
    assert store.completeness(RUN).state == "whole"


@pytest.mark.parametrize("sign", [
    Records(seen=[Seen(RUN, 2, START, heartbeat=True)]), Records(series=[series(RUN, 0, 1, attempt=2)]),
    Records(receipts=[Receipt(RUN, 2, "prediction", 0, 1)]), Records(entities=[run_start(attempt=2)]),
    Records(totals=[Totals(RUN, 2, START, 0, 2, [])]),
], ids=["heartbeat", "step", "receipt", "start", "half totals"])  # fmt: skip
def test_any_signal_of_an_attempt_is_hearing_of_it(store: Store, clock: Clock, sign: Records) -> None:
    """After that, the run is not whole before that attempt is."""
    write(store, *attempt_records(attempt=1), sign)
    clock.advance(3600)
    assert store.completeness(RUN).state in {"unknown", "missing"}


def test_steps_that_nobody_numbered_are_not_counted(store: Store) -> None:
    """Other instruments of the trainer's process belong to the run, and change nothing about its receipts."""
    late = dataclasses.replace(
        series(RUN, 0, 5, split="external", keyset=None), times=[end_time(1) + 10**9 + i for i in range(5)]
    )
    write(store, *attempt_records(), Records(series=[late]))
    assert store.completeness(RUN).state == "whole"
    assert len(store.get_metrics(RUN, split="external")) == 5


def test_a_run_that_is_not_there_has_no_completeness(store: Store) -> None:
    """It is neither whole nor unknown: there is no such run."""
    with pytest.raises(NotFoundError):
        store.completeness(RUN)


def test_two_processes_that_resume_a_run_at_once_are_two_attempts(store: Store, clock: Clock) -> None:
    """One number, two ids: what the one lacks the other does not hide, and of each step the newer value counts."""
    def resumed(attempt_id: str, delay: int) -> list[Records]:
        def moved(record: Any) -> Any:
            times = {"times": [time + delay for time in record.times]} if hasattr(record, "times") else {}
            return dataclasses.replace(record, attempt_id=attempt_id, **times)

        kinds = ("entities", "series", "predictions", "checkpoints", "receipts", "totals")
        return [
            Records(*([moved(record) for record in getattr(piece, kind)] for kind in kinds))
            for piece in attempt_records(attempt=2, calls=20)
        ]

    one, two = resumed("a" * 16, 0), resumed("b" * 16, 5)
    write(store, *attempt_records(), *one, *two[:2])
    clock.advance(61)
    assert store.completeness(RUN).state == "unknown"
    for piece in two[2:]:
        assert store.completeness(RUN).state != "whole"
        store.write(piece)
    assert store.completeness(RUN).state == "whole"
    assert [each.attempt for each in store.completeness(RUN).attempts] == [1, 2, 2]
    newest = [row for row in store.dump()["values"] if row[5] == 2]
    assert {row[6] for row in newest} == {time_at(2, ordinal) + 5 for ordinal in range(20)}


def status(store: Store) -> tuple[str, str, str]:
    run, experiment = store.get_run(RUN), store.get_experiment(EXPERIMENT)
    assert run is not None
    assert experiment is not None
    return run["status"], store.list_groups(EXPERIMENT)[0]["status"], experiment["status"]


def test_a_crashed_run_that_did_something_later_is_running_again(store: Store) -> None:
    """It was only out of sight; a heartbeat, which is the shipper's word, does not say so."""
    crash = time_at(1, 5) + 1
    write(store, *parents(), Records(entities=[run_start(), run_end(status="crashed", time=crash)]))
    write(store, Records(series=[series(RUN, 0, 6)], seen=[Seen(RUN, 1, crash + 10**9, 5, heartbeat=True)]))
    assert status(store) == ("crashed", "completed", "completed")
    write(store, Records(seen=[Seen(RUN, 1, crash + 1, 6)]))
    assert status(store) == ("running", "running", "running")
    write(store, Records(entities=[run_end(status="failed", time=crash + 2)]))
    assert status(store) == ("failed", "completed", "completed")


def test_a_later_attempt_reopens_run_group_and_experiment(store: Store) -> None:
    """Also while its start has not arrived; the error of the attempt before is then history."""
    said = {"status": "failed", "error": "boom", "end_time": START}
    ended = dataclasses.replace(run_end(status="failed"), fields=said)
    write(store, *parents(), Records(entities=[run_start(), ended]))
    before = store.get_run(RUN)
    assert before is not None
    assert (before["error_message"], before["status"]) == ("boom", "failed")
    write(store, Records(series=[series(RUN, 0, 1, attempt=2)]))
    after = store.get_run(RUN)
    assert after is not None
    assert (after["error_message"], after["ended_at"]) == (None, None)
    assert status(store) == ("running", "running", "running")
    write(store, Records(entities=[run_end(attempt=2)]))
    assert status(store) == ("completed", "completed", "completed")
    assert store.get_run(RUN)["error_message"] is None  # type: ignore[index]


def test_stale_and_silent_are_views_that_a_late_signal_heals(store: Store, clock: Clock) -> None:
    """90 seconds and 5 minutes after the last signal, of a running run alone, and never stored."""
    clock.now = START
    write(store, Records(entities=[run_start()], seen=[Seen(RUN, 1, START)]))
    before = store.dump()

    def liveness() -> str | None:
        run = store.get_run(RUN)
        assert run is not None
        return run["liveness"]

    for seconds, expected in ((89, None), (1, "stale"), (209, "stale"), (1, "silent")):
        clock.advance(seconds)
        assert liveness() == expected
    assert store.dump() == before
    write(store, Records(seen=[Seen(RUN, 1, clock.now, 7, heartbeat=True)]))
    assert liveness() is None
    assert store.get_run(RUN)["last_step"] == 7  # type: ignore[index]
    clock.advance(400)
    write(store, Records(entities=[run_end()]))
    assert liveness() is None
