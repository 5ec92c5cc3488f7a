"""Whatever a user hands in, what comes out can be held by a journal, by OpenTelemetry and by a store."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import enum
import json
import math
import types
import uuid
from collections import OrderedDict, namedtuple
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evsys_otel.normalize import (
    bound_config,
    clean_name,
    clean_text,
    redact,
    redact_command,
    redact_uri,
    to_json,
    to_number,
    to_step,
)
from evsys_otel.settings import DEFAULT_SECRET_WORDS

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


class Raises:
    """Every way of looking at it raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        raise RuntimeError("no text either")

    def __float__(self) -> float:
        raise RuntimeError("no number")

    def __index__(self) -> int:
        raise RuntimeError("no index")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __iter__(self) -> Any:
        raise RuntimeError("no elements")

    def __len__(self) -> int:
        raise RuntimeError("no length")


class RaisingMap(dict[str, int]):
    def items(self) -> Any:
        raise RuntimeError("no items")


class Colour(enum.Enum):
    RED = "red\0"
    PAIR = (1, 2)


class Level(enum.IntEnum):
    LOW = 3


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Model(pydantic.BaseModel):
    lr: float = 0.1
    inner: dict[str, Any] = {"x": (1, 2)}


@dataclasses.dataclass
class Data:
    a: Any = 1
    b: Any = None


class Packed(msgspec.Struct):
    a: int = 1


Pair = namedtuple("Pair", "left right")
JUST_ANYTHING = [
    Raises(), RaisingMap(a=1), Colour.RED, Colour.PAIR, Level.LOW, Text("a\ud800"), Model(), Model,
    Data(b=[Raises()]), Data,
    Packed(), Pair(1, 2), argparse.Namespace(lr=1), types.SimpleNamespace(a={1}), OrderedDict(a=1), object(), print,
    json,
    uuid.UUID(int=1), Path("a/b"), Decimal("1.5"), Decimal("NaN"), Decimal("sNaN"), Fraction(1, 3), 1 + 2j, range(4),
    10**5000,
    2**70, -(2**70), 2**63, b"\xff\0a", bytearray(b"b"), memoryview(b"c"), np.float32(1.5), np.float64("nan"),
    np.int64(-3),
    np.uint64(2**64 - 1), np.bool_(True), np.array(3), np.array([1, 2]), np.array([[math.inf, 1.0]]), np.zeros(10_000),
    np.array(["a", None], dtype=object), np.complex128(1j), np.datetime64("2020-01-01"), np.timedelta64(1, "s"),
    np.str_("s"),
    np.longdouble(1), np.ma.masked, np.void(b"x"), datetime.datetime(2020, 1, 1), datetime.date(2020, 1, 1),
    datetime.timedelta(1),
    datetime.time(1),
    (i for i in range(3)), {1, "a", None, (1,)}, frozenset({2}), {1: "a", "1": "b", None: 0, (1, 2): 3},
    {Colour.RED: 1}, float("-inf"), -0.0, "\ud83d\ude00", NotImplemented, ..., ValueError("x"), 5e-324,
]  # fmt: skip


def cyclic() -> list[Any]:
    ring: list[Any] = [1]
    ring.append({"again": ring})
    return ring


def nested(levels: int) -> Any:
    tree: Any = "leaf"
    for level in range(levels):
        tree = {"x": tree} if level % 2 else [tree]
    return tree


def leaves() -> st.SearchStrategy[Any]:
    return st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters()), st.binary(), st.dates(),
        st.datetimes(), st.timedeltas(), st.decimals(), st.complex_numbers(), st.uuids(), st.integers(0,
        len(JUST_ANYTHING) - 1).map(lambda n: JUST_ANYTHING[n]),
        st.builds(cyclic), st.builds(nested, st.integers(0, 100)), st.text(st.characters(categories=["Cs"])),
    )


def anything() -> st.SearchStrategy[Any]:
    keys = st.one_of(st.text(st.characters()), st.integers(), st.none(), st.booleans(), st.floats(), st.binary())
    return st.recursive(
        leaves(),
        lambda inner: st.one_of(
            st.lists(inner, max_size=5), st.tuples(inner, inner), st.dictionaries(keys, inner, max_size=5),
            st.builds(Data, inner, inner), st.builds(Pair, inner, inner), st.builds(types.SimpleNamespace, a=inner),
            st.sets(st.one_of(st.integers(), st.text()), max_size=5),
        ),
        max_leaves=15,
    )


