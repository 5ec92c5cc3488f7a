"""Rows in, quiet tables out: no lines, heads in dim capitals, long texts cut or folded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from evsys_otel.cli.formats import format_age, format_number, short_id, styled_status

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def plain_table(*columns: str | tuple[str, str]) -> Table:
    """Return a table without lines: heads in dim capitals, columns justified as told."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    for column in columns:
        name, justify = column if isinstance(column, tuple) else (column, "left")
        table.add_column(name, justify=justify, overflow="ellipsis", no_wrap=True)  # type: ignore[arg-type]
    return table


def status_of(row: dict[str, Any]) -> str:
    """Return a run's status, with the view of its liveness where there is one."""
    return styled_status(row["liveness"] or row["status"])


def section(title: str, *body: RenderableType) -> Iterator[RenderableType]:
    """Yield a heading with air above it, and what it heads."""
    yield f"\n[bold]{title}[/]"
    yield from body


def facts_table(pairs: Sequence[tuple[str, str]]) -> Table:
    """Return names in dim beside values that fold."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True, overflow="ellipsis", max_width=32)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, value)
    return table


def runs_table(runs: Sequence[dict[str, Any]], now_unix_nano: int) -> Table:
    """Return runs in a list, the oldest first."""
    from rich.markup import escape

    table = plain_table("ID", "NAME", "STATUS", "DATA", ("STEP", "right"), ("SCORE", "right"), ("STARTED", "right"))
    for run in runs:
        table.add_row(
            f"[bold]{short_id(run['id'])}[/]",
            escape(run["name"]),
            status_of(run),
            styled_status(run["completeness"]),
            format_number(run["last_step"]),
            score_text(run["score"]),
            format_age(run["started_at_unix_nano"], now_unix_nano),
        )
    return table


def score_text(score: Sequence[Any] | None) -> str:
    """Return a score with the name of its metric."""
    from rich.markup import escape

    return "-" if score is None else f"[dim]{escape(score[0])}[/] {format_number(score[1])}"
