"""The journal's end as the lanes see it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from kit.processes import DEADLINE_SECONDS

from evsys_otel.shipper.backoff import MOST_SECONDS, Backoff
from evsys_otel.shipper.tail import Tail


def in_thread(call: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def assert_ends(thread: threading.Thread) -> None:
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


def test_a_lane_wakes_when_the_journal_grows() -> None:
    """Growth beyond what a lane has read wakes it."""
    tail = Tail()
    waiter = in_thread(lambda: tail.wait_beyond(0, 1000, final=False))
    tail.look(10, final=False)
    assert_ends(waiter)


def test_a_lane_wakes_when_the_writer_is_gone() -> None:
    """The news of the end wakes it, though nothing was written."""
    tail = Tail()
    waiter = in_thread(lambda: tail.wait_beyond(0, 1000, final=False))
    tail.look(0, final=True)
    assert_ends(waiter)
    assert tail.final


def test_lingering_ends_when_the_journal_rests() -> None:
    """A look that finds no growth lets small traffic go, whatever is left of the time."""
    tail = Tail()
    tail.look(10, final=False)
    waiter = in_thread(lambda: tail.linger(1000))
    tail.look(10, final=False)
    assert_ends(waiter)


def test_stopping_ends_every_wait() -> None:
    """Nobody sleeps through the end, not even a back-off of an hour."""
    tail = Tail()
    waiters = [
        in_thread(lambda: tail.pause(3600)),
        in_thread(lambda: tail.wait_beyond(0, 3600, final=False)),
    ]
    tail.stop()
    for waiter in waiters:
        assert_ends(waiter)


def test_back_off_doubles_to_half_a_minute_and_starts_over() -> None:
    """Waiting grows up to its bound, and what was taken resets it."""
    backoff = Backoff(jitter=lambda: 1.0)
    waits = [backoff.next_seconds() for _ in range(10)]
    assert waits[:4] == [0.25, 0.5, 1.0, 2.0]
    assert waits[-1] == MOST_SECONDS
    backoff.reset()
    assert backoff.next_seconds() == 0.25


def test_a_servers_wish_goes_before_our_own() -> None:
    """Retry-After and RetryInfo are obeyed to the second."""
    assert Backoff(jitter=lambda: 0.0).next_seconds(7.5) == 7.5
    assert Backoff(jitter=lambda: 0.0).next_seconds(0.0) == 0.25, "a wish of no wait at all is no wish to be flooded"


def test_jitter_never_makes_a_wait_nothing() -> None:
    """At least half of the time is waited."""
    assert Backoff(jitter=lambda: 0.0).next_seconds() == 0.125
