"""A run or experiment in; what it does now, again and again, until it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from evsys_otel.cli.access import started
from evsys_otel.cli.details import gather
from evsys_otel.cli.details_view import CHART_LINES, SIDE_BY_SIDE_WIDTH, charts
from evsys_otel.cli.formats import format_count, format_duration, format_number, short_id, styled_status
from evsys_otel.cli.output import print_json
from evsys_otel.cli.tables import runs_table, status_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from evsys_otel.cli.access import Place, Target
    from evsys_otel.cli.output import Output

RUNNING = "running"


def watch(
    place: Place,
    identifier: str | None,
    out: Output,
    *,
    interval_seconds: float,
    once: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show the target until it has ended: live on a terminal, else a line whenever something has changed.

    Without an identifier it is the newest experiment that runs; when none does, that is said. With JSON each look is
    one line.

    Raises:
        NotFoundError: the identifier names nothing, or what it named was removed meanwhile.
    """
    target = place.find(identifier) if identifier else newest_running(place)
    if target is None:
        out.show_line({"running": False}, "Nothing runs at the moment.")
        return
    looks = _looks(place, target, interval_seconds, once=once, sleep=sleep)
    if out.as_json:
        for look in looks:
            print_json(look, indent=None)
    elif out.console.is_terminal and not once:
        _live(looks, out.console)
    else:
        _lines(looks, out.console, whole=once)


def newest_running(place: Place) -> Target | None:
    """Return the newest experiment that runs, None when none does."""
    running = [record for record in place.store.list_experiments() if record["status"] == RUNNING]
    return place.load("experiment", max(running, key=started)["id"]) if running else None


def has_ended(look: dict[str, Any]) -> bool:
    """Return whether there is nothing more to come."""
    if look["kind"] == "run":
        return bool(look["run"]["status"] != RUNNING)
    runs = _runs(look)
    own = look[look["kind"]]["status"]
    return own != RUNNING and all(run["status"] != RUNNING for run in runs)


def render(look: dict[str, Any], console: Console) -> Iterator[RenderableType]:
    """Yield a page: a line of state, then the curves of a run, or the list of runs."""
    from rich.markup import escape

    record = look[look["kind"]]
    named = f"[bold]{escape(record['name'] or '-')}[/]  [dim]{look['kind']} {short_id(record['id'])}[/]"
    yield f"{named}  {state_line(look)}"
    if look["kind"] == "run":
        yield from charts(_fitting(look["curves"], console), console)
    else:
        yield ""
        yield runs_table(_runs(look), look["now_unix_nano"], console.width)


def state_line(look: dict[str, Any]) -> str:
    """Return status, step, completeness and running time in one line of markup."""
    if look["kind"] != "run":
        runs = _runs(look)
        running = sum(run["status"] == RUNNING for run in runs)
        count = format_count(len(runs), "run")
        extent = f"{running:,} of {count} running" if running else count
        return f"{styled_status(look[look['kind']]['status'])}  {extent}"
    run = look["run"]
    until = run["ended_unix_nano"] or look["now_unix_nano"]
    took = format_duration((until - started(run)) / 1e9) if started(run) else "-"
    steps = [row["step"] for row in look["metrics"] if row["step"] is not None]
    step = f"step {format_number(max(steps))}" if steps else "no step yet"
    return f"{status_of(run)}  {step}  {styled_status(look['completeness']['state'])}  [dim]{took}[/]"


def _fitting(curves: list[dict[str, Any]], console: Console) -> list[dict[str, Any]]:
    """Return as many charts as a terminal has lines for: what is redrawn cannot be scrolled back to."""
    if not console.is_terminal:
        return curves
    abreast = 2 if console.width >= SIDE_BY_SIDE_WIDTH else 1
    return curves[: max((console.height - 2) // CHART_LINES, 1) * abreast]


def _looks(
    place: Place, target: Target, interval_seconds: float, *, once: bool, sleep: Callable[[float], None]
) -> Iterator[dict[str, Any]]:
    while True:
        look = gather(place, target)
        yield look
        if once or has_ended(look):
            return
        sleep(interval_seconds)
        target = place.load(target.kind, target.id)


def _live(looks: Iterator[dict[str, Any]], console: Console) -> None:
    from rich.console import Group
    from rich.live import Live

    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        for look in looks:
            live.update(Group(*render(look, console)), refresh=True)


def _lines(looks: Iterator[dict[str, Any]], console: Console, *, whole: bool) -> None:
    """Print one page for one look, else a line for each look that differs from the one before."""
    before = ""
    for look in looks:
        if whole:
            for piece in render(look, console):
                console.print(piece)
            continue
        line = state_line(look)
        steady = line.rpartition("  [dim]")[0] or line
        if steady != before:
            console.print(line, soft_wrap=True)
        before = steady


def _runs(look: dict[str, Any]) -> list[dict[str, Any]]:
    return [run for group in look.get("groups", []) for run in group["runs"]] + list(look.get("runs", []))
