"""``python -m benchmarks.readme`` writes the README's tables of cost and rates from ``benchmarks/results.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
COST = """| 20 metrics a step | one call, median µs | 99.9th percentile µs | added to a step of the loop, µs |
|---|---:|---:|---:|
"""
RATES = """| from the journal to | step values a second |
|---|---:|
"""


def cost_table(training: Mapping[str, Mapping[str, float]]) -> str:
    """Return the table of everybody who logs."""
    return COST + "".join(
        f"| {name} | {row['p50']:,.1f} | {row['p99.9']:,.0f} | {row['added_us']:,.0f} |\n"
        for name, row in training.items()
        if "p50" in row
    )


def rates_table(shipper: Mapping[str, Mapping[str, float]]) -> str:
    """Return the table of the shipper's destinations; rates in thousands, since the machine's speed drifts."""
    return RATES + "".join(
        f"| {name.removeprefix('journal -> ')} | {row['values/s'] / 1000:,.0f},000 |\n" for name, row in shipper.items()
    )


def main() -> None:
    """Rewrite both tables in place."""
    readme = ROOT / "README.md"
    text = readme.read_text()
    results: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results.json").read_text())
    for head, table in ((COST, cost_table(results["training"])), (RATES, rates_table(results["shipper"]))):
        text = re.sub(re.escape(head) + r"(?:\|.*\n)*", lambda _, table=table: table, text)
    readme.write_text(text)


if __name__ == "__main__":
    main()
