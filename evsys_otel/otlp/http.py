"""Encoded requests go in, POSTs to an OTLP/HTTP endpoint are made, their outcomes come out."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import queue
import threading
import time
import zlib
from urllib.parse import urlsplit

import requests
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError

from evsys_otel.otlp.destination import Destination
from evsys_otel.otlp.outcomes import Outcome, Refused, Taken, TryLater, http_outcome, parse_retry_after
from evsys_otel.otlp.protocol import SERVICES, USER_AGENT, brief, read_status, taken, untraced

_logger = logging.getLogger(__name__)

PROTOBUF = "application/x-protobuf"
MAX_ANSWER_BYTES = 64 * 1024
_PIECE_BYTES = 8 * 1024
_CLOSED = TryLater("the sender is closed")


class HttpSender:
    """Connections to one destination, kept alive between requests.

    Each request is made in a thread of its own, since neither a look-up of a name nor a connection coming about can be
    interrupted: who waits for it goes on at the deadline or at :meth:`close`, and the thread ends by its own timeout.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._service = SERVICES[destination.signal]
        self._headers = _headers(destination)
        self._lock = threading.Lock()
        self._session: requests.Session | None = None
        self._answers: queue.SimpleQueue[Outcome] | None = None
        self._closed = False

    def send(self, request: bytes) -> Outcome:
        """POST one request and wait for its outcome, the deadline or :meth:`close`."""
        answers: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        with self._lock:
            if self._closed:
                return _CLOSED
            session = self._session = self._session or requests.Session()
            self._answers = answers
        body = _compress(request, self._destination.compression)
        thread = threading.Thread(target=self._post, args=(session, body, answers), name="evsys-otlp-post", daemon=True)
        try:
            thread.start()
            return answers.get(timeout=self._destination.timeout_seconds)
        except RuntimeError as error:  # no more threads
            return TryLater(str(error))
        except queue.Empty:
            self._abandon()
            return TryLater(f"no answer within {self._destination.timeout_seconds:g} s")

    def close(self) -> None:
        """Let go of a request under way, and of the connections."""
        with self._lock:
            self._closed = True
            if self._answers is not None:
                self._answers.put(_CLOSED)
        self._abandon()

    def _abandon(self) -> None:
        """Leave the session to the thread that may still use it."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def _post(self, session: requests.Session, body: bytes, answers: queue.SimpleQueue[Outcome]) -> None:
        try:
            with untraced():
                answers.put(self._exchange(session, body))
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            answers.put(TryLater(self._describe(error)))
        except (OSError, ValueError) as error:  # a certificate or URL that the library cannot use
            answers.put(Refused(self._describe(error), "sender"))
        except Exception as error:
            _logger.debug("a request failed in the HTTP library", exc_info=True)
            answers.put(TryLater(self._describe(error)))

    def _exchange(self, session: requests.Session, body: bytes) -> Outcome:
        destination = self._destination
        deadline = time.monotonic() + destination.timeout_seconds
        certificates = (destination.client_certificate, destination.client_key)
        with session.post(
            destination.endpoint,
            data=body,
            headers=self._headers,
            timeout=destination.timeout_seconds,
            allow_redirects=False,
            verify=destination.certificate or True,
            cert=certificates if all(certificates) else destination.client_certificate,  # type: ignore[arg-type]
            stream=True,
        ) as response:
            return self._read(response, _read_body(response, deadline))

    def _read(self, response: requests.Response, body: bytes) -> Outcome:
        if 200 <= response.status_code < 300:
            return self._read_success(response, body)
        message, wish = _read_failure(response, body)
        asked = parse_retry_after(response.headers.get("retry-after"))
        details = _redirection(response) or message or response.reason or ""
        return http_outcome(response.status_code, brief(details, self._destination), wish if asked is None else asked)

    def _read_success(self, response: requests.Response, body: bytes) -> Outcome:
        """A page for people is no receiver's answer (a captive portal, a login); what else is unreadable was taken."""
        kind = _media_type(response)
        if kind == "text/html" or body[:64].lstrip().lower().startswith((b"<!doctype html", b"<html")):
            reason = f"HTTP {response.status_code} with a web page: {self._destination.label} is no receiver"
            return Refused(reason, "sender")
        try:
            if kind == "application/json":
                answer = ParseDict(json.loads(body or b"{}"), self._service.response(), ignore_unknown_fields=True)
            else:
                answer = self._service.response.FromString(body if kind == PROTOBUF else b"")
        except (DecodeError, ParseError, ValueError, TypeError, RecursionError):
            return Taken()
        return taken(self._service, answer, self._destination)

    def _describe(self, error: BaseException) -> str:
        """Return the kind of error and its root cause, which, unlike the whole chain, does not repeat the URL."""
        root = error
        while root.__cause__ or root.__context__:
            root = root.__cause__ or root.__context__ or root
        return brief(f"{type(error).__name__}: {root}", self._destination)


def _headers(destination: Destination) -> dict[str, str]:
    headers = {"content-type": PROTOBUF, "user-agent": USER_AGENT}
    if destination.compression != "none":
        headers["content-encoding"] = destination.compression
    return headers | dict(destination.headers)


def _compress(request: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.compress(request, compresslevel=1)
    return zlib.compress(request, level=1) if compression == "deflate" else request


def _read_body(response: requests.Response, deadline: float) -> bytes:
    """Return the answer's body; one that is huge or drips has its rest left unread, and its connection closed.

    One that is not compressed as it says is left out: the status says what became of the request.
    """
    body = b""
    with contextlib.suppress(requests.exceptions.ContentDecodingError):
        for piece in response.iter_content(_PIECE_BYTES):
            body += piece
            if len(body) >= MAX_ANSWER_BYTES or time.monotonic() > deadline:
                break
    return body


def _media_type(response: requests.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def _read_failure(response: requests.Response, body: bytes) -> tuple[str, float | None]:
    """Return message and RetryInfo of a failure's ``google.rpc.Status`` (OTLP/HTTP, "Failures"), or its plain text."""
    kind = _media_type(response)
    if kind == PROTOBUF:
        return read_status(body)
    return body.decode("utf-8", "replace") if kind in {"text/plain", "application/json"} else "", None


def _redirection(response: requests.Response) -> str:
    """Return where a redirect leads, without user info and query; it is not followed: credentials stay here."""
    location = response.headers.get("location") if 300 <= response.status_code < 400 else None
    if not location:
        return ""
    url = urlsplit(location)
    host = url.netloc.rpartition("@")[2]
    return f"redirects to {url.scheme + '://' if url.scheme else ''}{host}{url.path}; set the endpoint to that"
