"""An ``Authorization`` header goes in; what its sender may write comes out, or why nothing."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evsys_otel.errors import ConfigurationError

_logger = logging.getLogger(__name__)

ALL_PROJECTS = "*"
MAX_FILE_BYTES = 1024 * 1024

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""A bearer token (RFC 6750, section 2.1)."""

_Digest = bytes
_Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Grant:
    """The projects that a sender speaks for; None is all of them, and records without a project too."""

    projects: frozenset[str] | None

    @property
    def only_project(self) -> str | None:
        """The project of records that name none: the token's, when it is of one."""
        return next(iter(self.projects)) if self.projects and len(self.projects) == 1 else None

    def allows(self, project_id: str | None) -> bool:
        """Return whether records of this project may be written; None is that of records that name none."""
        return self.projects is None or project_id in self.projects


NOTHING = Grant(frozenset())
"""What whoever has no token may see."""


@dataclass(frozen=True, slots=True)
class Denied:
    """There is no bearer token, or none of ours."""

    reason: Literal["missing", "unknown"]


class Tokens:
    """The tokens that a server knows, by their digests alone; thread-safe. Without any, everybody may do everything."""

    def __init__(self, grants: Mapping[_Digest, Grant] | None, path: Path | None = None) -> None:
        self._grants = grants
        self._path = path
        self._stamp = None if path is None else _stamp_of(path)
        self._lock = threading.Lock()

    @classmethod
    def load(cls, text: str | None) -> Tokens:
        """Return the tokens of ``token=project,token=project+project,token=*``, or of a file with such entries.

        The file may have an entry a line, and comments after ``#``; it is read again when it changes.

        Raises:
            ConfigurationError: an entry cannot be used, or there is none; no message repeats a token.
        """
        if text is None:
            return cls(None)
        if not os.path.isfile(text.strip()):
            return cls(_parse(text, "EVSYS_OTEL_TOKENS"))
        path = Path(text.strip()).absolute()
        tokens = cls(None, path)  # the stamp first: what changes during the reading is then read again
        tokens._grants = _read(path)
        return tokens

    @property
    def are_needed(self) -> bool:
        """Whether a sender must have one."""
        return self._grants is not None

    def grant(self, authorization: str | None) -> Grant | Denied:
        """Return what the sender of this header may do. The time taken does not tell how much of a token is right."""
        self._read_again()
        if self._grants is None:
            return Grant(None)
        scheme, _, token = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return Denied("missing")
        wanted = _digest(token.strip())
        found: Grant | Denied = Denied("unknown")
        for known, grant in self._grants.items():
            if hmac.compare_digest(known, wanted):
                found = grant
        return found

    def _read_again(self) -> None:
        """Take over a file that changed; what cannot be used is said once, and the tokens stay as they were."""
        if self._path is None:
            return
        stamp = _stamp_of(self._path)
        with self._lock:
            if stamp == self._stamp:
                return
            self._stamp = stamp
            try:
                self._grants = _read(self._path)
            except ConfigurationError as error:
                _logger.warning("the tokens stay as they were: %s", error)
            else:
                _logger.warning("the tokens were read again: %s knows %d", self._path, len(self._grants))


def _stamp_of(path: Path) -> _Stamp | None:
    """Return what tells a changed file, None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _read(path: Path) -> dict[_Digest, Grant]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise ConfigurationError(f"The file of tokens {path} has more than {MAX_FILE_BYTES:,} bytes.")
        return _parse(raw.decode(), str(path))
    except OSError as error:
        raise ConfigurationError(f"The file of tokens {path} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"The file of tokens {path} is not UTF-8.") from None


def _parse(text: str, where: str) -> dict[_Digest, Grant]:
    grants: dict[_Digest, Grant] = {}
    for number, entry in enumerate(_entries(text), 1):
        token, _, said = entry.rpartition("=")  # a token may end with "=", a project does not
        token, projects = token.strip(), [project.strip() for project in said.split("+")]
        if not _TOKEN.fullmatch(token) or not all(projects):
            raise ConfigurationError(
                f"Entry {number} of {where} is no token=project, token=project+project or token=*, nor a file's name."
            )
        if _digest(token) in grants:
            raise ConfigurationError(f"Entry {number} of {where} has the token of an earlier one; name it once.")
        grants[_digest(token)] = Grant(None if ALL_PROJECTS in projects else frozenset(projects))
    if not grants:
        raise ConfigurationError(f"{where} has no token; give token=project entries.")
    return grants


def _entries(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield from filter(None, map(str.strip, line.partition("#")[0].split(",")))


def _digest(token: str) -> _Digest:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
