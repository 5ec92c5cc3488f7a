"""Settings and environment go in, the words for where a run goes come out; nothing is opened or imported for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from evsys_otel.normalize import redact, redact_uri
from evsys_otel.settings import Settings

_SIGNALS = ("TRACES", "METRICS", "LOGS")


def otlp_endpoints(settings: Settings, environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the OTLP endpoints that signals go to, without user info; empty when OTLP is off.

    As the specification has it: OTEL_SDK_DISABLED, OTEL_{signal}_EXPORTER, OTEL_EXPORTER_OTLP_[{signal}_]ENDPOINT.
    """
    env = os.environ if environ is None else environ
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    common = settings.otlp_endpoint or env.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    found: dict[str, None] = {}
    for signal in _SIGNALS:
        exporters = env.get(f"OTEL_{signal}_EXPORTER", "").strip().lower() or "otlp"
        if "otlp" not in {part.strip() for part in exporters.split(",")}:
            continue
        own = env.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "").strip()
        endpoint = common if settings.otlp_endpoint else own or common
        if endpoint:
            found[redact_uri(endpoint)] = None
    return list(found)


def resource_attributes(settings: Settings, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what ``OTEL_RESOURCE_ATTRIBUTES`` and ``OTEL_SERVICE_NAME`` say, values under secret names replaced.

    They are journalled, so that ``sync`` from another shell makes the same resource.
    """
    env = os.environ if environ is None else environ
    pairs = (pair.partition("=") for pair in env.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
    found = {unquote(name.strip()): unquote(value.strip()) for name, equals, value in pairs if equals and name.strip()}
    if env.get("OTEL_SERVICE_NAME", "").strip():
        found["service.name"] = env["OTEL_SERVICE_NAME"].strip()
    kept = redact(found, settings.secret_words, settings.secret_exceptions)
    return {name: str(value) for name, value in kept.items()}


def describe_destinations(settings: Settings, endpoints: list[str], *, exporters: int = 0) -> str:
    """Return where a run goes, as in ``.evsys/evsys.db; and http://localhost:4318``."""
    parts = [] if settings.store_url is None else [_store_words(settings.store_url)]
    parts += endpoints
    if exporters:
        parts.append("1 exporter" if exporters == 1 else f"{exporters} exporters")
    return "; and ".join(parts)


def near_path(path: Path) -> str:
    """Return a path as seen from the working directory if it is inside."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def _store_words(url: str) -> str:
    if url.startswith("sqlite:///"):
        return near_path(Path(url.removeprefix("sqlite:///")))
    return redact_uri(url)
