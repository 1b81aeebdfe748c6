"""Readers: which webhook is read for from where, and that nothing is skipped on the way."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import pytest

from kubectl_sew.query import ANY, parse
from kubectl_sew.resource import FetchedReason
from sew_agent.ingest.ndjson.file import NdjsonFile
from sew_agent.ingest.poller import Polled, Poller
from sew_agent.ingest.readers import SHARED, dedicated_cursor
from sew_agent.ingest.source import Arrival, SourceWarning, Subscription
from sew_agent.store.records import EnqueueBatch, EnqueueResult

EVERYTHING = parse("type = waf OR NOT type = waf")


class Shelf:
    """The part of a store that the poller uses: pairs are known, and a webhook's room may be used up."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.pairs: list[tuple[str, str]] = []
        self.debugged: list[tuple[str, str]] = []
        self.room: dict[str, int] = {}

    def positions(self) -> dict[str, str]:
        return dict(self.kept)

    def drop_readers(self, readers: Collection[str]) -> None:
        for reader in readers:
            self.kept.pop(reader, None)

    def oldest_times(self) -> dict[str, float]:
        return {}

    def enqueue(self, intake: EnqueueBatch) -> EnqueueResult:
        pairs = [(name, owed.event.id) for owed in intake.deliveries for name in owed.webhooks]
        new = [pair for pair in pairs if pair not in self.pairs]
        full = frozenset(name for name, _ in new if self.room.get(name, 10**9) < len(new) + len(self.of(name)))
        if full:
            return EnqueueResult(0, 0, full)
        self.pairs += new
        self.debugged += [(name, owed.event.id) for owed in intake.deliveries for name in owed.debug]
        self.kept.update(intake.positions)
        return EnqueueResult(len(new), len(pairs) - len(new))

    def of(self, webhook: str) -> list[str]:
        return [event for name, event in self.pairs if name == webhook]


class Witness:
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.full: set[str] = set()
        self.events = 0
        self.taken: list[int] = []

    def warned(self, warnings: Sequence[SourceWarning]) -> None:
        self.warnings += [warning.text for warning in warnings]

    def enqueued(self, arrivals: Sequence[Arrival], taken: EnqueueResult) -> None:
        self.taken += [taken.new for _ in arrivals]

    def no_room(self, webhooks: Collection[str]) -> None:
        self.full |= set(webhooks)

    def scanned(self, events: int) -> None:
        self.events += events


class Setting:
    """A file of events, and a poller that can be restarted over the same store."""

    def __init__(self, path: Path) -> None:
        self.path, self.shelf, self.witness = path, Shelf(), Witness()
        self.now = 0.0
        self.source = NdjsonFile(path, ANY)
        self.start()

    def start(self) -> None:
        self.source.close()
        self.source = NdjsonFile(self.path, ANY)
        self.poller = Poller(self.source, self.shelf, self.witness, page_size=4, pause=5.0)  # type: ignore[arg-type]

    def write(self, *numbers: int) -> None:
        with self.path.open("a") as file:
            file.writelines(json.dumps({"id": number, "type": "waf"}) + "\n" for number in numbers)

    def serve(self, *names: str, debug: Collection[str] = ()) -> None:
        self.poller.serve({name: Subscription(name, EVERYTHING) for name in names}, debug)

    def drain(self) -> None:
        for _ in range(100):
            if self.poller.poll(self.now).done:
                return
        raise AssertionError("the poller never came to the end")


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    path = tmp_path / "events"
    path.touch()
    made = Setting(path)
    yield made
    made.source.close()


def ids(*numbers: int) -> list[str]:
    return [str(number) for number in numbers]


def test_one_reader_serves_every_webhook(setting: Setting) -> None:
    setting.serve("a", "b")
    setting.write(*range(10))
    setting.drain()
    assert setting.shelf.of("a") == setting.shelf.of("b") == ids(*range(10))
    assert list(setting.shelf.kept) == [SHARED]


def test_a_restart_reads_nothing_twice_and_nothing_less(setting: Setting) -> None:
    setting.serve("a")
    setting.write(1, 2)
    setting.drain()
    setting.start()
    setting.serve("a")
    setting.write(3)
    setting.drain()
    assert setting.shelf.of("a") == ids(1, 2, 3)


