"""Node.js and the packages of a package.json, installed once outside the tree: what a program in it needs to run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from kit.processes import clean_environment


def require_packages(folder: Path) -> Path:
    """Return the ``node_modules`` of a folder's package.json, by its lock file; skip aloud where npm cannot have it."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("NO NODE.JS: what an SDK in another language sends is not tested here (install node and npm)")
    manifests = [folder / "package.json", folder / "package-lock.json"]
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in manifests)).hexdigest()[:16]
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evsys-otel"
    installed = root / f"node-{digest}"
    if not installed.exists():
        _install(manifests, root, installed)
    return installed / "node_modules"


def _install(manifests: list[Path], root: Path, installed: Path) -> None:
    """Install beside the cache's place and move it there whole: two test runs may do so at once."""
    root.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="installing-", dir=root))
    try:
        for path in manifests:
            shutil.copy(path, work)
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=work, text=True, timeout=240,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )
        if done.returncode:
            pytest.skip(f"NO NODE.JS PACKAGES: npm cannot install them here:\n{done.stdout[-2000:]}")
        with contextlib.suppress(OSError):  # another run was first
            work.rename(installed)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def run_program(program: Path, packages: Path, folder: Path, *arguments: str, **environ: str) -> str:
    """Run a module with the packages, in ``folder``, and return what it printed; it must end with 0."""
    shutil.copy(program, folder)
    (folder / "node_modules").symlink_to(packages)  # modules look for packages beside themselves
    done = subprocess.run(
        ["node", program.name, *arguments], cwd=folder, env=clean_environment(**environ), capture_output=True,
        text=True, timeout=60, check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
