"""Which Python is found for a version, and what is said where there is none."""

import sys
from pathlib import Path

import pytest

from testbed import pythons
from testbed.pythons import farthest, find, full_version, main
from testbed.servers.building import UnavailableError


def python(folder: Path, name: str, version: str) -> Path:
    """A program that says it is that Python; "" for one that fails, as pyenv's stand-ins do."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / name
    made.write_text(f"#!/bin/sh\necho {version}\n" if version else "#!/bin/sh\necho 'not found' >&2; exit 127\n")
    made.chmod(0o755)
    return made


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a Python, and a checkout: PATH is its folder `bin`, pyenv's is `pyenv`."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setattr(pythons, "_OF_DEBIAN", {})
    monkeypatch.setattr(pythons, "_CHECKOUT", tmp_path)
    (tmp_path / "setup.cfg").touch()
    return tmp_path


def test_one_of_pyenv_is_found_behind_a_stand_in_that_does_not_run(machine: Path) -> None:
    python(machine / "bin", "python3.13", "")
    real = python(machine / "pyenv/versions/3.13.0/bin", "python3.13", "3.13.0")
    assert find("3.13") == real


def test_a_patch_version_is_told_from_another_one(machine: Path) -> None:
    python(machine / "bin", "python3.11", "3.11.20")
    debians = python(machine / "pyenv/versions/3.11.2/bin", "python3.11", "3.11.2")
    assert find("3.11.2") == debians
    with pytest.raises(UnavailableError, match=r"no Python 3\.11\.7 on PATH or in pyenv"):
        find("3.11.7")


def test_a_program_that_is_not_there_has_no_version(machine: Path) -> None:
    assert full_version(machine / "python3.12") == ""


def test_a_version_that_is_not_there_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("3.9", "-c", "") == 1
    assert capsys.readouterr().err.startswith("error: nothing was tried on Python 3.9: no Python 3.9 on PATH")


def test_what_fails_on_another_python_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pythons, "find", lambda _version: Path(sys.executable))
    monkeypatch.setattr(pythons, "environment", lambda _version, found: found)
    assert main("3.13", "-c", "raise SystemExit(7)") == 7


def test_requirements_that_cannot_be_installed_are_said_with_the_reason(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    python(machine / "bin", "python3.13", "3.13.1")

    def refused(*_command: object, **_options: object) -> str:
        raise UnavailableError("no wheel for lupa")

    monkeypatch.setattr(pythons, "run", refused)
    assert main("3.13", "-c", "") == 1
    assert "3.13: no wheel for lupa" in capsys.readouterr().err


def test_the_farthest_is_the_one_that_is_there_and_most_versions_away(machine: Path) -> None:
    python(machine / "bin", "python3.11", "3.11.7")
    python(machine / "bin", "python3.12", "3.12.1")
    python(machine / "bin", "python3.14", "")
    assert (farthest("3.11"), farthest("3.12"), farthest("3.14")) == ("3.12", "3.11", "3.11")


def test_of_two_that_are_as_far_away_the_newer_one_is_the_farthest(machine: Path) -> None:
    python(machine / "bin", "python3.11", "3.11.7")
    python(machine / "bin", "python3.13", "3.13.0")
    assert farthest("3.12") == "3.13"


def test_a_machine_of_one_python_has_nothing_to_do_for_the_farthest_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main("farthest", "-c", "raise SystemExit(7)") == 0
    assert capsys.readouterr().err.startswith("NOT RUN on another Python: this machine has no other one than 3.")


def test_what_fails_on_the_farthest_fails(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = f"3.{sys.version_info.minor}"
    other = "3.13" if own != "3.13" else "3.11"
    python(machine / "bin", f"python{other}", f"{other}.0")
    monkeypatch.setattr(pythons, "environment", lambda _version, _found: Path(sys.executable))
    assert main("farthest", "-c", "raise SystemExit(7)") == 7
    assert capsys.readouterr().out == f"on Python {other}:\n"
