"""The doctor: what it looks at, what it sends, what it says to mend."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from kit.otlp_receiver import OtlpReceiver, free_port
from kit.recorded import run_script

from evsys_otel.doctor.burst import check_path
from evsys_otel.doctor.configuration import check_settings
from evsys_otel.doctor.training import steps_and_texts
from evsys_otel.settings import MIB, resolve_settings
from evsys_otel.store import open_store


def states(report: dict) -> dict[str, str]:
    return {check["name"]: check["state"] for check in report["checks"]}


def use(monkeypatch: pytest.MonkeyPatch, receiver: OtlpReceiver) -> None:
    for name, value in receiver.environ().items():
        monkeypatch.setenv(name, value)


def test_a_quick_look_is_calm_where_all_is_well(run, folder: Path) -> None:
    """Every line is ok, and so is the exit code."""
    ended = run("doctor", "--quick")
    assert ended.code == 0
    assert ended.out.rstrip().endswith("All is well.")
    assert set(states(run("doctor", "--quick", "--json").data).values()) == {"ok"}


def test_the_marked_run_goes_down_the_configured_path_and_comes_back(
    run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 MiB to the store and over OTLP: nothing lost, nothing doubled, and nothing left of it in the store."""
    with OtlpReceiver("grpc") as receiver:
        use(monkeypatch, receiver)
        report = run("doctor", "--json").data
        assert report["failed"] == 0
        by_name = {check["name"]: check for check in report["checks"]}
        burst = by_name["burst store"]["facts"]
        assert by_name["burst store"]["state"] == "ok", by_name["burst store"]
        assert (burst["lost"], burst["doubled"], burst["altered"], burst["state"]) == (0, 0, 0, "whole")
        assert {by_name[f"burst otlp.{signal}"]["state"] for signal in ("traces", "metrics", "logs")} == {"ok"}
        taken = sum(len(request.body) for request in receiver.requests)
        assert taken > 7 * MIB
    assert run("ls", "--json").data["experiments"] == []
    assert sorted(path.name for path in folder.iterdir()) == [".evsys"]


def test_a_receiver_of_traces_alone_is_named_with_the_variables_to_set(
    run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it refuses is said once, and the marked run goes to what it takes."""
    with OtlpReceiver("grpc", lambda request: None if request.signal == "traces" else UNIMPLEMENTED) as receiver:
        use(monkeypatch, receiver)
        ended = run("doctor", "--json")
    assert ended.code == 1
    assert states(ended.data)["otlp traces"] == "ok"
    assert states(ended.data)["otlp metrics, logs"] == "fail"
    mend = next(check["mend"] for check in ended.data["checks"] if check["state"] == "fail")
    assert "OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none" in mend
    assert "burst otlp.metrics" not in states(ended.data)
    assert states(ended.data)["burst store"] == "ok"


UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED


def test_a_receiver_that_is_not_there_is_one_line(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All signals that fail alike are said together; no secret of the URL is repeated."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://user:hunter2@127.0.0.1:{free_port()}")
    ended = run("doctor", "--quick")
    assert ended.code == 1
    assert ended.out.count("fail") == 1
    assert "Connection refused" in ended.out
    assert "hunter2" not in ended.out


def test_what_the_burst_alone_finds_is_told(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that answers an empty request and refuses the records is found out by the marked run."""

    def answer(request):
        return grpc.StatusCode.PERMISSION_DENIED if len(request) else None

    with OtlpReceiver("grpc", answer) as receiver:
        use(monkeypatch, receiver)
        checks = list(check_path(resolve_settings(), burst_bytes=MIB, timeout=20))
    found = {check.name: check.state for check in checks}
    assert found["burst otlp.logs"] == "fail"
    assert found["burst store"] in {"ok", "warn"}


def test_a_journal_that_waits_is_a_warning_with_its_mend(run, folder: Path) -> None:
    """What a process left behind is said, also by ls."""
    script = "import evsys_otel\nevsys_otel.start_run('left', experiment='e').log({'loss': 1.0})"
    assert run_script(script, folder).returncode == 0
    ended = run("doctor", "--quick", "--json")
    assert ended.code == 0
    (check,) = [check for check in ended.data["checks"] if check["name"] == "journals"]
    assert (check["state"], check["mend"]) == ("warn", "run evsys-otel sync")


def test_parked_records_are_told_with_their_reason(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that refuses a record: how many, by which lane, and why."""

    def answer(request):
        return grpc.StatusCode.INVALID_ARGUMENT if request.signal == "logs" and len(request) else None

    script = "import evsys_otel\nrun = evsys_otel.start_run('r', experiment='e')\nrun.log({'loss': 1.0})\nrun.end()"
    with OtlpReceiver("grpc", answer) as receiver:
        assert run_script(script, folder).returncode == 0
        use(monkeypatch, receiver)
        assert run("sync", "--json").data["parked"] > 0
        ended = run("doctor", "--quick", "--json")
    parked = [check for check in ended.data["checks"] if check["name"] == "parked"]
    assert parked[0]["state"] == "warn"
    assert "otlp.logs" in parked[0]["detail"]
    assert "INVALID_ARGUMENT" in parked[0]["detail"]
    assert "parked" in run("ls").out


def test_settings_that_cannot_be_used_are_named() -> None:
    """A bad value, and a name that no setting has."""
    environ = {"EVSYS_OTEL_HEARTBEAT": "often", "EVSYS_OTEL_HARTBEAT": "30", "EVSYS_OTEL_DIR": "/tmp"}
    checks = list(check_settings(resolve_settings(environ), environ))
    assert [check.detail for check in checks if check.state == "warn"] == [
        "EVSYS_OTEL_HEARTBEAT cannot be used, its default is taken",
        "EVSYS_OTEL_HARTBEAT is no setting of this version",
    ]


def test_a_store_of_a_newer_version_is_a_failure_with_its_mend(run, folder: Path) -> None:
    """The sentence says to upgrade."""
    import sqlite3

    open_store().close()
    with sqlite3.connect(".evsys/evsys.db") as database:
        database.execute("UPDATE evsys_schema SET version = 99")
    ended = run("doctor", "--quick", "--json")
    assert ended.code == 1
    (check,) = [check for check in ended.data["checks"] if check["name"] == "store"]
    assert check["mend"] == "pip install --upgrade evsys-otel"


def test_a_folder_that_cannot_be_written_is_a_failure(run, folder: Path) -> None:
    """A file in the folder's place: nothing can be recorded."""
    Path(".evsys").write_text("in the way")
    ended = run("doctor", "--quick", "--json")
    assert ended.code == 1
    assert states(ended.data)["folder"] == "fail"


def test_everything_turned_off_is_a_failure(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`EVSYS_OTEL_MODE=disabled` is said, and nothing is sent."""
    monkeypatch.setenv("EVSYS_OTEL_MODE", "disabled")
    ended = run("doctor", "--json")
    assert ended.code == 1
    assert states(ended.data)["mode"] == "fail"
    assert "burst store" not in states(ended.data)


def test_a_burst_is_half_metrics_and_half_texts() -> None:
    """As many bytes as were asked for, within a few per cent."""
    steps, texts = steps_and_texts(8 * MIB)
    assert steps * 20 * 68 + texts * 65536 == pytest.approx(8 * MIB, rel=0.02)
