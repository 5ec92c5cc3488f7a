"""What a command gathered in; calm text for people, or one JSON document for programs, on standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from evsys_otel.cli.plain import to_json
from evsys_otel.errors import EvsysOtelError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WIDTH_OF_PIPES = 120
"""Columns where no terminal says how wide it is; `COLUMNS` says otherwise."""

Render = Callable[["Console"], Iterable["RenderableType"]]


class UsageError(EvsysOtelError):
    """Arguments that do not fit together; exit code 2, as for those that cannot be parsed."""


class Output:
    """Standard output of one command, as JSON or as text; a closed pipe raises BrokenPipeError."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    @property
    def console(self) -> Console:
        """Return a console on the present standard output."""
        return open_console(stderr=False)

    def show(self, data: Any, render: Render) -> None:
        """Print the data as JSON, or what ``render`` makes of it for a console."""
        if self.as_json:
            print_json(data)
            return
        console = self.console
        for piece in render(console):
            console.print(piece)

    def show_line(self, data: Any, text: str) -> None:
        """Print the data as JSON, or a text alone, neither wrapped nor coloured."""
        print(to_json(data, indent=2) if self.as_json else text, flush=True)


def print_json(data: Any, *, indent: int | None = 2) -> None:
    """Print one JSON document."""
    print(to_json(data, indent=indent), flush=True)


def open_console(*, stderr: bool) -> Console:
    """Return a console that wraps nothing oddly in pipes, highlights nothing and lets a closed pipe be seen."""
    from rich.console import Console

    class PlainConsole(Console):
        def on_broken_pipe(self) -> NoReturn:
            raise BrokenPipeError

    console = PlainConsole(stderr=stderr, highlight=False, emoji=False, soft_wrap=False)
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdecimal():
        console.width = WIDTH_OF_PIPES
    return console


def speaks_unicode(console: Console) -> bool:
    """Return whether braille and box characters reach the reader."""
    return console.encoding.lower().replace("-", "").startswith("utf")


def report_error(message: str, *, kind: str, exit_code: int, as_json: bool) -> int:
    """Say an error in one sentence on standard error, and as JSON on standard output where that was asked for."""
    sentence = " ".join(message.split())
    if as_json:
        print_json({"error": {"kind": kind, "message": sentence, "exit_code": exit_code}})
    print(f"evsys-otel: {sentence}", file=sys.stderr, flush=True)
    return exit_code
