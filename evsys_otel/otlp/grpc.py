"""Encoded requests go in, calls of an OTLP gRPC service are made, their outcomes come out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import grpc

from evsys_otel.otlp.destination import Destination
from evsys_otel.otlp.outcomes import Outcome, Refused, TryLater, grpc_outcome
from evsys_otel.otlp.protocol import SERVICES, USER_AGENT, brief, read_retry_info, read_status, taken, untraced

_logger = logging.getLogger(__name__)

CHANNEL_OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.primary_user_agent", USER_AGENT),
    ("grpc.enable_retries", 0),  # the lane retries, and nothing else
    ("grpc.use_local_subchannel_pool", 1),  # no share in the back-off of a user's channel to the same address
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # also the least time that a connection may take to come about
    ("grpc.max_reconnect_backoff_ms", 1_000),  # an attempt after the lane's waiting must be an attempt
)

COMPRESSIONS = {"none": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip}


class GrpcSender:
    """A channel to one destination, opened with the first request and closed for good by :meth:`close`."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._service = SERVICES[destination.signal]
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._export: Callable[..., Any] | None = None
        self._closed = False

    def send(self, request: bytes) -> Outcome:
        """Make one call; a certificate that cannot be read refuses the sender."""
        try:
            export = self._open()
            if export is None:
                return TryLater("the sender is closed")
            with untraced():
                response = export(
                    request, timeout=self._destination.timeout_seconds, metadata=self._destination.headers
                )
        except grpc.RpcError as error:
            return self._failed(error)
        except OSError as error:
            return Refused(f"{error.filename or 'a certificate'} cannot be read: {error.strerror}", "sender")
        except ValueError as error:  # a setting that gRPC cannot use, or a channel closed under way
            if self._closed:
                return TryLater("the sender is closed")
            return Refused(brief(str(error), self._destination), "sender")
        except Exception as error:
            _logger.debug("a call failed in the gRPC library", exc_info=True)
            return TryLater(brief(f"{type(error).__name__}: {error}", self._destination))
        return taken(self._service, response, self._destination)

    def close(self) -> None:
        """Close the channel, which cancels a call under way."""
        with self._lock:
            self._closed = True
            channel, self._channel, self._export = self._channel, None, None
        if channel is not None:
            channel.close()

    def _open(self) -> Callable[..., Any] | None:
        with self._lock:
            if self._export is None and not self._closed:
                self._channel = _open_channel(self._destination)
                self._export = self._channel.unary_unary(
                    self._service.method, None, self._service.response.FromString
                )
            return self._export

    def _failed(self, error: Any) -> Outcome:
        code = error.code().name if error.code() else "UNKNOWN"
        metadata = error.trailing_metadata() or ()
        return grpc_outcome(code, brief(error.details() or "", self._destination), _wish(metadata))


def _open_channel(destination: Destination) -> grpc.Channel:
    """Raise OSError for a file that cannot be read, ValueError for half a client's pair, at which gRPC would abort."""
    compression = COMPRESSIONS[destination.compression]
    if destination.insecure:
        return grpc.insecure_channel(destination.endpoint, CHANNEL_OPTIONS, compression)
    if bool(destination.client_key) != bool(destination.client_certificate):
        raise ValueError("a client certificate and its key are needed together")
    root, key, chain = (
        Path(path).read_bytes() if path else None
        for path in (destination.certificate, destination.client_key, destination.client_certificate)
    )
    return grpc.secure_channel(
        destination.endpoint, grpc.ssl_channel_credentials(root, key, chain), CHANNEL_OPTIONS, compression
    )


def _wish(metadata: Iterable[tuple[str, Any]]) -> float | None:
    """Return the server's RetryInfo, in the standard status details or in a trailer of its own, in seconds."""
    values = dict(metadata)
    _, seconds = read_status(values.get("grpc-status-details-bin", b""))
    own = values.get("google.rpc.retryinfo-bin")
    return read_retry_info(own) if seconds is None and own is not None else seconds
