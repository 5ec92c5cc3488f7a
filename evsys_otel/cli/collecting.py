"""A name goes in, the collector's configuration of that name comes out, as it lies in ``collector-config/``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import evsys_otel
from evsys_otel.cli.options import Configuration
from evsys_otel.errors import ConfigurationError

_FILES = {
    Configuration.prometheus: "prometheus/prometheus.yaml",
    Configuration.rules: "prometheus/rules.yaml",
    Configuration.dashboard: "grafana/dashboard.json",
}


def read_configuration(name: Configuration) -> tuple[dict[str, Any], str]:
    """Return a configuration's text, as data and by itself.

    Raises:
        ConfigurationError: this installation came without the files.
    """
    path = _folder() / _FILES.get(name, f"{name.value}.yaml")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}); reinstall evsys-otel.") from None
    return {"name": name.value, "file": path.name, "text": text}, text.removesuffix("\n")


def _folder() -> Path:
    """Return the folder within an installed package, or beside the package in a checkout."""
    package = Path(evsys_otel.__file__).parent
    installed = package / "collector_config"
    return installed if installed.is_dir() else package.parent / "collector-config"
