"""The settings and `OTEL_*` variables in; which OTLP destinations there are and how each answers, out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from evsys_otel.doctor.check import Check, fail, ok
from evsys_otel.errors import EvsysOtelError
from evsys_otel.settings import Settings

if TYPE_CHECKING:
    from evsys_otel.otlp import Destination

EMPTY_REQUEST = b""
"""An export request of no records: valid protobuf, which a receiver answers without keeping anything."""


def check_destinations(settings: Settings) -> Iterator[Check]:
    """Yield one finding for each signal that is sent over OTLP, or one that says that none is."""
    from evsys_otel.otlp import resolve_destinations

    try:
        destinations = resolve_destinations(settings)
    except EvsysOtelError as error:
        yield fail("otlp", str(error), "correct the OTEL_* variable that it names")
        return
    if not destinations:
        yield ok("otlp", _why_none())
    for destination in destinations.values():
        yield ask(destination)


def ask(destination: Destination) -> Check:
    """Send an empty request and say how it was answered."""
    from evsys_otel.otlp import Refused, Taken, open_sender

    name = f"otlp {destination.signal}"
    facts = {"endpoint": destination.label, "protocol": destination.protocol}
    began = time.monotonic()
    try:
        sender = open_sender(destination)
    except (EvsysOtelError, OSError, ValueError) as error:
        return fail(name, f"{destination.label}: {error}", "correct the OTEL_EXPORTER_OTLP_* variables", **facts)
    try:
        outcome = sender.send(EMPTY_REQUEST)
    finally:
        sender.close()
    seconds = time.monotonic() - began
    if isinstance(outcome, Taken):
        return ok(name, f"{destination.label} answers ({seconds * 1000:.0f} ms)", seconds=seconds, **facts)
    detail = f"{destination.label}: {outcome.reason}"
    if isinstance(outcome, Refused):
        mend = f"check the token and the path; where it takes no {destination.signal}: {_off(destination.signal)}"
        return fail(name, detail, mend, **facts)
    return fail(name, detail, "start the receiver or correct the endpoint; what is recorded meanwhile waits", **facts)


def _off(signal: str) -> str:
    return f"OTEL_{signal.upper()}_EXPORTER=none"


def _why_none() -> str:
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "off, since OTEL_SDK_DISABLED is true"
    return "no endpoint is set (OTEL_EXPORTER_OTLP_ENDPOINT); the local store alone is written"
