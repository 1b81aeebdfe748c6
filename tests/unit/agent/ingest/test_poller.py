"""Readers: the position that each webhook is read for from, and that nothing is skipped."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubectl_sew.resource import FetchedReason
from sew_agent.ingest.poller import Polled
from sew_agent.ingest.readers import SHARED, dedicated_cursor
from sew_agent.ingest.source import Subscription
from sew_agent.store.records import EnqueueBatch, EnqueueResult
from tests.unit.agent.ingest.harness import EVERYTHING, FilePollerHarness


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[FilePollerHarness]:
    path = tmp_path / "events"
    path.touch()
    made = FilePollerHarness(path)
    yield made
    made.source.close()


def ids(*numbers: int) -> list[str]:
    return [str(number) for number in numbers]


def test_one_reader_serves_every_webhook(harness: FilePollerHarness) -> None:
    harness.serve("a", "b")
    harness.write(*range(10))
    harness.drain()
    assert harness.store.of("a") == harness.store.of("b") == ids(*range(10))
    assert list(harness.store.kept) == [SHARED]


def test_a_restart_makes_no_duplicate_and_loses_nothing(harness: FilePollerHarness) -> None:
    harness.serve("a")
    harness.write(1, 2)
    harness.drain()
    harness.start()
    harness.serve("a")
    harness.write(3)
    harness.drain()
    assert harness.store.of("a") == ids(1, 2, 3)


@pytest.mark.parametrize("restart", [False, True])
def test_a_new_webhook_reads_from_the_beginning_and_joins_the_others(
    harness: FilePollerHarness, *, restart: bool
) -> None:
    harness.serve("a")
    harness.write(*range(10))
    harness.poller.begin({"a": 0.0}, 0.0)
    assert harness.store.kept == {}
    harness.drain()
    harness.poller.begin({"b": 0.0}, 0.0)
    if restart:
        harness.start()
    harness.serve("a", "b")
    harness.drain()
    assert harness.store.of("b") == ids(*range(10))
    assert list(harness.store.kept) == [SHARED]


def test_a_webhook_that_is_enabled_goes_on_where_the_source_stands(harness: FilePollerHarness) -> None:
    harness.serve("a")
    harness.write(1)
    harness.drain()
    harness.poller.detach({"b": None}, 0.0)
    harness.serve("a", "b")
    harness.write(2)
    harness.drain()
    assert harness.store.of("b") == ids(2)


@pytest.mark.parametrize("restart", [False, True])
def test_what_came_while_a_webhook_was_disabled_is_not_its_own_however_often_it_was(
    harness: FilePollerHarness, *, restart: bool
) -> None:
    """The webhook is set aside each time before all was read for it, and disabled then."""
    harness.serve("b")
    harness.drain()
    for first in (10, 20, 30):
        harness.poller.leave({"a"})
        harness.write(*range(first, first + 4))
        harness.drain()
        harness.poller.detach({"a": None}, 0.0)
        harness.write(*range(first + 4, first + 8))
        harness.drain()
    if restart:
        harness.start()
    harness.serve("a", "b")
    harness.write(40)
    harness.drain()
    assert sorted(harness.store.of("a")) == ids(*range(10, 14), *range(20, 24), *range(30, 34), 40)
    assert list(harness.store.kept) == [SHARED]


@pytest.mark.parametrize("rotate", [False, True])
def test_what_came_after_a_webhook_was_disabled_is_not_read_for_it_with_what_came_before(
    harness: FilePollerHarness, *, rotate: bool
) -> None:
    harness.serve("a")
    harness.write(*range(6))
    harness.drain()
    harness.poller.begin({"b": 0.0}, 0.0)
    harness.serve("a", "b")
    harness.poller.poll(0.0)
    assert harness.store.of("b") == ids(*range(4))
    harness.poller.detach({"b": None}, 0.0)
    harness.serve("a")
    if rotate:
        harness.path.rename(harness.path.with_name("events.1"))
    harness.write(6, 7)
    harness.drain()
    harness.serve("a", "b")
    for _ in range(4):
        harness.drain()
        harness.now += 10.0
    assert harness.store.of("b") == ids(*range(6))
    assert list(harness.store.kept) == [SHARED]
    harness.write(8)
    harness.drain()
    assert harness.store.of("b") == ids(*range(6), 8)


def test_a_webhook_that_left_misses_nothing_when_it_comes_back(harness: FilePollerHarness) -> None:
    harness.serve("a", "b")
    harness.write(1)
    harness.drain()
    harness.poller.leave({"b"})
    harness.serve("a")
    harness.write(2)
    harness.drain()
    harness.start()
    harness.serve("a", "b")
    harness.write(3)
    harness.drain()
    assert harness.store.of("b") == ids(1, 2, 3)


def test_a_webhook_without_room_waits_alone_and_catches_up(harness: FilePollerHarness) -> None:
    harness.store.room["b"] = 3
    harness.serve("a", "b")
    harness.write(*range(10))
    assert harness.poller.poll(0.0) == Polled(done=False, more=True)
    for _ in range(10):
        harness.poller.poll(0.0)
    assert harness.poller.progress(0.0)["b"].reason is FetchedReason.BACKLOG_FULL
    assert harness.store.of("a") == ids(*range(10))
    assert harness.store.of("b") == []
    assert harness.observer.full == {"b"}
    assert dedicated_cursor("b") in harness.store.kept
    harness.store.room.clear()
    harness.now = 10.0
    harness.drain()
    assert harness.poller.progress(0.0)["b"].status == "True"
    assert harness.store.of("b") == ids(*range(10))


def test_one_that_had_no_room_when_another_agent_took_over_is_no_longer_said_to_have_none(
    harness: FilePollerHarness,
) -> None:
    harness.store.room["a"] = 0
    harness.serve("a")
    harness.write(1)
    harness.poller.poll(0.0)
    assert harness.poller.progress(0.0)["a"].reason is FetchedReason.BACKLOG_FULL
    harness.poller.resume()
    assert harness.poller.progress(0.0)["a"].status == "True"


def test_of_those_that_read_together_only_the_one_without_room_waits(harness: FilePollerHarness) -> None:
    harness.write(1, 2)
    harness.drain()
    harness.poller.begin({"a": 0.0, "b": 0.0}, 0.0)
    harness.serve("a", "b")
    harness.store.room["b"] = 0
    assert harness.poller.poll(0.0) == Polled(done=False, more=True)
    assert harness.poller.poll(0.0) == Polled(done=False, more=False)
    assert harness.store.of("a") == ids(1, 2)
    harness.store.room.clear()
    harness.poller.poll(5.0)
    assert harness.store.of("b") == ids(1, 2)


def test_one_that_still_has_no_room_is_no_reason_to_poll_at_once(harness: FilePollerHarness) -> None:
    wait_for_room(harness, 0.0)
    for now in (5.0, 10.0):
        assert harness.poller.poll(now) == Polled(done=False, more=False)


def test_a_stream_waits_as_a_whole_where_one_has_no_room(harness: FilePollerHarness) -> None:
    harness.source.seekable = False
    harness.serve("a", "b")
    harness.store.room["b"] = 0
    harness.write(1)
    assert harness.poller.poll(0.0) == Polled(done=False, more=False)
    harness.poller.begin({"b": 0.0}, 0.0)
    harness.store.room.clear()
    for now, expected in ((0.0, []), (4.9, []), (5.0, ids(1))):
        harness.poller.poll(now)
        assert harness.store.of("a") == harness.store.of("b") == expected
    harness.poller.begin({"b": 0.0}, 0.0)
    assert list(harness.store.kept) == [SHARED]


def test_one_that_left_before_anything_was_read_and_is_disabled_goes_on_with_the_others(
    harness: FilePollerHarness,
) -> None:
    harness.poller.leave({"b"})
    harness.poller.detach({"b": None}, 0.0)
    harness.serve("a", "b")
    harness.write(1)
    harness.drain()
    assert harness.store.of("b") == harness.store.of("a") == ids(1)


def test_a_source_that_knows_no_moments_has_no_checkpoint(harness: FilePollerHarness) -> None:
    harness.poller.serve({"a": Subscription("a", EVERYTHING, 1000.0)}, ())
    harness.drain()
    assert (harness.poller.progress(2000.0)["a"].read_to, harness.poller.progress(2000.0)["a"].reading) == (None, None)


def wait_for_room(harness: FilePollerHarness, now: float) -> None:
    """Write an event for `b`, which has no room, so that its dedicated reader waits from now on."""
    harness.store.room["b"] = 0
    harness.serve("b")
    harness.write(1)
    harness.poller.poll(now)
    harness.poller.poll(now)


def test_one_that_waits_for_room_is_not_tried_before_its_pause_is_over(harness: FilePollerHarness) -> None:
    wait_for_room(harness, 0.0)
    harness.store.room.clear()
    harness.poller.poll(0.0)
    harness.poller.poll(4.9)
    assert harness.store.of("b") == []
    harness.poller.poll(5.1)
    assert harness.store.of("b") == ids(1)


def test_debug_webhooks_are_counted_and_get_no_delivery(harness: FilePollerHarness) -> None:
    harness.serve("a", "b", debug={"b"})
    harness.write(1)
    harness.drain()
    assert harness.store.of("b") == []
    assert harness.store.debugged == [("b", "1")]


def test_a_bad_line_is_reported_once_however_many_readers_pass_it(harness: FilePollerHarness) -> None:
    harness.serve("a")
    harness.path.write_text("oops\n")
    harness.drain()
    harness.poller.begin({"b": 0.0}, 0.0)
    harness.serve("a", "b")
    harness.drain()
    assert len(harness.observer.warnings) == 1


def test_the_position_moves_on_without_any_webhook(harness: FilePollerHarness) -> None:
    harness.write(1)
    harness.drain()
    harness.serve("a")
    harness.write(2)
    harness.drain()
    assert harness.store.of("a") == ids(2)


def test_positions_are_written_only_where_they_moved(harness: FilePollerHarness) -> None:
    harness.serve("a")
    harness.drain()
    written: list[EnqueueBatch] = []
    enqueue: Callable[[EnqueueBatch], EnqueueResult] = harness.store.enqueue
    harness.store.enqueue = lambda intake: written.append(intake) or enqueue(intake)  # type: ignore[func-returns-value,method-assign]
    harness.drain()
    assert written == []


def test_a_reader_that_waits_for_room_is_no_reason_to_poll_at_once(harness: FilePollerHarness) -> None:
    wait_for_room(harness, 0.0)
    polled = harness.poller.poll(0.0)
    assert (polled.done, polled.more) == (False, False)


def test_a_clock_that_is_set_back_holds_no_reader_for_longer_than_its_pause(harness: FilePollerHarness) -> None:
    wait_for_room(harness, 1e9)
    harness.store.room.clear()
    harness.poller.poll(0.0)
    assert harness.store.of("b") == ids(1)


def test_what_is_read_is_counted_once_whether_or_not_it_matches(harness: FilePollerHarness) -> None:
    harness.serve("a")
    harness.write(*range(10))
    harness.drain()
    harness.poller.begin({"b": 0.0}, harness.now)
    harness.serve("a", "b")
    harness.write(10)
    harness.drain()
    assert harness.observer.events == 11
