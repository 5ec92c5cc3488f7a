"""Run ids go in, the facts by which their completeness is judged come out, in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from evsys_otel.store.attempts import AttemptKey, attempt_of
from evsys_otel.store.completeness import Completeness, RunFacts, judge
from evsys_otel.store.locks import pieces
from evsys_otel.store.receipts import StreamKey
from evsys_otel.store.schema import attempts, receipts, streams
from evsys_otel.store.totals import read_totals


def read_facts(conn: Connection, run_ids: Sequence[str]) -> dict[str, RunFacts]:
    """Return attempts, totals and receipts of each of the runs."""
    facts = {run_id: RunFacts() for run_id in run_ids}
    for piece in pieces(run_ids):
        for row in conn.execute(select(attempts).where(attempts.c.run_id.in_(piece))).mappings():
            attempt = attempt_of(row)
            facts[attempt.run_id].attempts[attempt.key] = attempt
        names = [streams.c[name] for name in StreamKey._fields]
        joined = select(*names, receipts.c.first, receipts.c.last).join_from(
            streams, receipts, receipts.c.stream == streams.c.id
        )
        for *names_of, first, last in conn.execute(joined.where(streams.c.run_id.in_(piece))):
            stream = StreamKey(*names_of)
            held = facts[stream.run_id].held[AttemptKey(stream.attempt, stream.attempt_id)]
            held.setdefault(stream, []).append((first, last))
    for (run_id, key), totals in read_totals(conn, run_ids).items():
        facts[run_id].totals[key] = totals
    return facts


def read_completeness(conn: Connection, run_ids: Sequence[str], now_unix_nano: int) -> dict[str, Completeness]:
    """Return what can be said of each of the runs now, by the store's clock."""
    return {run_id: judge(facts, now_unix_nano) for run_id, facts in read_facts(conn, run_ids).items()}