@pytest.mark.parametrize("restart", [False, True])
def test_a_new_webhook_reads_from_the_beginning_and_joins_the_others(setting: Setting, *, restart: bool) -> None:
    setting.serve("a")
    setting.write(*range(10))
    setting.poller.begin({"a": 0.0}, 0.0)
    assert setting.shelf.kept == {}
    setting.drain()
    setting.poller.begin({"b": 0.0}, 0.0)
    if restart:
        setting.start()
    setting.serve("a", "b")
    setting.drain()
    assert setting.shelf.of("b") == ids(*range(10))
    assert list(setting.shelf.kept) == [SHARED]


def test_a_webhook_that_is_enabled_goes_on_where_the_source_stands(setting: Setting) -> None:
    setting.serve("a")
    setting.write(1)
    setting.drain()
    setting.poller.detach({"b"})
    setting.serve("a", "b")
    setting.write(2)
    setting.drain()
    assert setting.shelf.of("b") == ids(2)


@pytest.mark.parametrize("restart", [False, True])
def test_what_came_while_a_webhook_was_disabled_is_not_its_own_however_often_it_was(
    setting: Setting, *, restart: bool
) -> None:
    """Each time it is set aside before all was read for it, and disabled then."""
    setting.serve("b")
    setting.drain()
    for first in (10, 20, 30):
        setting.poller.leave({"a"})
        setting.write(*range(first, first + 4))
        setting.drain()
        setting.poller.detach({"a"})
        setting.write(*range(first + 4, first + 8))
        setting.drain()
    if restart:
        setting.start()
    setting.serve("a", "b")
    setting.write(40)
    setting.drain()
    assert sorted(setting.shelf.of("a")) == ids(*range(10, 14), *range(20, 24), *range(30, 34), 40)
    assert list(setting.shelf.kept) == [SHARED]


def test_a_webhook_that_left_misses_nothing_when_it_comes_back(setting: Setting) -> None:
    setting.serve("a", "b")
    setting.write(1)
    setting.drain()
    setting.poller.leave({"b"})
    setting.serve("a")
    setting.write(2)
    setting.drain()
    setting.start()
    setting.serve("a", "b")
    setting.write(3)
    setting.drain()
    assert setting.shelf.of("b") == ids(1, 2, 3)


def test_a_webhook_without_room_waits_alone_and_catches_up(setting: Setting) -> None:
    setting.shelf.room["b"] = 3
    setting.serve("a", "b")
    setting.write(*range(10))
    assert setting.poller.poll(0.0) == Polled(done=False, more=True)
    for _ in range(10):
        setting.poller.poll(0.0)
    assert setting.poller.progress(0.0)["b"].reason is FetchedReason.BACKLOG_FULL
    assert setting.shelf.of("a") == ids(*range(10))
    assert setting.shelf.of("b") == []
    assert setting.witness.full == {"b"}
    assert dedicated_cursor("b") in setting.shelf.kept
    setting.shelf.room.clear()
    setting.now = 10.0
    setting.drain()
    assert setting.poller.progress(0.0)["b"].status == "True"
    assert setting.shelf.of("b") == ids(*range(10))


def test_of_those_that_read_together_only_the_one_without_room_waits(setting: Setting) -> None:
    setting.write(1, 2)
    setting.drain()
    setting.poller.begin({"a": 0.0, "b": 0.0}, 0.0)
    setting.serve("a", "b")
    setting.shelf.room["b"] = 0
    assert setting.poller.poll(0.0) == Polled(done=False, more=True)
    assert setting.poller.poll(0.0) == Polled(done=False, more=False)
    assert setting.shelf.of("a") == ids(1, 2)
    setting.shelf.room.clear()
    setting.poller.poll(5.0)
    assert setting.shelf.of("b") == ids(1, 2)


