"""The command line on a real terminal: colours, live pictures, questions, a progress bar, an interrupt."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from kit.recorded import run_script
from kit.sweeps import experiment_id_of, run_id_of, sweep
from kit.terminals import terminal

from evsys_otel.store import open_store

SCRIPT = str(Path(sys.executable).parent / "evsys-otel")
COLOUR = re.compile(r"\x1b\[(3|4|9)\d")


def test_a_terminal_gets_colours_unless_no_color_is_set(swept: Path) -> None:
    """NO_COLOR is heeded; states are words in either case."""
    with terminal([SCRIPT, "ls"], swept) as coloured, terminal([SCRIPT, "ls"], swept, NO_COLOR="1") as plain:
        assert (coloured.wait(), plain.wait()) == (0, 0)
    assert COLOUR.search(coloured.text)
    assert COLOUR.search(plain.text) is None
    assert "whole" in plain.text


def test_watch_redraws_until_the_run_has_ended(folder: Path) -> None:
    """The picture is live, fits the terminal, and the command ends with the run."""
    with open_store() as store:
        store.write(sweep(0, ended=False))
        with terminal([SCRIPT, "watch", run_id_of(0), "--interval", "0.1"], folder, lines=24) as screen:
            first = screen.read_until(lambda text: "199\x1b" in text)
            assert "⠒⠒" in first
            assert "accuracy" not in first  # two charts are more than 24 lines
            store.write(sweep(0))
            assert screen.wait() == 0
    assert "completed" in screen.text


def test_an_interrupt_ends_watch_quietly(folder: Path) -> None:
    """Ctrl-C is no error to be traced."""
    with open_store() as store:
        store.write(sweep(0, ended=False))
    with terminal([SCRIPT, "watch", "--interval", "0.1"], folder) as screen:
        screen.read_until(lambda text: "lr=0.5/seed=1" in text)
        screen.interrupt()
        assert screen.wait() == 130
    assert "Traceback" not in screen.text


def test_rm_asks_who_sits_there(swept: Path) -> None:
    """Only a yes removes."""
    with terminal([SCRIPT, "rm", experiment_id_of(0)], swept) as screen:
        screen.read_until(lambda text: "[y/N]" in text)
        screen.type("y\n")
        assert screen.wait() == 0
    assert "Removed experiment 'lr-sweep'" in screen.text


def test_sync_shows_how_far_it_is(folder: Path) -> None:
    """A bar while it ships, one line when it is done."""
    script = "import evsys_otel\nrun = evsys_otel.start_run('r', experiment='e')\nrun.log({'loss': 1.0})\nrun.end()"
    assert run_script(script, folder).returncode == 0
    with terminal([SCRIPT, "sync"], folder) as screen:
        assert screen.wait() == 0
    assert "Journal 1 of 1" in screen.text
    assert "Shipped 1 journal" in screen.text


def test_the_doctor_says_line_by_line(folder: Path) -> None:
    """A person sees each finding as soon as it is known."""
    with terminal([SCRIPT, "doctor", "--quick"], folder) as screen:
        assert screen.wait() == 0
    assert "All is well." in screen.text
