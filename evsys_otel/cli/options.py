"""The options and arguments that several commands share, each described once."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer.core import TyperCommand, TyperGroup


class _PlainFlags:
    """Help in which an option that takes no value is not given the type of one."""

    def get_params(self, context: Any) -> list[Any]:
        params: list[Any] = super().get_params(context)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return params


class Command(_PlainFlags, TyperCommand):
    """A command whose flags are named alone."""


class Group(_PlainFlags, TyperGroup):
    """The commands together, whose flags are named alone."""


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, errors too, and nothing else.")]
StoreUrl = Annotated[
    Optional[str],  # noqa: UP045 (typer reads the annotation at run time, on 3.10 too)
    typer.Option("--store", metavar="URL", help="Store to use in place of the configured one."),
]
Identifier = Annotated[
    str,
    typer.Argument(metavar="ID", help="Beginning of an id, or a name; of equal names the newest.", show_default=False),
]
OptionalIdentifier = Annotated[
    Optional[str],  # noqa: UP045
    typer.Argument(
        metavar="ID", help="Beginning of an id, or a name. Default: the newest that runs.", show_default=False
    ),
]
Identifiers = Annotated[
    list[str],
    typer.Argument(
        metavar="ID", help="Runs, groups or experiments: beginnings of ids, or names.", show_default=False
    ),
]


class Format(str, Enum):
    """How exported rows are written."""

    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"


class What(str, Enum):
    """Which rows are exported."""

    metrics = "metrics"
    predictions = "predictions"
    evals = "evals"
    checkpoints = "checkpoints"


class Configuration(str, Enum):
    """What `collector-config` prints."""

    agent = "agent"
    gateway = "gateway"
    direct = "direct"
    builder = "builder"
    prometheus = "prometheus"
    rules = "rules"
    dashboard = "dashboard"


class Destination(str, Enum):
    """What `sync` ships to."""

    store = "store"
    otlp = "otlp"


OutputFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--output", "-o", metavar="FILE", help="File to write. Default: standard output.", dir_okay=False),
]
