"""A folder of journals in; deliveries with a progress bar, and a report of what was shipped, out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evsys_otel.cli.access import reading
from evsys_otel.cli.formats import format_count
from evsys_otel.cli.output import UsageError, open_console
from evsys_otel.cli.plain import to_plain
from evsys_otel.errors import ConfigurationError, NotFoundError
from evsys_otel.settings import Settings, resolve_settings

if TYPE_CHECKING:
    from rich.console import RenderableType

    from evsys_otel.shipper.sync import Progress


def sync(
    directory: Path | None, *, again: str | None, to: str | None, store_url: str | None, as_json: bool
) -> dict[str, Any]:
    """Ship and return the report.

    Raises:
        ConfigurationError: the folder is not there.
        NotFoundError: no kept journal holds the run to be sent again.
    """
    from evsys_otel.pipeline import sync_journals

    settings = resolve_settings(store=store_url)
    root = journal_root(directory, settings)
    run_id = _run_id(again, settings) if again else None
    with _progress(quiet=as_json) as tell:
        report = sync_journals(settings, root=root, again=run_id, to=to, progress=tell)  # type: ignore[arg-type]
    if run_id and not report.journals and not report.still_running:
        raise NotFoundError(
            f"No journal below {root} holds the run {run_id}; shipped journals are kept for a while only."
        )
    done: dict[str, Any] = to_plain(report)
    return {"root": str(root), **done}


def journal_root(directory: Path | None, settings: Settings) -> Path:
    """Return the folder that holds journals: the one given, or its `journal` folder, as in `.evsys`.

    Raises:
        ConfigurationError: the folder that was given does not exist.
    """
    if directory is None:
        return settings.journal_root
    if not directory.is_dir():
        raise ConfigurationError(f"{directory} is no folder; give one that holds journals, such as .evsys.")
    return next(
        (path for path in (directory / "journal", directory / ".evsys" / "journal") if path.is_dir()), directory
    )


def render(done: dict[str, Any]) -> Iterator[RenderableType]:
    """Yield one line for what was shipped and one for each thing that was not."""
    if not done["journals"]:
        yield "Nothing was left to ship."
    else:
        amount = f"{format_count(done['events'], 'event')}, {format_count(done['values'], 'step value')}"
        yield f"Shipped {format_count(done['journals'], 'journal')}: {amount}."
    if done["still_running"]:
        yield f"[dim]{format_count(done['still_running'], 'journal')} left to the process that ships it already.[/]"
    if done.get("waiting"):
        yield f"[yellow]{format_count(done['waiting'], 'journal')} could not be shipped whole:[/] evsys-otel doctor"
    if done["parked"]:
        yield f"[yellow]{format_count(done['parked'], 'record')} parked:[/] evsys-otel doctor"
    if done["switched_off"]:
        yield f"[yellow]{format_count(done['switched_off'], 'lane')} switched off:[/] evsys-otel doctor"


def _run_id(again: str, settings: Settings) -> str:
    """Return the run's id, from the store where it knows the run; a whole id needs no store."""
    try:
        with reading(settings.store) as place:
            target = place.find(again, unique=True)
    except (NotFoundError, ConfigurationError):
        return again
    if target.kind != "run":
        raise UsageError(f"{again!r} is a {target.kind}; --again takes a run.")
    return target.id


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Show a bar on standard error where a person looks at it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    with Bars(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn(),
        console=open_console(stderr=True), transient=True,
    ) as bars:  # fmt: skip
        task = bars.add_task("Shipping", total=None)

        def tell(at: Progress) -> None:
            bars.update(
                task, description=f"Journal {at.number} of {at.count}", completed=at.shipped_bytes, total=at.total_bytes
            )

        yield tell