def assert_holdable(text: str) -> Any:
    """Assert that a JSON text survives every hop, and return what it says."""
    assert type(text) is str
    assert "\0" not in text
    msgspec.msgpack.encode(text)
    text.encode()
    tree = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert_plain(tree, 0)
    return tree


def assert_plain(tree: Any, depth: int) -> None:
    assert depth <= 24
    if isinstance(tree, dict):
        for key, value in tree.items():
            assert_plain(key, depth)
            assert_plain(value, depth + 1)
    elif isinstance(tree, list):
        for value in tree:
            assert_plain(value, depth + 1)
    elif isinstance(tree, str):
        assert "\0" not in tree
        tree.encode()
    elif isinstance(tree, float):
        assert math.isfinite(tree)
    elif isinstance(tree, int):
        assert INT64_MIN <= tree <= INT64_MAX


@given(value=anything())
@settings(max_examples=600, deadline=None)
def test_anything_becomes_json_that_every_hop_holds(value: Any) -> None:
    """Nothing raises; the text is UTF-8, standard JSON, of int64, finite floats and at most 24 levels."""
    assert_holdable(to_json(value))
    assert_holdable(to_json(value, 200))
    assert_holdable(bound_config(value, 10_000, DEFAULT_SECRET_WORDS))
    msgspec.msgpack.encode(redact(value, DEFAULT_SECRET_WORDS))


@given(value=anything(), max_bytes=st.one_of(st.none(), st.integers(0, 40)))
@settings(max_examples=400, deadline=None)
def test_anything_becomes_clean_text_a_step_or_a_number(value: Any, max_bytes: int | None) -> None:
    """Texts are plain str without NUL and surrogates and within their bound, steps int64, numbers plain floats."""
    text = clean_text(value, max_bytes)
    assert type(text) is str
    assert "\0" not in text
    assert max_bytes is None or len(text.encode()) <= max_bytes
    assert clean_text(text) == text.encode().decode()
    assert len(clean_name(value).encode()) <= 1024
    step, number = to_step(value), to_number(value)
    assert step is None or (type(step) is int and INT64_MIN <= step <= INT64_MAX)
    assert number is None or type(number) is float


@pytest.mark.filterwarnings("ignore:Warning. converting a masked element")
@pytest.mark.parametrize("value", JUST_ANYTHING, ids=lambda value: type(value).__name__)
def test_each_odd_value_alone(value: Any) -> None:
    """None of the values that broke something elsewhere raises, alone or as a key's value."""
    assert_holdable(to_json(value))
    assert_holdable(to_json({"key": [value]}))
    assert type(clean_text(value)) is str
    to_step(value)
    to_number(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"), ("größe", "größe"), ("a\0b", "a\ufffdb"), ("\ud800x", "\ufffdx"),
        (b"ab\xff", "ab\ufffd"), (None, "None"),
        (Raises(), "<Raises>"), (Text("t"), "t"), (10**5000, hex(10**5000)), (1.5, "1.5"), (np.str_("s"), "s"),
    ],
    ids=range(11),
)  # fmt: skip
def test_text(value: Any, text: str) -> None:
    """What cannot be encoded becomes U+FFFD, objects their text, or their type's name where they have none."""
    assert clean_text(value) == text


def test_text_is_cut_between_characters() -> None:
    """A cut never leaves a part of a character."""
    assert clean_text("ééé", 5) == "éé"
    assert clean_text("ééé", 6) == "ééé"
    assert clean_name("x" * 2000) == "x" * 1024
    assert len(clean_text("x" * 6_000_000)) == 6_000_000


