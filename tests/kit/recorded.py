"""A training script goes in; it runs as a process of its own, and the events of the journals that it left come out."""

from __future__ import annotations

import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TypeVar

from kit import processes

from evsys_otel.events import Event, KeySetDeclared, StepLogged, StreamDeclared
from evsys_otel.journal import JournalReader, list_journals

T = TypeVar("T")


def clean_environment(**more: str) -> dict[str, str]:
    """Return this environment without what would change what a recorder does, with errors raised."""
    return processes.clean_environment(**{"EVSYS_OTEL_RAISE": "1", **more})


def run_script(
    source: str, folder: Path, *, name: str = "train.py", timeout: float = 60, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run a script with ``folder`` as its own and working directory; its journals are in ``folder/.evsys/journal``."""
    script = folder / name
    script.write_text(textwrap.dedent(source))
    environ.setdefault("EVSYS_OTEL_MODE", "journal")
    return subprocess.run(
        [sys.executable, str(script)], cwd=folder, env=clean_environment(**environ), capture_output=True, text=True,
        timeout=timeout, check=False,
    )


def journals(folder: Path) -> list[Path]:
    """Return the journals below ``folder/.evsys``, oldest first."""
    root = folder / ".evsys" / "journal"
    return sorted((journal.path for journal in list_journals(root)), key=lambda path: path.stat().st_ctime_ns)


def read_events(journal: Path) -> list[Event]:
    """Return every event of a journal, which must be undamaged."""
    reader = JournalReader(journal)
    events: list[Event] = []
    while True:
        chunk = reader.read()
        assert chunk.damage == []
        if not chunk.events:
            return events
        events += chunk.events


def only_events(folder: Path) -> list[Event]:
    """Return the events of the only journal below ``folder/.evsys``."""
    (journal,) = journals(folder)
    return read_events(journal)


def of_kind(events: list[Event], kind: type[T]) -> list[T]:
    """Return the events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def steps_of(events: list[Event]) -> list[tuple[int, str, int, dict[str, float]]]:
    """Return every log call as (run's number, split, step, values by name), checking that it was declared before."""
    keysets: dict[int, list[str]] = {}
    streams: dict[int, StreamDeclared] = {}
    ordinals: dict[int, int] = {}
    found = []
    for event in events:
        if isinstance(event, KeySetDeclared):
            keysets[event.keyset] = event.names
        elif isinstance(event, StreamDeclared):
            streams[event.stream] = event
        elif isinstance(event, StepLogged):
            stream = streams[event.stream]
            names = keysets[stream.keyset]
            assert event.ordinal == ordinals.get(event.stream, 0)
            ordinals[event.stream] = event.ordinal + 1
            values = struct.unpack(f"<{len(names)}d", event.values)
            found.append((stream.run, stream.split, event.step, dict(zip(names, values, strict=True))))
    return found

