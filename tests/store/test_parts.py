"""Of several projects' records in one write each project gets its own, and none gets at another's."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from kit.store_records import EXPERIMENT, GROUP, RUN, attempt_records, merged, parents, series, uuid_of

from evsys_otel.records import Entity, Records
from evsys_otel.store import Part, Store, open_store

OURS, THEIRS = "project", "another"
NEW, TIME = uuid_of(101), 1_700_000_000_000_000_000


def sweep(*run_ids: str) -> Records:
    return merged([*parents(), *(piece for run_id in run_ids for piece in attempt_records(run_id, calls=10))])


def entity(kind: str, record_id: str, project_id: str | None, **fields: object) -> Records:
    return Records(entities=[Entity(kind, record_id, 9, True, TIME * 2, project_id, {"name": "mine", **fields})])  # type: ignore[arg-type]


def test_a_project_writes_its_own(store: Store, tmp_path: Path) -> None:
    """Written in parts, in the name of their project, records end in the same state as written at all."""
    for piece in [*parents(), *attempt_records(RUN, calls=10)]:
        assert store.write_parts([Part(piece, OURS)]) == [True]
    with open_store(f"sqlite:///{tmp_path}/plain.db") as plain:
        plain.write(sweep(RUN))
        expected = plain.dump()
    got = store.dump()
    for kind in ("values", "attempts", "receipts", "totals", "predictions", "checkpoints", "runs", "evals"):
        assert got[kind] == expected[kind]


@pytest.mark.parametrize("intruder", [THEIRS, None])
def test_nothing_is_written_to_what_belongs_to_another_project(store: Store, intruder: str | None) -> None:
    """By no kind of record, whoever names another project or none."""
    store.write_parts([Part(sweep(RUN), OURS)])
    before = store.dump()
    eval_id = store.list_evals(RUN)[0]["id"]
    for kind, record_id in (("experiment", EXPERIMENT), ("group", GROUP), ("run", RUN), ("eval", eval_id)):
        assert store.write_parts([Part(entity(kind, record_id, intruder), intruder)]) == [False]
    for piece in attempt_records(RUN, attempt=2, calls=10):
        piece.entities = []
        assert store.write_parts([Part(piece, intruder)]) == [not piece]
    assert store.dump() == before


def test_nothing_is_put_under_what_belongs_to_another_project(store: Store) -> None:
    """A run in another's experiment or group, an eval of another's run: all of it is refused, and leaves no trace."""
    store.write_parts([Part(sweep(RUN), OURS)])
    before = store.dump()
    chain = entity("group", uuid_of(200), THEIRS, experiment_id=EXPERIMENT)
    chain.extend(entity("run", NEW, THEIRS, group_id=uuid_of(200)))
    chain.series.append(series(NEW))
    for records in (
        entity("run", NEW, THEIRS, experiment_id=EXPERIMENT), entity("run", NEW, THEIRS, group_id=GROUP),
        entity("group", NEW, THEIRS, experiment_id=EXPERIMENT), entity("eval", NEW, THEIRS, run_id=RUN), chain,
    ):  # fmt: skip
        assert store.write_parts([Part(records, THEIRS)]) == [False]
    assert store.dump() == before


def test_a_refusal_stops_nothing_else(store: Store) -> None:
    """A part is written whole or not at all, and the others of the transaction are written."""
    store.write_parts([Part(sweep(RUN), OURS)])
    parts = [
        Part(Records(series=[series(uuid_of(7)), series(RUN, 100, 5)]), THEIRS),
        Part(Records(series=[series(RUN, 200, 5)]), OURS), Part(Records(series=[series(NEW)]), THEIRS),
    ]  # fmt: skip
    assert store.write_parts(parts) == [False, True, True]
    steps = {row["step"] for row in store.get_metrics(RUN, "loss")}
    assert (not steps & set(range(100, 105)), steps >= set(range(200, 205))) == (True, True)
    assert (store.get_run(uuid_of(7)), len(store.get_metrics(NEW))) == (None, 10)


def test_the_first_project_that_wrote_values_alone_owns_the_run(store: Store) -> None:
    """Before anything is said of a run itself, it has an owner, and so has what it is put under."""
    store.write_parts([Part(Records(series=[series(RUN)]), OURS)])
    assert store.write_parts([Part(entity("run", RUN, THEIRS), THEIRS)]) == [False]
    under = Records(entities=[Entity("run", NEW, 1, False, TIME, OURS, {"experiment_id": EXPERIMENT})])
    store.write_parts([Part(under, OURS)])
    assert store.write_parts([Part(entity("experiment", EXPERIMENT, THEIRS), THEIRS)]) == [False]


def test_of_two_projects_in_one_transaction_the_first_gets_the_id(store: Store) -> None:
    """Also when neither is known yet, and when only values are said."""
    parts = [Part(Records(series=[series(RUN, 0, 5)]), OURS), Part(Records(series=[series(RUN, 5, 5)]), THEIRS)]
    assert store.write_parts(parts) == [True, False]
    assert [row["step"] for row in store.get_metrics(RUN)] == [0, 1, 2, 3, 4]


def test_what_no_project_named_is_anybodys_until_one_does(store: Store) -> None:
    """Senders that name no project share what they write; the first project that claims it has it."""
    for first in (0, 5):
        assert store.write_parts([Part(Records(series=[series(RUN, first, 5)]), None)]) == [True]
    assert store.write_parts([Part(Records(series=[series(RUN, 10, 5)]), OURS)]) == [True]
    assert store.write_parts([Part(Records(series=[series(RUN, 15, 5)]), None)]) == [False]
    assert len(store.get_metrics(RUN)) == 15


def test_what_was_removed_stays_removed_whoever_sends_it(store: Store) -> None:
    """A tombstone belongs to nobody, and burying what another puts under it needs that to be his own."""
    store.write_parts([Part(sweep(RUN), OURS)])
    store.write_parts([Part(entity("experiment", uuid_of(2), THEIRS), THEIRS)])
    store.remove(uuid_of(2))
    before = store.dump()
    assert store.write_parts([Part(entity("run", RUN, THEIRS, experiment_id=uuid_of(2)), THEIRS)]) == [False]
    assert store.dump() == before
    store.remove(EXPERIMENT)
    assert store.write_parts([Part(sweep(RUN), THEIRS)]) == [True]
    assert store.list_runs() == []


def test_projects_that_race_for_a_run_never_share_it(store: Store, store_url: str) -> None:
    """Two connections claim a hundred runs at once: each run has the values of one project alone."""
    run_ids = [uuid_of(1000 + number) for number in range(100)]
    refused: dict[str, set[str]] = {OURS: set(), THEIRS: set()}

    def claim(project_id: str, first: int) -> None:
        with open_store(store_url) as own:
            for run_id in run_ids:
                part = Part(Records(series=[series(run_id, first, 5)]), project_id)
                if own.write_parts([part]) == [False]:
                    refused[project_id].add(run_id)

    threads = [threading.Thread(target=claim, args=pair) for pair in ((OURS, 0), (THEIRS, 50))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (refused[OURS] | refused[THEIRS], refused[OURS] & refused[THEIRS]) == (set(run_ids), set())
    for run_id in run_ids:
        first = 0 if run_id in refused[THEIRS] else 50
        assert [row["step"] for row in store.get_metrics(run_id)] == [*range(first, first + 5)]
