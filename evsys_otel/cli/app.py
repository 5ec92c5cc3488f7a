"""Every command of `evsys-otel`: parse, call, print. What they do is in the modules that they import when called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from evsys_otel.cli.options import (
    AsJson,
    Command,
    Configuration,
    Destination,
    Format,
    Group,
    Identifier,
    Identifiers,
    OptionalIdentifier,
    OutputFile,
    StoreUrl,
    What,
)
from evsys_otel.cli.output import Output

app = typer.Typer(
    name="evsys-otel",
    cls=Group,
    help="Experiment tracking that is OpenTelemetry: look at the store, ship what is left, find what is wrong.",
    add_completion=False,
    no_args_is_help=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
TRY, LOOK, MOVE, CARE = "Try", "Look", "Export and remove", "Keep in order"


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    as_json: AsJson = False,
) -> None:
    """Experiment tracking that is OpenTelemetry: look at the store, ship what is left, find what is wrong."""
    if version:
        from evsys_otel._version import __version__

        Output(as_json=as_json).show_line({"version": __version__}, f"evsys-otel {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())
    else:
        if as_json:  # Before the command it means what it means after it.
            context.default_map = {context.invoked_subcommand: {"as_json": True}}
        return
    raise typer.Exit


@app.command(cls=Command, rich_help_panel=TRY)
def demo(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder for the checkpoints.", file_okay=False)
    ] = Path("demo-output"),
    quick: Annotated[bool, typer.Option("--quick", help="Train for a sixth of the steps.")] = False,
    as_json: AsJson = False,
    store: StoreUrl = None,
) -> None:
    """Train a small sweep on handwritten digits, then list it and show its best run."""
    from evsys_otel.cli import demonstrating

    demonstrating.demonstrate(Output(as_json=as_json), store, directory, quick=quick)


@app.command(cls=Command, rich_help_panel=LOOK)
def ls(
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, metavar="N", help="Experiments to list, the newest.")
    ] = 20,
    short: Annotated[bool, typer.Option("--short", "-s", help="Leave out the runs.")] = False,
    as_json: AsJson = False,
    store: StoreUrl = None,
) -> None:
    """List experiments and their runs: status, whether whole, best scores; and what waits to be shipped."""
    from evsys_otel.cli import listing, listing_view
    from evsys_otel.cli.access import reading

    with reading(store) as place:
        found = listing.gather(place, limit=limit)
    Output(as_json=as_json).show(found, lambda console: listing_view.render(found, console, short=short))


@app.command(cls=Command, rich_help_panel=LOOK)
def show(
    identifier: Identifier,
    handle: Annotated[
        bool, typer.Option("--handle", help="Print only the handle that continues it elsewhere.")
    ] = False,
    metric: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--metric", "-m", metavar="NAME", help="Metric to draw; may be repeated. Default: the first few."),
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Draw values on a logarithmic axis.")] = False,
    as_json: AsJson = False,
    store: StoreUrl = None,
) -> None:
    """Show a run with its config, curves, evals and checkpoints; or a group or an experiment with its runs."""
    from evsys_otel.cli import details, details_view
    from evsys_otel.cli.access import reading

    out = Output(as_json=as_json)
    with reading(store) as place:
        target = place.find(identifier)
        if handle:
            text = details.handle_of(place, target)
            out.show_line({"id": target.id, "handle": text}, text)
            return
        found = details.gather(place, target, metrics=metric)
    out.show(found, lambda console: details_view.render(found, console, log=log))


@app.command(cls=Command, rich_help_panel=LOOK)
def compare(identifiers: Identifiers, as_json: AsJson = False, store: StoreUrl = None) -> None:
    """Compare runs or groups side by side: where configs differ, last values, mean ± deviation over a group's runs."""
    from evsys_otel.cli import compare as comparing
    from evsys_otel.cli import compare_view, details
    from evsys_otel.cli.access import reading

    with reading(store) as place:
        columns = details.comparison_columns(place, [place.find(identifier) for identifier in identifiers])
    found = comparing.compare(columns)
    Output(as_json=as_json).show(found, lambda console: compare_view.render(found, console))


@app.command(cls=Command, rich_help_panel=LOOK)
def watch(
    identifier: OptionalIdentifier = None,
    interval: Annotated[
        float, typer.Option("--interval", min=0.1, metavar="SECONDS", help="Time between two looks.")
    ] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    as_json: AsJson = False,
    store: StoreUrl = None,
) -> None:
    """Watch a run or an experiment live, until it has ended."""
    from evsys_otel.cli import watching
    from evsys_otel.cli.access import reading

    with reading(store) as place:
        watching.watch(place, identifier, Output(as_json=as_json), interval_seconds=interval, once=once)


