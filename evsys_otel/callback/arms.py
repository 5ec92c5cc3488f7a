"""Which run a hook belongs to: arms are opened and closed here, and found again by what their hooks carry.

One context serves all arms of an experiment and is overwritten by each, so that once several are open it says little.
What is an arm's own is its output directory, named after its run key, and, while it runs, its thread.
"""

from __future__ import annotations

import atexit
import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from evsys_otel.callback.payloads import attribute, directory_of, text_of
from evsys_otel.conventions import CANCELLED
from evsys_otel.recorder import Run

KEPT_CLOSED = 256
"""Closed arms that are remembered, for hooks that come late."""

_PARENTS = 3
_REPLACED = re.compile(r"[/ ]")

Outcome = tuple[str, str | None]


def folder_name(key: str) -> str:
    """Return the name that evsys gives to the directory of the arm with this run key."""
    return _REPLACED.sub("_", key)


@dataclass(eq=False, slots=True)
class Arm:
    """A run and what its hooks are known by.

    ``told`` when its start was told, not only guessed from a hook; ``bare`` when it is a loop without an experiment.
    ``outcome`` is set once it is closed.
    """

    run: Run
    key: str
    config: object = None
    directory: str | None = None
    told: bool = True
    bare: bool = False
    thread: int = field(default_factory=threading.get_ident)
    outcome: Outcome | None = None
    rollouts: int = 0
    wandb_url: str | None = None


class Arms:
    """The open arms, and the last of the closed. Thread-safe; ``resume`` continues a run from its handle."""

    def __init__(self, resume: Callable[[str], Run]) -> None:
        self._resume = resume
        self._lock = threading.RLock()
        self._open: list[Arm] = []
        self._closed: deque[Arm] = deque(maxlen=KEPT_CLOSED)
        self._reopened: list[tuple[Arm, Outcome]] = []
        self._by_directory: dict[str, Arm] = {}

    def open(self, arm: Arm) -> Arm:
        """Take up an arm."""
        with self._lock:
            self._open.append(arm)
            self._by_directory.clear()
        return arm

    def close(self, arm: Arm, status: str, error: str | None = None) -> None:
        """End an arm's run, and keep the arm in mind for late hooks."""
        with self._lock:
            arm.outcome = (status, error)
            if arm in self._open:
                self._open.remove(arm)
                self._closed.append(arm)
        arm.run.end(status, error)

    def close_reopened(self) -> None:
        """End the arms that late hooks opened again as they had ended before."""
        with self._lock:
            reopened, self._reopened = self._reopened, []
        for arm, outcome in reopened:
            self.close(arm, *outcome)

    def close_experiment(self, status: str) -> None:
        """End the arms of an experiment that are still open."""
        self.close_reopened()
        with self._lock:
            left = [arm for arm in self._open if not arm.bare]
        for arm in left:
            self.close(arm, status)

    def forget_closed(self) -> None:
        """Forget the closed arms: what comes from now on is of another training."""
        with self._lock:
            self._closed.clear()

    def restart_bare(self, state: Any) -> None:
        """A loop begins: a bare arm of its directory is an earlier loop's, and ends as cancelled if it is open."""
        directory = directory_of(state)
        with self._lock:
            earlier = [arm for arm in (*self._open, *self._closed) if arm.bare and arm.directory == directory]
            for arm in earlier:
                if arm.outcome is None:
                    self.close(arm, CANCELLED)
                self._closed.remove(arm)

    def is_only(self, arm: Arm) -> bool:
        """Tell whether no other arm is open."""
        return self._open == [arm]

    def of_state(self, state: Any) -> Arm | None:
        """Return the arm of a loop's hook: by directory, then by thread, then by the context; None if there is none."""
        directory = directory_of(state)
        arm = None if directory is None else self._by_directory.get(directory)
        if arm is not None and arm.outcome is None:
            return arm
        with self._lock:
            return self._find(directory, attribute(state, "ctx"))

    def of_context(self, ctx: Any) -> Arm | None:
        """Return the arm of an experiment's hook that does not name it: by thread, then by the context."""
        run_id = _run_id(ctx)
        with self._lock:
            arm = _nearest([arm for arm in self._open if not arm.bare], ctx)
            return arm or self._late(lambda closed: closed.run.id == run_id)

    def of_start(self, key: str) -> Arm | None:
        """Return the arm of this run key that hooks began before its start was told, if there is one."""
        with self._lock:
            guessed = [arm for arm in self._open if not (arm.told or arm.bare)]
            return next((arm for arm in guessed if folder_name(arm.key) == folder_name(key)), None)

    def of_end(self, ctx: Any, result: Any) -> Arm | None:
        """Return the open arm that a result is of: by its name, then its run id, then as of any other hook."""
        name = text_of(attribute(result, "name")) or text_of(attribute(ctx, "run_key"))
        run_id = attribute(result, "run_id")
        with self._lock:
            arms = [arm for arm in self._open if not arm.bare]
            named = [arm for arm in arms if arm.key == name]
            if named:
                return _nearest(named, ctx) or named[-1]
            if any(arm.key == name for arm in self._closed):
                return None
            return next((arm for arm in arms if arm.run.id == run_id), None) or _nearest(arms, ctx)

    def has_ended(self, result: Any) -> bool:
        """Tell whether the end of this arm was told before."""
        name = text_of(attribute(result, "name"))
        with self._lock:
            return any(arm.key == name for arm in self._closed)

    def _find(self, directory: str | None, ctx: Any) -> Arm | None:
        arms = [arm for arm in self._open if not arm.bare or arm.directory == directory]
        named = _named_after(directory, arms)
        arm: Arm | None
        if named:
            arm = named[0] if len(named) == 1 else _nearest(named, ctx) or named[-1]
        else:
            late = None if directory is None else self._late(lambda closed: closed.directory == directory)
            arm = late or _nearest(arms, ctx)
        if arm is not None and directory is not None and len(named) <= 1:
            arm.directory = directory
            self._by_directory[directory] = arm
        return arm

    def _late(self, matches: Callable[[Arm], bool]) -> Arm | None:
        """Return the closed arm that a late hook is of, its run open again as the next attempt."""
        arm = next((arm for arm in reversed(self._closed) if matches(arm)), None)
        if arm is None or arm.outcome is None:
            return None
        run = self._resume(arm.run.handle)
        if not self._reopened:
            atexit.register(self.close_reopened)
        self._closed.remove(arm)
        self._reopened.append((arm, arm.outcome))
        arm.run, arm.outcome, arm.thread = run, None, 0
        return self.open(arm)


def _named_after(directory: str | None, arms: list[Arm]) -> list[Arm]:
    """Return the arms that the directory, or else one of the next above it, is named after."""
    for part in reversed(PurePath(directory or "").parts[-_PARENTS:]):
        named = [arm for arm in arms if folder_name(arm.key) == part]
        if named:
            return named
    return []


def _nearest(arms: list[Arm], ctx: Any) -> Arm | None:
    """Return the arm of this thread, the newest if there are several; else the one that the context speaks of."""
    here = [arm for arm in arms if arm.thread == threading.get_ident()]
    if here:
        return here[-1]
    run_id = _run_id(ctx)
    spoken_of = [arm for arm in arms if arm.run.id == run_id]
    if spoken_of:
        return spoken_of[0]
    return arms[0] if len(arms) == 1 and ctx is not None else None


def _run_id(ctx: Any) -> Any:
    return attribute(attribute(ctx, "ids"), "run_id")
