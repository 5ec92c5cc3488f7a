"""Makes the callback known to an installed evsys SDK, under a name of its own, for YAML configurations."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable
from typing import Any

REGISTERED_NAME = "otel_logger"
"""Its kind in YAML; the name ``evsys_logger`` is the SDK's own callback's."""

_logger = logging.getLogger(__name__)


def register(callback: type) -> bool:
    """Register a callback class when the evsys SDK is installed; whether it is now. Never raises an Exception."""
    try:
        if importlib.util.find_spec("evsys_sdk") is None:
            return False
        _find_register()(REGISTERED_NAME)(callback)
    except Exception as error:  # noqa: BLE001 (an SDK that is broken or too old is no reason not to record)
        _logger.warning("the callback is not registered as %r in the evsys SDK: %r", REGISTERED_NAME, error)
        return False
    return True


def _find_register() -> Callable[[str], Callable[[type], Any]]:
    """Return the SDK's ``register_callback``, from where its versions have it. Raises AttributeError, ImportError."""
    try:
        home = importlib.import_module("evsys_sdk.registry")
    except ModuleNotFoundError:
        home = importlib.import_module("evsys_sdk")
    found: Callable[[str], Callable[[type], Any]] = home.register_callback
    return found
