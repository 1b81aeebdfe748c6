"""Whether a reader of a file has come as far as another one, which a goal may be that nobody moves any more."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kubectl_sew.query import ANY, parse
from sew_agent.ingest.ndjson.file import NdjsonFile
from sew_agent.ingest.source import Subscription

ALL = [Subscription("all", parse("type = waf"))]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events"


@pytest.fixture
def source(path: Path) -> Iterator[NdjsonFile]:
    with closing(NdjsonFile(path, ANY)) as made:
        yield made


def write(path: Path, number: int) -> None:
    with path.open("a") as file:
        file.write(f'{{"_id": "e{number}", "type": "waf"}}\n')


def read(source: NdjsonFile, position: str | None = None, *, now: float = 0.0, limit: int = 1000) -> str:
    """Read one page, and return the position after it."""
    return source.read(ALL, position, now=now, limit=limit).position


def with_an_empty_rotated_file(path: Path, source: NdjsonFile) -> str:
    """Rotate a file that was read, and an empty one after it; return the position at the end of the first."""
    write(path, 1)
    begun = read(source)
    path.rename(path.with_name("events.2"))
    path.with_name("events.1").touch()
    write(path, 2)
    return begun


def test_a_goal_in_a_file_that_was_read_to_its_end_is_reached_wherever_that_file_is_now(
    path: Path, source: NdjsonFile
) -> None:
    write(path, 1)
    goal = read(source)
    path.rename(path.with_name("events.1"))
    write(path, 2)
    here = read(source, goal)
    assert source.reached(here, goal)
    path.with_name("events.1").unlink()
    assert source.reached(here, goal)
    path.rename(path.with_name("events.1"))
    assert source.reached(here, goal)


def test_a_goal_that_is_further_on_in_a_file_is_not_reached_whatever_was_rotated(
    path: Path, source: NdjsonFile
) -> None:
    write(path, 1)
    here = read(source)
    write(path, 2)
    goal = read(source, here)
    assert not source.reached(here, goal)
    assert source.reached(goal, here)
    path.rename(path.with_name("events.1"))
    write(path, 3)
    assert not source.reached(here, goal)
    assert source.reached(goal, here)


def test_a_reader_whose_file_is_gone_has_reached_nothing_before_it_reads_on(path: Path) -> None:
    write(path, 1)
    with closing(NdjsonFile(path, ANY)) as source:
        here = read(source)
    os.truncate(path, 0)
    write(path, 2)
    with closing(NdjsonFile(path, ANY)) as source:
        goal = read(source)
        os.truncate(path, 0)
        write(path, 3)
        assert not source.reached(here, goal)
        assert source.reached(read(source, here), goal)


def test_a_reader_has_not_reached_one_that_read_a_file_which_was_still_empty_for_it(
    path: Path, source: NdjsonFile
) -> None:
    begun = with_an_empty_rotated_file(path, source)
    here = read(source, read(source, begun), now=40.0)
    write(path.with_name("events.1"), 3)
    goal = read(source, read(source, begun))
    assert not source.reached(here, goal)


def test_a_reader_of_a_file_that_was_empty_at_its_rotation_has_not_reached_one_of_the_next_file(
    path: Path, source: NdjsonFile
) -> None:
    begun = with_an_empty_rotated_file(path, source)
    goal = read(source, begun)
    write(path.with_name("events.1"), 3)
    late = read(source, begun)
    assert not source.reached(late, goal)
    path.rename(path.with_name("events.0"))
    write(path, 4)
    assert not source.reached(late, goal)


@pytest.mark.parametrize("gone", ["deleted", "named otherwise"])
def test_a_file_that_no_list_of_rotated_ones_has_is_finished_first(path: Path, source: NdjsonFile, gone: str) -> None:
    def go_away(name: str) -> None:
        if gone == "deleted":
            path.unlink()
        else:
            path.rename(path.with_name(name))

    write(path, 1)
    begun = read(source)
    write(path, 2)
    write(path, 3)
    behind = read(source, begun, limit=1)
    finished = read(source, begun)
    go_away("old.1")
    path.write_text("{")
    goals = [read(source, finished, now=40.0)]
    path.write_text("")
    write(path, 4)
    goals.append(read(source, goals[0], now=80.0))
    go_away("old.2")
    write(path, 5)
    for goal in goals:
        assert not source.reached(behind, goal)
        assert source.reached(finished, goal)


def test_a_goal_that_is_gone_is_reached_in_a_file_that_was_rotated_after_it(path: Path, source: NdjsonFile) -> None:
    write(path, 1)
    goal = read(source)
    path.unlink()
    source.close()
    write(path, 2)
    write(path, 3)
    here = read(source, goal, limit=1)
    path.rename(path.with_name("events.1"))
    assert source.reached(here, goal)


@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_a_file_with_a_second_name_came_not_before_itself(path: Path, source: NdjsonFile, link: str) -> None:
    other = path.with_name("events-2026-10-01")
    write(other, 1)
    if link == "symbolic":
        path.symlink_to(other)
    else:
        path.hardlink_to(other)
    here = read(source)
    assert source.reached(here, here)


def test_what_cannot_be_read_or_is_no_file_does_not_end_the_agent(path: Path, source: NdjsonFile) -> None:
    write(path, 1)
    here = read(source)
    path.with_name("events-2026").mkdir()
    assert source.reached(here, here)
    path.with_name("events.1").symlink_to(path.with_name("events.1") / "of-itself")
    assert source.reached(here, here)


def test_an_old_file_that_comes_back_makes_no_difference(path: Path, source: NdjsonFile) -> None:
    write(path, 1)
    begun = read(source)
    path.rename(path.with_name("events.1"))
    write(path, 2)
    here = read(source, begun)
    old = path.with_name("events.3")
    write(old, 0)
    os.utime(old, (10**9, 10**9))
    assert source.reached(here, read(source, begun))


def test_a_goal_is_reached_however_often_the_file_is_rotated_while_the_one_before_is_watched(
    path: Path, source: NdjsonFile
) -> None:
    write(path, 1)
    begun = read(source)
    path.rename(path.with_name("events.1"))
    write(path, 2)
    goal = read(source, read(source, begun), now=40.0)
    path.unlink()
    write(path, 3)
    path.rename(path.with_name("events.0"))
    write(path, 4)
    here = read(source, begun, now=60.0)
    assert source.reached(read(source, here, now=60.0), goal)
