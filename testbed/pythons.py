"""Run something on another Python than that of `.venv`: `python -m testbed.pythons 3.13 -m pytest tests/unit`.

`farthest` in place of a version is the one of this machine that is farthest from that of `.venv`. Each has an
environment of its own, `.venv-VERSION`, with what the tests need. Free of pytest.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from testbed.servers.building import UnavailableError, built, program, run

_SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
_FARTHEST = "farthest"
_OF_DEBIAN = {"3.14": "forky"}
"""A version that few machines have -> the release of Debian that has it."""
_CHECKOUT = Path(__file__).parents[1]
_INSTALLED = ".[agent,dashboard,opentelemetry,postgresql,test]"
_ASKED = "import platform; print(platform.python_version())"


def farthest(own: str) -> str:
    """Return the supported version that is there, on PATH or in pyenv, and farthest from `own`; the newer one of two.

    Raises UnavailableError where there is no other one.
    """
    newer = {version: number - _SUPPORTED.index(own) for number, version in enumerate(_SUPPORTED)}
    for version in sorted(_SUPPORTED, key=lambda version: (abs(newer[version]), newer[version]), reverse=True):
        if version != own and _installed(version):
            return version
    raise UnavailableError(f"this machine has no other one than {own} of {', '.join(_SUPPORTED)}")


def find(version: str) -> Path:
    """Return the program of a version such as `3.13` or `3.11.2`, of PATH, of pyenv, or made of Debian's packages.

    Raises UnavailableError.
    """
    if installed := _installed(version):
        return installed
    if version not in _OF_DEBIAN:
        raise UnavailableError(f"no Python {version} on PATH or in pyenv: install one")
    return _of_debian(version, _OF_DEBIAN[version])


def _installed(version: str) -> Path | None:
    minor = ".".join(version.split(".")[:2])
    for candidate in _candidates(minor):
        if f"{full_version(candidate)}.".startswith(f"{version}."):
            return candidate
    return None


def full_version(python: Path) -> str:
    """Return the version of a Python; "" where the program does not run, as a stand-in of pyenv may not."""
    try:
        return subprocess.run([python, "-c", _ASKED], capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def environment(version: str, python: Path) -> Path:
    """Return the Python of `.venv-VERSION`, which is made anew for another Python or other requirements.

    Raises UnavailableError with what pip said.
    """
    folder = _CHECKOUT / f".venv-{version}"
    made_of = (
        f"{python} {full_version(python)} {_INSTALLED} {sha256((_CHECKOUT / 'setup.cfg').read_bytes()).hexdigest()}"
    )
    stamp = folder / ".made-of"
    if not stamp.exists() or stamp.read_text() != made_of:
        run(python, "-m", "venv", "--clear", "--without-pip", folder)
        pip = (sys.executable, "-m", "pip", "--python", folder)
        run(*pip, "install", "--quiet", "--no-compile", "--editable", _INSTALLED, cwd=_CHECKOUT)
        stamp.write_text(made_of)
    return folder / "bin" / "python"


def main(version: str, *arguments: str) -> int:
    """Run `python ARGUMENTS` on a version, and return its exit code; 1 where it cannot be had.

    On a machine without any other Python there is nothing to do for `farthest`: that is said, and returns 0.
    """
    if version == _FARTHEST:
        try:
            version = farthest(".".join(platform.python_version_tuple()[:2]))
        except UnavailableError as error:
            print(f"NOT RUN on another Python: {error}", file=sys.stderr)
            return 0
        print(f"on Python {version}:", flush=True)
    try:
        python = environment(version, find(version))
    except UnavailableError as error:
        print(f"error: nothing was tried on Python {version}: {error}", file=sys.stderr)
        return 1
    return subprocess.run([python, *arguments], cwd=_CHECKOUT, check=False).returncode


def _candidates(minor: str) -> Iterator[Path]:
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        yield Path(folder) / f"python{minor}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from pyenv.glob(f"versions/{minor}.*/bin/python{minor}")


def _of_debian(version: str, release: str) -> Path:
    """Take a Python and the libraries that it needs out of Debian's packages, into a folder in which it runs as it is.

    Nothing of it is installed: the program is told its own dynamic loader and libraries.
    """

    def build(folder: Path) -> None:
        fetched, place = folder / "fetched", folder.with_name(f"python-{version}")
        bootstrap = ("nice", program("debootstrap", "debootstrap"), "--download-only", "--variant=minbase")
        run(*bootstrap, f"--include=python{version}", release, fetched, "", "sid")  # the script of its newest releases
        for archive in fetched.glob("var/cache/apt/archives/*.deb"):
            run("nice", "dpkg-deb", "--extract", archive, folder)
        shutil.rmtree(fetched)
        (loader,) = folder.glob("usr/lib/*/ld-linux*")
        loader = place / loader.relative_to(folder)
        paths = ("--set-interpreter", loader, "--force-rpath", "--set-rpath", loader.parent)
        run(program("patchelf", "patchelf"), *paths, folder / "usr" / "bin" / f"python{version}")

    return built("python", version, build) / "usr" / "bin" / f"python{version}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
