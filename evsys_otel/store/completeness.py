"""Receipts, totals and attempts go in; whether a run is whole comes out, and what lacks where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from evsys_otel.store.attempts import FIRST_ATTEMPT, Attempt, AttemptKey
from evsys_otel.store.intervals import Interval, lacking, size
from evsys_otel.store.receipts import NO_KEYSET, StreamKey
from evsys_otel.store.totals import AttemptTotals

State = Literal["whole", "missing", "behind", "unknown"]

SECOND = 1_000_000_000
QUIET_UNIX_NANO = 60 * SECOND
"""Until nothing has arrived for so long after an end, what lacks is called behind."""

SILENT_UNIX_NANO = 300 * SECOND

_WORST_FIRST: tuple[State, ...] = ("missing", "behind", "unknown", "whole")
_SHOWN_GAPS = 3


class Gap(NamedTuple):
    """Numbers of log calls that lack in a series; for ``predictions``, ``evals``, ``checkpoints`` the split is ''.

    ``unattributed`` is what the recorder lost before it could name the series: its intervals only count.
    """

    attempt: int
    split: str
    name: str
    intervals: list[Interval]

    def __str__(self) -> str:
        series = f"{self.split}/{self.name}" if self.split else self.name
        numbers = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in self.intervals[:3])
        more = ", ..." if len(self.intervals) > 3 else ""
        return f"{series} of attempt {self.attempt}: {numbers}{more}"


@dataclass(frozen=True, slots=True)
class AttemptCompleteness:
    """The same said of one attempt."""

    attempt: int
    state: State
    missing: int = 0
    gaps: list[Gap] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Completeness:
    """Whether all that a run's attempts logged is in the store.

    ``whole`` is said only when every attempt heard of told its totals and all of it is here. ``missing`` counts values
    (rows for predictions, evals and checkpoints) that lack; when ``behind`` they may still come.
    """

    state: State
    missing: int = 0
    attempts: list[AttemptCompleteness] = field(default_factory=list)

    @property
    def gaps(self) -> list[Gap]:
        """What lacks, by series."""
        return [gap for attempt in self.attempts for gap in attempt.gaps]

    @property
    def text(self) -> str:
        """One line for people."""
        counted = f"{self.missing} value" + ("" if self.missing == 1 else "s")
        silent = ", ".join(str(each.attempt) for each in self.attempts if each.state == "unknown")
        said: dict[State, str] = {
            "whole": "whole",
            "missing": f"missing {counted}",
            "behind": f"behind by {counted}" if self.missing else "behind: its end is still to come",
            "unknown": f"unknown: no totals of attempt {silent}" if silent else "unknown: no attempt was heard of",
        }
        shown = "; ".join(map(str, self.gaps[:_SHOWN_GAPS]))
        more = f"; and {len(self.gaps) - _SHOWN_GAPS} more series" if len(self.gaps) > _SHOWN_GAPS else ""
        return said[self.state] + (f" ({shown}{more})" if shown else "")


@dataclass(slots=True)
class RunFacts:
    """What is known of one run: attempts, totals and numbers held, by attempt."""

    attempts: dict[AttemptKey, Attempt] = field(default_factory=dict)
    totals: dict[AttemptKey, AttemptTotals] = field(default_factory=dict)
    held: dict[AttemptKey, dict[StreamKey, list[Interval]]] = field(default_factory=lambda: defaultdict(dict))


def judge(facts: RunFacts, now_unix_nano: int) -> Completeness:
    """Return what can be said of a run at a time of the store's clock."""
    keys = set(facts.attempts)
    if keys and all(key.number != FIRST_ATTEMPT.number for key in keys):
        keys.add(FIRST_ATTEMPT)  # attempts count from 1: a later one tells of the first, of which nothing may have come
    newest = max((key.number for key in keys), default=0)
    judged = [
        _judge_attempt(
            facts.attempts.get(key), key.number, facts.totals.get(key), facts.held.get(key, {}),
            now_unix_nano, is_newest=key.number == newest,
        )
        for key in sorted(keys)
    ]
    states = {each.state for each in judged}
    state: State = next((state for state in _WORST_FIRST if state in states), "unknown")
    return Completeness(state, sum(each.missing for each in judged), judged)


def _judge_attempt(
    attempt: Attempt | None, number: int, totals: AttemptTotals | None, held: Mapping[StreamKey, Sequence[Interval]],
    now_unix_nano: int, *, is_newest: bool,
) -> AttemptCompleteness:
    final = _is_final(attempt, totals, held)
    gaps = _gaps_to_totals(number, totals, held) if final and totals is not None else _gaps_within(number, held)
    missing = sum(size(gap.intervals) for gap in gaps)
    if final and not missing:
        return AttemptCompleteness(number, "whole")
    if attempt is not None and _may_still_come(attempt, final, now_unix_nano, is_newest=is_newest):
        return AttemptCompleteness(number, "behind", missing, gaps)
    return AttemptCompleteness(number, "missing" if final else "unknown", missing, gaps)


def _is_final(
    attempt: Attempt | None, totals: AttemptTotals | None, held: Mapping[StreamKey, Sequence[Interval]]
) -> bool:
    """Tell whether the totals are the last word: all parts are here, and nothing came from after or beyond them."""
    if attempt is None or totals is None or not totals.complete or attempt.event_unix_nano > totals.time_unix_nano:
        return False
    return all(
        not intervals or max(last for _, last in intervals) < _expected(totals, key) for key, intervals in held.items()
    )


def _expected(totals: AttemptTotals, key: StreamKey) -> int:
    if key.keyset == NO_KEYSET:
        return totals.counts.get(f"{key.kind}s", 0)
    return totals.calls.get((key.split, key.keyset, key.name), 0)


def _may_still_come(attempt: Attempt, final: bool, now_unix_nano: int, *, is_newest: bool) -> bool:
    """Tell whether to wait: before the end, and for a minute after the last arrival.

    An attempt that fell silent without an end, or was followed by another, is not waited for.
    """
    quiet = now_unix_nano - attempt.received_unix_nano
    if final or attempt.ended or not is_newest:
        return quiet < QUIET_UNIX_NANO
    return quiet < SILENT_UNIX_NANO


def _gaps_to_totals(
    number: int, totals: AttemptTotals, held: Mapping[StreamKey, Sequence[Interval]]
) -> list[Gap]:
    by_stream = {(key.kind, key.split, key.keyset, key.name): intervals for key, intervals in held.items()}
    gaps = [
        Gap(number, split, name, lacking(calls, by_stream.get(("step", split, keyset, name), [])))
        for (split, keyset, name), calls in sorted(totals.calls.items())
    ]
    gaps += [
        Gap(number, "", f"{kind}s", lacking(totals.counts[f"{kind}s"], by_stream.get((kind, "", NO_KEYSET, ""), [])))
        for kind in ("prediction", "eval", "checkpoint")
    ]
    gaps.append(Gap(number, "", "unattributed", lacking(totals.counts["unattributed"], [])))
    return [gap for gap in gaps if gap.intervals]


def _gaps_within(number: int, held: Mapping[StreamKey, Sequence[Interval]]) -> list[Gap]:
    """Return the gaps before what has come: all that can be said without totals."""
    gaps = []
    for key, intervals in sorted(held.items()):
        name = key.name if key.kind == "step" else f"{key.kind}s"
        gaps.append(Gap(number, key.split, name, lacking(max((last for _, last in intervals), default=-1), intervals)))
    return [gap for gap in gaps if gap.intervals]
