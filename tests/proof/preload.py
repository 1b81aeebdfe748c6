"""Builds the C libraries here that are preloaded into an agent."""

import shutil
import subprocess
from pathlib import Path

from testbed.servers.building import UnavailableError


def preload(name: str, folder: Path) -> Path:
    """Build `name`.c into a library in a folder. Raises UnavailableError where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise UnavailableError("no C compiler: install Debian's packages gcc and libc6-dev")
    source, library = Path(__file__).with_name(f"{name}.c"), folder / f"{name}.so"
    command = [compiler, "-O2", "-Wall", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise UnavailableError(f"{source.name} cannot be compiled: {done.stderr.strip()[-300:]}")
    return library