@app.command(cls=Command, rich_help_panel=MOVE)
def export(
    identifier: Identifier,
    format: Annotated[Format, typer.Option("--format", "-f", help="Format.")] = Format.csv,
    what: Annotated[What, typer.Option("--what", "-w", help="Rows to export.")] = What.metrics,
    output: OutputFile = None,
    as_json: AsJson = False,
    store: StoreUrl = None,
) -> None:
    """Export a run's, group's or experiment's rows as CSV, JSON Lines or Parquet."""
    from evsys_otel.cli import exporting
    from evsys_otel.cli.access import reading

    job = exporting.plan(format=format.value, what=what.value, output=output, as_json=as_json)
    with reading(store) as place:
        rows = exporting.rows_of(place, place.find(identifier), job.what)
        done = exporting.export(rows, job)
    if output is not None:
        Output(as_json=as_json).show_line(done, f"{done['rows']:,} rows written to {output}")


@app.command(cls=Command, rich_help_panel=MOVE)
def rm(
    identifier: Identifier,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    store: StoreUrl = None,
) -> None:
    """Remove a run, group or experiment from the store, for good: what arrives of it later is dropped."""
    from evsys_otel.cli import removing
    from evsys_otel.cli.access import reading

    with reading(store) as place:
        target = place.find(identifier, unique=True)
        if not yes and not removing.confirmed(place, target, as_json=as_json):
            Output(as_json=as_json).show_line({"removed": False, "id": target.id}, "Nothing was removed.")
            return
        counts = place.store.remove(target.id)
    removed = {"removed": True, "kind": target.kind, "id": target.id, "name": target.name, "counts": counts}
    Output(as_json=as_json).show_line(removed, removing.describe(removed))


@app.command(cls=Command, rich_help_panel=CARE)
def sync(
    directory: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(metavar="DIR", help="Folder with journals. Default: the configured one.", show_default=False),
    ] = None,
    again: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--again", metavar="RUN", help="Send this run once more, from the journals that are kept."),
    ] = None,
    to: Annotated[
        Optional[Destination],  # noqa: UP045
        typer.Option("--to", help="Ship to this destination alone."),
    ] = None,
    as_json: AsJson = False,
    store: StoreUrl = None,
) -> None:
    """Ship what killed processes left behind; safe to repeat, and to run beside a training."""
    from evsys_otel.cli import syncing

    done = syncing.sync(directory, again=again, to=to.value if to else None, store_url=store, as_json=as_json)
    Output(as_json=as_json).show(done, lambda console: syncing.render(done))


@app.command(cls=Command, rich_help_panel=CARE)
def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="Look only: send no marked run.")] = False,
    as_json: AsJson = False,
    store: StoreUrl = None,
) -> None:
    """Say what is configured, reachable, waiting or parked, and how to mend it; then send a marked run to try it."""
    from evsys_otel.cli import doctor_view

    report = doctor_view.examine(store, quick=quick, as_json=as_json)
    if report["failed"]:
        raise typer.Exit(1)


@app.command(cls=Command, rich_help_panel=CARE)
def serve(
    grpc: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--grpc", metavar="HOST:PORT", help="Address for OTLP/gRPC, or none. Default: 127.0.0.1:4317."),
    ] = None,
    http: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--http", metavar="HOST:PORT", help="Address for OTLP/HTTP, or none. Default: 127.0.0.1:4318."),
    ] = None,
    tokens: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--tokens", metavar="FILE", help="Bearer tokens, a line each: token=project+project, or token=*."),
    ] = None,
    tls_certificate: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--tls-certificate", metavar="FILE", help="PEM file of the certificate; turns TLS on."),
    ] = None,
    tls_key: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--tls-key", metavar="FILE", help="PEM file of its key."),
    ] = None,
    tls_client_ca: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--tls-client-ca", metavar="FILE", help="PEM file; clients must show a certificate of it."),
    ] = None,
    as_json: AsJson = False,
    store: StoreUrl = None,
) -> None:
    """Take OTLP from trainings and collectors over gRPC and HTTP, and write it to the store, until SIGTERM."""
    from evsys_otel.cli import serving

    serving.serve(
        Output(as_json=as_json), store_url=store, grpc=grpc, http=http, tokens=tokens,
        certificate=tls_certificate, key=tls_key, client_authority=tls_client_ca,
    )  # fmt: skip


@app.command(cls=Command, rich_help_panel=CARE)
def collector_config(
    name: Annotated[Configuration, typer.Argument(metavar="NAME", help="The file to print.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Print a configuration for an OpenTelemetry Collector, or what Prometheus and Grafana need beside it."""
    from evsys_otel.cli import collecting

    Output(as_json=as_json).show_line(*collecting.read_configuration(name))
