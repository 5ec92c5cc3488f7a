"""How a training process ends, and what its journal then says: every way out, in real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kit.journals import run_events, write_journal
from kit.processes import trainer
from kit.recorded import clean_environment, journals, of_kind, only_events, read_events, run_script, steps_of

from evsys_otel.events import ExperimentEnded, JournalClosed, RunEnded, RunStarted, StepLogged
from evsys_otel.recorder.leftovers import unshipped_runs

START = """
import os, sys, multiprocessing, threading
import evsys_otel
run = evsys_otel.start_run("r", experiment="x")
run.log({"loss": 1.0})
"""

ENDS = {
    "its end": ("", 0, "completed", None),
    "sys.exit(0)": ("sys.exit(0)", 0, "completed", None),
    "an exception": ("raise ValueError('too hot')", 1, "failed", "ValueError: too hot"),
    "an interrupt": ("raise KeyboardInterrupt", -2, "cancelled", None),
    "an exception in a body": ("with run: raise ValueError('too hot')", 1, "failed", "ValueError: too hot"),
    "sys.exit(3) in a body": ("with run: sys.exit(3)", 3, "failed", "SystemExit: 3"),
    "sys.exit(0) in a body": ("with run: sys.exit(0)", 0, "completed", None),
    "a hook that knows nothing of ours": (
        "import traceback\nsys.excepthook = lambda *e: traceback.print_exception(*e)\nraise ValueError('too hot')", 1,
        "failed", "ValueError: too hot",
    ),
    "an exception in a session at the keyboard": (
        "sys.ps1 = '>>> '\ntry: 1 / 0\nexcept ZeroDivisionError: sys.excepthook(*sys.exc_info())", 0, "completed", None,
    ),
    "another hook of the user's": (
        "before = sys.excepthook\nsys.excepthook = lambda *e: before(*e)\nraise ValueError('too hot')", 1, "failed",
        "ValueError: too hot",
    ),
}


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave coverage out of the script: its lock is not made for signals that come inside it, and would never open."""
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("end", ENDS)
def test_what_is_open_ends_as_the_process_does(end: str, tmp_path: Path) -> None:
    """Completed after a normal end, failed after an uncaught exception, cancelled after an interrupt; then closed."""
    body, code, status, error = ENDS[end]
    done = run_script(START + body, tmp_path)
    assert done.returncode in {code, 128 - code if code < 0 else code}, done.stderr
    events = only_events(tmp_path)
    (ended,) = of_kind(events, RunEnded)
    assert (ended.status, ended.error) == (status, error)
    assert [event.status for event in of_kind(events, ExperimentEnded)] == [status]
    assert type(events[-1]) is JournalClosed
    if error and "body" not in end:
        assert "Traceback" in done.stderr


@pytest.mark.parametrize("how", ["os._exit(0)", "os.kill(os.getpid(), 9)", "os.abort()"])
def test_every_step_whose_log_returned_survives_a_sudden_end(how: str, tmp_path: Path) -> None:
    """Without any exit handler the journal holds all that was logged and no end."""
    run_script(START + f"for step in range(100): run.log({{'loss': step}})\n{how}", tmp_path)
    events = only_events(tmp_path)
    assert [step for _, _, step, _ in steps_of(events)] == list(range(101))
    assert of_kind(events, RunEnded) == []


def test_a_signal_handler_that_logs_into_a_log_call_takes_its_own_number_and_step(
    tmp_path: Path, unmeasured: None
) -> None:
    """Wherever in a log call the handler comes, each call has a step and an ordinal of its own, and totals agree."""
    source = """
import os, signal
import evsys_otel
from evsys_otel.recorder import channel
run = evsys_otel.start_run("r", experiment="x")
depth = 0
def note(*_):
    run.log({"loss": 2.0})
    run.log({"loss": 2.0}, split="val")
    run.log(7)
signal.signal(signal.SIGUSR1, note)
def interrupted(function):
    def call(*args):
        os.kill(os.getpid(), signal.SIGUSR1)
        result = function(*args)
        os.kill(os.getpid(), signal.SIGUSR1)
        return result
    return call
inner = run._channel
inner.clock, inner.append_step = interrupted(inner.clock), interrupted(inner.append_step)
inner.encode = interrupted(inner.encode)
signal.signal(signal.SIGUSR1, lambda *_: depth or nested())
def nested():
    global depth
    depth += 1
    note()
    depth -= 1
for _ in range(200): run.log({"loss": 1.0})
for _ in range(5): run.log({"accuracy": 1.0, "loss": 2.0})
"""
    done = run_script(source, tmp_path)
    assert done.returncode == 0, done.stderr
    events = only_events(tmp_path)
    (ended,) = of_kind(events, RunEnded)
    for total in ended.streams:
        steps = [event for event in of_kind(events, StepLogged) if event.stream == total.stream]
        assert sorted(event.ordinal for event in steps) == list(range(total.calls))
    train = {total.stream for total in ended.streams if total.split == "train"}
    taken = [event.step for event in of_kind(events, StepLogged) if event.stream in train]
    assert len(taken) > 1_000
    assert sorted(taken) == list(range(len(taken)))


