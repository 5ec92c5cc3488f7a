"""Evals, checkpoints, predictions and totals in, as a log event or a span tells them; their records out."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from evsys_otel import conventions as c
from evsys_otel.records import NO_STEP, Checkpoint, KeySetTotal, Prediction, SeriesKind, Totals
from evsys_otel.translate.attributes import INT32_MAX, INT64_MAX, Attributes, clean_name
from evsys_otel.translate.collector import Collector
from evsys_otel.translate.entities import eval_entity
from evsys_otel.translate.statement import Statement

_Count = Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=INT32_MAX)]


class _KeySet(msgspec.Struct):
    split: str
    keyset: _Number
    names: list[str]
    calls: _Count


class _Totals(msgspec.Struct):
    part: _Number
    parts: _Number
    keysets: list[_KeySet] = []
    predictions: _Count = 0
    evals: _Count = 0
    checkpoints: _Count = 0
    unattributed: _Count = 0


_decode_totals = msgspec.json.Decoder(_Totals).decode


def take_eval(collector: Collector, said: Statement, began_unix_nano: int | None = None) -> bool:
    """Take an eval; False when it lacks its id or its run's."""
    eval_id = said.id_of("eval")
    if said.run_id is None or eval_id is None:
        return False
    collector.records.entities.append(eval_entity(eval_id, said, began_unix_nano))
    _note(collector, said, said.run_id, "eval")
    return True


def take_checkpoint(collector: Collector, said: Statement) -> bool:
    """Take a checkpoint; False when it lacks its id, its run's or its uri."""
    attributes = said.attributes
    checkpoint_id, uri = attributes.record_id(c.CHECKPOINT_ID), attributes.uri(c.CHECKPOINT_URI)
    if said.run_id is None or checkpoint_id is None or uri is None:
        return False
    step = attributes.integer(c.STEP)
    collector.records.checkpoints.append(
        Checkpoint(
            run_id=said.run_id,
            id=checkpoint_id,
            uri=uri,
            step=NO_STEP if step is None else step,
            attempt=said.attempt.number,
            attempt_id=said.attempt.id,
            time_unix_nano=said.time_unix_nano,
            ordinal=_ordinal(attributes),
            label=attributes.text(c.CHECKPOINT_LABEL),
            is_final=bool(attributes.flag(c.CHECKPOINT_IS_FINAL)),
            base_model=attributes.text(c.CHECKPOINT_BASE_MODEL),
        )
    )
    _note(collector, said, said.run_id, "checkpoint")
    return True


def take_prediction(collector: Collector, said: Statement, body: Any) -> bool:
    """Take a prediction; False when it lacks its run's id or its kind."""
    told = Attributes(body)
    kind = told.name("kind")
    if said.run_id is None or not kind:
        collector.ignore(told.malformed)
        return False
    attributes = said.attributes
    step = attributes.integer(c.STEP)
    collector.records.predictions.append(
        Prediction(
            run_id=said.run_id,
            eval_id=attributes.record_id(c.EVAL_ID) or "",
            kind=kind,
            step=NO_STEP if step is None else step,
            task_id=told.name("task_id") or "",
            sample_idx=told.integer("sample_idx") or 0,
            attempt=said.attempt.number,
            attempt_id=said.attempt.id,
            time_unix_nano=said.time_unix_nano,
            ordinal=_ordinal(attributes),
            instruction=told.text("instruction"),
            model_output=told.text("model_output"),
            expected=told.text("expected"),
            reward=told.number("reward"),
            advantage=told.number("advantage"),
            metadata=told.json("metadata"),
            shortened=bool(attributes.flag(c.SHORTENED)),
        )
    )
    collector.ignore(told.malformed)
    _note(collector, said, said.run_id, "prediction")
    return True


def take_totals(collector: Collector, said: Statement) -> bool:
    """Take a part of an attempt's totals; False when there is none or it is malformed."""
    text = said.attributes.text(c.RUN_TOTALS)
    if said.run_id is None or text is None:
        return False
    try:
        told = _decode_totals(text)
    except (ValueError, RecursionError):
        return False
    if not 1 <= told.part <= told.parts:
        return False
    keysets = [
        KeySetTotal(clean_name(keyset.split), keyset.keyset, [clean_name(name) for name in keyset.names], keyset.calls)
        for keyset in told.keysets
    ]
    counts = (told.predictions, told.evals, told.checkpoints, told.unattributed)
    collector.records.totals.append(
        Totals(
            said.run_id, said.attempt.number, said.time_unix_nano, told.part, told.parts, keysets, *counts,
            attempt_id=said.attempt.id,
        )
    )
    return True


def _ordinal(attributes: Attributes) -> int | None:
    return attributes.integer(c.ORDINAL, 0, INT64_MAX - 1)


def _note(collector: Collector, said: Statement, run_id: str, kind: SeriesKind) -> None:
    collector.receive(run_id, said.attempt, kind, _ordinal(said.attributes))
    collector.see(run_id, said.attempt, said.time_unix_nano, said.attributes.integer(c.STEP))