@pytest.mark.parametrize(
    ("value", "step"),
    [
        (3, 3), (-1, -1), (3.0, 3), (np.int32(4), 4), (np.uint8(5), 5), (np.float32(6.0), 6), (np.array(7), 7),
        (Level.LOW, 3),
        (Decimal("8"), 8), (np.array([9]), 9), (INT64_MAX, INT64_MAX), (2**63, None), (True, None),
        (np.bool_(True), None),
        (3.5, None), (math.nan, None), (math.inf, None), ("3", None), (None, None), (1e300, None), ([1], None),
        (1 + 0j, None),
    ],
    ids=range(22),
)  # fmt: skip
def test_step(value: Any, step: int | None) -> None:
    """Integers of any library and floats without fraction are steps, within int64."""
    assert to_step(value) == step


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0), (True, 1.0), (np.float32(0.5), 0.5), (np.float64(0.5), 0.5), (np.int64(3), 3.0),
        (np.array(2.5), 2.5), (np.array([[4]]), 4.0),
        (Decimal("0.25"), 0.25), (Fraction(1, 4), 0.25), (math.inf, math.inf), (10**400, math.inf),
        (-(10**400), -math.inf),
        (Fraction(-(10**400)), -math.inf), (np.bool_(True), 1.0), (Level.LOW, 3.0), (np.longdouble(2), 2.0),
        ("1.5", None), (b"1.5", None),
        (bytearray(b"1"), None), (None, None), (np.array([1, 2]), None), (np.array([]), None), (1j, None),
        (np.complex128(1), None),
        (np.array("1.5"), None), (np.datetime64(1, "s"), None), (np.timedelta64(1, "s"), None), (Raises(), None),
        ([1.0], None), ({}, None),
    ],
    ids=range(30),
)  # fmt: skip
def test_number(value: Any, number: float | None) -> None:
    """Numbers of any library, also alone in an array, are float64; strings, None and complex numbers are none."""
    assert to_number(value) == number


def test_nan_is_a_number() -> None:
    """A loss that is NaN is a value like any other, whatever library made it."""
    for value in (math.nan, np.float32("nan"), Decimal("NaN")):
        number = to_number(value)
        assert number is not None
        assert math.isnan(number)


class Tensor:
    """The surface of a torch tensor that counts."""

    def __init__(self, *values: float) -> None:
        self.values, self.shape, self.dtype = values, (len(values),) if len(values) != 1 else (), "torch.float32"

    def item(self) -> float:
        if len(self.values) != 1:
            raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")
        return self.values[0]

    def __float__(self) -> float:
        return self.item()

    def tolist(self) -> list[float]:
        return list(self.values)


def test_tensors_are_numbers_and_lists() -> None:
    """A tensor of one element is its number, a small one a list."""
    assert (to_number(Tensor(1.5)), to_number(Tensor(1, 2))) == (1.5, None)
    assert to_json({"one": Tensor(1.5), "two": Tensor(1, 2)}) == '{"one":1.5,"two":[1,2]}'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": (1, 2)}, '{"b":1,"a":[1,2]}'),
        ([math.nan, math.inf, -math.inf, -0.0], '["NaN","Infinity","-Infinity",-0.0]'),
        ([2**63, -(2**63)], f'["{2**63}",-9223372036854775808]'),
        ({"x": {3, 1, 20}, "y": {"b", "a"}}, '{"x":[1,3,20],"y":["a","b"]}'),
        ({1: "a", "1": "b", None: 0, False: 1}, '{"1":"a","1#1":"b","null":0,"false":1}'),
        ([np.float32(0.5), np.int8(1), np.bool_(True), np.arange(3)], "[0.5,1,true,[0,1,2]]"),
        ([datetime.datetime(2020, 1, 2, 3, 4, 5), datetime.date(2020, 1, 2)], '["2020-01-02T03:04:05","2020-01-02"]'),
        ([Model(), Data(), Packed(), Pair(1, 2)],
        '[{"lr":0.1,"inner":{"x":[1,2]}},{"a":1,"b":null},{"a":1},{"left":1,"right":2}]'),
        ([argparse.Namespace(lr=1), types.SimpleNamespace(a=2)], '[{"lr":1},{"a":2}]'),
        ([Colour.PAIR, Level.LOW, b"x", Path("a/b"), Decimal("1.5"), range(3)], '[[1,2],3,"x","a/b",1.5,[0,1,2]]'),
        (cyclic(), '[1,{"again":"<cycle>"}]'),
        (Raises(), '"<Raises>"'),
        (RaisingMap(a=1), '"{\'a\': 1}"'),
    ],
    ids=range(13),
)  # fmt: skip
def test_json(value: Any, text: str) -> None:
    """Order is kept, what JSON has no word for becomes text, objects become maps."""
    assert to_json(value) == text


