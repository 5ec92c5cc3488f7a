"""Plain facts about the recording process, and whether it lives."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from kit.processes import wait_until

from evsys_otel.journal import Identity, JournalReader, JournalWriter, current_identity, owner_state
from evsys_otel.journal import identity as identity_module
from evsys_otel.settings import resolve_settings
from evsys_otel.testing import counting_sources

SETTINGS = resolve_settings(environ={}, store="postgresql://user:pa55@db/evsys", dir="/tmp/somewhere")
SAYS_WHO_IT_IS = """
import sys, msgspec
from evsys_otel.journal import current_identity
from evsys_otel.settings import resolve_settings
print(msgspec.json.encode(current_identity(resolve_settings(environ={}))).decode(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SAYS_WHO_IT_IS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


def identity_of(process: subprocess.Popen[str]) -> Identity:
    assert process.stdout is not None
    return msgspec.json.decode(process.stdout.readline(), type=Identity)


def test_the_facts_are_those_of_this_process() -> None:
    """Host, pid, interpreter, command and folder, and no credential."""
    identity = current_identity(SETTINGS, counting_sources(), otlp=True, resource={"team": "a", "bad\0": "\ud800"})
    assert identity.journal_id.startswith(f"20231114T221320-{os.getpid()}-")
    assert (identity.pid, identity.cwd) == (os.getpid(), os.getcwd())
    assert identity.python == ".".join(map(str, sys.version_info[:3]))
    assert identity.otlp
    assert identity.resource == {"team": "a", "bad\ufffd": "\ufffd"}
    assert identity.store_url is not None
    assert "pa55" not in identity.store_url
    assert current_identity(SETTINGS, counting_sources()).journal_id != identity.journal_id


def test_secrets_of_the_command_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is journalled without the values of options that are named like secrets, and bounded."""
    argv = ["python", "train.py", "--api-key", "s3cret", "--lr=0.1", "x" * 3000, "y" * 3000]
    monkeypatch.setattr(sys, "orig_argv", argv)
    command = current_identity(SETTINGS).command
    assert command[:5] == ["python", "train.py", "--api-key", "<redacted>", "--lr=0.1"]
    assert len("".join(command)) < 3000


def test_it_fits_into_a_header_whatever_the_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Endless commands and resources, names that are no text, a user without a name, a folder that is gone."""
    monkeypatch.setattr(sys, "orig_argv", ['"\1' * 5000] * 100)
    monkeypatch.setattr(identity_module.getpass, "getuser", lambda: (_ for _ in ()).throw(KeyError("uid")))
    monkeypatch.setattr(identity_module.os, "getcwd", lambda: (_ for _ in ()).throw(FileNotFoundError()))
    identity = current_identity(SETTINGS, resource={f"key{n}\2": "\3" * 5000 for n in range(100)})
    assert (identity.user, identity.cwd) == ("", "")
    writer = JournalWriter.create(tmp_path, identity)
    assert JournalReader(writer.folder).identity.journal_id == identity.journal_id


def test_a_living_process_is_alive_and_a_killed_one_dead(child: subprocess.Popen[str]) -> None:
    """Also before anybody has reaped it: a zombie writes no more."""
    identity = identity_of(child)
    assert owner_state(identity) == "alive"
    child.kill()
    wait_until(lambda: owner_state(identity) == "dead")
    child.wait()
    assert owner_state(identity) == "dead"


def test_a_pid_that_is_now_another_process_is_dead() -> None:
    """The start time tells a process from a later one with its pid."""
    own = current_identity(SETTINGS)
    assert owner_state(own) == "alive"
    assert owner_state(msgspec.structs.replace(own, process_start="1")) == "dead"
    assert owner_state(msgspec.structs.replace(own, pid=2**22 + 1)) == "dead"


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"host": "elsewhere", "boot_id": "another"}, "unknown"),
        ({"boot_id": "another"}, "dead"),
        ({"host": "renamed"}, "alive"),
        ({"pid_namespace": "pid:[1]"}, "unknown"),
        ({"process_start": ""}, "unknown"),
    ],
)
def test_what_this_machine_cannot_see_is_unknown(changes: dict[str, str], state: str) -> None:
    """Another host or container is unknown, an earlier boot of this host is dead."""
    assert owner_state(msgspec.structs.replace(current_identity(SETTINGS), **changes)) == state


def test_a_process_that_is_hidden_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc hides other users' processes the kernel still knows the pid: that is no death."""
    own = current_identity(SETTINGS)
    monkeypatch.setattr(identity_module.Path, "read_bytes", lambda _path: (_ for _ in ()).throw(FileNotFoundError()))
    assert owner_state(own) == "unknown"
    assert owner_state(msgspec.structs.replace(own, pid=2**22 + 1)) == "dead"


def test_where_there_is_no_proc_ps_is_asked(monkeypatch: pytest.MonkeyPatch, child: subprocess.Popen[str]) -> None:
    """The start time by ps(1) is that of the same process each time, and none once it is gone."""
    pid = identity_of(child).pid
    try:
        start = identity_module._process_start_by_ps(pid)
    except OSError:
        pytest.skip("there is no ps here")
    assert start
    assert start == identity_module._process_start_by_ps(pid)
    child.kill()
    child.wait()
    assert identity_module._process_start_by_ps(pid) == ""
