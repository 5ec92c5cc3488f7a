"""Several writing processes with overlapping, shuffled deliveries leave the state that one writer leaves."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from kit.store_records import RUN, attempt_records, merged, parents, uuid_of

from evsys_otel.records import Records
from evsys_otel.store import open_store

TESTS = Path(__file__).parent.parent

WRITER = """
import sys
from pickle import load
from kit.store_records import shuffled_batches
from evsys_otel.store import open_store
pieces = load(open(sys.argv[2], "rb"))
with open_store(sys.argv[1]) as store:
    for batch in shuffled_batches(pieces, seed=int(sys.argv[3]), repeat=1, largest=12):
        store.write(batch)
"""


def sweep() -> list[Records]:
    """Return what three runs of a group send, one of them resumed."""
    return [
        *parents(), *attempt_records(RUN, 1, calls=200, piece=9), *attempt_records(RUN, 2, calls=100, first_step=150),
        *attempt_records(uuid_of(101), 1, calls=150), *attempt_records(uuid_of(102), 1, calls=150, piece=40),
    ]


@pytest.mark.real
@pytest.mark.parametrize("writers", [2, 4])
def test_several_writers_leave_the_state_that_one_leaves(store_url: str, tmp_path: Path, writers: int) -> None:
    """Each delivers everything in an order of its own, all at once: no deadlock, nothing lost, nothing double."""
    (tmp_path / "sweep").write_bytes(pickle.dumps(sweep()))
    command = [sys.executable, "-c", WRITER, store_url, str(tmp_path / "sweep")]
    processes = [
        subprocess.Popen([*command, str(seed)], stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(TESTS)})
        for seed in range(writers)
    ]
    errors = [process.communicate()[1].decode() for process in processes]
    assert [error for error in errors if error] == []
    with open_store(store_url) as store, open_store(f"sqlite:///{tmp_path}/alone.db") as alone:
        alone.write(merged(sweep()))
        assert store.dump() == alone.dump()
        assert {run["completeness"] for run in store.list_runs()} == {"whole"}

