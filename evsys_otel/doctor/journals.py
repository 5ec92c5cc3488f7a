"""The folder of journals in; what waits, what was parked and why, what is damaged and which lanes are off, out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from evsys_otel.cli.formats import format_bytes, format_count
from evsys_otel.doctor.check import Check, fail, ok, warn
from evsys_otel.doctor.waiting import WaitingJournal, examine_journals

REASONS = 5
"""Reasons of parked records that are told apart; the others are counted."""


def check_journals(root: Path) -> Iterator[Check]:
    """Yield one finding on what waits, and one for each kind of trouble that journals tell of."""
    journals = examine_journals(root)
    yield _waiting(journals)
    yield from _troubles(journals)
    yield from _parked(journals)


def _waiting(journals: list[WaitingJournal]) -> Check:
    left = [journal for journal in journals if journal.state == "waiting"]
    running = sum(journal.state == "running" for journal in journals)
    if left:
        amount = format_bytes(sum(journal.waiting_bytes for journal in left))
        detail = f"{format_count(len(left), 'journal')} left unshipped, {amount}"
        return warn(
            "journals", detail, "run evsys-otel sync", waiting=[journal.id for journal in left], running=running
        )
    shipped = len(journals) - running
    return ok("journals", f"nothing waits ({shipped:,} shipped and kept, {running:,} being written)", running=running)


def _troubles(journals: list[WaitingJournal]) -> Iterator[Check]:
    for journal in journals:
        if journal.state == "unreadable":
            yield fail("journal", f"{journal.id} has no header that can be read", f"look into {journal.path}")
        if journal.damaged_bytes:
            detail = f"{format_bytes(journal.damaged_bytes)} of {journal.id} are damaged and were skipped"
            yield fail("journal", detail, "check the disk; `evsys-otel show RUN` names what is missing")
        if journal.unknown_events:
            detail = f"{format_count(journal.unknown_events, 'event')} of {journal.id} are of a newer version"
            yield warn("journal", detail, "pip install --upgrade evsys-otel, then evsys-otel sync --again RUN")
        for lane in journal.switched_off:
            yield fail("lane", f"{lane} (switched off, {journal.id})", "mend the destination, then run evsys-otel sync")
        if journal.shortened:
            detail = f"texts of {format_count(journal.shortened, 'record')} were shortened for OTLP"
            yield warn("journal", detail, "raise EVSYS_OTEL_OTLP_MAX_RECORD_BYTES if the receiver takes more")
        if journal.rejected:
            detail = f"{format_count(journal.rejected, 'record')} of {journal.id} were rejected in part by the receiver"
            yield warn("journal", detail, "read the receiver's log: partial success names no record")


def _parked(journals: list[WaitingJournal]) -> Iterator[Check]:
    from evsys_otel.shipper.parked import read_parked

    parked = [journal for journal in journals if journal.parked]
    if not parked:
        return
    reasons = Counter((line.lane, line.reason) for journal in parked for line in read_parked(Path(journal.path)))
    for (lane, reason), count in reasons.most_common(REASONS):
        detail = f"{lane}: {format_count(count, 'record')} refused: {reason}"
        yield warn(
            "parked", detail, "mend the cause, then evsys-otel sync --again RUN", lane=lane, reason=reason, count=count
        )
    listed = sum(count for _, count in reasons.most_common(REASONS))
    rest = sum(journal.parked for journal in parked) - listed
    if rest > 0:
        yield warn(
            "parked", f"{format_count(rest, 'more record')} refused", "see parked.jsonl beside the journals", count=rest
        )
