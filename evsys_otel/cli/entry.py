"""Arguments in, exit code out: runs the command and turns every way in which it can end into a code and a sentence."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TextIO

from evsys_otel.cli.output import UsageError, report_error
from evsys_otel.errors import EvsysOtelError

EXIT_ERROR, EXIT_USAGE, EXIT_INTERRUPTED, EXIT_BROKEN_PIPE = 1, 2, 130, 141
DEBUG = "EVSYS_OTEL_DEBUG"
"""Variable that, when 1, has the traceback of an unexpected error printed."""


def run(arguments: list[str]) -> int:
    """Run one command line; never raises but for SystemExit of the interpreter's own."""
    as_json = "--json" in arguments
    _accept_any_text(sys.stdout)
    _accept_any_text(sys.stderr)
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        return _leave_pipe()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except EvsysOtelError as error:
        code = EXIT_USAGE if isinstance(error, UsageError) else EXIT_ERROR
        return _tell(str(error), kind=type(error).__name__, exit_code=code, as_json=as_json)
    except OSError as error:
        return _tell(_sentence(error), kind=type(error).__name__, exit_code=EXIT_ERROR, as_json=as_json)
    except Exception as error:  # noqa: BLE001 (a fault of ours: who asked gets one sentence all the same)
        return _tell(_unexpected(error), kind=type(error).__name__, exit_code=EXIT_ERROR, as_json=as_json)
    return code


def _invoke(arguments: list[str]) -> int:
    """Call typer and read its exceptions by their shape: the parser beneath it has had several homes."""
    from evsys_otel.cli.app import app

    try:
        result = app(arguments, prog_name="evsys-otel", standalone_mode=False)
    except RuntimeError as error:
        if type(error).__name__ != "Abort":
            raise
        raise KeyboardInterrupt from None
    except Exception as error:
        if not hasattr(error, "format_message") or not hasattr(error, "exit_code"):
            raise
        command = getattr(getattr(error, "ctx", None), "command_path", "evsys-otel")
        message = f"{error.format_message()} See {command} --help."
        return _tell(message, kind="UsageError", exit_code=error.exit_code, as_json="--json" in arguments)
    return result if isinstance(result, int) else 0


def _tell(message: str, *, kind: str, exit_code: int, as_json: bool) -> int:
    try:
        return report_error(message, kind=kind, exit_code=exit_code, as_json=as_json)
    except BrokenPipeError:
        return _leave_pipe()


def _sentence(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}."


def _unexpected(error: Exception) -> str:
    """Return a sentence for what should not happen, after its traceback where `EVSYS_OTEL_DEBUG` asks for one."""
    if os.environ.get(DEBUG) == "1":
        traceback.print_exception(error)
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    return f"Something unexpected went wrong, {said}; {DEBUG}=1 shows where."


def _accept_any_text(stream: TextIO) -> None:
    """Write a character that the terminal's encoding lacks as `?` instead of failing on it."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")


def _leave_pipe() -> int:
    """End as a program does that SIGPIPE ends: quietly, and without the interpreter's flush at exit failing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_BROKEN_PIPE
