"""Settings and the environment in; what is configured, and what of it cannot be used, out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import fields

from evsys_otel.doctor.check import Check, fail, ok, warn
from evsys_otel.settings import Settings

OURS = "EVSYS_OTEL_"


def check_settings(settings: Settings, environ: Mapping[str, str] | None = None) -> Iterator[Check]:
    """Yield a finding on the mode, one for each variable that cannot be used, and one on what else is set."""
    env = os.environ if environ is None else environ
    yield _mode(settings)
    known = {spec.metadata["env"]: spec for spec in fields(Settings)}
    for variable, spec in known.items():
        raw = env.get(variable, "")
        if raw.strip():
            try:
                spec.metadata["parse"](raw)
            except ValueError as error:
                yield warn("setting", f"{variable} cannot be used, its default is taken", f"set it to {error}")
    for variable in sorted(env):
        if variable.startswith(OURS) and variable not in known and variable not in _OTHERS:
            yield warn("setting", f"{variable} is no setting of this version", "see docs/settings.md for the names")
    changed = [spec.metadata["env"] for spec in fields(Settings) if getattr(settings, spec.name) != spec.default]
    yield ok("settings", f"{', '.join(changed)} set" if changed else "all at their defaults", changed=changed)


_OTHERS = frozenset({"EVSYS_OTEL_SHIPPER", "EVSYS_OTEL_DEBUG", "EVSYS_OTEL_RAISE"})
"""Variables that are no settings of a recording."""


def _mode(settings: Settings) -> Check:
    if settings.mode == "disabled":
        return fail("mode", "everything is turned off", "unset EVSYS_OTEL_MODE", mode=settings.mode)
    if settings.mode == "journal":
        return warn(
            "mode", "trainings only record", "run evsys-otel sync, or unset EVSYS_OTEL_MODE", mode=settings.mode
        )
    return ok("mode", "a process beside the training ships its journal", mode=settings.mode)