def test_what_is_shared_is_no_cycle() -> None:
    """The same list twice is written twice."""
    shared = [1]
    assert to_json([shared, shared]) == "[[1],[1]]"


def test_depth_and_size_are_bounded() -> None:
    """64 levels are cut at 24; a small object that unfolds without end is cut too."""
    assert '"<depth>"' in to_json(nested(64))
    assert "leaf" in to_json(nested(24))
    bomb: list[Any] = [0]
    for _ in range(23):
        bomb = [bomb, bomb]
    assert to_json(bomb).count("0") <= 500_000


def test_a_config_is_bounded() -> None:
    """Rows become their count, then the largest values their size; what is small stays."""
    rows = [{"prompt": "x" * 100, "answer": n} for n in range(1000)]
    config = {"lr": 0.1, "data": {"rows": rows, "path": "a.jsonl"}, "arms": [{"a": 1}] * 3, "note": "y" * 50_000}
    assert json.loads(bound_config(config, 1_000_000)) == {
        "lr": 0.1, "data": {"rows": {"evsys.rows": 1000}, "path": "a.jsonl"}, "arms": [{"a": 1}] * 3,
        "note": "y" * 50_000,
    }  # fmt: skip
    small = json.loads(bound_config(config, 1000))
    assert small["note"] == {"evsys.bytes": 50_002}
    assert small["data"]["path"] == "a.jsonl"
    numbers = {"ids": list(range(10_000)), "few": list(range(60))}
    assert json.loads(bound_config(numbers, 5000)) == {"ids": {"evsys.rows": 10_000}, "few": list(range(60))}
    pairs = {"rows": tuple(map(Pair, range(60), range(60)))}
    assert json.loads(bound_config(pairs, 5000)) == {"rows": {"evsys.rows": 60}}


@given(config=anything(), max_bytes=st.integers(40, 400))
@settings(max_examples=200, deadline=None)
def test_no_config_is_above_its_bound(config: Any, max_bytes: int) -> None:
    """Whatever it is, it fits."""
    assert len(bound_config(config, max_bytes).encode()) <= max_bytes


def test_a_config_of_many_small_values_is_counted_whole() -> None:
    """Where no value is large, the whole is replaced by its size."""
    assert set(json.loads(bound_config({f"key{n}": n for n in range(10_000)}, 1000))) == {"evsys.bytes"}
    assert set(json.loads(bound_config("x" * 5000, 1000))) == {"evsys.bytes"}


SECRET_KEYS = [
    "password", "PASSWORD", "db_password", "api_key", "apiKey", "API-KEY", "api.key", "my api key", "openai_api_key",
    "apikey", "APIKey",
    "hf_token", "HF_TOKEN", "accessToken", "token2", "Authorization", "authToken", "client-secret", "clientSecret",
    "private_key", "PassWord",
    "aws_secret_access_key",
]  # fmt: skip
PLAIN_KEYS = [
    "tokenizer", "max_tokens", "tokens", "num_tokens", "author", "authors", "api", "key", "keys", "secretary",
    "passwords_file", "bearing",
    "private", "key_api", "lr", "oauthor", "",
]  # fmt: skip


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_secret_keys_are_redacted(key: str) -> None:
    """A whole word of a key tells, however its words are joined; the shape around it stays."""
    assert redact({"a": [{key: "s3cret"}]}, DEFAULT_SECRET_WORDS) == {"a": [{key: "<redacted>"}]}
    assert redact({key: {"inner": "s3cret"}}, DEFAULT_SECRET_WORDS) == {key: "<redacted>"}
    assert "s3cret" not in bound_config({key: 5, "x": {key: ["s3cret"]}}, 10_000, DEFAULT_SECRET_WORDS)


@pytest.mark.parametrize("key", PLAIN_KEYS)
def test_other_keys_are_not(key: str) -> None:
    """A secret word inside another word is none."""
    assert redact({key: "value"}, DEFAULT_SECRET_WORDS) == {key: "value"}


