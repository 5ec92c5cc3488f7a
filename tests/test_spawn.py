"""The shipper is started so that nothing of the user's reaches it and it reaches nothing of the user's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kit.processes import process_is_alive, trainer, wait_until
from kit.recorded import clean_environment, journals, run_script

from evsys_otel import spawn
from evsys_otel.journal import ShipperStatus, StatusFile
from evsys_otel.settings import Settings, resolve_settings

TRAINER = """
import sys
sys.path.insert(0, "relative")
import evsys_otel
run = evsys_otel.start_run("r", experiment="x", mode="process")
run.log({"loss": 1.0})
print("ready")
sys.stdin.read()
"""


def shipper_of(folder: Path) -> ShipperStatus:
    """Wait for the only journal's shipper to speak."""

    def status() -> ShipperStatus | None:
        found = journals(folder)
        return StatusFile(found[0]).read() if found else None

    spoken = wait_until(status, what="the shipper's first word")
    assert spoken is not None
    return spoken


def is_shipped(folder: Path) -> bool:
    """Whether every lane has come to the end of the closed journal."""
    return all(lane.state == "done" for lane in shipper_of(folder).lanes)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_shipper_is_nobodys_child_and_holds_nothing_of_the_trainers(tmp_path: Path) -> None:
    """It has another parent and a session of its own; its descriptors 0, 1 and 2 are null and its log."""
    with trainer(TRAINER, tmp_path) as process:
        assert process.read_line() == "ready"
        pid = shipper_of(tmp_path).pid
        stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        parent, session = int(stat[1]), int(stat[3])
        assert parent != process.pid
        assert session != os.getsid(process.pid)
        targets = [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)]
        log = str(journals(tmp_path)[0] / spawn.LOG_NAME)
        assert targets == ["/dev/null", log, log]
        pipes = {os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)}
        held = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()}
        assert pipes & held <= {"/dev/null"}
        process.kill()
        wait_until(lambda: not process_is_alive(pid), what="the shipper's end")


def test_modules_beside_the_users_script_are_not_imported(tmp_path: Path) -> None:
    """A random.py, a logging.py and a sqlalchemy.py in the working directory neither break nor enter the shipper."""
    (tmp_path / "empty").mkdir()
    for name in ("random", "logging", "json", "sqlalchemy", "grpc", "opentelemetry"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write({name!r}); 1 / 0")
    script = tmp_path / "empty" / "train.py"
    script.write_text(
        "import evsys_otel\n"
        "run = evsys_otel.start_run('r', experiment='x')\n"
        "run.log({'loss': 1})\n"
        "assert run.flush(30)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True,
        timeout=60, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "imported").exists()


def test_a_users_wait_for_any_child_is_not_disturbed(tmp_path: Path) -> None:
    """os.wait() in a loop that reaps whatever ends neither kills nor hides the shipper."""
    done = run_script(
        """
        import os
        import evsys_otel
        run = evsys_otel.start_run("r", experiment="x")
        own = os.fork() or os._exit(7)
        reaped = {}
        while own not in reaped:
            pid, status = os.wait()
            reaped[pid] = os.waitstatus_to_exitcode(status)
        assert reaped[own] == 7
        run.log({"loss": 1.0})
        assert run.flush(30)
        try:
            os.wait()
        except ChildProcessError:
            print("no children")
        """,
        tmp_path, EVSYS_OTEL_MODE="process",
    )
    assert done.stdout == "no children\n", done.stderr


def test_the_path_is_absolute_and_the_scripts_folders_come_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only the user's script sees comes after the standard library and the installed packages."""
    monkeypatch.chdir(tmp_path)
    library = os.path.dirname(os.__file__)
    monkeypatch.setattr(sys, "path", ["/scripts", "", library, "relative", str(tmp_path)])
    assert spawn.shipper_path() == [library, str(tmp_path / "relative"), "/scripts", str(tmp_path)]


def test_the_environment_makes_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An argument that says the default beats a variable in the shipper too; the folder is absolute."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVSYS_OTEL_HEARTBEAT", "7")
    monkeypatch.setenv("EVSYS_OTEL_DIR", "elsewhere")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=b")
    settings = resolve_settings(heartbeat_seconds=30, dir="here", otlp_headers="token=1", secret_words=["a", "b"])
    environ = spawn.shipper_environment(settings)
    again = resolve_settings(environ)
    assert (again.heartbeat_seconds, again.root) == (30.0, tmp_path / "here")
    assert (again.otlp_headers, again.secret_words) == ("token=1", ("a", "b"))
    assert environ["OTEL_EXPORTER_OTLP_HEADERS"] == "a=b"


@pytest.mark.parametrize(("attribute", "value"), [("frozen", True), ("executable", "")])
def test_a_frozen_application_starts_nothing(
    attribute: str, value: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its executable would run the user's program again: the journal waits for sync."""
    monkeypatch.setattr(sys, attribute, value, raising=False)
    assert not spawn.spawn_shipper(tmp_path, Settings())


def test_an_interpreter_that_cannot_be_started_is_told_not_raised(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Training goes on without a shipper."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    assert not spawn.spawn_shipper(tmp_path, Settings())
    assert "evsys-otel sync" in caplog.text


def test_a_shipper_that_dies_is_started_again(tmp_path: Path) -> None:
    """The log calls of a run notice it, and what is logged afterwards arrives."""
    source = """
    import os, signal, sys, time
    import evsys_otel
    from evsys_otel.journal import StatusFile
    run = evsys_otel.start_run("r", experiment="x")
    run.log({"loss": 1.0})
    assert run.flush(30)
    file = StatusFile(run._session.folder)
    first = file.read().pid
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while file.read().pid == first and time.monotonic() < deadline:
        run.log({"loss": 2.0})
        time.sleep(0.01)
    assert file.read().pid != first
    assert run.flush(30)
    print("again")
    """
    done = run_script(source, tmp_path, EVSYS_OTEL_MODE="process")
    assert done.stdout == "again\n", done.stderr


def test_a_shipper_that_is_dead_at_the_exit_is_started_for_the_rest(tmp_path: Path) -> None:
    """A trainer that logs no more leaves nothing behind if the shipper died meanwhile."""
    source = """
    import os, signal
    import evsys_otel
    from evsys_otel.journal import StatusFile
    run = evsys_otel.start_run("r", experiment="x")
    run.log({"loss": 1.0})
    assert run.flush(30)
    os.kill(StatusFile(run._session.folder).read().pid, signal.SIGKILL)
    run.end()
    """
    done = run_script(source, tmp_path, EVSYS_OTEL_MODE="process")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: is_shipped(tmp_path), what="the delivery")


def test_signals_to_the_whole_job_do_not_end_the_shipper(tmp_path: Path) -> None:
    """A terminal's interrupt reaches the trainer's process group; the shipper ships what is left and then goes."""
    with trainer(TRAINER, tmp_path) as process:
        assert process.read_line() == "ready"
        pid = shipper_of(tmp_path).pid
        os.kill(process.pid, signal.SIGINT)
        process.wait()
        wait_until(lambda: not process_is_alive(pid), what="the shipper's end")
        assert is_shipped(tmp_path)
