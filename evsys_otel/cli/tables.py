"""Rows in, quiet tables out: no lines, heads in dim capitals, long texts cut or folded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from evsys_otel.cli.formats import format_age, format_number, short_id, styled_status

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text


NAMED_SCORES_WIDTH = 100
_ROOM = ((76, 7), (64, 6), (52, 5), (0, 4))
"""From which width on a list has how many of its columns."""


def plain_table(*columns: str | tuple[str, str]) -> Table:
    """Return a table with these heads; a head in a pair is justified as its second says."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    for column in columns:
        name, justify = column if isinstance(column, tuple) else (column, "left")
        # Of a table that is too wide the names give way, to an ellipsis, and nothing else does.
        table.add_column(name, justify=justify, overflow="ellipsis", no_wrap=name != "NAME")  # type: ignore[arg-type]
    return table


def name_text(name: str, style: str = "", *, indent: int = 0) -> Text:
    """Return a name for a table's NAME column: one line, whatever is in it."""
    from rich.text import Text

    return Text(" " * indent + " ".join(name.split()), style=style, no_wrap=True, overflow="ellipsis")


def facts_table(pairs: Sequence[tuple[str, str]]) -> Table:
    """Return names in dim beside values that fold."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True, overflow="ellipsis", max_width=32)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, value)
    return table


def listed_table(size: str, best: str, width: int) -> Table:
    """Return a table of experiments or runs with the columns that a width has room for; add rows with `add_listed`."""
    numbers = ((size, "right"), (best, "right"), ("STARTED", "right"))
    columns: list[str | tuple[str, str]] = ["ID", "NAME", "STATUS", "DATA", *numbers]
    return plain_table(*columns[: next(count for limit, count in _ROOM if width >= limit)])


def add_listed(table: Table, *cells: RenderableType) -> None:
    """Add a row of :func:`listed_table`, all seven cells of it, of which those that have no column are left out."""
    table.add_row(*cells[: len(table.columns)])


def runs_table(runs: Sequence[dict[str, Any]], now_unix_nano: int, width: int) -> Table:
    """Return runs in a list, the oldest first."""
    table = listed_table("STEP", "SCORE", width)
    for run in runs:
        add_listed(
            table,
            f"[bold]{short_id(run['id'])}[/]",
            name_text(run["name"]),
            status_of(run),
            data_text(run),
            format_number(run["last_step"]),
            score_text(run["score"], width),
            format_age(run["started_unix_nano"], now_unix_nano),
        )
    return table


def section(title: str, *body: RenderableType) -> Iterator[RenderableType]:
    """Yield a heading with air above it, and what it heads."""
    yield f"\n[bold]{title}[/]"
    yield from body


def status_of(row: dict[str, Any]) -> str:
    """Return a run's status, or the view of its liveness where that says more."""
    return styled_status(row["liveness"] or row["status"])


def data_text(row: dict[str, Any]) -> str:
    """Return a completeness with the number of values that lack, `-` where there is nothing to be complete."""
    if row["completeness"] is None:
        return "-"
    count = f" {row['missing']:,}" if row["missing"] else ""
    return styled_status(row["completeness"] + count)


def score_text(score: Sequence[Any] | None, width: int) -> str:
    """Return a score, with the name of its metric where there is room."""
    from rich.markup import escape

    if score is None:
        return "-"
    return (f"[dim]{escape(score[0])}[/] " if width >= NAMED_SCORES_WIDTH else "") + format_number(score[1])
