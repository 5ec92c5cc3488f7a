"""The console script as a process: help, versions, exit codes, pipes, encodings, and how quickly it starts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from kit.processes import clean_environment

SCRIPT = Path(sys.executable).parent / "evsys-otel"
COMMANDS = ("ls", "show", "compare", "watch", "export", "rm", "sync", "doctor", "demo", "serve", "collector-config")


def call(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), *arguments], cwd=cwd, env=clean_environment(**environ), capture_output=True, text=True,
        encoding="utf-8", errors="replace", timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_its_json_and_store_options(command: str, run) -> None:
    """The help of each command names what every command takes; one that only prints a file needs no store."""
    ended = run(command, "--help")
    assert ended.code == 0
    assert "--json" in ended.out
    assert ("--store" in ended.out) == (command != "collector-config")
    assert "<bool>" not in ended.out  # a flag takes no value


def test_help_lists_every_command(run) -> None:
    """Without a command it is the help, too."""
    out = run("--help").out
    assert all(re.search(rf"│ {command} ", out) for command in COMMANDS)
    assert run() == run("--help")


def test_version_is_that_of_the_package(tmp_path: Path) -> None:
    """Text and JSON."""
    import evsys_otel

    assert call("--version", cwd=tmp_path).stdout == f"evsys-otel {evsys_otel.__version__}\n"
    assert json.loads(call("--version", "--json", cwd=tmp_path).stdout) == {"version": evsys_otel.__version__}


@pytest.mark.parametrize("arguments", [["nope"], ["show"], ["export", "x", "-f", "xml"], ["ls", "--limit", "0"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str], run) -> None:
    """One sentence on standard error that says where help is; JSON where that was asked for."""
    ended = run(*arguments)
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (2, "", 1)
    assert "--help" in ended.err
    assert run(*arguments, "--json").data["error"]["exit_code"] == 2


def test_what_should_not_happen_is_one_sentence_too(run, swept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception is exit code 1 without a traceback; EVSYS_OTEL_DEBUG=1 shows where it came from."""
    from evsys_otel.cli import listing

    def gather(*_: object, **__: object) -> None:
        raise RuntimeError("of two\nlines")

    monkeypatch.setattr(listing, "gather", gather)
    sentence = "Something unexpected went wrong, RuntimeError: of two lines; EVSYS_OTEL_DEBUG=1 shows where."
    ended = run("ls")
    assert (ended.code, ended.out, ended.err) == (1, "", f"evsys-otel: {sentence}\n")
    error = {"kind": "RuntimeError", "message": sentence, "exit_code": 1}
    assert run("ls", "--json").data == {"error": error}
    monkeypatch.setenv("EVSYS_OTEL_DEBUG", "1")
    ended = run("ls")
    assert ended.code == 1
    assert ended.err.startswith("Traceback")
    assert ended.err.endswith(f"evsys-otel: {sentence}\n")


def test_json_before_the_command_means_the_same(swept: Path, run) -> None:
    """`evsys-otel --json ls` is `evsys-otel ls --json`."""
    before, after = run("--json", "ls").data, run("ls", "--json").data
    assert before["experiments"] == after["experiments"]


def test_help_and_version_import_neither_the_store_nor_the_sdk(tmp_path: Path) -> None:
    """What is asked for often costs little: no SQLAlchemy, no SDK, no gRPC, no pyarrow."""
    code = "import sys; from evsys_otel.cli import main; main(['--help']); main(['ls', '-h']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    heavy = {"sqlalchemy", "grpc", "opentelemetry.sdk", "pyarrow", "numpy", "requests"}
    assert heavy.isdisjoint(done.stdout.splitlines()[-1].split())


def test_a_reader_that_goes_away_causes_no_trace(swept: Path) -> None:
    """`evsys-otel export | head -1` ends quietly."""
    command = f"{SCRIPT} export 10 -f jsonl | head -n 1; {SCRIPT} ls | true; {SCRIPT} show a0 --json | head -c 1"
    shell = ["sh", "-c", command]
    done = subprocess.run(shell, cwd=swept, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode_gets_what_it_can_show(swept: Path, encoding: str) -> None:
    """No character is an error; curves are drawn in ASCII."""
    done = call("show", "a0", cwd=swept, PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "*" in done.stdout
    assert "⠒" not in done.stdout


def test_a_store_url_is_taken_from_the_option(swept: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`--store` beats the settings, also in a folder of its own."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = call("ls", "--json", "--store", f"sqlite:///{swept}/.evsys/evsys.db", cwd=elsewhere)
    assert len(json.loads(done.stdout)["experiments"]) == 3
    assert list(elsewhere.iterdir()) == []


def test_without_a_store_every_reading_command_says_so(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store turned off is an error with its mend."""
    monkeypatch.setenv("EVSYS_OTEL_STORE", "none")
    for command in (["ls"], ["show", "x"], ["compare", "x"], ["watch"], ["export", "x"], ["rm", "x", "--yes"]):
        ended = run(*command)
        assert ended.code == 1
        assert "--store URL" in ended.err


def test_a_bad_store_url_is_one_sentence_without_its_password(run, folder: Path) -> None:
    """Nothing of a credential is repeated."""
    ended = run("ls", "--store", "mysql://user:hunter2@host/db")
    assert ended.code == 1
    assert "hunter2" not in ended.err + ended.out
    assert "mysql database" in ended.err
