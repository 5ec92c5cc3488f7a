"""Addresses, TLS files and tokens in; a bridge that runs until SIGTERM, and a line that says where it listens, out."""

from __future__ import annotations

import logging
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evsys_otel.cli.output import Output, UsageError
from evsys_otel.errors import ConfigurationError
from evsys_otel.settings import Settings, resolve_settings

if TYPE_CHECKING:
    from evsys_otel.bridge.server import Bridge, BridgeOptions
    from evsys_otel.bridge.tls import TlsFiles


def serve(
    out: Output, *, store_url: str | None, grpc: str | None, http: str | None, tokens: Path | None,
    certificate: Path | None, key: Path | None, client_authority: Path | None,
) -> None:  # fmt: skip
    """Run a bridge until SIGTERM or SIGINT; returns when it has drained.

    Raises:
        ConfigurationError: an argument cannot be used, an address not be had, or the ``serve`` extra is not installed.
        StoreVersionError: the store was written by a newer version of this package.
    """
    _require_extra()
    from evsys_otel.bridge.server import serve as run_bridge

    settings = resolve_settings(
        store=store_url, serve_grpc=grpc, serve_http=http, tokens=None if tokens is None else str(tokens)
    )
    options = _options(settings, _tls(certificate, key, client_authority))
    _warn_of_openness(options, settings)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    run_bridge(options, lambda bridge: out.show_line(*_announcement(bridge, options)))


def _require_extra() -> None:
    for name in ("starlette", "uvicorn", "prometheus_client"):
        if find_spec(name) is None:
            raise ConfigurationError(f"{name} is not installed; pip install 'evsys-otel[serve]'.")


def _options(settings: Settings, tls: TlsFiles | None) -> BridgeOptions:
    from evsys_otel.bridge.auth import Tokens
    from evsys_otel.bridge.limits import Limits
    from evsys_otel.bridge.server import Address, BridgeOptions
    from evsys_otel.bridge.upkeep import Retention

    if settings.store_url is None:
        raise ConfigurationError("There is no store to write to; set EVSYS_OTEL_STORE or give --store URL.")
    grpc, http = Address.parse(settings.serve_grpc), Address.parse(settings.serve_http)
    if grpc is None and http is None:
        raise UsageError("There is nothing to serve; give --grpc or --http an address.")
    limits = Limits(
        max_request_bytes=settings.serve_max_request_bytes, max_waiting_bytes=settings.serve_max_waiting_bytes
    )
    retention = Retention(
        settings.journal_root, settings.journal_keep_days, settings.journal_keep_bytes, settings.keep_records_days
    )
    return BridgeOptions(settings.store_url, Tokens.load(settings.tokens), grpc, http, tls, limits, retention)


def _tls(certificate: Path | None, key: Path | None, client_authority: Path | None) -> TlsFiles | None:
    from evsys_otel.bridge.tls import TlsFiles

    if certificate is None and key is None and client_authority is None:
        return None
    if certificate is None or key is None:
        raise UsageError("TLS needs both --tls-certificate and --tls-key.")
    return TlsFiles(certificate, key, client_authority)


def _warn_of_openness(options: BridgeOptions, settings: Settings) -> None:
    """Say on standard error what a network could read or write: the defaults are for one machine."""
    addresses = [address for address in (options.grpc, options.http) if address is not None]
    if all(address.is_loopback for address in addresses):
        return
    if settings.tokens is None and (options.tls is None or options.tls.client_authority is None):
        print("evsys-otel: whoever reaches this server may write to the store; give --tokens.", file=sys.stderr)
    if options.tls is None:
        print("evsys-otel: without --tls-certificate tokens and data cross the network in the clear.", file=sys.stderr)


def _announcement(bridge: Bridge, options: BridgeOptions) -> tuple[dict[str, Any], str]:
    scheme = "http" if options.tls is None else "https"
    grpc = None if bridge.grpc is None else str(bridge.grpc)
    http = None if bridge.http is None else f"{scheme}://{bridge.http}"
    store = bridge.store_label
    places = [f"OTLP/gRPC on {grpc}" if grpc else "", f"OTLP/HTTP on {http}" if http else ""]
    text = f"evsys-otel serves {' and '.join(filter(None, places))}, writing to {store}"
    return {"grpc": grpc, "http": http, "store": store}, text