def test_an_interrupt_inside_log_leaves_no_gap(tmp_path: Path, unmeasured: None) -> None:
    """Wherever it comes, what was logged before and after is there, and nothing that was not is missing."""
    source = """
import signal
import evsys_otel
run = evsys_otel.start_run("r", experiment="x")
def stop(*_): raise KeyboardInterrupt
signal.signal(signal.SIGALRM, stop)
returned, interrupts, step = 0, 0, 0
while interrupts < 300:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0002)
        while True:
            run.log({"loss": float(step)}, step)
            returned += 1
            step += 1
    except KeyboardInterrupt:
        interrupts += 1
print(step)
"""
    done = run_script(source, tmp_path)
    assert done.returncode == 0, done.stderr
    events = only_events(tmp_path)
    (ended,) = of_kind(events, RunEnded)
    steps = of_kind(events, StepLogged)
    assert {event.step for event in steps} >= set(range(int(done.stdout)))
    assert {event.ordinal for event in steps} >= set(range(ended.streams[0].calls))


def test_descriptors_that_were_closed_are_opened_again_and_never_another_files(tmp_path: Path) -> None:
    """Code that closes all descriptors, and opens files that get their numbers, costs no step and no file a byte."""
    source = START + """
os.closerange(3, 65536)
files = [open(f"user-{number}", "wb", buffering=0) for number in range(300)]
for step in range(3_000): run.log({"loss": step})
run.end()
sys.exit(any(os.path.getsize(file.name) for file in files))
"""
    done = run_script(source, tmp_path)
    assert done.returncode == 0, done.stderr
    assert [step for _, _, step, _ in steps_of(only_events(tmp_path))] == list(range(3_001))


def test_a_forked_child_is_silent_and_its_own_start_is_its_own_journal(tmp_path: Path) -> None:
    """What a child inherited records nothing, also at its end; what it starts itself is another session."""
    source = START + """
child = os.fork()
if child == 0:
    run.log({"loss": 2.0}); run.log({"new": 2.0}); run.log_checkpoint("u"); run.end()
    run.experiment.run("ghost").log({"loss": 3})
    own = evsys_otel.start_run("child", experiment="y")
    own.log({"loss": 7.0})
    sys.exit(0)
os.waitpid(child, 0)
run.log({"loss": 4.0})
"""
    done = run_script(source, tmp_path)
    assert done.returncode == 0, done.stderr
    read = map(read_events, journals(tmp_path))
    told = {tuple(start.name for start in of_kind(events, RunStarted)): events for events in read}
    assert set(told) == {("r",), ("child",)}
    assert [values["loss"] for *_, values in steps_of(told["r",])] == [1.0, 4.0]
    assert [event.status for event in of_kind(told["r",], RunEnded)] == ["completed"]
    assert [values["loss"] for *_, values in steps_of(told["child",])] == [7.0]
    assert [event.status for event in of_kind(told["child",], RunEnded)] == ["completed"]


def test_a_fork_while_another_thread_logs_does_not_hang_the_child(tmp_path: Path) -> None:
    """A lock that was held at the moment of the fork is not waited for."""
    source = START + """
def work():
    while True: run.log({"loss": 1.0})
threading.Thread(target=work, daemon=True).start()
for _ in range(50):
    child = os.fork()
    if child == 0:
        for _ in range(10): run.log({"loss": 2.0})
        run.experiment.group("g").run("ghost").end()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""
    done = run_script(source, tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr
    assert {values["loss"] for *_, values in steps_of(only_events(tmp_path))} == {1.0}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing_record_what_they_start_and_end_it(method: str, tmp_path: Path) -> None:
    """A worker's own run ends with the worker, although multiprocessing runs no atexit; a failed one has failed."""
    source = f"""
import multiprocessing, sys
import evsys_otel

def work(number):
    run = evsys_otel.start_run(f"w{{number}}", experiment="x")
    run.log({{"loss": number}})
    if number:
        raise ValueError("too hot")

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    workers = [context.Process(target=work, args=(number,)) for number in range(2)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
"""
    done = run_script(source, tmp_path)
    assert done.returncode == 0, done.stderr
    ends = {}
    for journal in journals(tmp_path):
        events = read_events(journal)
        (start,), (end,) = of_kind(events, RunStarted), of_kind(events, RunEnded)
        ends[start.name] = (end.status, end.error)
        assert type(events[-1]) is JournalClosed
    assert ends == {"w0": ("completed", None), "w1": ("failed", "ValueError: too hot")}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_an_unguarded_main_records_once(method: str, tmp_path: Path) -> None:
    """Workers that run the script again record and start nothing by it, nor through a run that they were sent."""
    source = f"""
import multiprocessing
import evsys_otel
run = evsys_otel.start_run("r", experiment="x")
run.log({{"loss": 1.0}})

def work(sent):
    run.log({{"loss": 2.0}})
    sent.log({{"loss": 3.0}})
    assert sent.id

if __name__ == "__main__":
    worker = multiprocessing.get_context({method!r}).Process(target=work, args=(run,))
    worker.start()
    worker.join()
    assert worker.exitcode == 0
"""
    done = run_script(source, tmp_path)
    assert done.returncode == 0, done.stderr
    assert [values["loss"] for *_, values in steps_of(only_events(tmp_path))] == [1.0]


