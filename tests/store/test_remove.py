"""What was removed is gone with all that belongs to it, and stays removed when it arrives again."""

from __future__ import annotations

import threading

import pytest
from kit.store_records import (
    EXPERIMENT,
    GROUP,
    RUN,
    attempt_records,
    merged,
    parents,
    run_start,
    series,
    shuffled_batches,
    uuid_of,
)

from evsys_otel.errors import NotFoundError
from evsys_otel.records import Records
from evsys_otel.store import Store, open_store

OTHER = uuid_of(101)


@pytest.fixture
def sweep(store: Store) -> Store:
    store.write(merged([*parents(), *attempt_records(RUN, calls=10), *attempt_records(OTHER, calls=10)]))
    return store


def nothing_left_but_tombstones(store: Store, *, of: str) -> bool:
    return all(of not in map(str, row) for kind, rows in store.dump().items() if kind != "tombstones" for row in rows)


def test_a_removed_run_is_gone_with_all_that_belongs_to_it(sweep: Store) -> None:
    """What it was is counted; the other run is untouched."""
    other = sweep.get_metrics(OTHER)
    counts = sweep.remove(RUN)
    assert counts == {
        "experiments": 0, "groups": 0, "runs": 1, "evals": 1, "values": 20, "predictions": 5, "checkpoints": 1,
    }
    assert nothing_left_but_tombstones(sweep, of=RUN)
    assert sweep.get_metrics(OTHER) == other
    assert sweep.completeness(OTHER).state == "whole"


def test_what_arrives_again_stays_removed_and_stops_nothing_else(sweep: Store) -> None:
    """In whole, in pieces, and together with records of other runs."""
    sweep.remove(RUN)
    before = sweep.dump()
    for piece in attempt_records(RUN, calls=10):
        sweep.write(piece)
    sweep.write(merged([*attempt_records(RUN, calls=10), *attempt_records(OTHER, calls=10)]))
    assert sweep.dump() == before
    sweep.write(Records(series=[series(RUN), series(uuid_of(9))]))
    assert len(sweep.get_metrics(uuid_of(9))) == 10
    assert sweep.get_metrics(RUN) == []


def test_a_removed_experiment_takes_its_groups_and_runs_along(sweep: Store) -> None:
    """Also those of which it is heard later."""
    counts = sweep.remove(EXPERIMENT)
    assert (counts["experiments"], counts["groups"], counts["runs"]) == (1, 1, 2)
    late = uuid_of(102)
    sweep.write(Records(series=[series(late)]))  # nobody can know yet what this belongs to
    assert len(sweep.get_metrics(late)) == 10
    sweep.write(Records(entities=[run_start(late)]))
    sweep.write(Records(series=[series(late)]))
    sweep.write(merged(parents()))
    state = sweep.dump()
    assert {kind for kind, rows in state.items() if rows} == {"tombstones"}
    assert (late,) in state["tombstones"]


def test_a_removed_group_takes_its_runs_along_and_leaves_the_experiment(sweep: Store) -> None:
    """The experiment has then no runs."""
    assert sweep.remove(GROUP)["runs"] == 2
    sweep.write(merged(attempt_records(RUN, calls=10)))
    assert sweep.list_runs() == []
    assert [experiment["id"] for experiment in sweep.list_experiments()] == [EXPERIMENT]


def test_what_is_not_there_cannot_be_removed(sweep: Store) -> None:
    """A second removal says so too."""
    sweep.remove(RUN)
    for record_id in (RUN, "nothing"):
        with pytest.raises(NotFoundError):
            sweep.remove(record_id)


def test_removing_while_others_write_leaves_nothing_behind(store: Store, store_url: str) -> None:
    """A writer in the middle of its work ends first, or finds the tombstone: never half of a run."""
    pieces = attempt_records(RUN, calls=120, piece=2)
    failures: list[BaseException] = []

    def deliver(seed: int) -> None:
        try:
            with open_store(store_url) as own:
                for batch in shuffled_batches(pieces, seed, repeat=1, largest=3):
                    own.write(batch)
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=deliver, args=(seed,)) for seed in range(3)]
    store.write(merged([*parents(), *pieces]))
    for writer in writers:
        writer.start()
    store.remove(EXPERIMENT)
    for writer in writers:
        writer.join()
    assert failures == []
    assert {kind for kind, rows in store.dump().items() if rows} == {"tombstones"}
