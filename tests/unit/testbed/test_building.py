"""How servers under test are built once, and what a test does without them."""

from pathlib import Path

import pytest

from testbed.servers import building
from testbed.servers.building import UnavailableError, built, run
from testbed.servers.required import required


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(building, "CACHE", tmp_path)
    monkeypatch.setattr(building, "SPENT", {})
    return tmp_path


def test_a_server_is_built_once_for_each_version(cache: Path) -> None:
    calls: list[Path] = []
    for version in ("1", "1", "2"):
        assert built("server", version, calls.append).is_dir()
    assert len(calls) == 2
    assert building.SPENT.keys() == {"server-1", "server-2"}


def test_a_build_that_fails_leaves_nothing_half_done(cache: Path) -> None:
    def half(folder: Path) -> None:
        (folder / "half").touch()
        raise UnavailableError("no compiler")

    with pytest.raises(UnavailableError, match="no compiler"):
        built("server", "1", half)
    assert [path.name for path in cache.iterdir()] == ["server-1.lock"]


def test_a_step_that_fails_says_its_command_and_its_last_words() -> None:
    with pytest.raises(UnavailableError, match=r"`sh -c .*` failed \(3\): no such tool chain"):
        run("sh", "-c", "echo no such tool chain >&2; exit 3")
    with pytest.raises(UnavailableError, match="no no-such-program on PATH"):
        run("no-such-program")


def test_without_its_server_a_test_is_skipped_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="install Go"), required():
        raise UnavailableError("install Go")


def test_without_its_server_a_test_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="install Go"), required():
        raise UnavailableError("install Go")
