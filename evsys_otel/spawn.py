"""Starts the shipper: the folder of a journal goes in, a process that belongs to nobody comes out.

The trainer's own child is an intermediate process that forks and leaves at once, so that the shipper is never reaped by
a user's ``os.wait()``, never a zombie of ours, and outlives the trainer in a session of its own.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from evsys_otel.settings import Settings, settings_to_environment

_logger = logging.getLogger(__name__)

LOG_NAME = "shipper.log"

_LIBRARY = os.path.dirname(os.path.abspath(os.__file__))
_INSTALLED = ("site-packages", "dist-packages")

NICENESS = 5
"""Where all cores are busy the training loop comes first: a shipper that wakes up shall not preempt it."""

_BOOTSTRAP = (
    "import os, sys\n"
    "if os.fork(): os._exit(0)\n"
    "os.nice({niceness})\n"
    "sys.path[:] = {path!r}\n"
    "from evsys_otel.shipper.process import main\n"
    "main({folder!r})\n"
)


def can_spawn() -> bool:
    """Tell whether this interpreter can start another: not a frozen application, whose executable is the user's."""
    return bool(sys.executable) and not getattr(sys, "frozen", False) and hasattr(os, "fork")


def spawn_shipper(folder: Path, settings: Settings) -> bool:
    """Start a shipper for the journal in ``folder``; False, with one log line, where no process can be started.

    Returns when the intermediate process runs, after some milliseconds; the shipper then speaks by its ``status``.
    """
    if not can_spawn():
        return False
    code = _BOOTSTRAP.format(niceness=NICENESS, path=shipper_path(), folder=str(folder))
    log = _open_log(folder / LOG_NAME)
    try:
        child = subprocess.Popen(
            [sys.executable, "-c", code], env=shipper_environment(settings), stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, close_fds=True, start_new_session=True,
        )
    except OSError as error:
        _logger.warning("the shipper cannot be started (%s); `evsys-otel sync` ships what is recorded", error)
        return False
    finally:
        if log != subprocess.DEVNULL:
            os.close(log)
    _reap(child)
    return True


def _reap(child: subprocess.Popen[bytes]) -> None:
    """Wait aside for the intermediate process, which takes an interpreter's start."""
    try:
        threading.Thread(target=child.wait, name="evsys-otel-reaper", daemon=True).start()
    except RuntimeError:  # no thread can be started any more: the interpreter is ending
        child.wait()


def shipper_environment(settings: Settings) -> dict[str, str]:
    """Return the environment in which another process resolves these settings, ``OTEL_*`` variables included."""
    absolute = replace(settings, dir=str(settings.root))
    ours = {spec.metadata["env"] for spec in fields(Settings)}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, **settings_to_environment(absolute)}


def shipper_path(path: Sequence[str] | None = None) -> list[str]:
    """Return ``sys.path`` made absolute, without what only the user's script sees ahead of the standard library.

    The script's folder and the working directory go to the end: a ``random.py`` beside a training script is not ours.
    """
    entries = list(dict.fromkeys(_absolute(entry) for entry in (sys.path if path is None else path)))
    script = _script_folders()
    return [entry for entry in entries if entry not in script] + [entry for entry in entries if entry in script]


def _script_folders() -> set[str]:
    folders = {_absolute(""), *map(_absolute, sys.path[:1])}
    main_file = getattr(sys.modules.get("__main__"), "__file__", None)
    if main_file:
        folders.add(os.path.dirname(_absolute(main_file)))
    return {folder for folder in folders if folder != _LIBRARY and not folder.endswith(_INSTALLED)}


def _absolute(entry: str) -> str:
    try:
        return os.path.abspath(entry)
    except OSError:  # the working directory is gone
        return entry


def _open_log(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except OSError:
        return subprocess.DEVNULL
