"""Readers beside the common one, over a source that is told what to find: those in the past, and those set aside."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kubectl_sew.event import Event
from kubectl_sew.query import ANY, parse
from kubectl_sew.resource import FetchedReason
from sew_agent.ingest.poller import Polled, Poller
from sew_agent.ingest.readers import SHARED, backfill_cursor, dedicated_cursor
from sew_agent.ingest.source import Arrival, Batch, Origin, SourceError, SourceProblem, SourceWarning, Subscription
from sew_agent.store.sqlite.store import SqliteStore, open_store
from tests.unit.agent.ingest.test_poller import Witness

QUERY = parse("type = waf")
NOW = 1_800_000_000.0


@dataclass
class Script:
    """A source of numbered events: a position is a number, a position in the past is `past:FROM:NUMBER`."""

    events: int = 0
    refuses: dict[str, str] = field(default_factory=dict)
    problems: tuple[SourceProblem, ...] = ()
    past_fails: bool = False
    past_refuses: dict[str, str] = field(default_factory=dict)
    past_lasts: bool = False
    """There is always more in the past."""
    past_takes: float = 0.0
    """Seconds for a read there."""
    clock: float = 0.0
    fails: bool = False
    failed: bool = False
    more: bool = False
    time: float | None = None
    """Of every event."""
    first: int = 0
    """Where a reader begins that no other was before."""
    reads: list[tuple[str | None, tuple[str, ...]]] = field(default_factory=list)
    asked: list[tuple[Sequence[Subscription], float]] = field(default_factory=list)
    """What was asked for by each read, and its moment."""
    seekable: bool = True
    fields = ANY

    def origin(self, start: float) -> Origin:
        return Origin(f"past:{start:.0f}", beside=True)

    def read(self, subscriptions: Sequence[Subscription], position: str | None, *, now: float, limit: int) -> Batch:
        names = tuple(each.webhook for each in subscriptions)
        self.reads.append((position, names))
        self.asked.append((subscriptions, now))
        if position and position.startswith("past:"):
            self.clock += self.past_takes
            if self.past_fails:
                raise SourceError("the past is closed")
            if self.past_lasts:
                return Batch([], position, more=True, done=False)
            served = tuple(name for name in names if name not in self.past_refuses)
            arrivals = [Arrival(Event("i", "past", {}), served)] if served else []
            return Batch(arrivals, "past:done", more=False, done=True, refused=self.past_refuses)
        if self.fails:
            raise SourceError("nothing can be read")
        refused = {name: self.refuses[name] for name in names if name in self.refuses}
        served = tuple(name for name in names if name not in refused)
        numbers = range(self.first if position is None else int(position), self.events)
        arrivals = [Arrival(Event("i", str(each), {}), served, self.time) for each in numbers] if served else []
        warnings = [SourceWarning("too_old", "1 was too old", webhooks=served)] if numbers and served else []
        position = str(self.events)
        told = {"warnings": warnings, "problems": self.problems, "refused": refused, "failed": self.failed}
        return Batch(arrivals, position, more=self.more, done=True, **told)  # type: ignore[arg-type]

    def read_to(self, position: str | None) -> float | None:
        if position is None:
            return float("-inf")
        assert position.startswith("past:") or position.isdigit()
        return NOW - (1000 if position.startswith("past:") else 5)

    def reached(self, position: str, other: str) -> bool:
        assert other.isdigit()
        return position == "past:done" or (not position.startswith("past:") and int(position) >= int(other))

    def close(self) -> None:
        """Nothing is open."""


class Scene:
    def __init__(self, path: Path) -> None:
        self.source, self.witness = Script(), Witness()
        self.store: SqliteStore = open_store(path)
        clock = lambda: self.source.clock  # noqa: E731
        self.poller = Poller(self.source, self.store, self.witness, page_size=10, pause=5.0, clock=clock)

    def serve(self, *names: str, start: float = NOW - 2000) -> None:
        self.poller.serve({name: Subscription(name, QUERY, start) for name in names}, ())

    def pending(self) -> dict[str, int]:
        return dict(self.store.pending_counts())


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.store.close()


def test_a_thousand_that_begin_together_share_a_reader_for_the_past(scene: Scene) -> None:
    names = [f"w{number:04}" for number in range(1000)]
    scene.poller.begin({name: NOW - 50_000 - number for number, name in enumerate(names)}, NOW)
    scene.serve(*names)
    scene.source.events = 1
    assert scene.poller.poll(NOW) == Polled(done=True, more=False)
    assert [(position, len(found)) for position, found in scene.source.reads] == [
        (None, 1000),
        ("past:1799949001", 1000),
    ]
    assert set(scene.pending().values()) == {2}
    assert list(scene.poller.positions) == [SHARED]


def test_what_fails_in_the_past_alone_stops_nobody_and_is_told(scene: Scene) -> None:
    scene.poller.begin({"a": NOW - 100}, NOW)
    scene.serve("a")
    scene.source.events, scene.source.past_fails = 1, True
    assert not scene.poller.poll(NOW).done
    assert scene.pending() == {"a": 1}
    assert "the past is closed" in scene.poller.progress(NOW)["a"].message
    scene.source.past_fails = False
    scene.poller.poll(NOW + 6)
    assert scene.pending() == {"a": 2}
    assert scene.poller.problems == ()
    assert backfill_cursor("a") not in scene.store.positions()


def test_whose_query_cannot_be_answered_waits_alone_and_catches_up(scene: Scene) -> None:
    scene.serve("a", "b")
    scene.poller.poll(NOW)
    scene.source.refuses = {"b": "the field is no date"}
    scene.source.events = 3
    scene.poller.poll(NOW)
    assert scene.pending() == {"a": 3}
    told = scene.poller.progress(NOW)
    assert (told["a"].status, told["b"].reason) == ("True", FetchedReason.UNANSWERABLE)
    assert "the field is no date" in told["b"].message
    scene.source.refuses = {}
    scene.poller.poll(NOW + 6)
    assert scene.pending() == {"a": 3, "b": 3}
    assert dedicated_cursor("b") not in scene.store.positions()
    assert scene.poller.progress(NOW)["b"].status == "True"


def test_whose_query_is_refused_again_and_again_stays_where_it_is_and_stops_nobody(scene: Scene) -> None:
    scene.serve("a", "b")
    scene.poller.poll(NOW)
    scene.source.refuses = {"b": "the field is no date"}
    scene.source.events = 3
    for seconds in (0, 1, 6, 12):
        scene.poller.poll(NOW + seconds)
        assert scene.pending() == {"a": scene.source.events}
        scene.source.events += 1
    scene.source.refuses = {}
    scene.poller.poll(NOW + 18)
    assert scene.pending() == {"a": 7, "b": 7}


def test_whose_query_is_refused_by_the_very_first_read_misses_nothing_from_there_on(scene: Scene) -> None:
    scene.serve("a", "b")
    scene.source.refuses = {"b": "the field is no date"}
    scene.source.first = scene.source.events = 3
    scene.poller.poll(NOW)
    scene.source.refuses = {}
    scene.source.first = scene.source.events = 5
    scene.poller.poll(NOW + 6)
    assert scene.pending() == {"a": 2, "b": 2}


def test_a_webhook_that_leaves_before_anything_was_read_stops_nothing(scene: Scene) -> None:
    scene.poller.leave({"b"})
    scene.serve("a")
    scene.poller.poll(NOW)
    assert scene.poller.progress(NOW)["a"].status == "True"
    assert scene.poller.low_watermark() == float("-inf")
    scene.serve("a", "b")
    scene.poller.poll(NOW)
    assert scene.poller.low_watermark() == NOW - 5


def test_what_of_the_source_cannot_be_read_is_told_and_ends(scene: Scene) -> None:
    scene.serve("a")
    scene.source.problems = (SourceProblem("shard 2 is absent"),)
    scene.poller.poll(NOW)
    assert scene.poller.problems == (SourceProblem("shard 2 is absent"),)
    assert scene.poller.progress(NOW)["a"].reason is FetchedReason.SOURCE_UNAVAILABLE
    scene.source.problems = ()
    scene.poller.poll(NOW)
    assert scene.poller.progress(NOW)["a"].status == "True"


def test_the_checkpoint_is_the_least_of_readers_and_of_what_waits(scene: Scene) -> None:
    scene.serve("a", start=NOW - 3000)
    assert scene.poller.progress(NOW)["a"].message.startswith("read to 2027-01-15T07:10:00Z")  # its start
    scene.poller.poll(NOW)
    assert scene.poller.progress(NOW)["a"].message == "read to 2027-01-15T07:59:55Z"
    scene.poller.begin({"a": NOW - 3000}, NOW)
    assert scene.poller.progress(NOW)["a"].message == "read to 2027-01-15T07:43:20Z"


def test_what_was_left_out_is_named_for_an_hour(scene: Scene) -> None:
    scene.serve("a")
    scene.source.events = 1
    scene.poller.poll(NOW)
    assert scene.poller.progress(NOW)["a"].message.endswith("; 1 was too old")
    assert "too old" not in scene.poller.progress(NOW + 3601)["a"].message


def test_webhooks_share_a_reader_for_the_past_where_they_begin_about_equally_far_back(scene: Scene) -> None:
    scene.poller.begin({f"w{back}": 1000.0 - back for back in (1, 3, 4, 15, 16)}, 1000.0)
    found: dict[str, set[str]] = {}
    for row, position in scene.poller.positions.items():
        found.setdefault(position, set()).add(row)
    assert found == {
        "past:997": {backfill_cursor("w1"), backfill_cursor("w3")},
        "past:985": {backfill_cursor("w4"), backfill_cursor("w15")},
        "past:984": {backfill_cursor("w16")},
    }


@pytest.mark.parametrize(("takes", "first", "second"), [(0.0, 8, 8), (1.0, 3, 3), (5.0, 1, 1)])
def test_readers_beside_have_their_turn_as_long_as_there_is_time(
    scene: Scene, takes: float, first: int, second: int
) -> None:
    names = [f"w{number}" for number in range(10)]
    scene.poller.begin({name: NOW - 4.0**number for number, name in enumerate(names)}, NOW)
    scene.serve(*names)
    scene.source.past_lasts, scene.source.past_takes = True, takes
    assert scene.poller.poll(NOW) == Polled(done=False, more=True)
    before = [found for _, found in scene.source.reads[1:]]
    assert scene.poller.poll(NOW + 1) == Polled(done=False, more=True)
    after = [found for _, found in scene.source.reads[2 + first :]]
    assert (len(before), len(after)) == (first, second)
    assert not {each for each in after[: 10 - first] if each in before}


def test_a_reader_rests_five_times_as_long_as_it_failed(scene: Scene) -> None:
    scene.poller.begin({"a": NOW - 100}, NOW)
    scene.serve("a")
    scene.source.past_fails, scene.source.past_takes = True, 4.0
    for seconds, reads in ((0, 1), (19, 1), (20, 2)):
        scene.poller.poll(NOW + seconds)
        assert len([each for each, _ in scene.source.reads if each != "0" and each]) == reads


def test_one_that_begins_again_waits_for_nothing_and_its_trouble_is_over(scene: Scene) -> None:
    scene.poller.begin({"a": NOW - 100}, NOW)
    scene.serve("a")
    scene.source.past_fails = True
    scene.poller.poll(NOW)
    assert scene.poller.problems == (SourceProblem("the past is closed"),)
    scene.poller.forget({"a"})
    assert scene.poller.problems == ()
    scene.poller.begin({"a": NOW - 100}, NOW)
    scene.source.past_fails = False
    scene.poller.poll(NOW + 1)
    assert scene.pending() == {"a": 1}


def test_what_cannot_be_read_at_all_is_the_trouble_of_all_and_raised(scene: Scene) -> None:
    scene.serve("a")
    scene.source.fails = True
    with pytest.raises(SourceError):
        scene.poller.poll(NOW)
    assert scene.poller.problems == (SourceProblem("nothing can be read"),)
    assert scene.poller.progress(NOW)["a"].reason is FetchedReason.SOURCE_UNAVAILABLE


@pytest.mark.parametrize(("more", "failed"), [(True, False), (False, True)])
def test_what_the_common_reader_found_is_answered(scene: Scene, *, more: bool, failed: bool) -> None:
    scene.serve("a")
    scene.source.more, scene.source.failed = more, failed
    assert scene.poller.poll(NOW) == Polled(done=True, more=more, failed=failed)


def test_where_all_are_refused_the_common_position_moves_on(scene: Scene) -> None:
    scene.serve("a")
    scene.source.events = 3
    scene.source.refuses = {"a": "no"}
    scene.poller.poll(NOW)
    assert dict(scene.store.positions()) == {SHARED: "3", dedicated_cursor("a"): "3"}


def test_whose_query_is_refused_in_the_past_alone_waits_there_alone(scene: Scene) -> None:
    scene.poller.begin({"a": NOW - 100, "b": NOW - 100}, NOW)
    scene.serve("a", "b")
    scene.source.past_refuses = {"b": "the field was no date"}
    scene.poller.poll(NOW)
    scene.poller.poll(NOW + 1)
    assert scene.pending() == {"a": 1}
    assert dict(scene.store.positions()) == {SHARED: "0", backfill_cursor("b"): "past:1799999900"}
    assert [found for position, found in scene.source.reads if position != "0" and position] == [("a", "b")]
    assert "the field was no date" in scene.poller.progress(NOW)["b"].message
    scene.poller.poll(NOW + 6)
    assert dict(scene.store.positions()) == {SHARED: "0", backfill_cursor("b"): "past:1799999900"}
    scene.source.past_refuses = {}
    scene.poller.poll(NOW + 12)
    assert scene.pending() == {"a": 1, "b": 1}


def test_an_answered_query_is_no_longer_told_as_refused(scene: Scene) -> None:
    scene.serve("a")
    scene.poller.poll(NOW)
    scene.source.events, scene.source.refuses = 3, {"a": "no"}
    scene.poller.poll(NOW)
    scene.source.refuses = {}
    scene.poller.poll(NOW + 6)
    scene.poller.leave({"a"})
    assert dedicated_cursor("a") in scene.poller.positions
    assert scene.poller.progress(NOW)["a"].status == "True"


def test_what_was_not_read_when_a_webhook_was_disabled_is_read_whatever_its_start_is_now(scene: Scene) -> None:
    scene.serve("a", "b")
    scene.poller.poll(NOW)
    scene.poller.begin({"a": NOW - 100, "b": NOW - 100}, NOW)
    scene.poller.detach({"a"})
    scene.source.events = 5
    scene.serve("a", "b", start=NOW)
    scene.source.asked.clear()
    scene.poller.poll(NOW)
    starts = [{each.webhook: each.start for each in subscriptions} for subscriptions, _ in scene.source.asked]
    assert sorted(starts, key=str) == [{"a": NOW, "b": NOW}, {"a": None}, {"b": NOW}]
    assert {moment for _, moment in scene.source.asked} == {NOW}
    assert list(scene.store.positions()) == [SHARED]


def test_a_past_that_was_not_read_when_a_webhook_was_disabled_stays_its_own(scene: Scene) -> None:
    scene.poller.begin({"a": NOW - 100}, NOW)
    scene.poller.detach({"a"})
    assert dict(scene.store.positions()) == {backfill_cursor("a"): "past:1799999900"}
    scene.serve("b")
    scene.poller.poll(NOW)
    scene.poller.detach({"a"})
    scene.source.events = 3
    scene.serve("a", "b")
    scene.poller.poll(NOW)
    assert scene.pending() == {"a": 4, "b": 3}


def test_one_that_left_keeps_the_place_of_the_common_reader_and_what_it_missed_when_it_is_disabled(
    scene: Scene,
) -> None:
    scene.source.first = scene.source.events = 3
    scene.poller.poll(NOW)
    scene.poller.leave({"a"})
    assert scene.store.positions()[dedicated_cursor("a")] == "3"
    scene.source.events = 5
    scene.poller.poll(NOW)
    scene.poller.detach({"a"})
    scene.source.events = 9
    scene.poller.poll(NOW)
    assert scene.store.positions() == {SHARED: "9", backfill_cursor("a"): "3", "until:a": "5"}


def test_before_anything_is_read_nothing_is_known(scene: Scene) -> None:
    assert scene.poller.low_watermark() == float("inf")
    scene.poller.serve({"a": Subscription("a", QUERY)}, ())
    told = scene.poller.progress(NOW)["a"]
    assert (told.status, told.read_to, told.reading) == ("Unknown", None, None)
    scene.poller.poll(NOW)
    told = scene.poller.progress(NOW)["a"]
    assert (told.status, told.read_to, told.reading) == ("True", NOW - 5, NOW - 5)
    scene.poller.begin({"a": NOW - 3000}, NOW)
    assert scene.poller.progress(NOW - 2000)["a"].read_to == NOW - 2000


def test_the_checkpoint_is_never_beyond_the_oldest_event_that_waits(scene: Scene) -> None:
    scene.serve("a")
    scene.source.events, scene.source.time = 1, NOW - 60
    scene.poller.poll(NOW)
    told = scene.poller.progress(NOW)["a"]
    assert (told.read_to, told.reading) == (NOW - 60, NOW - 5)
    assert scene.witness.taken == [1]


def test_a_stream_has_one_reader_whatever_happens(scene: Scene) -> None:
    scene.source.seekable = False
    scene.serve("a")
    scene.poller.poll(NOW)
    scene.poller.leave({"a"})
    assert dict(scene.store.positions()) == {SHARED: "0"}


def test_what_a_webhook_missed_that_began_in_the_past_is_its_own_when_it_is_disabled(scene: Scene) -> None:
    scene.poller.poll(NOW)
    scene.poller.begin({"a": NOW - 100}, NOW)
    scene.poller.leave({"a"})
    scene.source.events = 3
    scene.poller.poll(NOW)
    scene.poller.detach({"a"})
    scene.poller.poll(NOW)
    scene.serve("a")
    assert scene.poller.progress(NOW)["a"].read_to == NOW - 1000
    scene.poller.poll(NOW)
    assert scene.pending() == {"a": 4}
    assert list(scene.store.positions()) == [SHARED]
    scene.poller.begin({"a": NOW - 100}, NOW)
    scene.poller.leave({"a"})
    scene.poller.detach({"a"})
    scene.poller.forget({"a"})
    assert list(scene.store.positions()) == [SHARED]
