"""The doctor's findings in, one line each out, with the mend beneath those that need one."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from evsys_otel.cli.output import Output
from evsys_otel.doctor.check import Check
from evsys_otel.settings import resolve_settings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.console import Console, RenderableType

NAME_WIDTH = 18


def examine(store_url: str | None, *, quick: bool, as_json: bool) -> dict[str, Any]:
    """Print every finding as soon as it is known and return ``{checks, failed, warned}``."""
    from evsys_otel import doctor

    settings = resolve_settings(store=store_url)
    out, checks = Output(as_json=as_json), []
    console = out.console
    with _waiting(console, quiet=as_json):
        for check in doctor.examine(settings, quick=quick):
            checks.append(check)
            if not as_json:
                console.print(line_of(check))
    failed, warned = (sum(check.state == state for check in checks) for state in ("fail", "warn"))
    report = {"checks": checks, "failed": failed, "warned": warned}
    out.show(report, lambda _: [summary(failed, warned)])
    return report


def line_of(check: Check) -> RenderableType:
    """Return a finding as a line that folds within its own column."""
    from rich.markup import escape
    from rich.table import Table

    style = {"ok": "green", "warn": "yellow", "fail": "bold red"}[check.state]
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=4)
    grid.add_column(width=NAME_WIDTH, no_wrap=True, overflow="ellipsis")
    grid.add_column(overflow="fold")
    mend = f"\n[{style}]→ {escape(check.mend)}[/]" if check.mend else ""
    grid.add_row(f"[{style}]{check.state}[/]", check.name, escape(check.detail) + mend)
    return grid


def summary(failed: int, warned: int) -> str:
    """Return the last line."""
    if failed:
        return f"\n[bold red]{failed} to mend[/]" + (f", {warned} to look at." if warned else ".")
    return f"\n[yellow]{warned} to look at.[/]" if warned else "\n[green]All is well.[/]"


def _waiting(console: Console, *, quiet: bool) -> AbstractContextManager[Any]:
    """Show that something is going on where a person looks at it: the marked run takes seconds."""
    if quiet or not console.is_terminal:
        return nullcontext()
    return console.status("Looking ...", spinner="dots")
