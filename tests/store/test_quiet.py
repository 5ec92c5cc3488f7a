"""Which experiments are old: nothing was said of them, and nothing of them arrived, for so long."""

from __future__ import annotations

from kit.store_records import EXPERIMENT, RUN, START, attempt_records, end_time, merged, parents, series, uuid_of

from evsys_otel.records import Entity, Records, Seen
from evsys_otel.store import Store

DAY = 86_400 * 10**9
SAID = end_time(9)  # the latest time in these records


def test_an_experiment_is_quiet_when_all_of_it_is(store: Store, clock) -> None:  # type: ignore[no-untyped-def]
    """Its own end, its groups', its runs', and their arrivals all lie before."""
    clock.now = START
    store.write(merged([*parents(), *attempt_records(RUN, calls=5)]))
    assert store.quiet_experiments(SAID) == []
    assert store.quiet_experiments(SAID + 1) == [EXPERIMENT]


def test_what_arrived_lately_is_not_old(store: Store, clock) -> None:  # type: ignore[no-untyped-def]
    """A training of last year that was synchronised today stays its time."""
    clock.now = SAID + 100 * DAY
    store.write(merged([*parents(), *attempt_records(RUN, calls=5)]))
    assert store.quiet_experiments(SAID + 99 * DAY) == []
    assert store.quiet_experiments(SAID + 101 * DAY) == [EXPERIMENT]


def test_a_run_that_still_goes_keeps_its_experiment(store: Store, clock) -> None:  # type: ignore[no-untyped-def]
    """However long ago it began."""
    clock.now = START
    store.write(merged([*parents(), *attempt_records(RUN, calls=5)]))
    store.write(Records(seen=[Seen(RUN, 1, SAID + 50 * DAY, heartbeat=True)]))
    assert store.quiet_experiments(SAID + 50 * DAY) == []


def test_what_has_no_known_time_is_left_alone(store: Store, clock) -> None:  # type: ignore[no-untyped-def]
    """Runs without an experiment, and experiments of which only the id is known."""
    clock.now = START
    store.write(Records(series=[series(uuid_of(7))]))
    store.write(Records(entities=[Entity("experiment", uuid_of(8), 1, False, START, None, {"name": "x"})]))
    assert store.quiet_experiments(SAID) == [uuid_of(8)]
    store.remove(uuid_of(8))
    assert store.quiet_experiments(SAID) == []
