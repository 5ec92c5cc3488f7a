"""The numbers of what arrived go in, interval sets come out: a union, so that repetition and order change nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import bindparam, delete, insert, select

from evsys_otel.records import Records
from evsys_otel.store.database import Transaction
from evsys_otel.store.intervals import Interval, unite
from evsys_otel.store.locks import pieces
from evsys_otel.store.numbers import Numbers
from evsys_otel.store.schema import receipts as table
from evsys_otel.store.texts import key_text

NO_KEYSET = -1


class StreamKey(NamedTuple):
    """What is numbered from 0: one name of a key set's calls in a split, or an attempt's evals and so on."""

    run_id: str
    attempt: int
    attempt_id: str
    kind: str
    split: str
    keyset: int
    name: str


def write_receipts(tx: Transaction, numbers: Numbers, said: Records) -> None:
    """Unite what arrived with what is held; a stream without gaps is one row."""
    arrived = arrivals(said)
    ids = numbers.of(tx, arrived)
    fresh = {ids[key]: unite(intervals) for key, intervals in arrived.items()}
    held = _held_near(tx, fresh)
    gone: list[dict[str, int]] = []
    come: list[dict[str, int]] = []
    for stream, intervals in sorted(fresh.items()):
        before = set(held[stream])
        after = set(unite([*before, *intervals]))
        gone += [{"stream_": stream, "last_": last} for _, last in sorted(before - after)]
        come += [{"stream": stream, "first": first, "last": last} for first, last in sorted(after - before)]
    if gone:
        matches = (table.c.stream == bindparam("stream_")) & (table.c.last == bindparam("last_"))
        tx.conn.execute(delete(table).where(matches), gone)
    if come:
        tx.conn.execute(insert(table), come)


def arrivals(said: Records) -> dict[StreamKey, list[Interval]]:
    """Return the numbers that the records bear; a value without one is in no stream."""
    arrived: dict[StreamKey, list[Interval]] = defaultdict(list)
    for each in said.series:
        if each.keyset is not None and each.ordinal is not None:
            key = StreamKey(
                each.run_id, each.attempt, each.attempt_id, "step", key_text(each.split), each.keyset,
                key_text(each.name),
            )
            arrived[key].append((each.ordinal, each.ordinal + len(each.values) - 1))
    for receipt in said.receipts:
        key = StreamKey(receipt.run_id, receipt.attempt, receipt.attempt_id, receipt.kind, "", NO_KEYSET, "")
        arrived[key].append((receipt.first, receipt.first + receipt.count - 1))
    return arrived


def _held_near(tx: Transaction, fresh: Mapping[int, Iterable[Interval]]) -> dict[int, list[Interval]]:
    """Return the intervals held that what arrived can touch; the key's order finds them without reading all gaps."""
    held: dict[int, list[Interval]] = defaultdict(list)
    for streams in pieces(sorted(fresh)):
        spans = [interval for stream in streams for interval in fresh[stream]]
        if not spans:
            continue
        low, high = min(first for first, _ in spans) - 1, max(last for _, last in spans) + 1
        near = select(table.c.stream, table.c.first, table.c.last).where(
            table.c.stream.in_(streams), table.c.last >= low, table.c.first <= high
        )
        for stream, first, last in tx.conn.execute(near):
            held[stream].append((first, last))
    return held
