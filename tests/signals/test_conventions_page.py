"""The page for users and the module of names say the same."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest

from evsys_otel import conventions as c

PAGE = (Path(__file__).parents[2] / "docs" / "semantic-conventions.md").read_text()
QUOTED = set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)))
NAMES = {value for name, value in vars(c).items() if name.isupper() and isinstance(value, str)}


def test_the_page_names_every_name() -> None:
    """Every name of the module is on the page."""
    assert QUOTED >= NAMES
    assert set(c.PREDICTION_BODY_KEYS) | set(c.STATUSES) <= QUOTED


def test_the_page_names_nothing_else() -> None:
    """Every evsys name on the page, its examples included, is one of the module's."""
    examples = set(re.findall(r'"(evsys\.[a-z_.]+)"', PAGE))
    told = {name for name in QUOTED if re.fullmatch(r"evsys\.[a-z_.]+", name)} | examples
    assert told - NAMES - {"evsys.run.loss"} == set()


@pytest.mark.parametrize(
    ("name", "instrument"), [("loss", "loss"), ("eval/acc-1.x_y", "eval/acc-1.x_y"), ("größe @ 1", "gr__e___1")]
)
def test_an_instruments_name_has_allowed_characters_only(name: str, instrument: str) -> None:
    """What the metrics API forbids in a name becomes ``_``."""
    assert c.metric_instrument_name(name) == f"evsys.run.{instrument}"
    assert len(c.metric_instrument_name(name * 100)) <= 255


def test_derived_ids_are_as_the_page_says() -> None:
    """Group and checkpoint ids are version 5 UUIDs; a span id is the low half of its record's id and never 0."""
    run = uuid.uuid4()
    assert c.group_id_of(str(run), "g") == str(uuid.uuid5(run, "g"))
    assert c.checkpoint_id_of(str(run), "u", 3) == str(uuid.uuid5(run, "u\n3"))
    assert c.trace_id_of(str(run)) == run.int
    assert c.span_id_of(str(run)) == run.int % 2**64
    assert c.span_id_of("00000000-0000-4000-0000-000000000000") == 1
