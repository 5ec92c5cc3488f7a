"""A user's values in, what a journal may hold out: text that encodes, numbers of 64 bits, JSON text; nothing raises."""

from __future__ import annotations

from evsys_otel.normalize.documents import bound_config, redact, to_json
from evsys_otel.normalize.scalars import to_number, to_step
from evsys_otel.normalize.secrets import redact_command, redact_uri
from evsys_otel.normalize.texts import clean_name, clean_text

__all__ = [
    "bound_config",
    "clean_name",
    "clean_text",
    "redact",
    "redact_command",
    "redact_uri",
    "to_json",
    "to_number",
    "to_step",
]
