"""One finding of the doctor: what was looked at, how it is, and the mend."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """``detail`` is one clause without a credential; ``mend`` says what to do, None where nothing is to be done."""

    name: str
    state: State
    detail: str
    mend: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def ok(name: str, detail: str, **facts: Any) -> Check:
    """Return a finding that is as it should be."""
    return Check(name, "ok", detail, None, facts)


def warn(name: str, detail: str, mend: str, **facts: Any) -> Check:
    """Return a finding that costs something or will."""
    return Check(name, "warn", detail, mend, facts)


def fail(name: str, detail: str, mend: str, **facts: Any) -> Check:
    """Return a finding that loses or stops something."""
    return Check(name, "fail", detail, mend, facts)
