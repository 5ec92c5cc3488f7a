"""The store: records go in, in any order and as often as they come; lists of dicts under evsys' names come out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

from sqlalchemy import select
from sqlalchemy.sql import ColumnElement

from evsys_otel.errors import ConfigurationError, NotFoundError
from evsys_otel.handles import RunHandle
from evsys_otel.records import EntityKind, Records
from evsys_otel.settings import resolve_settings
from evsys_otel.store import metrics, reads
from evsys_otel.store.completeness import Completeness
from evsys_otel.store.database import Database
from evsys_otel.store.dump import dump
from evsys_otel.store.facts import read_completeness
from evsys_otel.store.find import find_id, read_run_handle
from evsys_otel.store.location import locate
from evsys_otel.store.metrics import BestMetric, CurvePoint, FinalMetric
from evsys_otel.store.migrate import prepare
from evsys_otel.store.numbers import NumberBook
from evsys_otel.store.parts import OwnedElsewhereError, Part
from evsys_otel.store.quiet import quiet_experiments
from evsys_otel.store.remove import remove
from evsys_otel.store.schema import attempts, checkpoints, evals, experiments, groups, journals, predictions, runs
from evsys_otel.store.views import Dict
from evsys_otel.store.write import write_parts, write_position, write_records


def open_store(url: str | None = None, *, clock: Callable[[], int] | None = None) -> Store:
    """Open a store; folders and tables that are not there are created.

    Args:
        url: ``sqlite:///path`` or ``postgresql://user:password@host/database``; by default that of the settings.
        clock: Nanoseconds since the epoch, for tests; by default the clocks of this machine and of the store's host.

    Raises:
        ConfigurationError: the URL cannot be used, or the settings say that there is no store.
        StoreUnavailable: it cannot be reached now.
        StoreVersionError: it was written by a newer version of this package.
    """
    url = url if url is not None else resolve_settings().store_url
    if url is None:
        raise ConfigurationError("The settings say that there is no local store; set EVSYS_OTEL_STORE or give a URL.")
    return Store(Database(locate(url), clock), clock or time.time_ns)


class Store:
    """One store; thread-safe, a context manager. Use :func:`open_store`.

    Every method raises StoreUnavailable for what may heal by waiting and StoreError for what does not. Lists are the
    oldest first; ``None`` as a project means all.
    """

    def __init__(self, database: Database, clock: Callable[[], int] = time.time_ns) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._book = NumberBook()
        prepare(database)

    @property
    def url_without_password(self) -> str:
        """Where the store is, for people."""
        return self._database.location.shown

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Writing

    def write(self, records: Records, *, journal: tuple[str, int] | None = None) -> None:
        """Upsert records in one transaction, all or nothing; when it returns they are on disk.

        Args:
            records: In any order, and as often as they come.
            journal: Id and position of the journal that is acknowledged with them.
        """
        with self._lock:
            try:
                with self._database.writing() as tx:
                    write_records(tx, self._book, records)
                    if journal is not None:
                        write_position(tx, *journal)
            except BaseException:
                self._book.forget()
                raise

    def write_parts(self, parts: Sequence[Part]) -> list[bool]:
        """Upsert what several senders say in one transaction, each in the name of a project.

        An experiment, group, run or eval belongs to the first project that wrote to it, or put something under it.

        Returns:
            For each part whether it was written: nothing is of one that writes to another project's records.
        """
        kept = list(range(len(parts)))
        with self._lock:
            while refused := self._refused_among([parts[number] for number in kept]):
                kept = [number for place, number in enumerate(kept) if place not in refused]
        written = set(kept)
        return [number in written for number in range(len(parts))]

    def _refused_among(self, parts: Sequence[Part]) -> set[int]:
        """Write the parts; return which must be left out, and then nothing was written."""
        try:
            with self._database.writing() as tx:
                write_parts(tx, self._book, parts)
        except OwnedElsewhereError as error:
            self._book.forget()
            return error.numbers
        except BaseException:
            self._book.forget()
            raise
        return set()

    def journal_position(self, journal_id: str) -> int:
        """Return up to where a journal was acknowledged, 0 when it is not known."""
        with self._database.reading() as conn:
            return conn.scalar(select(journals.c.position).where(journals.c.id == journal_id)) or 0

    def remove(self, record_id: str) -> dict[str, int]:
        """Remove an experiment, group or run with all that belongs to it; what arrives again stays removed.

        Returns:
            Rows removed by kind. Raises NotFoundError when there is none of that id.
        """
        with self._lock, self._database.writing() as tx:
            return remove(tx, record_id)

    # Reading: the evsys store's own operations

    def list_experiments(
        self, project_id: str | None = None, *, valid_only: bool = False, limit: int | None = None, offset: int = 0
    ) -> list[Dict]:
        """Return experiments; none is ever invalid here, so that ``valid_only`` changes nothing."""
        with self._database.reading() as conn:
            return reads.read_experiments(conn, *_project(project_id), limit=limit, offset=offset)

    def get_experiment(self, experiment_id: str) -> Dict | None:
        """Return an experiment, None when there is none of that id."""
        with self._database.reading() as conn:
            return _first(reads.read_experiments(conn, experiments.c.id == experiment_id))

    def list_groups(self, experiment_id: str) -> list[Dict]:
        """Return an experiment's groups."""
        with self._database.reading() as conn:
            return reads.read_groups(conn, groups.c.experiment_id == experiment_id)

    def list_runs(
        self, *, experiment_id: str | None = None, group_id: str | None = None, limit: int | None = None,
        offset: int = 0, heard_since_unix_nano: int | None = None,
    ) -> list[Dict]:
        """Return runs with their completeness and liveness, of an experiment, of a group, or all.

        With ``heard_since_unix_nano`` only those of which something arrived at or after that time.
        """
        where: list[ColumnElement[bool]] = []
        if experiment_id is not None:
            where.append(runs.c.experiment_id == experiment_id)
        if group_id is not None:
            where.append(runs.c.group_id == group_id)
        if heard_since_unix_nano is not None:
            heard = select(attempts.c.run_id).where(attempts.c.received_unix_nano >= heard_since_unix_nano)
            where.append(runs.c.id.in_(heard))
        with self._database.reading() as conn:
            return reads.read_runs(conn, self._clocks(conn), *where, limit=limit, offset=offset)

    def get_run(self, run_id: str) -> Dict | None:
        """Return a run, None when there is none of that id."""
        with self._database.reading() as conn:
            return _first(reads.read_runs(conn, self._clocks(conn), runs.c.id == run_id))

    def list_evals(self, run_id: str) -> list[Dict]:
        """Return a run's evals."""
        with self._database.reading() as conn:
            return reads.read_evals(conn, evals.c.run_id == run_id)

    def list_checkpoints(self, run_id: str) -> list[Dict]:
        """Return a run's checkpoints, by step."""
        with self._database.reading() as conn:
            return reads.read_checkpoints(conn, checkpoints.c.run_id == run_id)

    def list_predictions(
        self, run_id: str, kind: str | None = None, *, limit: int | None = None, offset: int = 0
    ) -> list[Dict]:
        """Return a run's predictions by kind, step, eval, task and sample."""
        with self._database.reading() as conn:
            return reads.read_predictions(conn, *_of_kind(run_id, kind), limit=limit, offset=offset)

    def get_metrics(self, run_id: str, name: str | None = None, split: str | None = None) -> list[Dict]:
        """Return a run's step metrics, long format: step, name, value, split; by split, name and step."""
        return [row for piece in self.iter_metrics(run_id, name, split) for row in piece]

    def experiment_summaries(self, project_id: str | None = None, *, valid_only: bool = False) -> list[Dict]:
        """Return experiments with their runs' number, statuses, completeness and missing values."""
        with self._database.reading() as conn:
            listed = reads.read_experiments(conn, *_project(project_id))
            chosen = select(experiments.c.id).where(*_project(project_id))
            own: dict[str, list[Dict]] = {}
            for run in reads.read_runs(conn, self._clocks(conn), runs.c.experiment_id.in_(chosen)):
                own.setdefault(run["experiment_id"], []).append(run)
            return reads.summarise(listed, own)

    def experiment_detail(self, experiment_id: str, include_metrics: bool = False) -> Dict | None:
        """Return an experiment with ``groups`` and ``runs``, each run with ``evals`` and ``checkpoints``.

        ``include_metrics`` adds every run's ``metrics``, long format. None when there is none of that id.
        """
        with self._database.reading() as conn:
            found = _first(reads.read_experiments(conn, experiments.c.id == experiment_id))
            if found is None:
                return None
            own = reads.read_runs(conn, self._clocks(conn), runs.c.experiment_id == experiment_id)
            reads.attach(conn, own, experiment_id)
            found |= {"groups": reads.read_groups(conn, groups.c.experiment_id == experiment_id), "runs": own}
        if include_metrics:
            for run in own:
                run["metrics"] = self.get_metrics(run["id"])
        return found

    # Reading: what the command line and the tests need besides

    def iter_metrics(
        self,
        run_id: str,
        name: str | None = None,
        split: str | None = None,
        *,
        piece_rows: int = metrics.PIECE_ROWS,
        times: bool = False,
    ) -> Iterator[list[Dict]]:
        """Yield the same as :meth:`get_metrics` in pieces of at most ``piece_rows``.

        With ``times`` each row also has ``time_unix_nano``, when it was logged.
        """
        return metrics.read_in_pieces(self._database, run_id, name, split, piece_rows, times=times)

    def iter_predictions(
        self, run_id: str, kind: str | None = None, *, piece_rows: int = reads.PIECE_PREDICTIONS
    ) -> Iterator[list[Dict]]:
        """Yield the same as :meth:`list_predictions` in pieces of at most ``piece_rows``."""
        return reads.predictions_in_pieces(self._database, *_of_kind(run_id, kind), piece_rows=piece_rows)

    def metric_names(self, run_id: str) -> list[tuple[str, str]]:
        """Return each (split, name) that the run has values of."""
        with self._database.reading() as conn:
            return metrics.metric_names(conn, run_id)

    def final_metrics(self, run_id: str) -> dict[tuple[str, str], FinalMetric]:
        """Return (step, value) at the last step of each series, by (split, name)."""
        with self._database.reading() as conn:
            return metrics.final_metrics(conn, run_id)

    def best_metrics(self, run_id: str) -> dict[tuple[str, str], BestMetric]:
        """Return (lowest, highest) of each series, by (split, name); NaN never wins. It reads every value."""
        with self._database.reading() as conn:
            return metrics.best_metrics(conn, run_id)

    def curve(self, run_id: str, name: str, split: str = "train", buckets: int = 200) -> list[CurvePoint]:
        """Return a series as few points (step, lowest, highest, last, size), reduced by the database."""
        with self._database.reading() as conn:
            return metrics.curve(conn, run_id, name, split, buckets)

    def completeness(self, run_id: str) -> Completeness:
        """Return whether all that the run's attempts logged is here. Raises NotFoundError when there is no such run."""
        with self._database.reading() as conn:
            if conn.scalar(select(runs.c.id).where(runs.c.id == run_id)) is None:
                raise NotFoundError(f"There is no run {run_id}; see evsys-otel ls.")
            return read_completeness(conn, [run_id], self._database.now_unix_nano(conn))[run_id]

    def find_id(self, prefix: str) -> tuple[EntityKind, str]:
        """Return kind and id of the one experiment, group or run whose id begins so.

        Raises NotFoundError when there is none, or more than one.
        """
        with self._database.reading() as conn:
            return find_id(conn, prefix)

    def run_handle(self, run_id: str) -> RunHandle:
        """Return what another process needs to continue the run. Raises NotFoundError when there is no such run."""
        with self._database.reading() as conn:
            return read_run_handle(conn, run_id)

    def quiet_experiments(self, since_unix_nano: int) -> list[str]:
        """Return the ids of experiments of which nothing was said, and nothing arrived, at or after that time."""
        with self._database.reading() as conn:
            return quiet_experiments(conn, since_unix_nano)

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return the complete logical state, sorted and without arrival times: equal for equal stores."""
        with self._database.reading() as conn:
            return dump(conn)

    def _clocks(self, conn: Any) -> reads.Clocks:
        return reads.Clocks(self._database.now_unix_nano(conn), self._clock())


def _project(project_id: str | None) -> list[ColumnElement[bool]]:
    return [] if project_id is None else [experiments.c.project_id == project_id]


def _of_kind(run_id: str, kind: str | None) -> list[ColumnElement[bool]]:
    return [predictions.c.run_id == run_id, *([] if kind is None else [predictions.c.kind == kind])]


def _first(found: list[Dict]) -> Dict | None:
    return found[0] if found else None
