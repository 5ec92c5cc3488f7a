"""The words for where a run goes, and what is journalled of the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from evsys_otel.recorder.destinations import describe_destinations, otlp_endpoints, resource_attributes
from evsys_otel.settings import Settings, resolve_settings

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}

ENDPOINTS = {
    "none": ({}, []),
    "common": (ENDPOINT, ["http://c:4318"]),
    "one signal": ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t"}, ["http://t"]),
    "one signal elsewhere": ({**ENDPOINT, "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://l"}, ["http://c:4318", "http://l"]),
    "sdk disabled": ({**ENDPOINT, "OTEL_SDK_DISABLED": "True"}, []),
    "no exporters": ({**ENDPOINT, **{f"OTEL_{s}_EXPORTER": "none" for s in ("TRACES", "METRICS", "LOGS")}}, []),
    "one exporter": ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "console,otlp"}, ["http://c:4318"]),
    "by a setting": ({**ENDPOINT, "EVSYS_OTEL_OTLP_ENDPOINT": "http://s"}, ["http://s"]),
}


@pytest.mark.parametrize("case", ENDPOINTS)
def test_the_endpoints_are_those_of_the_standards_variables(case: str) -> None:
    """Each is named once, whichever of its variables say so."""
    environ, expected = ENDPOINTS[case]
    assert otlp_endpoints(resolve_settings(environ), environ) == expected


def test_the_words_hold_no_credential(folder: Path) -> None:
    """Passwords of a store and user info of an endpoint are left out; a path is short."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://me:sesame@c:4318"}
    settings = Settings(store="postgresql://me:sesame@db/evsys")
    words = describe_destinations(settings, otlp_endpoints(settings, environ), exporters=2)
    assert "sesame" not in words
    assert "db/evsys" in words
    assert words.endswith("; and 2 exporters")
    assert describe_destinations(Settings(), []) == ".evsys/evsys.db"


def test_the_users_resource_is_journalled_without_secrets() -> None:
    """So that sync, from another shell, makes the same resource."""
    attributes = "team=vision, k%20x=a%2Cb,api_key=sesame,broken"
    environ = {"OTEL_RESOURCE_ATTRIBUTES": attributes, "OTEL_SERVICE_NAME": "train"}
    found = resource_attributes(Settings(), environ)
    assert (found["team"], found["k x"], found["service.name"]) == ("vision", "a,b", "train")
    assert "sesame" not in str(found)
