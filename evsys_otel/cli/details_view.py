"""What `show` gathered in; a run on one page, or the runs of a group or experiment, out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from evsys_otel.cli.compare import flatten
from evsys_otel.cli.curves import draw_curves
from evsys_otel.cli.formats import (
    STATUS_STYLES,
    format_age,
    format_count,
    format_duration,
    format_leaf,
    format_number,
    format_time,
    short_id,
    styled_status,
)
from evsys_otel.cli.output import speaks_unicode
from evsys_otel.cli.tables import data_text, facts_table, name_text, plain_table, runs_table, section, status_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

SIDE_BY_SIDE_WIDTH = 110
"""Columns from which two charts stand side by side."""
WIDEST_CHART = 100
CHART_LINES = 12
"""Lines of a chart with the one above it."""
GAPS, CONFIG_LINES, METRIC_LINES, RECORD_LINES = 12, 40, 30, 20
"""Lines of each kind that are shown; the rest is counted, and whole with --json."""


def render(found: dict[str, Any], console: Console, *, log: bool = False) -> Iterator[RenderableType]:
    """Yield the page of a run, a group or an experiment."""
    if found["kind"] == "run":
        yield from _run(found, console, log=log)
    elif found["kind"] == "group":
        yield _title("group", found["group"])
        yield facts_table(_pairs({"experiment": _named(found["experiment"]), "id": found["group"]["id"]}))
        yield from section("runs", runs_table(found["runs"], found["now_unix_nano"], console.width))
    else:
        yield from _experiment(found, console.width)


def charts(curves: Sequence[dict[str, Any]], console: Console, *, log: bool = False) -> Iterator[RenderableType]:
    """Yield a chart for each metric, two side by side where there is room."""
    from rich.table import Table

    both = console.width >= SIDE_BY_SIDE_WIDTH and len(curves) > 1
    width = min((console.width - 4) // 2 if both else console.width - 1, WIDEST_CHART)
    unicode = speaks_unicode(console)
    drawn = [draw_curves(each["name"], each["splits"], width=width, log=log, unicode=unicode) for each in curves]
    for start in range(0, len(drawn), 2 if both else 1):
        yield ""
        if not both:
            yield drawn[start]
            continue
        grid = Table.grid(padding=(0, 4, 0, 0), pad_edge=False)
        grid.add_column(width=width)
        grid.add_column(width=width)
        grid.add_row(*drawn[start : start + 2])
        yield grid


def _run(found: dict[str, Any], console: Console, *, log: bool) -> Iterator[RenderableType]:
    run = found["run"]
    yield _title("run", run)
    yield facts_table(_run_facts(found))
    if run["run_config"]:
        yield from section("config", facts_table(_bounded(_config(run["run_config"]), CONFIG_LINES)))
    if found["metrics"]:
        yield from section("metrics", _metrics_table(found["metrics"]))
        yield from charts(found["curves"], console, log=log)
        if found["undrawn"]:
            yield f"\n[dim]{format_count(found['undrawn'], 'metric')} not drawn; --metric NAME draws one.[/]"
    if found["evals"]:
        yield from section("evals", _evals_table(found["evals"]))
    if found["checkpoints"]:
        yield from section("checkpoints", _checkpoints_table(found["checkpoints"]))


def _run_facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    from rich.markup import escape

    run, completeness, now = found["run"], found["completeness"], found["now_unix_nano"]
    began, ended = run["started_unix_nano"], run["ended_unix_nano"]
    took = f", took {format_duration((ended - began) / 1e9)}" if began and ended else ""
    state = styled_status(completeness["state"])
    pairs = _pairs({
        "experiment": _named(found["experiment"]),
        "group": _named(found["group"]),
        "id": run["id"],
        "status": status_of(run) + (f" [red]{escape(run['error_message'])}[/]" if run.get("error_message") else ""),
        "started": f"{format_time(began)}, {format_age(began, now)}{took}" if began else "",
        "seed": "" if run["seed"] is None else str(run["seed"]),
        "recipe": escape(run["recipe_kind"] or ""),
        "wandb": escape(run.get("wandb_run_url") or ""),
        "predictions": f"{found['predictions']:,}" if found["predictions"] else "",
        "data": state if completeness["state"] == "whole" else _state_text(completeness),
    })  # fmt: skip
    return pairs + _gaps(completeness)


def _state_text(completeness: dict[str, Any]) -> str:
    """Return the state in its colour with what the store says of it; the gaps have lines of their own."""
    from rich.markup import escape

    text = completeness["text"].partition(" (")[0]
    style = STATUS_STYLES.get(completeness["state"], "")
    return f"[{style}]{escape(text)}[/]"


def _gaps(completeness: dict[str, Any]) -> list[tuple[str, str]]:
    """Name what is missing: log calls, by their numbers within the attempt, split and metric."""
    from rich.markup import escape

    lines = []
    for gap in completeness["gaps"]:
        intervals = gap["intervals"]
        calls = ", ".join(f"{first:,}" if first == last else f"{first:,}-{last:,}" for first, last in intervals[:6])
        more = ", ..." if len(intervals) > 6 else ""
        of = f"attempt {gap['attempt']}, " if len(completeness["attempts"]) > 1 else ""
        what = f"{gap['split']} {gap['name']}" if gap["split"] else gap["name"]
        lines.append(("", f"[yellow]{of}{escape(what)}: calls {calls}{more}[/]"))
    return _bounded(lines, GAPS)


def _experiment(found: dict[str, Any], width: int) -> Iterator[RenderableType]:
    from rich.markup import escape

    record, summary, now = found["experiment"], found["summary"], found["now_unix_nano"]
    yield _title("experiment", record)
    began = summary["started_unix_nano"]
    yield facts_table(_pairs({
        "hypothesis": escape(record.get("hypothesis") or ""),
        "conclusion": escape(record.get("conclusion") or ""),
        "id": record["id"],
        "trace id": record["id"].replace("-", ""),
        "status": styled_status(summary["status"]) + _error(record),
        "data": data_text(summary),
        "best": "" if summary["best_score"] is None else format_number(summary["best_score"]),
        "tags": escape(", ".join(record.get("tags") or [])),
        "project": escape(record.get("project_id") or ""),
        "started": f"{format_time(began)}, {format_age(began, now)}" if began else "",
    }))  # fmt: skip
    for group in found["groups"]:
        title = f"{escape(group['name'])}  [dim not bold]group {short_id(group['id'])}[/]"
        yield from section(title, runs_table(group["runs"], now, width))
    if found["runs"]:
        yield from section("runs", runs_table(found["runs"], now, width))


def _error(record: dict[str, Any]) -> str:
    from rich.markup import escape

    return f" [red]{escape(record['error_message'])}[/]" if record.get("error_message") else ""


def _metrics_table(rows: Sequence[dict[str, Any]]) -> Table:
    from rich.markup import escape

    table = plain_table(
        ("SPLIT", "left"), ("NAME", "left"), ("STEP", "right"), ("LAST", "right"), ("MIN", "right"), ("MAX", "right")
    )
    for row in rows[:METRIC_LINES]:
        numbers = (format_number(row[key]) for key in ("step", "last", "min", "max"))
        table.add_row(f"[dim]{escape(row['split'])}[/]", name_text(row["name"]), *numbers)
    if len(rows) > METRIC_LINES:
        table.add_row("", name_text(f"{len(rows) - METRIC_LINES:,} more", "dim"))
    return table


def _evals_table(evals: Sequence[dict[str, Any]]) -> RenderableType:
    from rich.markup import escape

    table = plain_table("NAME", ("STEP", "right"))
    table.add_column("METRICS", overflow="fold")
    for record in evals[-RECORD_LINES:]:
        metrics = "  ".join(
            f"[dim]{escape(name)}[/] {_metric(value)}" for name, value in (record["metrics"] or {}).items()
        )
        table.add_row(name_text(record["name"] or "-"), format_number(record["step"]), metrics or "-")
    return table


def _metric(value: Any) -> str:
    from rich.markup import escape

    return format_number(value) if isinstance(value, (int, float)) else escape(format_leaf(value))


def _checkpoints_table(checkpoints: Sequence[dict[str, Any]]) -> RenderableType:
    from rich.markup import escape

    table = plain_table("LABEL", ("STEP", "right"))
    table.add_column("URI", overflow="fold")
    for record in checkpoints[-RECORD_LINES:]:
        final = " [green]final[/]" if record["is_final"] and record["label"] != "final" else ""
        label = escape(record["label"] or "-") + final
        table.add_row(label, format_number(record["step"]), escape(record["uri"]))
    return table


def _title(kind: str, record: dict[str, Any]) -> str:
    from rich.markup import escape

    return f"[bold]{escape(record['name'] or '-')}[/]  [dim]{kind} {short_id(record['id'])}[/]\n"


def _named(reference: dict[str, Any] | None) -> str:
    from rich.markup import escape

    return f"{escape(reference['name'] or '-')}  [dim]{short_id(reference['id'])}[/]" if reference else ""


def _pairs(facts: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in facts.items() if value]


def _config(config: Any) -> list[tuple[str, str]]:
    from rich.markup import escape

    flat = flatten(config) if isinstance(config, dict) else {"": config}
    return [(escape(key), escape(_cut(format_leaf(value)))) for key, value in flat.items()]


def _cut(text: str, limit: int = 300) -> str:
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text):,} characters)"


def _bounded(lines: list[tuple[str, str]], limit: int) -> list[tuple[str, str]]:
    """Cut a long list, and say how long it was."""
    return (
        lines if len(lines) <= limit else [*lines[:limit], ("", f"[dim]{len(lines) - limit} more; --json has all[/]")]
    )
