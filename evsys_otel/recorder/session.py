"""One process's recording under one set of settings: its journal, whoever ships it, and what is open in it."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evsys_otel.conventions import COMPLETED
from evsys_otel.errors import ConfigurationError, JournalError
from evsys_otel.events import JournalClosed
from evsys_otel.journal import JournalWriter, current_identity
from evsys_otel.recorder.channel import LOOK_NANO, Channel, NoJournal, Writer
from evsys_otel.recorder.destinations import describe_destinations, near_path, otlp_endpoints, resource_attributes
from evsys_otel.recorder.draining import say_on_stderr, wait_for_drain, wait_until_acknowledged
from evsys_otel.recorder.leftovers import unshipped_runs
from evsys_otel.recorder.shipping import NoShipping, Shipping, choose_shipping
from evsys_otel.settings import Settings
from evsys_otel.sources import SYSTEM_SOURCES, Sources

if TYPE_CHECKING:
    from evsys_otel.recorder.experiment import Experiment
    from evsys_otel.recorder.run import Run

_logger = logging.getLogger(__name__)


class Session:
    """Records into one journal. Thread-safe; it lives until the process ends."""

    def __init__(
        self, settings: Settings, writer: Writer, *, folder: Path | None, shipping: Shipping,
        sources: Sources = SYSTEM_SOURCES, words: str = "", silent: bool = False,
    ) -> None:
        self.settings = settings
        self.sources = sources
        self.folder = folder
        self.channel = Channel(writer, sources)
        self.channel.silent = silent
        self._shipping = shipping
        self._words = words
        self._announced = False
        self._open: dict[str, Experiment] = {}
        self._closed = False

    def look(self, time_unix_nano: int) -> None:
        """See after the shipper; called by log calls once the channel's ``next_look_unix_nano`` has passed."""
        self.channel.next_look_unix_nano = time_unix_nano + LOOK_NANO
        self._shipping.look()

    def say(self, line: str) -> None:
        """Write a line to standard error, unless the user wants quiet."""
        if not (self.settings.quiet or self.channel.silent):
            say_on_stderr(line)

    def announce(self, run: Run) -> None:
        """Say where a run goes, the first time only."""
        if not self._announced:
            self._announced = True
            self.say(f"run {run.name} -> {self._words}")

    def opened(self, experiment: Experiment) -> None:
        """Keep an experiment that must be ended with the process."""
        with self.channel.lock:
            self._open[f"{experiment.id}/{id(experiment)}"] = experiment

    def closed(self, experiment: Experiment) -> None:
        """Let go of an experiment that has ended."""
        with self.channel.lock:
            self._open.pop(f"{experiment.id}/{id(experiment)}", None)

    def find_open(self, experiment_id: str) -> Experiment | None:
        """Return the open experiment of this id that is this process's own, if there is one."""
        with self.channel.lock:
            return next((one for one in self._open.values() if one.id == experiment_id and not one.joined), None)

    def not_before(self, time_unix_nano: int) -> None:
        """Let events follow what another process recorded, unless its clock is a day ahead of ours."""
        day = 24 * 3600 * 10**9
        with self.channel.lock:
            if self.channel.last_time_unix_nano < time_unix_nano < self.channel.clock() + day:
                self.channel.last_time_unix_nano = time_unix_nano

    def flush(self, timeout: float | None) -> bool:
        """Wait until all is acknowledged that was logged before; see ``Run.flush``."""
        if self.channel.silent:
            return True
        with self.channel.lock:
            position = self.channel.writer.position
        return wait_until_acknowledged(self._shipping, position, timeout)

    def end_open(self, status: str = COMPLETED, error: str | None = None) -> None:
        """End all that is open, write that the journal is closed, and take no more."""
        with self.channel.lock:
            if self._closed or self.channel.silent:
                return
            self._closed = True
            for experiment in list(self._open.values()):
                experiment.end(status, error)
            self.channel.put(JournalClosed(0))
            self.channel.writer.sync()

    def drain(self, deadline: float) -> None:
        """Wait, until ``deadline`` (monotonic seconds) at most, for the shipper; then say what was lost."""
        if not self.channel.silent:
            wait_for_drain(self._shipping, self.channel.writer.position, deadline, self.say)
            self._shipping.close()
            lost = self.channel.lost_values()
            if lost:
                self.say(f"{lost:,} values were not recorded: {self.channel.writer.last_problem}")

    def silence(self) -> None:
        """Make this the copy of another process's session, in its forked child."""
        self.channel.silence()
        self._shipping = NoShipping()
        for experiment in self._open.values():
            experiment.abandon()
        self._open = {}


def open_session(settings: Settings, exporters: tuple[object, ...], sources: Sources) -> Session:
    """Create a journal and start to ship it. Where there can be no journal, everything is counted as lost instead.

    Raises:
        ConfigurationError: an exporter object cannot be used.
    """
    settings = replace(settings, dir=str(settings.root))
    endpoints = otlp_endpoints(settings)
    writer, folder = _open_journal(settings, sources, otlp=bool(endpoints))
    has_destination = settings.store_url is not None or bool(endpoints)
    shipping = choose_shipping(folder, settings, exporters=exporters, has_destination=has_destination)
    words = describe_destinations(settings, endpoints, exporters=len(exporters))
    if folder is None:
        words = "nowhere: it cannot be recorded"
    elif isinstance(shipping, NoShipping):
        words = f"{near_path(folder)} (evsys-otel sync ships it)"
    session = Session(settings, writer, folder=folder, shipping=shipping, sources=sources, words=words)
    try:
        shipping.start()
    except ConfigurationError:
        writer.close()
        shutil.rmtree(folder or "", ignore_errors=True)
        raise
    _tell_leftovers(session)
    return session


def silent_session(settings: Settings, sources: Sources) -> Session:
    """Return a session that records nothing and starts nothing."""
    return Session(
        settings, NoJournal("recording is off"), folder=None, shipping=NoShipping(), sources=sources, silent=True
    )


def _open_journal(settings: Settings, sources: Sources, *, otlp: bool) -> tuple[Writer, Path | None]:
    identity = current_identity(settings, sources, otlp=otlp, resource=resource_attributes(settings))
    try:
        writer = JournalWriter.create(
            settings.journal_root, identity, max_waiting_bytes=settings.journal_max_waiting_bytes
        )
    except JournalError as error:
        _logger.warning("nothing of this process is recorded, it is only counted: %s", error)
        return NoJournal(str(error)), None
    return writer, writer.folder


def _tell_leftovers(session: Session) -> None:
    """Say, aside, how many runs dead processes left; reading their journals takes time."""

    def tell() -> None:
        runs = unshipped_runs(session.settings.journal_root)
        if runs is not None:
            session.say(f"{runs} left unshipped: evsys-otel sync")

    if not session.settings.quiet:
        with contextlib.suppress(RuntimeError):  # a process that may have no more threads
            threading.Thread(target=tell, name="evsys-otel-leftovers", daemon=True).start()