RANKS = {
    "torch rank 1": ({"RANK": "1", "WORLD_SIZE": "2"}, 0),
    "torch rank 0": ({"RANK": "0", "WORLD_SIZE": "2"}, 1),
    "alone": ({"RANK": "1", "WORLD_SIZE": "1"}, 1),
    "slurm": ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, 1),
    "slurm, all silent": ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "EVSYS_OTEL_SILENT_RANKS": "all"}, 0),
    "torch, none silent": ({"RANK": "1", "WORLD_SIZE": "2", "EVSYS_OTEL_SILENT_RANKS": "none"}, 1),
    "nonsense": ({"RANK": "many", "WORLD_SIZE": "2"}, 1),
    "disabled": ({"EVSYS_OTEL_MODE": "disabled"}, 0),
}


@pytest.mark.parametrize("rank", RANKS)
def test_only_the_rank_that_records_leaves_a_journal(rank: str, tmp_path: Path) -> None:
    """Silent processes run the same script, with every hook, and leave nothing on disk and nothing on stderr."""
    environ, expected = RANKS[rank]
    hooks = "run.log_eval('e', {}); run.log_predictions([{}]); run.log_checkpoint('u'); run.flush(1)"
    done = run_script(START + hooks, tmp_path, **environ)
    assert done.returncode == 0, done.stderr
    assert len(journals(tmp_path)) == expected
    assert (tmp_path / ".evsys").exists() == bool(expected)
    assert bool(done.stderr) == bool(expected)


def test_a_traceparent_of_the_environment_is_recorded(tmp_path: Path) -> None:
    """TRACEPARENT goes with the experiment's start if it has the standard's form."""
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for number, value in enumerate([parent, "nonsense"]):
        folder = tmp_path / str(number)
        folder.mkdir()
        run_script(START, folder, TRACEPARENT=value)
    told = [only_events(tmp_path / str(number))[0].traceparent for number in range(2)]  # type: ignore[union-attr]
    assert told == [parent, None]


