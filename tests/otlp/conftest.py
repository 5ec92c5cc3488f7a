"""What the tests of the OTLP sender share: certificates, signals, destinations."""

from __future__ import annotations

import os

import pytest
from kit.certificates import Certificates, make_certificates

from evsys_otel.otlp import config


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


ELSEWHERE = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
"""Variables that lead requests elsewhere; the two bundles beat the official exporters' certificate, but not ours."""


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the machine's own variables, nor that another has already warned."""
    for variable in os.environ:
        if variable.startswith("OTEL_") or variable.upper() in ELSEWHERE:
            monkeypatch.delenv(variable)
    monkeypatch.setattr(config, "_warned", set())
