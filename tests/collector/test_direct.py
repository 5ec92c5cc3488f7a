"""One collector on one machine: the store, Prometheus and the trace store each get theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.chains import TRAIN, wait_until_whole
from kit.collectors import Bridge, Hop, scrape
from kit.otlp_receiver import OtlpReceiver
from kit.processes import trainer, wait_until

from evsys_otel.store import open_store

pytestmark = pytest.mark.real


def test_direct_mode_fans_out_by_itself(tmp_path: Path) -> None:
    """The runs end whole in the bridge's store, have their series on the page, and their spans in the trace store."""
    store_url = f"sqlite:///{tmp_path}/bridge.db"
    with OtlpReceiver("grpc") as tempo, Bridge(tmp_path, store_url) as bridge, open_store(store_url) as store:
        servers = {"EVSYS_TEMPO": f"127.0.0.1:{tempo.port}", "EVSYS_BRIDGE": bridge.grpc}
        with Hop("direct", tmp_path, **servers) as direct:
            with trainer(TRAIN, tmp_path, "50", **direct.endpoint()) as process:
                *run_ids, _ = (process.read_line() for _ in range(3))
                process.wait()
            for run_id in run_ids:
                wait_until_whole(store, run_id)
            page = scrape(f"http://{direct.prometheus}/metrics")
            shown = [labels["evsys_run_id"] for name, labels, _ in page if name == "evsys_run_train_acc"]
            assert sorted(shown) == sorted(run_ids)
            wait_until(lambda: {span.name for span in tempo.taken("traces")} >= {"run seed=0", "run seed=1"})
