"""Handles: short texts that continue a run elsewhere."""

from __future__ import annotations

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evsys_otel.errors import HandleError
from evsys_otel.handles import ExperimentHandle, RunHandle, decode_handle, encode_handle, is_handle

ID = "6f6c1a52-6e3c-4d7e-9a63-0f7d1f0e2b11"
INT64 = st.integers(0, 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
EXPERIMENTS = st.builds(
    ExperimentHandle, id=st.uuids().map(str), name=TEXT, project_id=st.none() | TEXT, last_time_unix_nano=INT64
)
RUNS = st.builds(
    RunHandle, id=st.uuids().map(str), name=TEXT, experiment=EXPERIMENTS, group_id=st.none() | st.uuids().map(str),
    group_name=st.none() | TEXT, seed=st.none() | st.integers(-(2**63), 2**63 - 1), recipe=st.none() | TEXT,
    attempt=st.integers(1, 2**31 - 1), last_time_unix_nano=INT64, last_steps=st.dictionaries(TEXT, INT64, max_size=5),
)


@given(EXPERIMENTS | RUNS)
def test_a_handle_comes_back_as_it_was_given(handle: ExperimentHandle | RunHandle) -> None:
    """Whatever names, steps and times it holds, decoding undoes encoding, and the text is safe in a URL and a shell."""
    text = encode_handle(handle)
    assert is_handle(text)
    assert all(character.isalnum() or character in "._-" for character in text)
    assert decode_handle(f"  {text}\n") == handle


def tampered(**changes: object) -> str:
    facts = {"type": "experiment", "id": ID, "name": "x", **changes}
    import json

    return "evsys1." + base64.urlsafe_b64encode(json.dumps(facts).encode()).decode().rstrip("=")


def run_like(**changes: object) -> str:
    return tampered(type="run", experiment={"type": "experiment", "id": ID, "name": "x"}, **changes)


@pytest.mark.parametrize(
    "text",
    ["", "lr-sweep", "evsys1.", "evsys1.%%%", "evsys1.AAAA", "evsys1." + "A" * 20_000, None, 7, b"evsys1.AAAA",
     tampered(id="not-a-uuid"), tampered(type="group"), tampered(last_time_unix_nano=-1),
     tampered(last_time_unix_nano=2**70), tampered(id=ID.upper()), tampered(id=ID.replace("-", "")),
     run_like(seed=2**70), run_like(attempt=0), run_like(attempt=2**63 - 1), run_like(last_steps={"train": 2**64}),
     run_like(group_id="{" + ID + "}")],
)
def test_what_is_no_handle_is_refused_in_one_sentence(text: object) -> None:
    """Damaged, foreign or oversized text raises HandleError, never anything else, and is not repeated at length."""
    with pytest.raises(HandleError) as refused:
        decode_handle(text)  # type: ignore[arg-type]
    assert len(str(refused.value)) < 300


def test_an_older_reader_takes_a_newer_handle() -> None:
    """Fields that this version does not know are ignored."""
    handle = decode_handle(tampered(colour="green"))
    assert handle == ExperimentHandle(ID, "x")


def test_a_handle_is_never_longer_than_one_may_be() -> None:
    """A long recipe and thousands of splits are left out: the run can be resumed all the same."""
    experiment = ExperimentHandle(ID, "x" * 1_024)
    few, many = {"train": 7}, {f"split-{number}": number for number in range(3_000)}
    assert decode_handle(run_like(seed=2**63 - 1)) == RunHandle(ID, "x", ExperimentHandle(ID, "x"), seed=2**63 - 1)
    long = RunHandle(ID, "r", experiment, group_name="g" * 1_024, recipe="r" * 20_000, last_steps=few)
    assert decode_handle(encode_handle(long)) == msgspec.structs.replace(long, recipe=None)
    longest = msgspec.structs.replace(long, last_steps=many)
    assert decode_handle(encode_handle(longest)) == msgspec.structs.replace(long, recipe=None, last_steps={})


def test_a_name_is_no_handle() -> None:
    """Names and other values are told from handles."""
    assert not any(map(is_handle, ["lr-sweep", "evsys", None, 3]))
