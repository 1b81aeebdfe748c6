"""How servers under test are built once, and what a test does without them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testbed.servers import building
from testbed.servers.build_all import build_all
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


def test_who_comes_while_another_builds_waits_and_takes_what_was_built(cache: Path) -> None:
    begun, wanted, calls = threading.Event(), threading.Event(), []

    def build(folder: Path) -> None:
        calls.append(folder)
        begun.set()
        wanted.wait()
        (folder / "whole").touch()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(built, "server", "1", build)
        begun.wait()
        second = pool.submit(built, "server", "1", build)
        wanted.set()
        assert (first.result() / "whole").exists()
        assert second.result() == first.result()
    assert len(calls) == 1


def test_a_build_that_fails_leaves_nothing_half_done(cache: Path) -> None:
    def half(folder: Path) -> None:
        (folder / "half").touch()
        raise UnavailableError("no compiler")

    with pytest.raises(UnavailableError, match="no compiler"):
        built("server", "1", half)
    assert [path.name for path in cache.iterdir()] == ["server-1.lock"]


def test_of_all_servers_one_that_cannot_be_had_is_named_and_the_others_are_built(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise UnavailableError("install Go")

    assert build_all({"a": fails, "b": lambda: built("b", "1", lambda _folder: None)}) == ["a"]
    assert capsys.readouterr().out == "a cannot be had: install Go\nb is there after 0 s\n"
    assert (cache / "b-1").is_dir()


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
