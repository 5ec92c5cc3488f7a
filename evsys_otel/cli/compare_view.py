"""A comparison in, tables side by side out; too many columns for the terminal continue in tables beneath."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from evsys_otel.cli.formats import format_count, format_leaf, format_number, short_id

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from evsys_otel.cli.compare import Column, Comparison, Summary

LABEL_WIDTH, COLUMN_WIDTH, GAP = 26, 19, 2
VALUES_OF_A_CELL = 4


def render(found: Comparison, console: Console) -> Iterator[RenderableType]:
    """Yield for each block of columns that fits: their heads, the configs that differ, and the final metrics."""
    yield from _legend(found)
    for start, stop in blocks(len(found.columns), console.width):
        yield ""
        yield _table(found, start, stop, console.width)
    if not found.config and len(found.columns) > 1:
        yield "[dim]Their configs do not differ.[/]"


def blocks(count: int, width: int) -> list[tuple[int, int]]:
    """Return the ranges of columns that stand side by side in this width, as even as can be."""
    room = max((width - LABEL_WIDTH - GAP) // (COLUMN_WIDTH + GAP), 1)
    tables = -(-count // room)
    size = -(-count // tables) if tables else 1
    return [(start, min(start + size, count)) for start in range(0, count, size)]


def _legend(found: Comparison) -> Iterator[str]:
    from rich.markup import escape

    for letter, column in zip(_letters(len(found.columns)), found.columns, strict=True):
        count = format_count(len(column.runs), "run") + (", mean ± deviation" if len(column.runs) > 1 else "")
        runs = f"  [dim]{count}[/]" if column.kind == "group" else ""
        yield f"[bold]{letter}[/]  {escape(column.name)}  [dim]{column.kind} {short_id(column.id)}[/]{runs}"


def _letters(count: int) -> list[str]:
    return [chr(ord("A") + i) if count <= 26 else str(i + 1) for i in range(count)]


def _table(found: Comparison, start: int, stop: int, width: int) -> RenderableType:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold", show_edge=False)
    # A label gives way before a value does.
    room = max(width - (COLUMN_WIDTH + GAP) * (stop - start) - GAP, 12)
    table.add_column("", overflow="ellipsis", no_wrap=True, max_width=room)
    letters = _letters(len(found.columns))
    for index in range(start, stop):
        table.add_column(letters[index], justify="right", overflow="fold", max_width=max(COLUMN_WIDTH, width // 4))
    if found.config:
        table.add_row("[dim]config, where it differs[/]")
        for row in found.config:
            table.add_row(f"  {escape(row.key)}", *(escape(_values(values)) for values in row.values[start:stop]))
    split_before = None
    for metric in found.metrics:
        if metric.split != split_before:
            if split_before is not None or found.config:
                table.add_row()
            table.add_row(f"[dim]{escape(metric.split)}, last value[/]")
            split_before = metric.split
        cells = [_cell(cell, found.columns[start + offset]) for offset, cell in enumerate(metric.cells[start:stop])]
        table.add_row(f"  {escape(metric.name)}", *cells)
    return table


def _values(values: list[Any]) -> str:
    shown = ", ".join(format_leaf(value) for value in values[:VALUES_OF_A_CELL])
    return f"{shown}, ... ({len(values)})" if len(values) > VALUES_OF_A_CELL else shown or "-"


def _cell(cell: Summary | None, column: Column) -> str:
    """Say a mean with its deviation, and over how many runs where not all of them have a finite value."""
    if cell is None:
        return "[dim]-[/]"
    text = format_number(cell.mean)
    if cell.deviation is not None:
        text += f" ± {cell.deviation:.2g}"
    if cell.finite < len(column.runs) and len(column.runs) > 1:
        text += f" [yellow]({cell.finite} of {len(column.runs)})[/]"
    return text
