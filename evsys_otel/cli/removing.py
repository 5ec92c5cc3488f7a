"""A target to remove in, a question to the person out, and afterwards what was removed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from evsys_otel.cli.formats import format_count, short_id
from evsys_otel.cli.output import UsageError

if TYPE_CHECKING:
    from evsys_otel.cli.access import Place, Target


def confirmed(place: Place, target: Target, *, as_json: bool) -> bool:
    """Ask on standard error and return the answer.

    Raises:
        UsageError: nobody is there to be asked.
    """
    if as_json or not sys.stdin.isatty():
        raise UsageError(f"Removing {target.kind} {target.name!r} needs a yes; give --yes.")
    runs = place.runs_of(target)
    extent = f" with {format_count(len(runs), 'run')}" if target.kind != "run" else ""
    question = f"Remove {target.kind} {target.name!r} ({short_id(target.id)}){extent} from {place.label}?"
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def describe(removed: dict[str, Any]) -> str:
    """Return one line that says what is gone."""
    counts = ", ".join(format_count(count, name[:-1]) for name, count in removed["counts"].items() if count)
    return (
        f"Removed {removed['kind']} {removed['name']!r} ({short_id(removed['id'])}){': ' + counts if counts else ''}."
    )
