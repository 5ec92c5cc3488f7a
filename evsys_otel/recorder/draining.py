"""A position of a journal and a bounded time go in; the wait ends when every lane that can is there."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from evsys_otel.journal import LaneStatus, ShipperStatus
from evsys_otel.recorder.shipping import Shipping, is_acknowledged, lanes_behind

POLL_SECONDS = 0.02
FIRST_WORD_SECONDS = 5.0
"""How long an exit waits for a shipper that has not said a word yet."""
STANDING_SECONDS = {"running": 5.0}
"""How long a lane may stand still before an exit no longer waits for it; a lane that backs off, half a second."""
STANDING_ELSE_SECONDS = 0.5
QUIET_SECONDS = 1.0
REVIVALS = 2
"""How often a shipper that is found dead while it is waited for is started for the rest."""

Say = Callable[[str], None]


def say_on_stderr(line: str) -> None:
    """Write one line to standard error if there is one; never raises."""
    try:
        print(f"evsys: {line}", file=sys.stderr, flush=True)
    except Exception:  # noqa: BLE001 (a stream of the user's may raise anything)
        return


def wait_until_acknowledged(shipping: Shipping, position: int, timeout: float | None) -> bool:
    """Wait until every lane that is not switched off has acknowledged a position; whether they have.

    ``timeout`` is in seconds, None waits without end. A shipper that is dead is started again, twice at most.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    revivals = REVIVALS
    while not is_acknowledged(shipping.status(), position):
        if not shipping.active():
            revivals -= 1
            if revivals < 0 or not shipping.revive():
                return False
        if deadline is not None and time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def wait_for_drain(shipping: Shipping, position: int, deadline: float, say: Say) -> bool:
    """Wait at the process's end for lanes that make progress, until ``deadline`` (monotonic); whether all is out."""
    patience = _Patience()
    revivals = REVIVALS
    begin = time.monotonic()
    told = False
    while not is_acknowledged(status := shipping.status(), position):
        now = time.monotonic()
        if not shipping.active():
            revivals -= 1
            if revivals < 0 or not shipping.revive():
                return False
        if now >= deadline or not _may_progress(status, position, patience, now, begin):
            return False
        if not told and now - begin > QUIET_SECONDS:
            told = True
            seconds = max(1, round(deadline - begin))
            say(f"shipping what was recorded, for at most {seconds} s; the rest goes on without us")
        time.sleep(POLL_SECONDS)
    return True


def _may_progress(status: ShipperStatus | None, position: int, patience: _Patience, now: float, begin: float) -> bool:
    if status is None or not status.lanes:
        return now - begin <= FIRST_WORD_SECONDS
    return any([patience.waits_for(lane, now) for lane in lanes_behind(status, position)])  # noqa: C419 (each is asked)


class _Patience:
    """Remembers when each lane last moved."""

    def __init__(self) -> None:
        self._moved: dict[str, tuple[int, float]] = {}

    def waits_for(self, lane: LaneStatus, now: float) -> bool:
        position, since = self._moved.get(lane.name, (-1, now))
        if lane.position != position:
            self._moved[lane.name] = (lane.position, now)
            return True
        return now - since <= STANDING_SECONDS.get(lane.state, STANDING_ELSE_SECONDS)
