"""The process that records in, plain facts about it out; and later, from those facts, whether it still lives."""

from __future__ import annotations

import contextlib
import getpass
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from evsys_otel._version import __version__
from evsys_otel.normalize import clean_name, clean_text, redact_command, redact_uri
from evsys_otel.settings import Settings
from evsys_otel.sources import SYSTEM_SOURCES, Sources

OwnerState = Literal["alive", "dead", "unknown"]

_MAX_COMMAND_BYTES = 2_048
_MAX_RESOURCE_BYTES = 3_072
_NO_PROCESS = ""
_UNTELLABLE = "?"


class Identity(msgspec.Struct):
    """Plain facts about a recording process; no credentials. Times are nanoseconds since the epoch.

    ``process_start`` is what tells a process from a later one with its pid: in Linux clock ticks since boot.
    """

    journal_id: str
    created_unix_nano: int
    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    process_start: str
    python: str
    command: list[str]
    cwd: str
    user: str
    version: str
    store_url: str | None = None
    otlp: bool = False
    resource: dict[str, str] = {}


def current_identity(
    settings: Settings, sources: Sources = SYSTEM_SOURCES, *, otlp: bool = False,
    resource: Mapping[str, str] | None = None,
) -> Identity:
    """Return the facts about this process, bounded to what a journal's header holds; secrets are replaced.

    Args:
        settings: where the store is, and which words mark a secret.
        sources: the clock.
        otlp: whether an OTLP destination is configured.
        resource: resource attributes of the user's own; those beyond 3 KiB in all are left out.
    """
    now = sources.time_unix_nano()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now // 1_000_000_000))
    return Identity(
        journal_id=f"{stamp}-{os.getpid()}-{os.urandom(4).hex()}",
        created_unix_nano=now,
        host=_host(),
        boot_id=_boot_id(),
        pid_namespace=_pid_namespace(),
        pid=os.getpid(),
        process_start=_process_start(os.getpid()),
        python=platform.python_version(),
        command=_bounded_command(redact_command(_command(), settings.secret_words, settings.secret_exceptions)),
        cwd=_cwd(),
        user=_user(),
        version=__version__,
        store_url=None if settings.store_url is None else clean_name(redact_uri(settings.store_url)),
        otlp=otlp,
        resource=_bounded_resource(resource or {}),
    )


def owner_state(identity: Identity) -> OwnerState:
    """Tell whether the recording process lives: ``unknown`` where this machine or PID namespace cannot see it.

    A zombie is dead, and so is a process whose pid is another's by now, or whose machine was started again since.
    Raises nothing.
    """
    if identity.boot_id != _boot_id():
        return "dead" if identity.host == _host() else "unknown"
    if identity.pid_namespace != _pid_namespace() or (not identity.boot_id and identity.host != _host()):
        return "unknown"
    start = _process_start(identity.pid)
    if start == _UNTELLABLE or (start and identity.process_start in {_NO_PROCESS, _UNTELLABLE}):
        return "unknown"
    return "alive" if start and start == identity.process_start else "dead"


def _process_start(pid: int) -> str:
    """Return what tells this process from later ones of its pid, '' for no (living) process, '?' where hidden."""
    try:
        if sys.platform == "linux":
            stat = Path(f"/proc/{pid}/stat").read_bytes()
            fields = stat[stat.rindex(b")") + 2 :].split()
            threads = int(fields[17])  # a first thread that is dead is no dead process while others of its run
            return _NO_PROCESS if fields[0] in {b"Z", b"X"} and threads <= 1 else fields[19].decode()
        return _process_start_by_ps(pid)
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return _UNTELLABLE if _may_exist(pid) else _NO_PROCESS


def _process_start_by_ps(pid: int) -> str:
    out = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, timeout=5, check=False,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout.split(maxsplit=1)
    return _NO_PROCESS if len(out) < 2 or out[0].startswith("Z") else out[1].strip()


def _may_exist(pid: int) -> bool:
    """Whether the kernel knows the pid, also where ``/proc`` hides the processes of others (mount option hidepid)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _boot_id() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout.strip()
    return ""


def _pid_namespace() -> str:
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""


def _host() -> str:
    with contextlib.suppress(OSError):
        return clean_name(socket.gethostname())
    return ""


def _cwd() -> str:
    with contextlib.suppress(OSError):
        return clean_name(os.getcwd())
    return ""


def _user() -> str:
    with contextlib.suppress(Exception):  # what it raises without a passwd entry differs between versions
        return clean_name(getpass.getuser())
    return ""


def _command() -> list[str]:
    return [str(word) for word in getattr(sys, "orig_argv", None) or getattr(sys, "argv", None) or []]


def _bounded_command(words: list[str]) -> list[str]:
    kept: list[str] = []
    left = _MAX_COMMAND_BYTES
    for word in words:
        text = clean_text(word, 512)
        left -= len(text.encode()) + 3
        if left < 0:
            return [*kept, "..."]
        kept.append(text)
    return kept


def _bounded_resource(attributes: Mapping[str, str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    left = _MAX_RESOURCE_BYTES
    for key, value in attributes.items():
        name, text = clean_name(key), clean_name(value)
        left -= len(name.encode()) + len(text.encode()) + 6
        if left >= 0:
            kept[name] = text
    return kept
