"""The one table of settings, its documentation, and its precedence."""

from __future__ import annotations

import logging
from dataclasses import fields
from pathlib import Path

import pytest

from evsys_otel.errors import ConfigurationError
from evsys_otel.settings import Settings, resolve_settings, settings_to_environment

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"


@pytest.mark.parametrize("spec", fields(Settings), ids=lambda spec: spec.name)
def test_every_setting_is_on_the_page_in_the_words_of_the_table(spec: object) -> None:
    """docs/settings.md has each setting's argument, variable and sentence."""
    text = " ".join(PAGE.read_text().split())
    assert f"`{spec.name}`" in text  # type: ignore[attr-defined]
    assert f"`{spec.metadata['env']}`" in text  # type: ignore[attr-defined]
    assert spec.metadata["doc"] in text  # type: ignore[attr-defined]


def test_an_argument_beats_the_environment_and_the_environment_the_default() -> None:
    """The order of precedence is argument, environment, default."""
    environ = {"EVSYS_OTEL_DIR": "/from/env", "EVSYS_OTEL_HEARTBEAT": "7"}
    settings = resolve_settings(environ, dir="/from/argument")
    assert (settings.dir, settings.heartbeat_seconds, settings.mode) == ("/from/argument", 7.0, "process")


@pytest.mark.parametrize(
    ("name", "value"),
    [("mode", "sideways"), ("heartbeat_seconds", "soon"), ("config_max_bytes", 0), ("quiet", "perhaps"),
     ("exit_timeout_seconds", -1), ("no_such_setting", 1), ("store", "runs.db"), ("store", "sqlite://"),
     ("store", "sqlite:///"), ("store", "sqlite:///:memory:"), ("store", "sqlite:///?mode=rw"),
     ("store", "sqlite+aiosqlite:///x.db"), ("store", "mysql://u:hunter2@h/db"), ("store", "postgresql+asyncpg://h/db")],
)
def test_a_bad_argument_raises_in_one_sentence_that_names_it(name: str, value: object) -> None:
    """A bad argument is refused before any work is done, by name."""
    with pytest.raises(ConfigurationError, match=name) as refused:
        resolve_settings({}, **{name: value})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["sqlite:///evsys.db", "sqlite+pysqlite:////data/evsys.db", "sqlite:///~/evsys.db", "postgresql://h/db",
     "postgres://u:p@h:5432/db", "postgresql+psycopg:///db?host=/run", "none"],
)
def test_a_store_that_may_be_one_is_taken_at_the_start(url: str) -> None:
    """The start looks at a store's URL without opening it: what SQLite and PostgreSQL know passes."""
    assert resolve_settings({}, store=url).store == url


def test_a_bad_environment_value_is_warned_about_once_and_its_default_used(caplog: pytest.LogCaptureFixture) -> None:
    """A typo in the environment never stops a training."""
    environ = {"EVSYS_OTEL_CONFIG_MAX_BYTES": "plenty-of-them"}
    with caplog.at_level(logging.WARNING):
        first, second = resolve_settings(environ), resolve_settings(environ)
    assert first.config_max_bytes == second.config_max_bytes == 256 * 1024
    assert [r.getMessage() for r in caplog.records if "EVSYS_OTEL_CONFIG_MAX_BYTES" in r.getMessage()] == [
        "EVSYS_OTEL_CONFIG_MAX_BYTES cannot be used and its default is taken; set it to a whole number above 0"
    ]


def test_settings_survive_the_way_through_another_process_environment() -> None:
    """What the trainer resolved, its shipper resolves to the same."""
    settings = resolve_settings(
        {}, store="postgresql://u:p@h/db", quiet=True, secret_exceptions=["token_count"], exit_timeout_seconds=2.5,
        otlp_headers="a=b", otlp_predictions=False,
    )
    assert resolve_settings(settings_to_environment(settings)) == settings


def test_no_credential_is_in_the_repr() -> None:
    """Settings can be logged without a secret in the line."""
    settings = resolve_settings({}, store="postgresql://u:hunter2@h/db", otlp_headers="authorization=hunter2")
    assert "hunter2" not in repr(settings)


def test_none_as_the_store_turns_it_off() -> None:
    """`none` means no local store; nothing given means one file in the folder."""
    assert resolve_settings({}, store="none").store_url is None
    default = resolve_settings({}, dir="/data").store_url
    assert default == "sqlite:////data/evsys.db"
