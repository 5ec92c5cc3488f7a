"""The parameters of the callback as evsys validates them from YAML: a pydantic model where pydantic is to be had."""

from __future__ import annotations

import functools
from dataclasses import fields
from typing import Any

from evsys_otel.settings import Settings, resolve_settings

OWN_PARAMETERS: dict[str, tuple[Any, Any]] = {
    "project_id": (str | None, None),
    "flush_every": (int, 1),
    "rollout_cap": (int | None, None),
}
"""Parameters beside the settings, with type and default."""


def setting_names() -> list[str]:
    """Return the names of the settings that are parameters too."""
    return [spec.name for spec in fields(Settings) if spec.name not in OWN_PARAMETERS]


@functools.cache
def logger_config() -> Any:
    """Return the class ``EvsysLoggerConfig``; made when first asked for, since importing pydantic takes its time."""
    try:
        import pydantic
    except ImportError:
        return PlainConfig

    def check_settings(self: Any) -> Any:
        resolve_settings(**{name: getattr(self, name) for name in setting_names()})
        return self

    validators: dict[str, Any] = {"check_settings": pydantic.model_validator(mode="after")(check_settings)}
    parameters: dict[str, Any] = {**OWN_PARAMETERS, **dict.fromkeys(setting_names(), (Any, None))}
    return pydantic.create_model(
        "EvsysLoggerConfig",
        __config__=pydantic.ConfigDict(extra="forbid"),
        __doc__="Parameters of EvsysLoggerCallback: project_id, flush_every, rollout_cap, and any setting by its name.",
        __module__="evsys_otel.callback",
        __validators__=validators,
        **parameters,
    )


class PlainConfig:
    """Stands in for the model where there is no pydantic; it takes the same parameters and refuses others.

    Raises:
        ConfigurationError: a parameter is unknown or cannot be used.
    """

    def __init__(self, **parameters: Any) -> None:
        given = {name: value for name, value in parameters.items() if name not in OWN_PARAMETERS}
        resolve_settings(**given)
        defaults = {name: default for name, (_, default) in OWN_PARAMETERS.items()}
        self._values = {**defaults, **dict.fromkeys(setting_names()), **parameters}

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(name) from None

    def model_dump(self) -> dict[str, Any]:
        """Return the parameters as keyword arguments of the callback."""
        return dict(self._values)


class ConfigOnDemand:
    """The attribute ``Config`` of the callback: the class above, made when it is first looked at."""

    def __get__(self, instance: object, owner: type) -> Any:
        """Return the class."""
        return logger_config()
