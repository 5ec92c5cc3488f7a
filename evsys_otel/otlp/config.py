"""Settings and the standard ``OTEL_*`` variables go in, one destination for each signal that is sent comes out.

The variables are read as the official exporters read them, which a test holds, with these exceptions, each on the side
of the specification (https://opentelemetry.io/docs/specs/otel/protocol/exporter/): no endpoint means no OTLP in place
of localhost; a value that they raise for is warned about once and its default used; a gRPC client certificate needs no
CA certificate beside it; ``http/json``, which they cannot speak, is sent as ``http/protobuf``.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping
from typing import cast
from urllib.parse import urlparse, urlsplit

from evsys_otel.errors import ConfigurationError
from evsys_otel.otlp.destination import SIGNALS, Compression, Destination, Protocol, Signal
from evsys_otel.otlp.headers import parse_headers
from evsys_otel.settings import Settings

_logger = logging.getLogger(__name__)
_warned: set[str] = set()

DEFAULT_TIMEOUT_SECONDS = 10.0
PREFIX = "OTEL_EXPORTER_OTLP_"

EXPORTER_NAMES: dict[str, Protocol | None] = {
    "otlp": None, "otlp_proto_grpc": "grpc", "otlp_proto_http": "http/protobuf",
}
"""Names in ``OTEL_*_EXPORTER`` that mean OTLP, with the protocol that they fix (the SDK's entry points)."""

PROTOCOLS: dict[str, Protocol] = {"grpc": "grpc", "http/protobuf": "http/protobuf"}

COMPRESSIONS: dict[Protocol, tuple[Compression, ...]] = {
    "grpc": ("none", "gzip"), "http/protobuf": ("none", "gzip", "deflate"),
}


def resolve_destinations(settings: Settings, environ: Mapping[str, str] | None = None) -> dict[Signal, Destination]:
    """Return the destinations by signal; a signal without endpoint, or that is turned off, has none.

    Raises:
        ConfigurationError: an ``otlp_*`` setting that did not come from the environment cannot be used.
    """
    env = os.environ if environ is None else environ
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return {}
    found = ((signal, _Reading(settings, env, signal).destination()) for signal in SIGNALS)
    return {signal: destination for signal, destination in found if destination is not None}


class _Reading:
    """One signal's reading of the settings and variables."""

    def __init__(self, settings: Settings, env: Mapping[str, str], signal: Signal) -> None:
        self._settings = settings
        self._env = env
        self._signal = signal

    def destination(self) -> Destination | None:
        is_on, protocol = self._exporter()
        if not is_on:
            return None
        protocol = cast("Protocol | None", self._settings.otlp_protocol) or protocol or self._protocol()
        endpoint = self._endpoint(protocol)
        if endpoint is None:
            return None
        target, insecure = (endpoint, False) if protocol != "grpc" else self._grpc_target(endpoint)
        return Destination(
            signal=self._signal,
            protocol=protocol,
            endpoint=target,
            headers=self._headers(grpc=protocol == "grpc"),
            certificate=self._variable("CERTIFICATE")[1],
            client_key=self._variable("CLIENT_KEY")[1],
            client_certificate=self._variable("CLIENT_CERTIFICATE")[1],
            insecure=insecure,
            compression=self._compression(protocol),
            timeout_seconds=self._timeout(),
        )

    def _variable(self, name: str) -> tuple[str, str | None]:
        """Return the variable that counts, the signal's own before the general one, and its value; empty is unset."""
        own, general = f"{PREFIX}{self._signal.upper()}_{name}", f"{PREFIX}{name}"
        if value := self._env.get(own):
            return own, value
        return general, self._env.get(general) or None

    def _exporter(self) -> tuple[bool, Protocol | None]:
        names = self._env.get(f"OTEL_{self._signal.upper()}_EXPORTER", "").strip().lower()
        if not names:
            return True, None
        known = [name.strip() for name in names.split(",") if name.strip() in EXPORTER_NAMES]
        return bool(known), EXPORTER_NAMES[known[0]] if known else None

    def _protocol(self) -> Protocol:
        variable, value = self._variable("PROTOCOL")
        if value is None or not value.strip():
            return "grpc"
        if value.strip() == "http/json":
            _warn_once(f"{variable} is http/json, which is not spoken here: http/protobuf is sent to the same endpoint")
            return "http/protobuf"
        if value.strip() not in PROTOCOLS:
            _warn_once(f"{variable} cannot be used and gRPC is taken; set it to one of {', '.join(PROTOCOLS)}")
        return PROTOCOLS.get(value.strip(), "grpc")

    def _endpoint(self, protocol: Protocol) -> str | None:
        """Return the endpoint for this protocol: HTTP appends the signal's path to a general one, and to no other."""
        check = _is_grpc_endpoint if protocol == "grpc" else _is_http_endpoint
        path = "" if protocol == "grpc" else f"/v1/{self._signal}"
        setting = self._settings.otlp_endpoint
        if setting and self._accept("otlp_endpoint", setting, check, "an http(s):// URL"):
            return setting if not path else setting.removesuffix("/") + path
        variable, value = self._variable("ENDPOINT")
        if value is None:
            return None
        if not check(value):
            _warn_once(f"{variable} cannot be used and {self._signal} are not sent; set it to an http(s):// URL")
            return None
        is_general = variable == f"{PREFIX}ENDPOINT"
        return value.removesuffix("/") + path if path and is_general else value

    def _grpc_target(self, endpoint: str) -> tuple[str, bool]:
        """Return target and whether it is without TLS: the scheme https wins, then INSECURE, then the scheme."""
        url = urlparse(endpoint)
        target = (url.netloc or endpoint).rpartition("@")[2]
        if url.scheme == "https":
            return target, False
        own, general = (self._env.get(f"{PREFIX}{level}INSECURE") for level in (f"{self._signal.upper()}_", ""))
        said = own if own is not None else general
        return target, url.scheme == "http" if said is None else said.lower() == "true"

    def _headers(self, *, grpc: bool) -> tuple[tuple[str, str], ...]:
        setting = self._settings.otlp_headers
        if setting:
            headers = parse_headers(setting, grpc=grpc)
            if self._accept("otlp_headers", setting, lambda _: not headers.bad, "key=value,key=value, percent-encoded"):
                return headers.pairs
        variable, value = self._variable("HEADERS")
        headers = parse_headers(value or "", grpc=grpc)
        for number in headers.bad:
            _warn_once(f"header {number} of {variable} cannot be used and is left out; write key=value in percent code")
        return headers.pairs

    def _compression(self, protocol: Protocol) -> Compression:
        variable, value = self._variable("COMPRESSION")
        allowed = COMPRESSIONS[protocol]
        for known in allowed:
            if (value or "none").strip().lower() == known:
                return known
        _warn_once(f"{variable} cannot be used and nothing is compressed; set it to one of {', '.join(allowed)}")
        return "none"

    def _timeout(self) -> float:
        """Return the timeout in seconds, as the Python SDK reads it (the specification says milliseconds)."""
        variable, value = self._variable("TIMEOUT")
        try:
            seconds = float(value) if value else DEFAULT_TIMEOUT_SECONDS
        except ValueError:
            seconds = math.nan
        if not (math.isfinite(seconds) and seconds > 0):
            _warn_once(f"{variable} cannot be used and {DEFAULT_TIMEOUT_SECONDS:g} is taken; set it to seconds above 0")
            return DEFAULT_TIMEOUT_SECONDS
        return seconds

    def _accept(self, name: str, value: str, check: Callable[[str], bool], rule: str) -> bool:
        """Return whether a setting is usable; if not, raise where it was an argument, warn where a variable."""
        if check(value):
            return True
        variable = f"EVSYS_OTEL_{name.upper()}"
        if self._env.get(variable) != value:
            raise ConfigurationError(f"{name} cannot be used; give {rule}.")
        _warn_once(f"{variable} cannot be used and is ignored; set it to {rule}")
        return False


def _is_http_endpoint(endpoint: str) -> bool:
    try:
        url = urlsplit(endpoint.strip())
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def _is_grpc_endpoint(endpoint: str) -> bool:
    """A URL, or whatever else a gRPC channel may take: ``host:port``, ``dns:host``, ``unix:path``."""
    if "://" in endpoint and urlparse(endpoint).scheme in {"http", "https"}:
        return _is_http_endpoint(endpoint)
    return bool(endpoint.strip()) and not any(char.isspace() for char in endpoint)


def _warn_once(sentence: str) -> None:
    if sentence not in _warned:
        _warned.add(sentence)
        _logger.warning("%s", sentence)
