"""Build the programs of the servers under test once, into a cache outside the checkout, by name and version.

Free of pytest: the demonstration uses it too.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubectl-sew"


SPENT: dict[str, float] = {}
"""Seconds that this process waited until each server was built, by itself or another, or its packages installed."""


class UnavailableError(Exception):
    """A server cannot be had on this machine; the text says why and what to install."""


def built(name: str, version: str, build: Callable[[Path], None]) -> Path:
    """Return the folder `CACHE/NAME-VERSION`, filled by `build` where it is not there yet. Safe beside other test runs.

    `build` fills an empty folder on the same disk; what it leaves half done is thrown away.
    """
    folder = CACHE / f"{name}-{version}"
    if not folder.exists():
        with _spent(folder.name), _locked(folder.name):
            if not folder.exists():
                _fill(folder, build)
    return folder


def _fill(folder: Path, build: Callable[[Path], None]) -> None:
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=CACHE))
    try:
        build(partial)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """Keep all other test runs of this machine out."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _spent(name: str) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        SPENT[name] = time.monotonic() - started


def program(name: str, package: str, *, install: bool = True) -> Path:
    """Find a program on PATH, else (as root) install Debian's package that has it. Raises UnavailableError."""
    program = shutil.which(name)
    if program is None and install:
        packages(package)
        program = shutil.which(name)
    if program is None:
        raise UnavailableError(f"no {name} on PATH: install Debian's package {package}")
    return Path(program)


def packages(*names: str) -> None:
    """Install Debian's packages without starting their services. Raises UnavailableError where that is not possible."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise UnavailableError(f"needs {', '.join(names)}: as root on Debian, `apt-get install {' '.join(names)}`")
    with _spent(f"Debian's {', '.join(names)}"), _locked("packages"):
        apt = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=600")
        run(*apt, "update")
        run(*apt, "install", "-y", "--no-install-recommends", *names)


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a build step and return what it printed. Raises UnavailableError with the end of its output."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"} | (env or {})
    try:
        done = subprocess.run(
            [str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise UnavailableError(f"no {command[0]} on PATH: install it") from None
    if done.returncode != 0:
        words = " ".join(map(str, command[:4]))
        raise UnavailableError(f"`{words} …` failed ({done.returncode}): {(done.stderr or done.stdout)[-800:]}")
    return done.stdout
