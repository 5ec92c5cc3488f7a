"""Who may write what: tokens and their projects, a file that changes, and no token in anything that is said."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from evsys_otel.bridge.auth import Denied, Grant, Tokens
from evsys_otel.errors import ConfigurationError

SECRET = "s3cret-of-a.project_1~x/y+z=="
THREE = f"{SECRET}=a, second=a+b,collector=*"


def replace_file(path: Path, text: str) -> None:
    """Put another file in a file's place, as an orchestrator does."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


def test_a_token_gives_its_projects() -> None:
    """One project, several, or all; the scheme's case does not count (RFC 9110, section 11.1)."""
    tokens = Tokens.load(THREE)
    assert tokens.grant(f"Bearer {SECRET}") == Grant(frozenset({"a"}))
    assert tokens.grant("bearer second") == Grant(frozenset({"a", "b"}))
    assert tokens.grant("BEARER  collector ") == Grant(None)


@pytest.mark.parametrize(
    ("header", "reason"),
    [(None, "missing"), ("", "missing"), ("Bearer", "missing"), ("Bearer ", "missing"), ("Basic c2V0", "missing"),
     (SECRET, "missing"), ("Bearer wrong", "unknown"), (f"Bearer {SECRET}=a", "unknown"), ("Bearer a b", "unknown"),
     (f"Bearer {SECRET[:-1]}", "unknown"), ("Bearer \udcff", "unknown"), ("Bearer " + "x" * 60_000, "unknown")],
)  # fmt: skip
def test_everything_else_is_denied(header: str | None, reason: str) -> None:
    """No token, another scheme, a wrong token, a part of one."""
    assert Tokens.load(THREE).grant(header) == Denied(reason)  # type: ignore[arg-type]


def test_without_tokens_everybody_may_everything() -> None:
    """That is the default, on loopback."""
    tokens = Tokens.load(None)
    assert (tokens.are_needed, tokens.grant(None), tokens.grant("Bearer x")) == (False, Grant(None), Grant(None))
    assert Tokens.load(THREE).are_needed


def test_a_grant_says_whose_records_may_be_written() -> None:
    """A record that names no project belongs to the token's only one; of several, none can be guessed."""
    one, two, every = Grant(frozenset({"a"})), Grant(frozenset({"a", "b"})), Grant(None)
    assert (one.only_project, two.only_project, every.only_project) == ("a", None, None)
    assert [one.allows(each) for each in ("a", "b", None)] == [True, False, False]
    assert [two.allows(each) for each in ("a", "b", "c", None)] == [True, True, False, False]
    assert [every.allows(each) for each in ("a", None)] == [True, True]


@pytest.mark.parametrize(
    "text", ["", " , ", f"{SECRET}", f"{SECRET}=", f"={SECRET}", f"{SECRET}=a+", f"two words {SECRET}=a", "ünï=a",
             f"{SECRET}=a,{SECRET}=b"],
)  # fmt: skip
def test_entries_that_cannot_be_used_are_named_by_number_and_not_repeated(text: str, tmp_path: Path) -> None:
    """Neither the token nor what might be one is in the message, from the variable as from a file."""
    (tmp_path / "tokens").write_text(text)
    for given in (text, str(tmp_path / "tokens")):
        with pytest.raises(ConfigurationError) as caught:
            Tokens.load(given)
        assert SECRET not in str(caught.value)


def test_a_file_has_an_entry_a_line_and_comments(tmp_path: Path) -> None:
    """The same entries as in the variable."""
    (tmp_path / "tokens").write_text(f"# who may write\n\n{SECRET}=a  # the first\n second = a+b , third=b\r\n")
    tokens = Tokens.load(str(tmp_path / "tokens"))
    assert tokens.grant(f"Bearer {SECRET}") == Grant(frozenset({"a"}))
    assert tokens.grant("Bearer second") == Grant(frozenset({"a", "b"}))
    assert tokens.grant("Bearer third") == Grant(frozenset({"b"}))


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """A token that is gone opens nothing any more, at the next request."""
    path = tmp_path / "tokens"
    path.write_text("old=a")
    tokens = Tokens.load(str(path))
    replace_file(path, "new=a")
    assert tokens.grant("Bearer old") == Denied("unknown")
    assert tokens.grant("Bearer new") == Grant(frozenset({"a"}))
    path.write_text("newer=b+c")
    assert tokens.grant("Bearer newer") == Grant(frozenset({"b", "c"}))


@pytest.mark.parametrize("broken", ["", "no entry", "\udcff", None, "x=a\n" * 300_000])
def test_a_broken_new_file_keeps_the_old_tokens_and_says_so_once(
    broken: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage of the token source is no outage of the server, and no token is in the line."""
    path = tmp_path / "tokens"
    path.write_text(f"{SECRET}=a")
    tokens = Tokens.load(str(path))
    if broken is None:
        path.unlink()
    else:
        path.write_bytes(broken.encode(errors="surrogateescape"))
    with caplog.at_level(logging.DEBUG):
        assert [tokens.grant(f"Bearer {SECRET}") for _ in range(3)] == [Grant(frozenset({"a"}))] * 3
    assert len(caplog.messages) == 1
    assert "stay as they were" in caplog.text
    replace_file(path, f"{SECRET}=b")
    assert tokens.grant(f"Bearer {SECRET}") == Grant(frozenset({"b"}))
    assert SECRET not in caplog.text


def test_no_token_is_kept_in_the_clear() -> None:
    """Not even a dump of the object has one."""
    assert SECRET not in repr(vars(Tokens.load(THREE)))
