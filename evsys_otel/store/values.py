"""Step values go in, each (series, step) holds the newest: by attempt and time, then the greater value; NaN loses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

from evsys_otel.records import StepSeries
from evsys_otel.store.database import Transaction
from evsys_otel.store.numbers import Numbers
from evsys_otel.store.texts import key_text

PIECE_VALUES = 20_000
"""Values in one statement: what bounds the memory that a large write takes."""

_NEWEST_WINS = """
ON CONFLICT (series, step) DO UPDATE
SET value = excluded.value, attempt = excluded.attempt, time_unix_nano = excluded.time_unix_nano
WHERE (excluded.attempt, excluded.time_unix_nano) > (held.attempt, held.time_unix_nano)
   OR ((excluded.attempt, excluded.time_unix_nano) = (held.attempt, held.time_unix_nano)
       AND (excluded.value > held.value OR (held.value IS NULL AND excluded.value IS NOT NULL)))
"""

# The driver of SQLite makes NULL of NaN; one statement for each row, so that a key may come twice.
_ON_SQLITE = (
    "INSERT INTO evsys_step_values AS held"  # noqa: S608 (constants alone)
    " (series, step, value, attempt, time_unix_nano) VALUES (?, ?, ?, ?, ?)"
    + _NEWEST_WINS
)

# One statement for all rows: sorted, or two writers that redeliver deadlock; each key once, or it is an error.
_ON_POSTGRES = (
    "INSERT INTO evsys_step_values AS held"  # noqa: S608 (constants alone)
    " (series, step, value, attempt, time_unix_nano)"
    " SELECT DISTINCT ON (series, step) series, step, nullif(value, 'NaN'), attempt, time_unix_nano"
    " FROM unnest(%s::bigint[], %s::bigint[], %s::float8[], %s::bigint[], %s::bigint[])"
    " AS new (series, step, value, attempt, time_unix_nano)"
    " ORDER BY series, step, attempt DESC, time_unix_nano DESC, nullif(value, 'NaN') DESC NULLS LAST"
    + _NEWEST_WINS
)

_Row = tuple[int, int, float, int, int]


def write_values(tx: Transaction, numbers: Numbers, series: Sequence[StepSeries]) -> None:
    """Upsert every value; what is the same already costs a look and no write."""
    keys = [(each.run_id, key_text(each.split), key_text(each.name)) for each in series]
    ids = numbers.of(tx, keys)
    placed = sorted(zip([ids[key] for key in keys], series, strict=True), key=lambda pair: (pair[0], pair[1].steps[0]))
    for rows in _pieces(placed):
        if tx.postgres:
            tx.conn.exec_driver_sql(_ON_POSTGRES, tuple(map(_array, zip(*rows, strict=True))))
        else:
            tx.conn.exec_driver_sql(_ON_SQLITE, rows)


def _pieces(placed: Sequence[tuple[int, StepSeries]]) -> Iterator[list[_Row]]:
    rows: list[_Row] = []
    for number, each in placed:
        values = map(float, each.values)
        rows += zip(repeat(number), each.steps, values, repeat(each.attempt), each.times)
        while len(rows) >= PIECE_VALUES:
            yield rows[:PIECE_VALUES]
            rows = rows[PIECE_VALUES:]
    if rows:
        yield rows


def _array(column: Iterable[float]) -> str:
    """Return a column as the text of a PostgreSQL array; the driver's own way takes a microsecond an element."""
    return "{" + ",".join(map(repr, column)) + "}"
