"""The stream source: standard input, read once and never waited for."""

import os
from collections.abc import Iterator

import pytest

from kubectl_sew.query import ANY, parse
from sew_agent.ingest.ndjson.stdin import NdjsonStream
from sew_agent.ingest.source import Batch, Subscription

ALL = [Subscription("all", parse("type = waf OR NOT type = waf"))]


class Pipe:
    def __init__(self, *, whole: bool) -> None:
        self.read_end, self.write_end = os.pipe()
        self.source = NdjsonStream(self.read_end, ANY, run="this", whole=whole)

    def write(self, text: str) -> None:
        os.write(self.write_end, text.encode())

    def end(self) -> None:
        os.close(self.write_end)
        self.write_end = -1

    def read(self, position: str | None = None, limit: int = 100) -> tuple[list[str], Batch]:
        batch = self.source.read(ALL, position, now=0.0, limit=limit)
        return [arrival.event.id for arrival in batch.arrivals], batch


@pytest.fixture(params=[False], ids=["followed"])
def pipe(request: pytest.FixtureRequest) -> Iterator[Pipe]:
    made = Pipe(whole=request.param)
    yield made
    os.close(made.read_end)
    if made.write_end >= 0:
        made.end()


def test_an_empty_pipe_is_not_waited_for(pipe: Pipe) -> None:
    ids, batch = pipe.read()
    assert ids == []
    assert batch.done


def test_lines_come_once_and_a_half_written_one_waits_for_its_end(pipe: Pipe) -> None:
    pipe.write('{"id": 1}\n{"id": 2}\n{"id"')
    ids, batch = pipe.read()
    assert ids == ["1", "2"]
    pipe.write(": 3}\n")
    assert pipe.read(batch.position)[0] == ["3"]


def test_where_something_came_there_may_be_more_at_once(pipe: Pipe) -> None:
    pipe.write('{"id": 1}\n{"id"')
    _, batch = pipe.read()
    assert batch.more
    pipe.write(": 2}")
    _, batch = pipe.read(batch.position)
    assert batch.more
    assert not pipe.read(batch.position)[1].more


def test_the_last_position_can_be_read_from_again(pipe: Pipe) -> None:
    pipe.write('{"id": 1}\n{"id": 2}\n{"id": 3}\n')
    _, first = pipe.read(limit=1)
    assert pipe.read(first.position, limit=1)[0] == ["2"]
    assert pipe.read(first.position, limit=1)[0] == ["2"]


def test_a_position_of_another_run_is_the_streams_beginning(pipe: Pipe) -> None:
    pipe.write('{"id": 1}\n')
    assert pipe.read('["another", 500]')[0] == ["1"]


def test_a_line_that_is_no_event_is_named(pipe: Pipe) -> None:
    pipe.write('oops\n{"id": 2}\n')
    ids, batch = pipe.read()
    assert ids == ["2"]
    assert "standard input, line 1: not JSON" in batch.warnings[0].text


@pytest.mark.parametrize("pipe", [True], ids=["read once"], indirect=True)
def test_read_once_it_has_caught_up_at_the_end_of_the_stream_alone(pipe: Pipe) -> None:
    pipe.write('{"id": 1}\n{"id": 2}')
    ids, batch = pipe.read()
    assert (ids, batch.done) == (["1"], False)
    pipe.end()
    ids, batch = pipe.read(batch.position)
    assert (ids, batch.done) == (["2"], True)
