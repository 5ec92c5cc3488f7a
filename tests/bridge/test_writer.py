"""The writer shares transactions among requests, and keeps one request's fault from the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from evsys_otel.bridge.writer import Busy, GroupWriter, merge
from evsys_otel.errors import StoreError, StoreUnavailable
from evsys_otel.records import Entity, Records
from evsys_otel.store import Part

Refusals = list[frozenset[str]]


class ScriptedStore:
    """Notes the run ids of each transaction; the first one waits until it is let go."""

    def __init__(self, answer: Callable[[list[str]], None] = lambda ids: None) -> None:
        self.transactions: list[list[str]] = []
        self.committed: list[str] = []
        self.entered, self.go_on = threading.Event(), threading.Event()
        self._answer = answer

    def write_parts(self, parts: Sequence[Part]) -> Refusals:
        self.entered.set()
        assert self.go_on.wait(20)
        ids = [entity.id for entity in merge(parts).entities]
        self.transactions.append(ids)
        self._answer(ids)
        self.committed += ids
        return [frozenset(each.id for each in part.records.entities if each.id == "another's") for part in parts]


def parts(*ids: str) -> list[Part]:
    return [Part(Records(entities=[Entity("run", each, 1, False, 1, None, {})]), None) for each in ids]


def write_while_first_waits(store: ScriptedStore, *requests: list[Part]) -> list[BaseException | Refusals | None]:
    """Submit a first request, the others while it is written, and return what became of the others."""
    writer = GroupWriter(store.write_parts)
    first = writer.submit(parts("first"))
    assert store.entered.wait(20)
    futures = [writer.submit(request) for request in requests]
    store.go_on.set()
    writer.close()
    assert first.result(20) == [frozenset()]
    return [future.exception(20) or future.result(20) for future in futures]


def test_what_comes_during_a_write_shares_the_next_transaction() -> None:
    """Ten requests are two transactions."""
    store = ScriptedStore()
    write_while_first_waits(store, *(parts(str(number)) for number in range(9)))
    assert store.transactions == [["first"], [str(number) for number in range(9)]]


def test_each_request_learns_what_was_refused_of_its_own_parts() -> None:
    """In the order of its parts, however many the others had."""
    told = write_while_first_waits(ScriptedStore(), parts("a", "b"), parts("c", "another's"), parts("d"))
    assert told == [[frozenset()] * 2, [frozenset(), frozenset({"another's"})], [frozenset()]]


def fail_on(bad: str, error: Exception) -> Callable[[list[str]], None]:
    def answer(ids: list[str]) -> None:
        if bad in ids:
            raise error

    return answer


@pytest.mark.parametrize("error", [StoreError("no"), RuntimeError("what is this")])
def test_one_bad_request_does_not_fail_the_others(error: Exception) -> None:
    """A transaction that the store refuses is written again request by request."""
    store = ScriptedStore(fail_on("bad", error))
    told = write_while_first_waits(store, parts("a"), parts("bad"), parts("b"))
    assert told == [[frozenset()], error, [frozenset()]]
    assert store.committed == ["first", "a", "b"]


def test_an_outage_is_everybodys() -> None:
    """What may heal is not tried request by request: each sender tries again."""
    error = StoreUnavailable("away")
    store = ScriptedStore(fail_on("b", error))
    assert write_while_first_waits(store, parts("a"), parts("b")) == [error, error]
    assert store.transactions == [["first"], ["a", "b"]]


def test_a_full_queue_is_busy_and_takes_nothing() -> None:
    """Back-pressure instead of an unbounded queue; a request that is alone is always taken."""
    store = ScriptedStore()
    writer = GroupWriter(store.write_parts, max_waiting=15)
    writer.submit(parts("first"))
    assert store.entered.wait(20)
    writer.submit(parts("a", "b"))
    with pytest.raises(Busy):
        writer.submit(parts("c"))
    assert writer.waiting == 20
    store.go_on.set()
    writer.close()
    assert store.committed == ["first", "a", "b"]
    with pytest.raises(Busy):
        writer.submit(parts("late"))


def test_a_transaction_is_bounded() -> None:
    """So that nobody waits for everybody else's work."""
    store = ScriptedStore()
    writer = GroupWriter(store.write_parts, max_together=20)
    futures = [writer.submit(parts("first"))]
    assert store.entered.wait(20)
    futures += [writer.submit(parts(each)) for each in "abcde"]
    store.go_on.set()
    writer.close()
    assert all(future.done() for future in futures)
    assert store.transactions == [["first"], ["a", "b"], ["c", "d"], ["e"]]
