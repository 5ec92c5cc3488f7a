"""Keys, URIs and commands in, the same with what may be a credential replaced out."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence

from evsys_otel.normalize.texts import clean_text
from evsys_otel.settings import DEFAULT_SECRET_WORDS

REDACTED = "<redacted>"

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[^\W\d_A-Za-z]+")
_PART = re.compile(r"[^\W\d_]+")

# Texts may be megabytes without a blank: a pattern begins where a word does, and looks ahead no further than a bound.
# User info ends at the last @ of the authority; a password with a slash in it is not taken for a path, unless what
# follows the colon is a port.
_USER_INFO = re.compile(
    r"(?<![A-Za-z0-9+.-])([A-Za-z0-9+.-]+://)(?:[^\s/?#]{0,2048}|[^\s/?#@:]{0,512}:(?!\d*[/?#])[^\s@]{0,512})@"
)
_QUERY = re.compile(r"([?&;]([\w.-]+)=)[^&;#\s]*")
_WHOLE = re.compile(r"([\w.+~/-]+)(?:=|:\s)")
_INSIDE = re.compile(r"""((?<![\w.-])([\w.-]+)["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;&}"']+)""")

IsSecret = Callable[[str], bool]


def secret_matcher(words: Iterable[str], exceptions: Iterable[str] = ()) -> IsSecret:
    """Return a function that tells whether a key names a secret.

    It does when one of ``words`` is among the key's words, as they stand between ``_ - .``, blanks, digits and humps
    (``api_key`` stands for two words in a row), unless the whole key is one of ``exceptions``.
    """
    wanted = {tuple(_PART.findall(word.lower())) for word in words} - {()}
    kept = {_plain_key(name) for name in exceptions}

    @functools.lru_cache(maxsize=4_096)
    def is_secret(key: str) -> bool:
        if _plain_key(key) in kept:
            return False
        readings = ([word.lower() for word in _WORD.findall(key)], _PART.findall(key.lower()))
        return any(_contains(reading, run) for reading in readings for run in wanted)

    return is_secret


def redact_uri(uri: str) -> str:
    """Return text with the user info of every URI in it replaced, and query parameters that are named like secrets."""
    text = clean_text(uri)
    if "://" not in text:
        return text
    text = _USER_INFO.sub(rf"\g<1>{REDACTED}@", text)
    return _QUERY.sub(lambda found: found[1] + REDACTED if _is_secret_by_default(found[2]) else found[0], text)


def redact_command(
    argv: Sequence[str], words: Iterable[str] = DEFAULT_SECRET_WORDS, exceptions: Iterable[str] = ()
) -> list[str]:
    """Return a command with secrets replaced: ``--token X``, ``--token=X``, ``KEY=VALUE``, ``Key: value``, code too."""
    is_secret = secret_matcher(words, exceptions)
    out: list[str] = []
    hide_next = False
    for word in map(clean_text, argv):
        if hide_next and not word.startswith("--"):
            out.append(REDACTED)
            hide_next = False
            continue
        hide_next = word.startswith("-") and "=" not in word and is_secret(word.lstrip("-"))
        out.append(_redact_word(word, is_secret))
    return out


def _redact_word(word: str, is_secret: IsSecret) -> str:
    whole = _WHOLE.match(word)
    if whole is not None and is_secret(whole[1]):
        return word[: whole.end()] + REDACTED
    inside = _INSIDE.sub(lambda found: found[1] + REDACTED if is_secret(found[2]) else found[0], word)
    return redact_uri(inside)


def _contains(words: Sequence[str], run: Sequence[str]) -> bool:
    length = len(run)
    return any(tuple(words[start : start + length]) == tuple(run) for start in range(len(words) - length + 1))


def _plain_key(key: str) -> str:
    return key.strip().lower().lstrip("-").replace("-", "_")


_is_secret_by_default = secret_matcher(DEFAULT_SECRET_WORDS)
