"""A user's predictions (mappings or objects, any iterable) go in, rows as the journal holds them come out in pieces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from dataclasses import fields as fields_of
from typing import Any

from evsys_otel.events import PredictionRow
from evsys_otel.normalize import clean_name, clean_text, to_json, to_number, to_step
from evsys_otel.recorder.guard import say_once

PIECE_BYTES = 1024 * 1024
"""About how many bytes of text one event of predictions holds."""

DEFAULT_KIND = "train"

OUTPUT_NAMES = ("model_output", "output", "completion")
"""The names that evsys code gives to the model's text, the first that is present counts."""

_OWN_KEYS = frozenset(
    {"task_id", "sample_idx", "instruction", "expected", "reward", "advantage", "metadata", "kind", "step", "eval_id",
     *OUTPUT_NAMES}
)
_NOT_KEPT = frozenset({"completion_token_ids", "prompt_token_ids"})
"""Token ids repeat the text and are as large as it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where predictions belong: their kind, step and eval; None where a row's own word counts."""

    kind: str | None = None
    step: int | None = None
    eval_id: str | None = None


@dataclass(slots=True)
class Piece:
    """Consecutive rows of one place, about a mebibyte at most."""

    place: Place
    rows: list[PredictionRow] = field(default_factory=list)
    size_bytes: int = 0


def in_pieces(predictions: Iterable[Any], place: Place) -> Iterator[Piece]:
    """Yield the rows in their order, in pieces of one place; what is no row is skipped with one warning.

    Rows of one call and one place with an equal ``task_id`` and no ``sample_idx`` are numbered from 0.
    """
    seen: Counter[tuple[Place, str]] = Counter()
    piece: Piece | None = None
    for fields in _mappings(predictions):
        where = _place_of(fields, place)
        row = _row(fields, where, seen)
        if piece is not None and (piece.place != where or piece.size_bytes >= PIECE_BYTES):
            yield piece
            piece = None
        if piece is None:
            piece = Piece(where)
        piece.rows.append(row)
        piece.size_bytes += _size_bytes(row)
    if piece is not None:
        yield piece


def as_mapping(value: Any) -> Mapping[Any, Any] | None:
    """Return the fields of a mapping, a pydantic model, a dataclass or a plain object as a dict; else None."""
    if isinstance(value, type):
        return None
    try:
        if isinstance(value, Mapping):
            return dict(value)
        for method in ("model_dump", "_asdict"):
            if callable(getattr(value, method, None)):
                dumped = getattr(value, method)()
                return dict(dumped) if isinstance(dumped, Mapping) else None
        if is_dataclass(value):
            return {spec.name: getattr(value, spec.name) for spec in fields_of(value)}
        attributes = getattr(value, "__dict__", None)
    except Exception:  # noqa: BLE001 (the attributes of a user's object are the user's code)
        return None
    return dict(attributes) if isinstance(attributes, dict) else None


def _mappings(predictions: Any) -> Iterator[Mapping[Any, Any]]:
    """Yield the fields of each prediction; a user's iterator that raises ends the call, what came before is kept."""
    if isinstance(predictions, Mapping):
        predictions = [predictions]
    try:
        for prediction in predictions:
            fields = as_mapping(prediction)
            if fields is not None:
                yield fields
                continue
            kind = type(prediction)
            say_once(("row", kind), "a prediction of type %s is no mapping; skipped", kind.__name__)
    except Exception as error:  # noqa: BLE001 (the iterator is the user's)
        say_once(("rows", type(error)), "predictions cannot be read any further: %s", clean_text(error))


def _place_of(fields: Mapping[Any, Any], place: Place) -> Place:
    return Place(
        (_name_or_none(fields.get("kind")) or DEFAULT_KIND) if place.kind is None else place.kind,
        to_step(fields.get("step")) if place.step is None else place.step,
        _text_or_none(fields.get("eval_id")) if place.eval_id is None else place.eval_id,
    )


def _row(fields: Mapping[Any, Any], place: Place, seen: Counter[tuple[Place, str]]) -> PredictionRow:
    task_id = _name_or_none(fields.get("task_id")) or ""
    sample = to_step(fields.get("sample_idx"))
    if sample is None:
        sample = seen[place, task_id]
        seen[place, task_id] += 1
    output = next((fields[name] for name in OUTPUT_NAMES if fields.get(name) is not None), None)
    return PredictionRow(
        task_id, sample, _text_or_none(fields.get("instruction")), _text_or_none(output),
        _text_or_none(fields.get("expected")), _number_or_none(fields.get("reward")),
        _number_or_none(fields.get("advantage")), _metadata(fields),
    )


def _metadata(fields: Mapping[Any, Any]) -> str | None:
    """Return the metadata as JSON text, with the keys that have no place of their own."""
    metadata = fields.get("metadata")
    others = {key: value for key, value in fields.items() if key not in _OWN_KEYS and key not in _NOT_KEPT}
    if not others:
        return None if metadata is None else to_json(metadata)
    own = as_mapping(metadata) if metadata is not None else {}
    return to_json({**others, "metadata": metadata} if own is None else {**others, **own})


def _name_or_none(value: Any) -> str | None:
    return None if value is None else clean_name(value)


def _text_or_none(value: Any) -> str | None:
    if value is None:
        return None
    return to_json(value) if isinstance(value, (Mapping, list, tuple)) else clean_text(value)


def _number_or_none(value: Any) -> float | None:
    return None if value is None else to_number(value)


def _size_bytes(row: PredictionRow) -> int:
    texts = (row.task_id, row.instruction, row.model_output, row.expected, row.metadata)
    return 48 + sum(len(text) for text in texts if text is not None)
