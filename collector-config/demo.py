"""The demo's sweep goes through a real agent and a real gateway into a bridge; what each hop saw is printed at the end.

Run by ``make demo-collector``, which builds the collector first and puts the tests' kit on the path.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kit.chains import Chain, running_chain, wait_until_whole
from kit.collectors import Hop, find_collector, scrape
from kit.processes import wait_until
from rich.console import Console
from rich.table import Table

from evsys_otel.demo import run_demo
from evsys_otel.store import open_store

SIGNALS = {"traces": "spans", "metrics": "metric_points", "logs": "log_records"}


def main() -> None:
    """Train, wait until every run is whole behind the collectors, and print the hops."""
    console = Console()
    console.print(f"Collector: {find_collector()}", highlight=False)
    with tempfile.TemporaryDirectory(prefix="evsys-demo-") as name, running_chain(Path(name)) as chain:
        folder = Path(name)
        os.environ.update(chain.agent.endpoint(), EVSYS_OTEL_DIR=str(folder / "trainer"), EVSYS_OTEL_QUIET="1")
        done = run_demo(folder / "output", quick=True)
        with open_store(f"sqlite:///{folder}/trainer/evsys.db") as local:
            trained = local.list_runs(experiment_id=done.experiment_id)
        for run in trained:
            wait_until_whole(chain.store, run["id"])
        wait_until(lambda: chain.tempo.taken("traces"), what="the spans")
        console.print(hops_seen(chain))
        written = bridge_samples(chain, "evsys_bridge_records_total")
        console.print("The bridge wrote", ", ".join(f"{value:,.0f} {labels['kind']}s" for labels, value in written))
        console.print(runs_stored(chain, done.experiment_id))


def hops_seen(chain: Chain) -> Table:
    """Return what each hop took and passed on, by signal."""
    table = Table("hop", *SIGNALS, title="What each hop saw")
    for hop in (chain.agent, chain.gateway):
        table.add_row(f"{hop.name}: received", *received(hop))
        for exporter in sent_to(hop):
            table.add_row(f"{hop.name}: sent to {exporter}", *sent(hop, exporter))
    series = [name for name, _, _ in scrape(f"http://{chain.gateway.prometheus}/metrics") if name.startswith("evsys_")]
    table.add_row("Prometheus' page", "", f"{len(series)} series", "")
    table.add_row("the receiver for Tempo", f"{len(chain.tempo.taken('traces'))}", "", "")
    requests = bridge_samples(chain, "evsys_bridge_requests_total")
    counts = (sum(value for labels, value in requests if labels["signal"] == signal) for signal in SIGNALS)
    table.add_row("bridge: requests", *(f"{count:.0f}" for count in counts))
    return table


def received(hop: Hop) -> Iterator[str]:
    """Yield the items that a collector took, by signal."""
    return (f"{hop.total(f'otelcol_receiver_accepted_{unit}'):.0f}" for unit in SIGNALS.values())


def sent_to(hop: Hop) -> list[str]:
    """Return the exporters by which a collector sent anything."""
    found = hop.own_metrics()
    return sorted({labels["exporter"] for name, labels, _ in found if name.startswith("otelcol_exporter_sent_")})


def sent(hop: Hop, exporter: str) -> Iterator[str]:
    """Yield the items that a collector sent by an exporter, by signal; nothing where it sends none of them."""
    totals = (hop.total(f"otelcol_exporter_sent_{unit}", exporter=exporter) for unit in SIGNALS.values())
    return (f"{total:.0f}" if total else "" for total in totals)


def bridge_samples(chain: Chain, name: str) -> list[tuple[dict[str, str], float]]:
    """Return the bridge's own samples of a name."""
    return [(labels, value) for found, labels, value in scrape(f"http://{chain.bridge.http}/metrics") if found == name]


def runs_stored(chain: Chain, experiment_id: str) -> Table:
    """Return the runs that the store behind the bridge holds."""
    runs = chain.store.list_runs(experiment_id=experiment_id)
    table = Table("run", "status", "values", "whole?", title="What the store behind the bridge holds")
    for run in runs:
        values = len(chain.store.get_metrics(run["id"]))
        table.add_row(run["name"], run["status"], f"{values:,}", run["completeness_text"])
    return table


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
