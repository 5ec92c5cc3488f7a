"""What makes a method a hook: it takes the arguments of every version, and what goes wrong in it ends there."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from evsys_otel.recorder.guard import mishap

HookMethod = TypeVar("HookMethod", bound=Callable[..., None])


def hook(method: HookMethod) -> HookMethod:
    """Make a hook that never raises an Exception and drops arguments that a newer training loop adds.

    The training loop calls hooks by position: one that took a newer version's argument for an error would lose data.
    """
    parameters = list(inspect.signature(method).parameters.values())
    most = sum(parameter.kind is not parameter.KEYWORD_ONLY for parameter in parameters) - 1
    known = {parameter.name for parameter in parameters}

    @functools.wraps(method)
    def safe(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            if len(args) > most:
                args = args[:most]
            if kwargs:
                kwargs = {name: value for name, value in kwargs.items() if name in known}
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 (telemetry never breaks its host)
            mishap(method.__qualname__, error)

    return safe  # type: ignore[return-value]
