"""What every record must be for a store to hold it, whoever sent the signal."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import msgspec

from evsys_otel.records import Records

INT64 = range(-(2**63), 2**63)
INT32 = range(-(2**31), 2**31)
MAX_ID, MAX_NAME_BYTES, MAX_URI_BYTES = 128, 1024, 2048
JSON_FIELDS = {"config", "metrics", "breakdowns"}


def assert_storable(records: Records) -> None:
    """Fail when a record holds what SQLite or PostgreSQL refuses, or a key that is too long for an index."""
    for kind in ("entities", "series", "predictions", "checkpoints", "receipts", "totals", "seen"):
        for record in getattr(records, kind):
            _assert_plain(astuple(record))
    assert records.ignored >= 0
    _assert_entities(records)
    _assert_series(records)
    for prediction in records.predictions:
        _assert_id(prediction.run_id)
        assert prediction.kind
        assert max(len(prediction.kind.encode()), len(prediction.task_id.encode())) <= MAX_NAME_BYTES
        assert prediction.metadata is None or msgspec.json.decode(prediction.metadata) is not Ellipsis
    for checkpoint in records.checkpoints:
        _assert_id(checkpoint.run_id)
        assert len(checkpoint.uri.encode()) <= MAX_URI_BYTES
    for totals in records.totals:
        _assert_id(totals.run_id)
        assert 1 <= totals.part <= totals.parts
    for receipt in records.receipts:
        assert receipt.first >= 0
        assert receipt.count >= 1
        assert receipt.first + receipt.count in INT64


def _assert_plain(value: Any) -> None:
    if isinstance(value, (tuple, list)):
        for item in value:
            _assert_plain(item)
    elif isinstance(value, dict):
        _assert_plain([*value.keys(), *value.values()])
    elif isinstance(value, str):
        assert "\0" not in value
        value.encode()
    elif isinstance(value, int):
        assert value in INT64
    else:
        assert value is None or type(value) is float


def _assert_id(record_id: str) -> None:
    assert 0 < len(record_id) <= MAX_ID


def _assert_entities(records: Records) -> None:
    for entity in records.entities:
        _assert_id(entity.id)
        assert entity.attempt in INT32
        assert entity.attempt >= 0
        assert all(value is not None for value in entity.fields.values())
        for name in JSON_FIELDS & entity.fields.keys():
            assert isinstance(entity.fields[name], str)
            msgspec.json.decode(entity.fields[name])


def _assert_series(records: Records) -> None:
    for series in records.series:
        _assert_id(series.run_id)
        assert len(series.steps) == len(series.times) == len(series.values) >= 1
        assert all(type(step) is int for step in series.steps)
        assert all(type(time) is int and time > 0 for time in series.times)
        assert all(type(value) is float for value in series.values)
        assert max(len(series.name.encode()), len(series.split.encode())) <= MAX_NAME_BYTES
        assert (series.ordinal is None) == (series.keyset is None)
        if series.ordinal is not None and series.keyset is not None:
            assert series.ordinal >= 0
            assert series.ordinal + len(series.steps) in INT64
            assert series.keyset in INT32
