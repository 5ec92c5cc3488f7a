"""A run's step metrics: log calls go in, numbered steps of declared streams come out; the hot path of the package."""

from __future__ import annotations

import struct
from collections.abc import Callable

from evsys_otel.events import KeySetDeclared, StepLogged, StreamDeclared, StreamTotal
from evsys_otel.recorder.channel import Channel

MAX_KEYSETS = 1_000
"""Key sets of several names in one journal; beyond, each name of a call is logged as a key set of its own."""

INT64_MAX = 2**63 - 1


class Split:
    """The last step of one split of a run, -1 before the first."""

    __slots__ = ("last_step", "name")

    def __init__(self, name: str, last_step: int = -1) -> None:
        self.name = name
        self.last_step = last_step


class Stream:
    """The log calls of one run, split and key set; ``pack`` takes as many numbers as there are names."""

    __slots__ = (
        "_channel", "_encode", "_owner", "calls", "declared", "keyset", "lost", "names", "number", "pack", "split",
    )

    def __init__(self, owner: RunStreams, split: Split, keyset: int, names: tuple[str, ...]) -> None:
        self._owner = owner
        self._channel = owner.channel
        self._encode = owner.channel.encode
        self.number = owner.channel.next_number("stream")
        self.split = split
        self.keyset = keyset
        self.names = names
        self.pack: Callable[..., bytes] = struct.Struct(f"<{len(names)}d").pack
        self.calls = 0
        self.lost = 0
        self.declared = False

    def append(self, step: int | None, values: bytes) -> int | None:
        """Append one log call and return its time, or None when the run has ended; never raises an Exception.

        The call's number is used up whether or not the journal takes it. Without a step it is one more than the
        split's last. Both are taken first, for a signal handler that logs may come between.
        """
        channel = self._channel
        with channel.lock:
            if self._owner.closed:
                return None
            calls = self.calls
            try:
                self.calls = calls + 1
                if step is None:
                    step = min(self.split.last_step + 1, INT64_MAX)
                self.split.last_step = step
                refused = channel.waiting and not channel.catch_up()
                now = channel.clock()
                if now <= channel.last_time_unix_nano:
                    now = channel.after_last(now)
                channel.last_time_unix_nano = now
                if refused or not channel.append_step(self._encode(StepLogged(now, self.number, step, calls, values))):
                    self._lose(calls)
            except BaseException:  # a signal handler raised: what was not logged is not to be missed
                if self.calls == calls + 1:
                    self.calls = calls
                raise
            return now

    def mark_declared(self) -> None:
        """Note that the journal holds the declaration; losses from before it are this stream's from now on."""
        self.declared = True
        if self.lost:
            self._channel.move_loss(
                self._owner.run, self.number, next_ordinal=self.lost, calls=self.lost,
                values=self.lost * len(self.names),
            )

    def total(self) -> StreamTotal:
        """Return how many calls there were, lost ones included."""
        return StreamTotal(self.number, self.split.name, self.keyset, list(self.names), self.calls)

    def _lose(self, call: int) -> None:
        self.lost += 1
        stream, following = (self.number, call + 1) if self.declared else (None, 0)
        self._channel.lose(
            "step", self._owner.run, stream, next_ordinal=following, calls=1, values=len(self.names)
        )


class RunStreams:
    """All streams of one attempt of a run. ``cache`` finds a stream by (split, *names) as the user writes them."""

    def __init__(self, channel: Channel, run: int, last_steps: dict[str, int]) -> None:
        self.channel = channel
        self.run = run
        self.closed = False
        self.cache: dict[tuple[str, ...], Stream] = {}
        self._streams: dict[tuple[str, ...], Stream] = {}
        self._splits = {name: Split(name, step) for name, step in last_steps.items()}

    def find(self, split: str, names: tuple[str, ...]) -> Stream:
        """Return the stream of a split and a key set, declared on its first use."""
        key = (split, *names)
        with self.channel.lock:
            stream = self._streams.get(key)
            if stream is None:
                stream = self._streams.setdefault(key, self._declare(split, names))
            return stream

    def takes_keyset(self, names: tuple[str, ...]) -> bool:
        """Tell whether these names may form a key set, or are to be logged one by one."""
        keysets = self.channel.keysets
        return len(names) == 1 or names in keysets or len(keysets) < MAX_KEYSETS

    def remember(self, key: tuple[str, ...], stream: Stream) -> None:
        """Let ``run.log`` find the stream at once from now on."""
        with self.channel.lock:
            if not self.closed and len(self.cache) < MAX_KEYSETS:
                self.cache[key] = stream

    def split(self, name: str) -> Split:
        """Return a split, new on its first use."""
        return self._splits.setdefault(name, Split(name))

    def last_steps(self) -> dict[str, int]:
        """Return the last step of every split that has one."""
        with self.channel.lock:
            return {split.name: split.last_step for split in self._splits.values() if split.last_step != -1}

    def totals(self) -> list[StreamTotal]:
        """Return every stream's total."""
        return [stream.total() for stream in self._streams.values()]

    def close(self) -> None:
        """Take no more steps; what the user still logs finds no stream."""
        self.closed = True
        self.cache.clear()

    def _declare(self, split: str, names: tuple[str, ...]) -> Stream:
        """Declare a stream; it is known only once it is declared, for a signal handler may log or raise in between."""
        channel = self.channel
        keyset = channel.keysets.get(names)
        if keyset is None:
            keyset = channel.next_number("keyset")
            channel.put(KeySetDeclared(keyset, list(names)))
            keyset = channel.keysets.setdefault(names, keyset)
        stream = Stream(self, self.split(split), keyset, names)
        channel.put(StreamDeclared(stream.number, self.run, split, keyset), run=self.run, then=stream.mark_declared)
        return stream
