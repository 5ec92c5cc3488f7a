"""A user's arguments go in, what events may hold comes out; bad arguments of a start are refused by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from evsys_otel.errors import ConfigurationError
from evsys_otel.normalize import bound_config, clean_name, clean_text, redact_uri, to_number
from evsys_otel.recorder.guard import say_once
from evsys_otel.settings import Settings

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


def required_name(value: object, what: str) -> str:
    """Return a name of at most 1 KiB. Raises ConfigurationError when it is no text or empty."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"The name of {what} is {value!r}; give a text that is not empty.")
    return clean_name(value)


def given_name(value: object, what: str) -> str:
    """Return any value as a name, after the start, when nothing raises any more; one that is empty is replaced."""
    name = "" if value is None else clean_name(value)
    if name.strip():
        return name
    say_once(("name", what), "%s has no name; it is called %r", what, what)
    return what


def clean_config(config: Any, settings: Settings) -> str | None:
    """Return a config as bounded JSON text, values under secret-named keys replaced; None for None."""
    if config is None:
        return None
    return bound_config(config, settings.config_max_bytes, settings.secret_words, settings.secret_exceptions)


def clean_tags(tags: Any) -> list[str]:
    """Return tags as a list; a single text is one tag."""
    if tags is None:
        return []
    try:
        given = [tags] if isinstance(tags, (str, bytes)) else list(tags)
    except Exception:  # noqa: BLE001 (what is no iterable, or one that fails, is a single tag)
        given = [tags]
    return [clean_name(tag) for tag in given]


def clean_flag(value: Any) -> bool:
    """Return the truth of any value; what has none, as an array, is not true."""
    try:
        return bool(value)
    except Exception:  # noqa: BLE001 (the truth of a user's object is the user's code)
        return False


def clean_url(url: Any) -> str | None:
    """Return a URL without its user info; None for None."""
    return None if url is None else redact_uri(clean_text(url))


def clean_traceparent(value: str | None) -> str | None:
    """Return the parent that the environment names if it has the form of W3C Trace Context, section 3.2."""
    text = (value or "").strip().lower()
    return text if _TRACEPARENT.fullmatch(text) else None


def number_metrics(metrics: Any) -> tuple[dict[str, float], bool]:
    """Return the metrics that are numbers, and whether names and order are just as written.

    What is not a number is skipped with one warning naming its key, None without one.
    """
    if not isinstance(metrics, Mapping):
        kind = type(metrics)
        say_once(("metrics", kind), "metrics are a mapping of names to numbers, not of type %s; skipped", kind.__name__)
        return {}, False
    numbers: dict[str, float] = {}
    as_written = True
    for key, value in metrics.items():
        number = to_number(value)
        if number is None:
            as_written = False
            if value is not None:
                name = clean_name(key)
                say_once(("metric", name), "metric %r of type %s is not a number; skipped", name, type(value).__name__)
            continue
        name = clean_name(key)
        as_written = as_written and type(key) is str and name == key
        numbers[name] = number
    return numbers, as_written
