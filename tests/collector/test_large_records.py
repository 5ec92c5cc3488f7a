"""2,000 predictions of 20 kB and one of 6 MB through real collectors: as they come, and as they are shipped."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.chains import running_chain, wait_until_whole
from kit.collectors import Bridge, Hop
from kit.processes import trainer

from evsys_otel.store import Store, open_store

pytestmark = pytest.mark.real

DEFAULTS = Path(__file__).with_name("defaults.yaml")
SMALL, LARGE = 20_000, 6_000_000

TRAIN = f"""
import evsys_otel

with evsys_otel.start_run("wordy", quiet=True) as run:
    print(run.id, flush=True)
    text = "x" * {SMALL}
    run.log_predictions({{"kind": "eval", "task_id": i, "output": text}} for i in range(1000))
    run.log_predictions([{{"kind": "eval", "task_id": "long", "output": "y" * {LARGE}}}])
    run.log_predictions({{"kind": "eval", "task_id": i, "output": text}} for i in range(1000, 2000))
"""


def train(folder: Path, **environ: str) -> str:
    with trainer(TRAIN, folder, **environ) as process:
        run_id = process.read_line()
        assert process.wait() == 0
    return run_id


def lengths_of(store: Store, run_id: str) -> dict[str, int]:
    """Return the length of each prediction's text by its task, once the run is whole."""
    wait_until_whole(store, run_id, 90)
    return {row["task_id"]: len(row["model_output"]) for row in store.list_predictions(run_id)}


def test_default_limits_let_everything_through_with_the_largest_shortened(tmp_path: Path) -> None:
    """Two collectors with the limits that they come with: 2,000 whole texts, the long one cut to 3 MiB and marked."""
    store_url = f"sqlite:///{tmp_path}/bridge.db"
    with Bridge(tmp_path, store_url) as bridge:
        second = Hop("defaults", tmp_path, configuration=DEFAULTS, EVSYS_NEXT=bridge.grpc)
        first = Hop("defaults", tmp_path, configuration=DEFAULTS, EVSYS_NEXT=second.grpc)
        with second, first, open_store(store_url) as store:
            run_id = train(tmp_path, **first.endpoint())
            lengths = lengths_of(store, run_id)
            assert len(lengths) == 2001
            assert 1_000_000 < lengths.pop("long") < 3 * 1024 * 1024
            assert set(lengths.values()) == {SMALL}
            assert [row["task_id"] for row in store.list_predictions(run_id) if row["shortened"]] == ["long"]


def test_the_shipped_configurations_carry_it_whole_with_the_bound_raised(tmp_path: Path) -> None:
    """With ``otlp_max_record_bytes`` raised, agent, gateway and bridge pass 6 MB in one record."""
    with running_chain(tmp_path) as chain:
        (tmp_path / "trainer").mkdir()
        raised = {"EVSYS_OTEL_OTLP_MAX_RECORD_BYTES": str(16 * 1024 * 1024)}
        run_id = train(tmp_path / "trainer", **raised, **chain.agent.endpoint())
        lengths = lengths_of(chain.store, run_id)
        assert len(lengths) == 2001
        assert lengths.pop("long") == LARGE
        assert set(lengths.values()) == {SMALL}
        assert not any(row["shortened"] for row in chain.store.list_predictions(run_id))
