"""Records that a destination refused go in, lines of a journal's ``parked.jsonl`` come out."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_logger = logging.getLogger(__name__)

FILE_NAME = "parked.jsonl"
MAX_FILE_BYTES = 8 * 1024 * 1024
"""Beyond this parked records are only counted; the journal holds them whole in any case."""


@dataclass(frozen=True)
class Parked:
    """One refused record: the destination's reason, and what the record is."""

    lane: str
    description: str
    reason: str


class ParkedFile:
    """The list of a journal's parked records; appending is thread-safe and never raises."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._lock = threading.Lock()

    def append(self, parked: Sequence[Parked]) -> None:
        """Add lines; what cannot be written is said in the log."""
        if not parked:
            return
        text = "".join(json.dumps(vars(line), ensure_ascii=True) + "\n" for line in parked)
        try:
            with self._lock, self._path.open("a", encoding="ascii") as file:
                if file.tell() + len(text) <= MAX_FILE_BYTES:
                    file.write(text)
        except OSError as error:
            _logger.warning("%d parked records could not be listed in %s: %s", len(parked), self._path, error)


def read_parked(folder: Path) -> Iterator[Parked]:
    """Yield the parked records of a journal's folder; lines that cannot be read are left out."""
    try:
        text = (folder / FILE_NAME).read_text(encoding="ascii", errors="replace")
    except OSError:
        return
    yield from filter(None, map(_parse, text.splitlines()))


def _parse(line: str) -> Parked | None:
    try:
        fields: dict[str, Any] = json.loads(line)
        return Parked(str(fields["lane"]), str(fields["description"]), str(fields["reason"]))
    except (ValueError, KeyError, TypeError):
        return None
