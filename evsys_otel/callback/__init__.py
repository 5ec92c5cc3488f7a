"""The evsys callback: training hooks go in, calls of the recorder come out; registered with an installed evsys SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evsys_otel.callback.callback import EvsysLoggerCallback
from evsys_otel.callback.config import logger_config
from evsys_otel.callback.registry import REGISTERED_NAME, register

if TYPE_CHECKING:
    from evsys_otel.callback.config import PlainConfig as EvsysLoggerConfig

__all__ = ["REGISTERED_NAME", "EvsysLoggerCallback", "EvsysLoggerConfig"]


def __getattr__(name: str) -> Any:
    """Make ``EvsysLoggerConfig`` when it is asked for."""
    if name == "EvsysLoggerConfig":
        return logger_config()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


register(EvsysLoggerCallback)
