"""What `ls` gathered in, a quiet tree of experiments and runs out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from evsys_otel.cli.formats import (
    format_age,
    format_bytes,
    format_count,
    format_number,
    short_id,
    styled_status,
)
from evsys_otel.cli.tables import plain_table, status_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from evsys_otel.doctor.waiting import WaitingSummary

RUNS_OF_AN_EXPERIMENT = 12
"""Runs listed beneath an experiment; `show` lists the others."""


def render(listing: dict[str, Any], console: Console, *, short: bool = False) -> Iterator[RenderableType]:
    """Yield the table of experiments, or a first step where there are none, and a line for whatever wants attention."""
    if not listing["experiments"]:
        yield f"No experiments in {listing['store']} yet. [dim]`evsys-otel demo` trains some.[/]"
    else:
        yield _table(listing, console, short=short)
    if listing["more"]:
        everything = len(listing["experiments"]) + listing["more"]
        yield f"[dim]{format_count(listing['more'], 'older experiment')}: evsys-otel ls --limit {everything}[/]"
    yield from waiting_lines(listing["journals"])


def waiting_lines(journals: WaitingSummary) -> Iterator[str]:
    """Yield a line for what waits, one for what is parked, one for what is switched off."""
    if journals.waiting:
        amount = format_bytes(journals.waiting_bytes)
        yield f"[yellow]{format_count(journals.waiting, 'journal')} left unshipped ({amount}):[/] evsys-otel sync"
    if journals.parked:
        yield f"[yellow]{format_count(journals.parked, 'record')} parked:[/] evsys-otel doctor"
    if journals.switched_off:
        yield f"[yellow]{format_count(journals.switched_off, 'journal')} with a lane switched off:[/] evsys-otel doctor"


def _table(listing: dict[str, Any], console: Console, *, short: bool) -> Table:
    from rich.markup import escape

    table = plain_table("ID", "NAME", "STATUS", "DATA", ("RUNS", "right"), ("BEST", "right"), ("STARTED", "right"))
    table.columns[1].ratio = None
    table.columns[0].min_width = 8
    now, name_before = listing["now_unix_nano"], None
    for experiment in listing["experiments"]:
        repeated = experiment["name"] == name_before
        name_before = experiment["name"]
        if table.row_count and not short:
            table.add_row()
        table.add_row(
            f"[bold]{short_id(experiment['id'])}[/]",
            f"[dim]{escape(experiment['name'])}[/]" if repeated else f"[bold]{escape(experiment['name'])}[/]",
            styled_status(experiment["status"]),
            styled_status(experiment["completeness"]),
            f"{len(experiment['runs']):,}",
            format_number(experiment["best_score"]),
            format_age(experiment["started_at_unix_nano"], now),
        )
        if not short:
            _add_runs(table, experiment, now)
    return table


def _add_runs(table: Table, experiment: dict[str, Any], now: int) -> None:
    from rich.markup import escape

    shown = experiment["runs"][-RUNS_OF_AN_EXPERIMENT:]
    for run in shown:
        table.add_row(
            f"[dim]{short_id(run['id'])}[/]",
            f"  {escape(run['name'])}",
            status_of(run),
            styled_status(run["completeness"]),
            "",
            format_number(run.get("best_score")),
            format_age(run["started_at_unix_nano"], now),
        )
    hidden = len(experiment["runs"]) - len(shown)
    if hidden:
        table.add_row("", f"  [dim]{hidden:,} earlier: evsys-otel show {short_id(experiment['id'])}[/]")
