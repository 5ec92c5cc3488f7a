"""What `ls` gathered in, a quiet tree of experiments and runs out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from evsys_otel.cli.formats import format_age, format_bytes, format_count, format_number, short_id, styled_status
from evsys_otel.cli.tables import add_listed, data_text, listed_table, name_text, score_text, status_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from evsys_otel.doctor.waiting import WaitingSummary

RUNS_OF_AN_EXPERIMENT = 12
"""Runs listed beneath an experiment, the newest; `show` lists the others."""


def render(listing: dict[str, Any], console: Console, *, short: bool = False) -> Iterator[RenderableType]:
    """Yield the table of experiments, or a first step where there are none, and a line for whatever wants attention."""
    if listing["experiments"]:
        yield _table(listing, console.width, short=short)
    else:
        yield f"No experiments in {listing['store']} yet. [dim]`evsys-otel demo` trains some.[/]"
    lines = list(_attention(listing))
    if lines:
        yield "\n" + "\n".join(lines)


def _attention(listing: dict[str, Any]) -> Iterator[str]:
    if listing["more"]:
        everything = len(listing["experiments"]) + listing["more"]
        yield f"[dim]{format_count(listing['more'], 'older experiment')}: evsys-otel ls --limit {everything}[/]"
    journals: WaitingSummary = listing["journals"]
    if journals.waiting:
        amount = format_bytes(journals.waiting_bytes)
        yield f"[yellow]{format_count(journals.waiting, 'journal')} left unshipped ({amount}):[/] evsys-otel sync"
    if journals.parked:
        yield f"[yellow]{format_count(journals.parked, 'record')} parked:[/] evsys-otel doctor"
    if journals.switched_off:
        yield f"[yellow]{format_count(journals.switched_off, 'journal')} with a lane switched off:[/] evsys-otel doctor"


def _table(listing: dict[str, Any], width: int, *, short: bool) -> Table:
    table = listed_table("SIZE", "BEST", width)
    now, name_before = listing["now_unix_nano"], None
    for experiment in listing["experiments"]:
        if table.row_count and not short:
            table.add_row()
        add_listed(
            table,
            f"[bold]{short_id(experiment['id'])}[/]",
            name_text(experiment["name"], "dim" if experiment["name"] == name_before else "bold"),
            styled_status(experiment["status"]),
            data_text(experiment),
            format_count(len(experiment["runs"]), "run"),
            format_number(experiment["best_score"]),
            format_age(experiment["started_unix_nano"], now),
        )
        name_before = experiment["name"]
        if not short:
            _add_runs(table, experiment, now, width)
    return table


def _add_runs(table: Table, experiment: dict[str, Any], now: int, width: int) -> None:
    shown = experiment["runs"][-RUNS_OF_AN_EXPERIMENT:]
    hidden = len(experiment["runs"]) - len(shown)
    if hidden:
        hint = f"{hidden:,} earlier: evsys-otel show {short_id(experiment['id'])}"
        table.add_row("", name_text(hint, "dim", indent=2))
    for run in shown:
        add_listed(
            table,
            f"[dim]{short_id(run['id'])}[/]",
            name_text(run["name"], indent=2),
            status_of(run),
            data_text(run),
            "-" if run["last_step"] is None else f"[dim]step[/] {format_number(run['last_step'])}",
            score_text(run["score"], width),
            format_age(run["started_unix_nano"], now),
        )
