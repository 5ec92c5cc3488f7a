"""Collectors that drop data on purpose: the run says what is missing, and is mended by sending it again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from kit.chains import TRAIN, running_chain, send_again
from kit.processes import trainer, wait_until

from evsys_otel.store import Completeness, open_store

pytestmark = pytest.mark.real

MINUTE = 60_000_000_000

DROP_ONE_METRIC = """
processors:
  filter/evsys:
    metrics:
      metric: ['name == "evsys.run.loss"']
      datapoint: []
"""

GIVE_UP_AT_ONCE = """
exporters:
  otlp_grpc/bridge:
    timeout: 5s
    retry_on_failure: {enabled: false}
    sending_queue: {storage: null, sizer: requests, queue_size: 2, num_consumers: 1, batch: null}
"""


IN_PARTS = """
import itertools, sys
import evsys_otel

run = evsys_otel.start_run("in parts", quiet=True)
print(run.id, flush=True)
steps = itertools.count()
for line in sys.stdin:
    if line == "end\\n":
        break
    for step in itertools.islice(steps, 10):
        run.log({"loss": step}, step=step)
run.end()
print("ended", flush=True)
"""


def judged_later(store_url: str, run_id: str) -> Completeness:
    """What is said of a run when nothing has come for a minute, so that nothing more is waited for."""
    with open_store(store_url, clock=lambda: time.time_ns() + 10 * MINUTE) as store:
        return store.completeness(run_id)


def test_a_filter_that_drops_a_metric_is_told_by_name_and_number(tmp_path: Path) -> None:
    """The run misses exactly the values that the filter took, and everything else is there."""
    with running_chain(tmp_path, gateway=(DROP_ONE_METRIC,)) as chain:
        with trainer(TRAIN, tmp_path, "100", **chain.agent.endpoint()) as process:
            assert process.wait() == 0
            run_id = process.read_rest()[0]
        wait_until(lambda: chain.store.get_run(run_id) and chain.store.get_run(run_id)["status"] == "completed")  # type: ignore[index]
        wait_until(lambda: len(chain.store.get_metrics(run_id, name="train/acc")) == 100)
        wait_until(lambda: len(chain.store.list_predictions(run_id)) == 20)
        found = judged_later(chain.bridge.store_url, run_id)
        assert (found.state, found.missing) == ("missing", 110)
        assert {(gap.split, gap.name): gap.intervals for gap in found.gaps} == {
            ("train", "loss"): [(0, 99)], ("val", "loss"): [(0, 9)]
        }  # fmt: skip


def test_a_queue_too_small_is_told(tmp_path: Path) -> None:
    """A gateway that gives up drops what comes while the bridge is away: exactly that is missing, until sent again."""
    with running_chain(tmp_path, gateway=(GIVE_UP_AT_ONCE,)) as chain:
        def arrives() -> bool:
            process.say("ten more")
            return len(chain.store.get_metrics(run_id)) > 10

        with trainer(IN_PARTS, tmp_path, **chain.agent.endpoint()) as process:
            run_id = process.read_line()
            process.say("ten more")
            wait_until(lambda: chain.store.get_run(run_id) and len(chain.store.get_metrics(run_id)) == 10)
            chain.bridge.kill()
            process.say("ten more")
            wait_until(lambda: chain.gateway.total("otelcol_exporter_send_failed_metric_points") > 0)
            chain.bridge.start()
            wait_until(arrives, what="the gateway's next connection")
            process.say("end")
            assert process.read_line() == "ended"
            process.wait()
        wait_until(lambda: chain.store.get_run(run_id)["status"] == "completed")  # type: ignore[index]
        wait_until(lambda: chain.agent.total("otelcol_exporter_queue_size") == 0)
        found = judged_later(chain.bridge.store_url, run_id)
        (gap,) = found.gaps
        assert (found.state, gap.name, gap.intervals[0][0]) == ("missing", "loss", 10)
        assert found.missing == sum(last - first + 1 for first, last in gap.intervals) >= 10
        send_again(tmp_path, run_id, chain.agent.endpoint())
        chain.wait_whole(run_id)
