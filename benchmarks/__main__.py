"""``python -m benchmarks [training|shipper|bridge|memory]``: measure, print, write ``benchmarks/results.json``."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results.json"


def show(console: Console, title: str, rows: dict[str, dict[str, float]]) -> None:
    """Print one table: a row a participant, a column a figure."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    table = Table(title=title)
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    for name, row in rows.items():
        table.add_row(name, *(f"{row[column]:,.1f}" if column in row else "-" for column in columns))
    console.print(table)


def with_ratios(rows: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Add to each row how many times ours it takes."""
    mine = rows["evsys-otel"]
    return {
        name: row | {f"{key} / ours": row[key] / mine[key] for key in ("p50",) if key in row}
        for name, row in rows.items()
    }


def main() -> None:
    """Measure what is asked for, all by default."""
    from benchmarks.bridge import measure_bridge
    from benchmarks.memory import measure_memory
    from benchmarks.shipping import measure_shipping
    from benchmarks.training import measure_training

    parts = {
        "training": measure_training, "shipper": measure_shipping, "bridge": measure_bridge, "memory": measure_memory,
    }  # fmt: skip
    console = Console()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in sys.argv[1:] or list(parts):
        rows = parts[name]()
        results[name] = rows
        show(console, name, with_ratios(rows) if name == "training" else rows)
    results["machine"] = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
