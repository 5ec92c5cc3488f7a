"""The wait at the exit: bounded, only for lanes that make progress; and flush, which waits for all that are on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from evsys_otel.journal import LaneStatus, ShipperStatus
from evsys_otel.recorder import draining
from evsys_otel.recorder.draining import wait_for_drain, wait_until_acknowledged
from evsys_otel.recorder.roles import exit_timeout_seconds, is_silent
from evsys_otel.settings import Settings, resolve_settings

END = 1_000


def lane(name: str, position: int, state: str = "running") -> LaneStatus:
    return LaneStatus(
        name=name, destination="d", position=position, state=state, reason=None, parked=0, shortened=0, rejected=0,
        last_progress_unix_nano=0, crash_position=None,
    )


class ScriptedShipping:
    """A shipper that says the scripted words one after the other, the last one for good."""

    def __init__(self, *words: list[LaneStatus] | None, lives: Callable[[], bool] = lambda: True) -> None:
        self._words = iter(words)
        self._last: list[LaneStatus] | None = None
        self._lives = lives
        self.revived = 0

    def start(self) -> None: ...

    def look(self) -> None: ...

    def close(self) -> None: ...

    def revive(self) -> bool:
        self.revived += 1
        return True

    def status(self) -> ShipperStatus | None:
        self._last = next(self._words, self._last)
        return None if self._last is None else ShipperStatus(1, 0, 0, self._last)

    def active(self) -> bool:
        return self._lives()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only sleeping moves; its reading is how long was waited."""
    now = [0.0]
    monkeypatch.setattr(draining.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(draining.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


DRAINS = {
    "all is there": ([[lane("store", END)]], True, (0, 0)),
    "it moves": ([[lane("store", position)] for position in range(0, END + 1, 10)], True, (1.9, 2.1)),
    "one is switched off": ([[lane("store", END), lane("otlp.logs", 0, "switched_off")]], True, (0, 0)),
    "one backs off and stands": ([[lane("store", END), lane("otlp.logs", 5, "backing_off")]], False, (0.5, 0.6)),
    "one backs off but moves": (
        [[lane("otlp.logs", position, "backing_off")] for position in range(0, END + 1, 10)], True, (1.9, 2.1),
    ),
    "one hangs": ([[lane("otlp.logs", 5)]], False, (5, 5.1)),
    "one hangs while another moves": (
        [[lane("store", position), lane("otlp.logs", 5)] for position in range(0, END, 1)], False, (10, 10.1),
    ),
    "it says nothing": ([None], False, (5, 5.1)),
    "it has no lanes yet": ([[]], False, (5, 5.1)),
    "it is slow": ([[lane("store", position)] for position in range(END)], False, (10, 10.1)),
}


@pytest.mark.parametrize("case", DRAINS)
def test_an_exit_waits_for_what_makes_progress_and_for_no_more_than_its_bound(case: str, clock: list[float]) -> None:
    """A lane that cannot progress holds up no exit; one that does is waited for, up to 10 seconds."""
    words, drained, (least, most) = DRAINS[case]
    said: list[str] = []
    assert wait_for_drain(ScriptedShipping(*words), END, 10.0, said.append) is drained
    assert least <= clock[0] <= most
    assert len(said) == (clock[0] > 1)


def test_a_shipper_that_is_dead_at_the_exit_is_revived_twice_at_most(clock: list[float]) -> None:
    """A shipper that cannot live does not keep the process."""
    shipping = ScriptedShipping([lane("store", 0)], lives=lambda: False)
    assert not wait_for_drain(shipping, END, 10.0, lambda line: None)
    assert shipping.revived == 2
    assert clock[0] < 1


def test_flush_waits_for_lanes_that_back_off_and_gives_up_at_its_timeout(clock: list[float]) -> None:
    """All lanes but those that are switched off must have acknowledged; a bound is kept."""
    backing_off = [[lane("store", END), lane("otlp.logs", 5, "backing_off")]]
    assert not wait_until_acknowledged(ScriptedShipping(*backing_off), END, 7.0)
    assert 7 <= clock[0] <= 7.1
    assert wait_until_acknowledged(ScriptedShipping(*backing_off * 100, [lane("store", END)]), END, None)
    dead = ScriptedShipping(None, lives=lambda: False)
    assert not wait_until_acknowledged(dead, END, None)
    assert dead.revived == 2


@pytest.mark.parametrize(
    ("environ", "given", "seconds"),
    [({}, None, 10.0), ({"SLURM_JOB_ID": "1"}, None, 30.0), ({"KUBERNETES_SERVICE_HOST": "k"}, None, 30.0),
     ({"SLURM_JOB_ID": "1"}, 2.0, 2.0), ({}, 0.0, 0.0)],
)
def test_the_bound_is_longer_where_the_machine_ends_with_the_process(
    environ: dict[str, str], given: float | None, seconds: float
) -> None:
    """10 seconds, 30 on machines that vanish, or what the setting says."""
    assert exit_timeout_seconds(Settings(exit_timeout_seconds=given), environ) == seconds


def test_other_launchers_ranks_are_silent_by_the_setting_alone() -> None:
    """MPI and SLURM ranks are as often independent runs."""
    for rank, size in (("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE")):
        environ = {rank: "1", size: "2"}
        assert not is_silent(Settings(), environ)
        assert is_silent(resolve_settings({}, silent_ranks="all"), environ)


@pytest.mark.real
def test_a_real_shipper_drains_and_flushes(tmp_path: Path) -> None:
    """With the defaults a script's data are in the store when flush says so, and when the process is gone."""
    from kit.recorded import run_script

    from evsys_otel.store import open_store

    done = run_script(
        """
        import evsys_otel
        run = evsys_otel.start_run("r", experiment="x")
        for step in range(1_000): run.log({"loss": step})
        assert run.flush(30)
        with evsys_otel.open_store() as store:
            print(len(store.get_metrics(run.id)))
        run.log({"loss": 1})
        print(run.id)
        """,
        tmp_path, EVSYS_OTEL_MODE="process",
    )
    assert done.returncode == 0, done.stderr
    flushed, run_id = done.stdout.split()
    assert flushed == "1000"
    with open_store(f"sqlite:///{tmp_path}/.evsys/evsys.db") as store:
        assert len(store.get_metrics(run_id)) == 1_001
        run = store.get_run(run_id)
        assert run is not None
        assert run["status"] == "completed"
