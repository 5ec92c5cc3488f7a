"""Where one signal is sent, how, and with which credentials: the value that configuration makes and senders read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

Signal = Literal["traces", "metrics", "logs"]
Protocol = Literal["grpc", "http/protobuf"]
Compression = Literal["none", "gzip", "deflate"]

SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")

MIN_SECRET_CHARS = 4
REDACTED = "<redacted>"


@dataclass(frozen=True)
class Destination:
    """One signal's OTLP destination; neither its repr nor its label holds a credential.

    ``endpoint`` is the whole URL for HTTP, path included, and the channel's target (``host:port``) for gRPC.
    The certificate fields are paths of PEM files. ``insecure`` (gRPC alone) means without TLS.
    """

    signal: Signal
    protocol: Protocol
    endpoint: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    certificate: str | None = None
    client_key: str | None = field(default=None, repr=False)
    client_certificate: str | None = None
    insecure: bool = False
    compression: Compression = "none"
    timeout_seconds: float = 10.0

    def __repr__(self) -> str:
        return f"Destination({self.signal} to {self.label} by {self.protocol})"

    @property
    def label(self) -> str:
        """The URL without user info, query and fragment."""
        if self.protocol == "grpc":
            return f"{'http' if self.insecure else 'https'}://{self.endpoint.rpartition('@')[2]}"
        parts = urlsplit(self.endpoint)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def redact(self, text: str) -> str:
        """Return ``text``, which a server or library wrote, without what is secret here: it may repeat a token."""
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(secret, REDACTED)
        return text

    def _secrets(self) -> set[str]:
        found: set[str] = set()
        for _, value in self.headers:
            found |= {value, *value.split()}
        url = urlsplit(self.endpoint if "//" in self.endpoint else f"//{self.endpoint}")
        user_info, _, _ = url.netloc.rpartition("@")
        found |= {user_info, *user_info.split(":")} | {value for _, value in parse_qsl(url.query)} | {url.query}
        return {secret for secret in found if len(secret) >= MIN_SECRET_CHARS and secret not in _SCHEMES}


_SCHEMES = {"Basic", "Bearer", "basic", "bearer", "Token", "token"}
"""Words of an authorization header that are no secret."""