def test_redaction_can_be_configured() -> None:
    """Words and exceptions are the settings'; None and bools give nothing away."""
    config = {"pin": "1", "pad_token": "<pad>", "token": None, "use-auth": True, "password": 12}
    kept = redact(config, (*DEFAULT_SECRET_WORDS, "pin"), ("pad-token",))
    hidden = {"pin": "<redacted>", "password": "<redacted>"}
    assert kept == {**hidden, "pad_token": "<pad>", "token": None, "use-auth": True}
    assert redact(config, ()) == config
    model = {"model": Model(inner={"token": "x"})}
    assert redact(model, DEFAULT_SECRET_WORDS)["model"]["inner"] == {"token": "<redacted>"}


@pytest.mark.parametrize(
    ("uri", "clean"),
    [
        ("postgresql://user:pa55@db:5432/evsys?x=1", "postgresql://<redacted>@db:5432/evsys?x=1"),
        ("postgresql+psycopg://u:p@ss@h/d", "postgresql+psycopg://<redacted>@h/d"),
        ("postgres://u:pa/ss@h/d", "postgres://<redacted>@h/d"),
        ("https://token@github.com/a/b", "https://<redacted>@github.com/a/b"),
        ("https://host:8080/path@v1", "https://host:8080/path@v1"),
        ("https://host/path@v1?user=a@b", "https://host/path@v1?user=a@b"),
        ("s3://bucket/key", "s3://bucket/key"),
        ("https://h/x?api_key=abc&page=2&token=t#f", "https://h/x?api_key=<redacted>&page=2&token=<redacted>#f"),
        ("see http://u:p@a and http://u:p@b", "see http://<redacted>@a and http://<redacted>@b"),
        ("file:///tmp/a@b", "file:///tmp/a@b"),
        ("no uri, a@b: c", "no uri, a@b: c"),
        ("sqlite:///a\ud800", "sqlite:///a\ufffd"),
    ],
    ids=range(12),
)  # fmt: skip
def test_uris_lose_their_user_info(uri: str, clean: str) -> None:
    """User and password are replaced wherever a URI stands, ports and paths with an @ are not."""
    assert redact_uri(uri) == clean
    assert redact({"x": [uri]}, ())["x"] == [clean]


@pytest.mark.parametrize(
    ("argv", "clean"),
    [
        (["train.py", "--token", "X", "--lr", "1"], ["train.py", "--token", "<redacted>", "--lr", "1"]),
        (["--api-key=X", "--tokenizer=t"], ["--api-key=<redacted>", "--tokenizer=t"]),
        (["HF_TOKEN=a b", "LR=1", "+model.api_key=X"], ["HF_TOKEN=<redacted>", "LR=1", "+model.api_key=<redacted>"]),
        (["-H", "Authorization: Bearer X"], ["-H", "Authorization: <redacted>"]),
        (["--token", "--verbose", "x"], ["--token", "--verbose", "x"]),
        (["--token"], ["--token"]),
        (["--db", "postgres://u:p@h"], ["--db", "postgres://<redacted>@h"]),
        (["-c", "login(token='X', n=1)"], ["-c", "login(token=<redacted>, n=1)"]),
        (["--config", '{"password": "X y", "a": 1}'], ["--config", '{"password": <redacted>, "a": 1}']),
        (["--max-tokens", "5"], ["--max-tokens", "5"]),
    ],
    ids=range(10),
)  # fmt: skip
def test_commands_lose_their_secrets(argv: list[str], clean: list[str]) -> None:
    """Options, assignments, headers, code and JSON: the value after a secret name is replaced, the rest stays."""
    assert redact_command(argv, DEFAULT_SECRET_WORDS) == clean


@pytest.mark.parametrize("piece", ["a", "-", "A", "x:", "a.:", "x://", "x://u:", "?a", 'a="', "x://h/a?b=&"])
def test_long_texts_without_a_blank_are_read_at_once(piece: str) -> None:
    """A megabyte of anything in a URI, a config or a command takes a moment, not the square of its length."""
    text = "see http://u:p@h " + piece * (1_000_000 // len(piece))
    assert redact_uri(text).startswith("see http://<redacted>@h ")
    assert "u:p" not in redact_command([text, text[4:], "--" + piece * (1_000_000 // len(piece))])[0]
