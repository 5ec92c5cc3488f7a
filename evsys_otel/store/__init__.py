"""The store on SQLite or PostgreSQL: idempotent, order-independent upserts, receipts, and reads."""

from __future__ import annotations

from evsys_otel.store.completeness import AttemptCompleteness, Completeness, Gap
from evsys_otel.store.metrics import BestMetric, CurvePoint, FinalMetric
from evsys_otel.store.parts import Part
from evsys_otel.store.store import Store, open_store

__all__ = [
    "AttemptCompleteness", "BestMetric", "Completeness", "CurvePoint", "FinalMetric", "Gap", "Part", "Store",
    "open_store",
]  # fmt: skip
