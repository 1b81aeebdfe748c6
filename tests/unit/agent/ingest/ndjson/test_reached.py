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


def read(source: NdjsonFile, position: str | None = None) -> str:
    """Read one page, and return the position after it."""
    return source.read(ALL, position, now=0.0, limit=1000).position


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
    write(path, 1)
    begun = read(source)
    path.rename(path.with_name("events.2"))
    path.with_name("events.1").touch()
    write(path, 2)
    here = read(source, begun)
    write(path.with_name("events.1"), 3)
    goal = read(source, read(source, begun))
    assert not source.reached(here, goal)


def test_a_reader_of_a_file_that_was_empty_at_its_rotation_has_not_reached_one_of_the_next_file(
    path: Path, source: NdjsonFile
) -> None:
    write(path, 1)
    begun = read(source)
    path.rename(path.with_name("events.2"))
    path.with_name("events.1").touch()
    write(path, 2)
    goal = read(source, begun)
    write(path.with_name("events.1"), 3)
    late = read(source, begun)
    assert not source.reached(late, goal)
    path.rename(path.with_name("events.0"))
    write(path, 4)
    assert not source.reached(late, goal)
