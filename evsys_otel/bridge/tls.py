"""Paths of PEM files go in, checked; what the servers need for TLS, and to ask clients for certificates, comes out."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from evsys_otel.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The server's certificate chain and key; with ``client_authority`` a client must show one that it signed."""

    certificate: Path
    key: Path
    client_authority: Path | None = None

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Return credentials for gRPC. Raises ConfigurationError when a file cannot be read."""
        pair = (_read(self.key), _read(self.certificate))
        authority = _read(self.client_authority) if self.client_authority else None
        return grpc.ssl_server_credentials([pair], authority, authority is not None)

    def check(self) -> None:
        """Raise ConfigurationError when a file cannot be read or is not what it should be."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_passphrase)
            if self.client_authority is not None:
                context.load_verify_locations(self.client_authority)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"The TLS files {self} cannot be used ({error}).") from None

    def __str__(self) -> str:
        files = (self.certificate, self.key, self.client_authority)
        return ", ".join(str(file) for file in files if file is not None)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"The TLS file {path} cannot be read ({error.strerror}).") from None


def _no_passphrase() -> str:
    raise ValueError("a key with a passphrase cannot be used, since nobody is there to type it")
