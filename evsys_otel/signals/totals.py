"""The totals of an attempt in, JSON texts of bounded size out; and the end, totals included, of a crashed run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from evsys_otel.conventions import CRASHED
from evsys_otel.events import Lost, RunEnded, StreamTotal
from evsys_otel.signals.state import RunState, StreamState

MAX_PART_BYTES = 256 * 1024
"""About the largest totals text of one log event."""


def totals_texts(end: RunEnded) -> list[str]:
    """Return the JSON texts of an end's totals, each at most about MAX_PART_BYTES; the counts are in each of them."""
    counts = {name: getattr(end, name) for name in ("predictions", "evals", "checkpoints", "unattributed")}
    parts = list(_packed(end.streams)) or [[]]
    return [
        msgspec.json.encode({"part": number, "parts": len(parts), "keysets": keysets, **counts}).decode()
        for number, keysets in enumerate(parts, start=1)
    ]


def _packed(streams: Sequence[StreamTotal]) -> Iterator[list[dict[str, Any]]]:
    part: list[dict[str, Any]] = []
    size = 0
    for stream in streams:
        for names in _split_names(stream.names):
            keyset = {"split": stream.split, "keyset": stream.keyset, "names": names, "calls": stream.calls}
            added = len(msgspec.json.encode(keyset))
            if part and size + added > MAX_PART_BYTES:
                yield part
                part, size = [], 0
            part.append(keyset)
            size += added
    if part:
        yield part


def _split_names(names: Sequence[str]) -> Iterator[list[str]]:
    """Yield the names in portions of bounded size: a key set may be larger than a part."""
    portion: list[str] = []
    size = 0
    for name in names:
        if portion and size + len(name.encode()) > MAX_PART_BYTES // 2:
            yield portion
            portion, size = [], 0
        portion.append(name)
        size += len(name.encode()) + 3
    yield portion


def with_lost_facts(end: RunEnded, run: RunState) -> RunEnded:
    """Return an end that counts, as nobody's values, what the journal no longer tells of its run.

    A damaged start or update has no number among the totals, and nothing else would tell of its loss.
    """
    lost = run.lost_declarations + max(0, end.updates - run.updates)
    return msgspec.structs.replace(end, unattributed=end.unattributed + lost) if lost else end


def crashed_end(run: RunState, time_unix_nano: int, losses: Sequence[Lost], unattributed: int) -> RunEnded:
    """Return the end of a run whose process died: totals are what the journal holds and what its header says was lost.

    ``unattributed`` is what cannot be told to be another run's; so is a loss that names no run or no known stream.
    """
    run_number = run.start.run
    calls = {number: stream.next_ordinal for number, stream in run.streams.items()}
    others = {"prediction": run.predictions, "eval": run.evals, "checkpoint": run.checkpoints}
    for lost in losses:
        if lost.run is not None and lost.run != run_number:
            continue
        if lost.kind == "step" and lost.stream in calls:
            calls[lost.stream] = max(calls[lost.stream], lost.next_ordinal)
        elif lost.run is not None and lost.kind in others:
            others[lost.kind] = max(others[lost.kind], lost.next_ordinal)
        else:
            unattributed += lost.values
    return RunEnded(
        time_unix_nano, run_number, run.start.id, CRASHED, attempt=run.start.attempt,
        streams=[_total(stream, calls[number]) for number, stream in run.streams.items()],
        predictions=others["prediction"], evals=others["eval"], checkpoints=others["checkpoint"],
        unattributed=unattributed,
    )


def _total(stream: StreamState, calls: int) -> StreamTotal:
    return StreamTotal(stream.number, stream.split, stream.keyset, stream.names, calls)
