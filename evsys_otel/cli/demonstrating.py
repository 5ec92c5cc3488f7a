"""The demo's training in; what `ls` says of its sweep and `show` of its best run, out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from evsys_otel.cli import details, details_view, listing, listing_view
from evsys_otel.cli.access import reading
from evsys_otel.cli.plain import to_plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

    from evsys_otel.cli.output import Output


def demonstrate(out: Output, store_url: str | None, directory: Path, *, quick: bool = False) -> None:
    """Train the sweep, then print the list of experiments and the best run's page.

    Raises:
        ConfigurationError: what the demo needs is not installed, or there is no store to read it from.
    """
    from evsys_otel.demo import run_demo

    with reading(store_url):  # A store that cannot be opened is said before the training, not after it.
        pass
    silence: dict[str, Any] = {"progress": lambda done, total: None} if out.as_json else {}
    done = run_demo(directory, quick=quick, store=store_url, **silence)
    with reading(store_url) as place:
        listed = listing.gather(place, limit=1)
        best = details.gather(place, place.load("run", done.best_run_id))
    found = {**to_plain(done), "listing": listed, "best_run": best}
    out.show(found, lambda console: _render(found, console))


def _render(found: dict[str, Any], console: Console) -> Iterator[RenderableType]:
    run = found["best_run_id"][:8]
    yield "\n[dim]$ evsys-otel ls[/]\n"
    yield from listing_view.render(found["listing"], console)
    yield f"\n[dim]$ evsys-otel show {run}[/]\n"
    yield from details_view.render(found["best_run"], console)
    experiment = found["experiment_id"][:8]
    yield f"\nNext: [bold]evsys-otel compare {experiment}[/] [dim]|[/] [bold]evsys-otel export {run}[/]"
