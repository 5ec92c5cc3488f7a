"""export, rm and sync: rows out, records gone, journals shipped."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pyarrow.parquet
import pytest
from kit.recorded import run_script
from kit.sweeps import BEGAN, SECOND, STEPS, VAL_STEPS, experiment_id_of, run_id_of, sweep

from evsys_otel.store import open_store

VALUES = 2 * STEPS + VAL_STEPS


def test_csv_has_a_row_for_each_value(run, swept: Path) -> None:
    """Long format, with the run's id and name, and when it was logged; NaN is written as such."""
    rows = list(csv.DictReader(io.StringIO(run("export", run_id_of(0)).out)))
    assert len(rows) == VALUES
    assert list(rows[0]) == ["run_id", "run_name", "split", "name", "step", "value", "time", "time_unix_nano"]
    logged = {int(row["step"]): (row["time_unix_nano"], row["time"]) for row in rows if row["split"] == "train"}
    assert logged[0] == (str(BEGAN + SECOND), "2026-09-21T14:13:21.000000+00:00")
    assert [int(time) for _, (time, _) in sorted(logged.items())] == [BEGAN + (i + 1) * SECOND for i in range(STEPS)]
    assert [row["value"] for row in rows if row["name"] == "accuracy" and row["step"] == "3"] == ["nan"]
    with open_store() as store:
        exact = {(row["split"], row["name"], row["step"]): row["value"] for row in store.get_metrics(run_id_of(0))}
    for row in rows:
        want = exact[row["split"], row["name"], int(row["step"])]
        assert float(row["value"]) == want or math.isnan(want)


def test_jsonl_is_strict_json_line_by_line(run, swept: Path) -> None:
    """`--json` without a file is JSON Lines too."""
    rows = [json.loads(line) for line in run("export", experiment_id_of(0), "--format", "jsonl").out.splitlines()]
    assert len(rows) == 4 * VALUES
    assert {row["run_name"] for row in rows} == {f"lr={lr}/seed={seed}" for lr in (0.1, 0.5) for seed in (0, 1)}
    assert run("export", run_id_of(0), "--json").out.splitlines()[0] == json.dumps(rows[0])


def test_parquet_keeps_types_and_nan(run, swept: Path) -> None:
    """Numbers are numbers; the file appears whole, without a leftover beside it."""
    ended = run("export", run_id_of(0), "--format", "parquet", "--output", "out.parquet", "--json")
    assert ended.data == {"rows": VALUES, "what": "metrics", "format": "parquet", "output": "out.parquet"}
    table = pyarrow.parquet.read_table("out.parquet").to_pydict()
    assert len(table["value"]) == VALUES
    assert sum(map(math.isnan, table["value"])) == 1
    assert sorted(path.name for path in swept.iterdir()) == [".evsys", "out.parquet"]


@pytest.mark.parametrize(("what", "count"), [("predictions", 5), ("evals", 1), ("checkpoints", 1)])
@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_every_kind_of_rows_goes_into_every_format(run, swept: Path, what: str, count: int, format: str) -> None:
    """Maps are one column of JSON text in tables."""
    ended = run("export", run_id_of(0), "--what", what, "--format", format, "-o", "rows")
    assert (ended.code, ended.out) == (0, f"{count} rows written to rows\n")


def test_parquet_for_a_terminal_is_wrong_usage(run, swept: Path) -> None:
    """Exit code 2 and what to do instead."""
    ended = run("export", run_id_of(0), "--format", "parquet")
    assert ended.code == 2
    assert "--output FILE" in ended.err


def test_a_file_that_cannot_be_written_is_one_sentence(run, swept: Path) -> None:
    """The folder has to be there."""
    ended = run("export", run_id_of(0), "-o", "nowhere/rows.csv")
    assert (ended.code, ended.out) == (1, "")
    assert "does not exist" in ended.err


def test_an_export_that_fails_leaves_the_file_that_was_there(run, swept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is replaced by a whole one or not at all."""
    from evsys_otel.cli import writers

    def rows():
        yield {"name": "loss", "value": 1.0}
        raise OSError(28, "No space left on device")

    Path("rows.csv").write_text("before")
    with pytest.raises(OSError, match="No space"):
        writers.write_rows(rows(), {"name": "text", "value": "float"}, "csv", Path("rows.csv"))
    assert Path("rows.csv").read_text() == "before"
    assert sorted(path.name for path in swept.iterdir()) == [".evsys", "rows.csv"]


def test_rm_without_anybody_to_ask_needs_yes(run, swept: Path) -> None:
    """A script that forgot `--yes` removes nothing."""
    ended = run("rm", run_id_of(0))
    assert ended.code == 2
    assert "--yes" in ended.err
    assert run("show", run_id_of(0)).code == 0


def test_rm_asks_and_takes_no_for_an_answer(run, swept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No is no, and yes is yes."""
    import sys

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    ended = run("rm", experiment_id_of(0))
    assert (ended.code, ended.out) == (0, "Nothing was removed.\n")
    assert "with 4 runs from .evsys/evsys.db?" in ended.err
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert "Removed experiment 'lr-sweep'" in run("rm", experiment_id_of(0)).out


def test_what_was_removed_stays_removed(run, swept: Path) -> None:
    """What arrives again of it does not come back."""
    data = run("rm", experiment_id_of(0), "--yes", "--json").data
    assert (data["removed"], data["kind"], data["counts"]["runs"]) == (True, "experiment", 4)
    with open_store() as store:
        store.write(sweep(0))
    assert run("show", experiment_id_of(0)).code == 1


def test_rm_of_a_name_that_several_bear_removes_none(run, swept: Path) -> None:
    """What cannot be undone is not guessed."""
    ended = run("rm", "lr-sweep", "--yes")
    assert ended.code == 1
    assert "2 experiments are named 'lr-sweep'" in ended.err


def test_sync_ships_what_was_left_and_again_nothing(run, folder: Path) -> None:
    """A journal that no shipper saw is shipped once; the second time there is nothing to do."""
    script = """
    import evsys_otel
    with evsys_otel.start_experiment("left") as experiment:
        with experiment.run("behind") as run:
            for step in range(10):
                run.log({"loss": 1.0 / (step + 1)}, step=step)
    print(run.id)
    """
    done = run_script(script, folder)
    assert done.returncode == 0, done.stderr
    assert "1 journal left unshipped" in run("ls").out
    data = run("sync", "--json").data
    assert (data["journals"], data["values"], data["waiting"]) == (1, 10, 0)
    assert run("sync").out == "Nothing was left to ship.\n"
    run_id = done.stdout.strip()
    assert run("show", run_id, "--json").data["completeness"]["state"] == "whole"
    again = run("sync", "--again", "behind", "--to", "store")
    assert again.code == 0
    assert "Shipped 1 journal" in again.out
    assert run("sync", str(folder), "--json").data["root"] == str(folder / ".evsys" / "journal")


def test_sync_again_of_a_run_without_a_journal_is_an_error(run, swept: Path) -> None:
    """The journal may have been removed by now; that is said."""
    ended = run("sync", "--again", run_id_of(0))
    assert ended.code == 1
    assert "kept for a while only" in ended.err


def test_sync_of_a_folder_that_is_not_there_is_an_error(run, folder: Path) -> None:
    """A mistyped folder is not silently nothing to do."""
    assert run("sync", "nowhere").code == 1
    assert run("sync").code == 0
