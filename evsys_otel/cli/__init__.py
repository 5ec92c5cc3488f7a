"""The console script `evsys-otel`: arguments in; text, or JSON, and an exit code out."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 for an error, 2 for wrong usage, 130 when interrupted."""
    argv = sys.argv[1:] if arguments is None else arguments
    if argv == ["--version"]:  # Asked often and by scripts, so that it costs no more than the interpreter's start.
        from evsys_otel._version import __version__

        print(f"evsys-otel {__version__}")
        return 0
    from evsys_otel.cli.entry import run

    return run(argv)
