"""What this process is among others (a rank, a worker that imports its parent's script): whether it records at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from evsys_otel.settings import Settings

_TORCH_RANKS = (("RANK", "WORLD_SIZE"),)
_OTHER_RANKS = (
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("PMIX_RANK", "PMIX_SIZE"),
)

EPHEMERAL_EXIT_SECONDS = 30.0
EXIT_SECONDS = 10.0


def is_silent(settings: Settings, environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether this process is to record nothing and to start nothing."""
    env = os.environ if environ is None else environ
    return settings.mode == "disabled" or is_importing_main() or _is_silent_rank(settings.silent_ranks, env)


def is_importing_main() -> bool:
    """Tell whether this is a multiprocessing child that runs its parent's script again, not yet its own task.

    The mark is the one by which multiprocessing itself refuses to start processes at that time.
    """
    return getattr(_multiprocessing_process(), "_inheriting", False) is True


def is_multiprocessing_child() -> bool:
    """Tell whether multiprocessing started this process: such a process ends without running ``atexit``."""
    module = sys.modules.get("multiprocessing.process")
    return module is not None and module.parent_process() is not None


def exit_timeout_seconds(settings: Settings, environ: Mapping[str, str] | None = None) -> float:
    """Return how long the exit may wait; longer where the machine, and so the shipper, ends with this process."""
    env = os.environ if environ is None else environ
    if settings.exit_timeout_seconds is not None:
        return settings.exit_timeout_seconds
    ephemeral = os.getpid() == 1 or "SLURM_JOB_ID" in env or "KUBERNETES_SERVICE_HOST" in env
    return EPHEMERAL_EXIT_SECONDS if ephemeral else EXIT_SECONDS


def _is_silent_rank(rule: str, env: Mapping[str, str]) -> bool:
    ranks = {"none": (), "torch": _TORCH_RANKS, "all": _TORCH_RANKS + _OTHER_RANKS}[rule]
    return any(_number(env, rank, 0) != 0 and _number(env, size, 1) > 1 for rank, size in ranks)


def _number(env: Mapping[str, str], name: str, otherwise: int) -> int:
    text = env.get(name, "").strip()
    return int(text) if text.isdecimal() else otherwise


def _multiprocessing_process() -> Any:
    module = sys.modules.get("multiprocessing.process")
    return None if module is None else module.current_process()
