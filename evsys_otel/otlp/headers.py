"""The text of a headers variable goes in, pairs of name and value and the places of what is unusable come out.

The rules are those of ``opentelemetry.util.re.parse_env_headers(..., liberal=True)``, held equal by a test. That
function is not called because it logs the header that it cannot read, credentials and all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

_NAME = r"[ \t]*[!#-'*+\-.0-9A-Z^-z|~]+[ \t]*"
_ENCODED = re.compile(rf"{_NAME}=[ \t]*[!#-+\--:<-\[\]-~]*[ \t]*")
_LIBERAL = re.compile(rf"{_NAME}=[ \t]*[ !#-+\--:<-\[\]-~]*[ \t]*")
_COMMA = re.compile(r"[ \t]*,[ \t]*")

_SENDABLE_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_SENDABLE_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_GRPC_NAME = re.compile(r"[0-9a-z_.\-]+")
_GRPC_VALUE = re.compile(r"[ -~]*")


@dataclass(frozen=True)
class Headers:
    """Usable headers, names in lower case, and the numbers (from 1) of those that are not usable."""

    pairs: tuple[tuple[str, str], ...]
    bad: tuple[int, ...]


def parse_headers(text: str, *, grpc: bool) -> Headers:
    """Return the headers of ``key=value,key=value``, percent-decoded where they are well encoded (W3C baggage)."""
    good: dict[str, str] = {}
    bad: list[int] = []
    for number, piece in enumerate(filter(None, _COMMA.split(text)), start=1):
        pair = _parse_pair(piece.strip())
        if pair is None or not _is_sendable(*pair, grpc=grpc):
            bad.append(number)
        else:
            good[pair[0]] = pair[1]
    return Headers(tuple(good.items()), tuple(bad))


def _parse_pair(piece: str) -> tuple[str, str] | None:
    if _ENCODED.fullmatch(piece):
        name, value = (unquote(part) for part in piece.split("=", 1))
    elif _LIBERAL.fullmatch(piece):
        name, value = piece.split("=", 1)
    else:
        return None
    return name.strip().lower(), value.strip()


def _is_sendable(name: str, value: str, *, grpc: bool) -> bool:
    """Whether the transport takes it: a line break in a value, for one, would make every request fail."""
    if grpc:
        return bool(_GRPC_NAME.fullmatch(name) and _GRPC_VALUE.fullmatch(value))
    return bool(_SENDABLE_NAME.fullmatch(name) and _SENDABLE_VALUE.fullmatch(value))
