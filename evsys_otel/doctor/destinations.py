"""The settings and `OTEL_*` variables in; which OTLP destinations there are and how each answers, out."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evsys_otel.doctor.check import Check, fail, ok
from evsys_otel.errors import EvsysOtelError
from evsys_otel.settings import Settings

if TYPE_CHECKING:
    from evsys_otel.otlp import Destination, Outcome

EMPTY_REQUEST = b""
"""An export request of no records: valid protobuf, which a receiver answers without keeping anything."""

_GRPC_PREAMBLE = re.compile(r"failed to connect to all addresses; last error: .*: ")


@dataclass(frozen=True, slots=True)
class Answer:
    """How one destination answered, and in how many seconds."""

    destination: Destination
    outcome: Outcome
    seconds: float


def check_destinations(settings: Settings) -> Iterator[Check]:
    """Yield a finding for the signals sent over OTLP, one for all that answer alike, or one that says that none is."""
    from evsys_otel.otlp import resolve_destinations

    try:
        destinations = resolve_destinations(settings)
    except EvsysOtelError as error:
        yield fail("otlp", str(error), "correct the OTEL_* variable that it names")
        return
    if not destinations:
        yield ok("otlp", _why_none())
    alike: dict[tuple[str, str, str], list[Answer]] = {}
    for destination in destinations.values():
        answer = ask(destination)
        key = (_place(destination), type(answer.outcome).__name__, getattr(answer.outcome, "reason", ""))
        alike.setdefault(key, []).append(answer)
    yield from map(_check, alike.values())


def ask(destination: Destination) -> Answer:
    """Send an empty request and return how it was answered."""
    from evsys_otel.otlp import Refused, open_sender

    began = time.monotonic()
    try:
        sender = open_sender(destination)
    except (EvsysOtelError, OSError, ValueError) as error:  # such as a certificate that cannot be read
        return Answer(destination, Refused(plain_reason(str(error)), "sender"), 0.0)
    try:
        outcome = sender.send(EMPTY_REQUEST)
    finally:
        sender.close()
    return Answer(destination, _plain(outcome), time.monotonic() - began)


def plain_reason(reason: str) -> str:
    """Return a reason without what gRPC says before it comes to the point."""
    return _GRPC_PREAMBLE.sub("", reason)


def _check(answers: Sequence[Answer]) -> Check:
    from evsys_otel.otlp import Refused, Taken

    signals = [answer.destination.signal for answer in answers]
    name = "otlp" if len(signals) == 3 else f"otlp {', '.join(signals)}"
    place, outcome = _place(answers[0].destination), answers[0].outcome
    facts = {"signals": signals, "endpoint": place, "protocol": answers[0].destination.protocol}
    if isinstance(outcome, Taken):
        seconds = max(answer.seconds for answer in answers)
        return ok(name, f"{place} answers ({seconds * 1000:.0f} ms)", seconds=seconds, **facts)
    detail = f"{place}: {outcome.reason}"
    if isinstance(outcome, Refused):
        off = " ".join(f"OTEL_{signal.upper()}_EXPORTER=none" for signal in signals)
        return fail(name, detail, f"check token, certificates and path; where it does not take them set {off}", **facts)
    return fail(name, detail, "start the receiver or correct the endpoint; what is recorded meanwhile waits", **facts)


def _place(destination: Destination) -> str:
    """Return where a destination is, without the path that the signals of one HTTP endpoint differ in."""
    return destination.label.removesuffix(f"/v1/{destination.signal}")


def _plain(outcome: Outcome) -> Outcome:
    from evsys_otel.otlp import Taken

    return outcome if isinstance(outcome, Taken) else replace(outcome, reason=plain_reason(outcome.reason))


def _why_none() -> str:
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "off, since OTEL_SDK_DISABLED is true"
    return "no endpoint is set (OTEL_EXPORTER_OTLP_ENDPOINT); the local store alone is written"