def test_training_and_logging_import_nothing_heavy(tmp_path: Path) -> None:
    """Neither the SDK, gRPC, SQLAlchemy, requests, NumPy nor the OpenTelemetry API is in the trainer."""
    source = START + """
run.log({"loss": 1}); run.log_eval("e", {"a": 1}, predictions=[{"task_id": "a"}]); run.end()
heavy = ("opentelemetry", "grpc", "sqlalchemy", "requests", "numpy", "google", "rich", "typer", "asyncio")
print(sorted(name for name in sys.modules if name.split(".")[0] in heavy))
"""
    for environ in ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}):
        done = run_script(source, tmp_path, **environ)
        assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_line_at_the_start_says_once_where_the_run_goes(tmp_path: Path) -> None:
    """One line names the first run, the store and the endpoint, without the credentials of either."""
    environ = {
        "EVSYS_OTEL_MODE": "process", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://me:sesame@127.0.0.1:9",
        "EVSYS_OTEL_EXIT_TIMEOUT": "0",
    }
    done = run_script(START + "evsys_otel.start_run('s', experiment='y')", tmp_path, **environ)
    lines = [line for line in done.stderr.splitlines() if line.startswith("evsys: run ")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("evsys: run r -> .evsys/evsys.db; and http://")
    assert "sesame" not in done.stderr


def test_quiet_is_quiet(tmp_path: Path) -> None:
    """With the setting nothing is written to standard error."""
    assert run_script(START, tmp_path, EVSYS_OTEL_QUIET="1").stderr == ""


def test_left_runs_are_told_at_the_next_start(tmp_path: Path) -> None:
    """What dead processes left unshipped is counted in runs, with the command that ships it."""
    run_script(START + "run.experiment.run('s')\nos._exit(0)", tmp_path)
    run_script(START + "os._exit(0)", tmp_path)
    done = run_script(START + "import time; time.sleep(0.5)", tmp_path)
    assert "evsys: 3 runs left unshipped: evsys-otel sync" in done.stderr


def test_runs_that_were_not_all_counted_are_at_least_so_many(tmp_path: Path) -> None:
    """Nobody waits for gigabytes to be read: beyond the first mebibyte of a journal the number is a lower bound."""
    write_journal(tmp_path, run_events(3))
    assert unshipped_runs(tmp_path) == "1 run"
    write_journal(tmp_path, run_events(30_000))
    assert unshipped_runs(tmp_path) == "at least 2 runs"
    assert unshipped_runs(tmp_path / "none") is None


def test_a_working_directory_that_is_gone_costs_the_record_not_the_training(tmp_path: Path) -> None:
    """It is a journal that cannot be made, like any other."""
    source = """
import os, tempfile
folder = tempfile.mkdtemp()
os.chdir(folder); os.rmdir(folder)
import evsys_otel
run = evsys_otel.start_run("r", experiment="x")
run.log({"loss": 1.0})
print("trained")
"""
    done = run_script(source, tmp_path)
    assert (done.returncode, done.stdout) == (0, "trained\n"), done.stderr
    assert done.stderr.count("nothing of this process is recorded") == 1


def test_where_no_journal_can_be_made_the_loss_is_told(tmp_path: Path) -> None:
    """Training goes on; one warning at the start, and at the end the number of values that were not recorded."""
    (tmp_path / ".evsys").write_text("a file where a folder should be")
    source = START + """
for _ in range(99): run.log({"loss": 1.0, "accuracy": 2.0})
run.log_predictions([{}, {}])
print("trained")
"""
    done = run_script(source, tmp_path)
    assert (done.returncode, done.stdout) == (0, "trained\n"), done.stderr
    assert done.stderr.count("nothing of this process is recorded") == 1
    assert "evsys: 201 values were not recorded" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_signal_handler_that_logs_does_not_deadlock(tmp_path: Path, unmeasured: None) -> None:
    """A handler that interrupts a log call and ends the run, as on preemption, comes through."""
    source = START + """
import signal
def preempted(*_):
    run.log({"loss": 9.0}); run.log_checkpoint("u", is_final=True); run.end("cancelled"); os._exit(0)
signal.signal(signal.SIGALRM, preempted)
signal.setitimer(signal.ITIMER_REAL, 0.2)
while True: run.log({"loss": 1.0})
"""
    done = run_script(source, tmp_path, timeout=30)
    assert done.returncode == 0, done.stderr
    assert [event.status for event in of_kind(only_events(tmp_path), RunEnded)] == ["cancelled"]


def test_an_interrupt_at_any_moment_leaves_a_whole_journal(tmp_path: Path) -> None:
    """Ctrl-C in the middle of logging: no step is doubled, none whose log had returned is missing."""
    source = START + """
import signal
logged = 1
def train():
    global logged
    while True:
        run.log({"loss": 1.0}); logged += 1
signal.setitimer(signal.ITIMER_REAL, 0.2)
signal.signal(signal.SIGALRM, signal.default_int_handler)
try:
    with run: train()
except KeyboardInterrupt:
    print(logged)
"""
    done = run_script(source, tmp_path)
    (ended,) = of_kind(only_events(tmp_path), RunEnded)
    steps = of_kind(only_events(tmp_path), StepLogged)
    assert int(done.stdout) <= len(steps) <= int(done.stdout) + 1
    assert ended.streams[0].calls in {len(steps), len(steps) - 1}


def test_the_process_can_be_read_while_it_records(tmp_path: Path) -> None:
    """What log returned from is in the journal at once, for any other process."""
    script = START + "print('ready'); sys.stdin.read()"
    with trainer(script, tmp_path, EVSYS_OTEL_MODE="journal") as process:
        assert process.read_line() == "ready"
        assert len(steps_of(only_events(tmp_path))) == 1


def test_captured_output_ends_with_the_trainer(tmp_path: Path) -> None:
    """A caller that captures the trainer's output does not wait for the shipper, which has none of its descriptors."""
    (tmp_path / "train.py").write_text(START)
    environ = clean_environment(EVSYS_OTEL_EXIT_TIMEOUT="0", EVSYS_OTEL_MODE="process")
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, env=environ, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert os.path.exists(journals(tmp_path)[0] / "shipper.log")
