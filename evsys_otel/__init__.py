"""Machine-learning experiment tracking as OpenTelemetry, and back into the evsys store, exactly once."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from evsys_otel._version import __version__

if TYPE_CHECKING:
    from evsys_otel.callback import EvsysLoggerCallback, EvsysLoggerConfig
    from evsys_otel.errors import (
        ConfigurationError,
        EvsysOtelError,
        HandleError,
        JournalError,
        NotFoundError,
        StoreError,
        StoreUnavailable,
        StoreVersionError,
    )
    from evsys_otel.exporters import EvsysLogExporter, EvsysMetricExporter, EvsysSpanExporter
    from evsys_otel.recorder import Experiment, Group, Run, flush, resume_run, start_experiment, start_run
    from evsys_otel.settings import Settings
    from evsys_otel.store import open_store

__all__ = [
    "__version__",
    "ConfigurationError",
    "EvsysLogExporter",
    "EvsysLoggerCallback",
    "EvsysLoggerConfig",
    "EvsysMetricExporter",
    "EvsysOtelError",
    "EvsysSpanExporter",
    "Experiment",
    "flush",
    "Group",
    "HandleError",
    "JournalError",
    "NotFoundError",
    "open_store",
    "resume_run",
    "Run",
    "Settings",
    "start_experiment",
    "start_run",
    "StoreError",
    "StoreUnavailable",
    "StoreVersionError",
]

_HOMES = {
    "callback": ("EvsysLoggerCallback", "EvsysLoggerConfig"),
    "errors": (
        "ConfigurationError", "EvsysOtelError", "HandleError", "JournalError", "NotFoundError", "StoreError",
        "StoreUnavailable", "StoreVersionError",
    ),
    "exporters": ("EvsysLogExporter", "EvsysMetricExporter", "EvsysSpanExporter"),
    "recorder": ("Experiment", "flush", "Group", "resume_run", "Run", "start_experiment", "start_run"),
    "settings": ("Settings",),
    "store": ("open_store",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: a training process pays for nothing that it does not use."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
