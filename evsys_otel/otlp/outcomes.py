"""A receiver's answer goes in, one of three outcomes comes out: taken, try later, refused.

The tables follow the OTLP specification (https://opentelemetry.io/docs/specs/otlp/, "Failures" of OTLP/gRPC and of
OTLP/HTTP). Beyond it, answers that it calls permanent but that a broken server gives as well (INTERNAL, UNKNOWN, 500,
RESOURCE_EXHAUSTED without RetryInfo) are tried again and marked ``doubtful``: they may be the record's own fault, and
whoever delivers may look for such a record.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal, Union

MAX_WISH_SECONDS = 3600.0
"""A server's wish beyond this is cut to it: nobody waits for days because of one header."""


@dataclass(frozen=True)
class Taken:
    """The receiver has it (2xx or OK); ``rejected`` records of it were dropped there (partial success names none)."""

    rejected: int = 0
    message: str = ""


@dataclass(frozen=True)
class TryLater:
    """The same request may be taken later, at the earliest after ``after_seconds`` if the server wished so."""

    reason: str
    after_seconds: float | None = None
    doubtful: bool = False


@dataclass(frozen=True)
class Refused:
    """The receiver never takes this: because of a ``record`` in it, or of who the ``sender`` is and where it asks.

    ``offered`` is False where the receiver has no such service at all, as a traces-only one for the other signals.
    """

    reason: str
    scope: Literal["record", "sender"]
    offered: bool = True


Outcome = Union[Taken, TryLater, Refused]  # noqa: UP007 (exported, read at run time)

_RECORD = "record"
_SENDER = "sender"
_NO_SERVICE = "no service"
_DOUBTFUL = "doubtful"
_LATER = "later"

GRPC_CODES: dict[str, str] = {
    "CANCELLED": _LATER,
    "DEADLINE_EXCEEDED": _LATER,
    "ABORTED": _LATER,
    "OUT_OF_RANGE": _LATER,
    "UNAVAILABLE": _LATER,
    "DATA_LOSS": _LATER,
    "RESOURCE_EXHAUSTED": _DOUBTFUL,  # later with RetryInfo, the record's fault if it speaks of the message's size
    "INTERNAL": _DOUBTFUL,
    "UNKNOWN": _DOUBTFUL,
    "FAILED_PRECONDITION": _DOUBTFUL,
    "ALREADY_EXISTS": _DOUBTFUL,
    "INVALID_ARGUMENT": _RECORD,
    "UNAUTHENTICATED": _SENDER,
    "PERMISSION_DENIED": _SENDER,
    "UNIMPLEMENTED": _NO_SERVICE,
    "NOT_FOUND": _NO_SERVICE,
}
"""What each gRPC status code other than OK means for a delivery."""

HTTP_CODES: dict[int, str] = {
    400: _RECORD,
    413: _RECORD,
    422: _RECORD,
    404: _NO_SERVICE,
    405: _NO_SERVICE,
    408: _LATER,
    425: _LATER,
    429: _LATER,
    500: _DOUBTFUL,
    501: _NO_SERVICE,
    502: _LATER,
    503: _LATER,
    504: _LATER,
}
"""What an HTTP status means for a delivery; the rest of 3xx and 4xx refuses the sender, anything else is for later."""

_TOO_LARGE = re.compile(r"larger than max|exceeds? (the )?max|message.{0,20}too (large|big)", re.IGNORECASE)
"""How the gRPC libraries (Go, C++ and Python, Java) say that a message is beyond the receiver's limit."""


def grpc_outcome(code: str, details: str, retry_seconds: float | None) -> TryLater | Refused:
    """Return the outcome of a call that ended with ``code``, the status code's name, never OK.

    RESOURCE_EXHAUSTED can be a quota, which heals, or a message beyond the limit (4 MiB by default), which does not.
    """
    reason = f"{code}: {details}" if details else code
    meaning = GRPC_CODES.get(code, _DOUBTFUL)
    if code == "RESOURCE_EXHAUSTED":
        if retry_seconds is not None:
            meaning = _LATER
        elif _TOO_LARGE.search(details):
            meaning = _RECORD
    return _outcome(meaning, reason, retry_seconds)


def http_outcome(status: int, details: str, retry_seconds: float | None) -> TryLater | Refused:
    """Return the outcome of a request answered with ``status``, never 2xx."""
    reason = f"HTTP {status}: {details}" if details else f"HTTP {status}"
    meaning = HTTP_CODES.get(status) or (_SENDER if 300 <= status < 500 else _LATER)
    return _outcome(meaning, reason, retry_seconds)


def _outcome(meaning: str, reason: str, retry_seconds: float | None) -> TryLater | Refused:
    if meaning == _RECORD:
        return Refused(reason, "record")
    if meaning in {_SENDER, _NO_SERVICE}:
        return Refused(reason, "sender", offered=meaning == _SENDER)
    return TryLater(reason, bound_wish(retry_seconds), doubtful=meaning == _DOUBTFUL)


def bound_wish(seconds: float | None) -> float | None:
    """Return a server's wish between 0 and :data:`MAX_WISH_SECONDS`, None where it is none."""
    if seconds is None or not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), MAX_WISH_SECONDS)


def parse_retry_after(value: str | None, now_seconds: float | None = None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for (RFC 9110, 10.2.3: seconds or a date), else None."""
    if value is None:
        return None
    try:
        return bound_wish(float(value.strip()))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(value.strip())
        return bound_wish(at.timestamp() - (time.time() if now_seconds is None else now_seconds))
    except (TypeError, ValueError, OverflowError):
        return None