def test_a_stream_waits_as_a_whole_where_one_has_no_room(setting: Setting) -> None:
    setting.source.seekable = False
    setting.serve("a", "b")
    setting.shelf.room["b"] = 0
    setting.write(1)
    assert setting.poller.poll(0.0) == Polled(done=False, more=False)
    setting.poller.begin({"b": 0.0}, 0.0)
    setting.shelf.room.clear()
    for now, found in ((0.0, []), (4.9, []), (5.0, ids(1))):
        setting.poller.poll(now)
        assert setting.shelf.of("a") == setting.shelf.of("b") == found
    setting.poller.begin({"b": 0.0}, 0.0)
    assert list(setting.shelf.kept) == [SHARED]


def test_one_that_left_before_anything_was_read_and_is_disabled_goes_on_with_the_others(setting: Setting) -> None:
    setting.poller.leave({"b"})
    setting.poller.detach({"b"})
    setting.serve("a", "b")
    setting.write(1)
    setting.drain()
    assert setting.shelf.of("b") == setting.shelf.of("a") == ids(1)


def test_a_source_that_knows_no_moments_has_no_checkpoint(setting: Setting) -> None:
    setting.poller.serve({"a": Subscription("a", EVERYTHING, 1000.0)}, ())
    setting.drain()
    assert (setting.poller.progress(2000.0)["a"].read_to, setting.poller.progress(2000.0)["a"].reading) == (None, None)


def wait_for_room(setting: Setting, now: float) -> None:
    """An event for `b`, which has no room, so that a reader of its own waits from now on."""
    setting.shelf.room["b"] = 0
    setting.serve("b")
    setting.write(1)
    setting.poller.poll(now)
    setting.poller.poll(now)


def test_one_that_waits_for_room_is_not_tried_before_its_pause_is_over(setting: Setting) -> None:
    wait_for_room(setting, 0.0)
    setting.shelf.room.clear()
    setting.poller.poll(0.0)
    setting.poller.poll(4.9)
    assert setting.shelf.of("b") == []
    setting.poller.poll(5.1)
    assert setting.shelf.of("b") == ids(1)


def test_debug_webhooks_are_counted_and_owed_nothing(setting: Setting) -> None:
    setting.serve("a", "b", debug={"b"})
    setting.write(1)
    setting.drain()
    assert setting.shelf.of("b") == []
    assert setting.shelf.debugged == [("b", "1")]


def test_a_bad_line_is_told_once_however_many_readers_pass_it(setting: Setting) -> None:
    setting.serve("a")
    setting.path.write_text("oops\n")
    setting.drain()
    setting.poller.begin({"b": 0.0}, 0.0)
    setting.serve("a", "b")
    setting.drain()
    assert len(setting.witness.warnings) == 1


def test_the_position_moves_on_without_any_webhook(setting: Setting) -> None:
    setting.write(1)
    setting.drain()
    setting.serve("a")
    setting.write(2)
    setting.drain()
    assert setting.shelf.of("a") == ids(2)


def test_positions_are_written_only_where_they_moved(setting: Setting) -> None:
    setting.serve("a")
    setting.drain()
    written: list[EnqueueBatch] = []
    enqueue: Callable[[EnqueueBatch], EnqueueResult] = setting.shelf.enqueue
    setting.shelf.enqueue = lambda intake: written.append(intake) or enqueue(intake)  # type: ignore[func-returns-value,method-assign]
    setting.drain()
    assert written == []


def test_a_reader_that_waits_for_room_is_no_reason_to_poll_at_once(setting: Setting) -> None:
    wait_for_room(setting, 0.0)
    found = setting.poller.poll(0.0)
    assert (found.done, found.more) == (False, False)


def test_a_clock_that_is_set_back_holds_no_reader_for_longer_than_its_pause(setting: Setting) -> None:
    wait_for_room(setting, 1e9)
    setting.shelf.room.clear()
    setting.poller.poll(0.0)
    assert setting.shelf.of("b") == ids(1)


def test_what_is_read_is_counted_once_whether_or_not_it_matches(setting: Setting) -> None:
    setting.serve("a")
    setting.write(*range(10))
    setting.drain()
    setting.poller.begin({"b": 0.0}, setting.now)
    setting.serve("a", "b")
    setting.write(10)
    setting.drain()
    assert setting.witness.events == 11
