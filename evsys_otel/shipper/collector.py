"""A process that makes many objects without cycles goes in, a garbage collector that seldom walks them comes out."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (100_000, 20, 100)


@contextmanager
def calm_collector() -> Iterator[None]:
    """Raise the collector's thresholds meanwhile: it costs up to a third of the time of building signals."""
    before = gc.get_threshold()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
