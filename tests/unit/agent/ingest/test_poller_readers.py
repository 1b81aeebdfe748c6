"""Readers beside the common one, over a source that is told what to find: those in the past, and those set aside."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kubectl_sew.event import Event
from kubectl_sew.query import ANY, parse
from kubectl_sew.resource import FetchedReason
from sew_agent.ingest.poller import COMMON, Poller, own_reader, past_reader
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
    first: int = 0
    """Where a reader begins that no other was before."""
    reads: list[tuple[str | None, tuple[str, ...]]] = field(default_factory=list)
    fields = ANY
    seekable = True

    def origin(self, start: float) -> Origin:
        return Origin(f"past:{start:g}", beside=True)

    def read(self, subscriptions: Sequence[Subscription], position: str | None, *, now: float, limit: int) -> Batch:
        names = tuple(each.webhook for each in subscriptions)
        self.reads.append((position, names))
        if position and position.startswith("past:"):
            if self.past_fails:
                raise SourceError("the past is closed")
            return Batch([Arrival(Event("i", "past", {}), names)], "past:done", more=False, done=True)
        refused = {name: self.refuses[name] for name in names if name in self.refuses}
        served = tuple(name for name in names if name not in refused)
        numbers = range(self.first if position is None else int(position), self.events)
        arrivals = [Arrival(Event("i", str(each), {}), served) for each in numbers] if served else []
        notes = [SourceWarning("too_old", "1 was too old", webhooks=served)] if numbers and served else []
        position = str(self.events)
        return Batch(arrivals, position, more=False, done=True, notes=notes, problems=self.problems, refused=refused)

    def read_to(self, position: str | None) -> float | None:
        if position is None:
            return float("-inf")
        assert position.startswith("past:") or position.isdigit()
        return NOW - (1000 if position.startswith("past:") else 5)

    def reached(self, position: str, other: str) -> bool:
        return position == "past:done" or (not position.startswith("past:") and int(position) >= int(other))

    def close(self) -> None:
        """Nothing is open."""


class Scene:
    def __init__(self, path: Path) -> None:
        self.source, self.witness = Script(), Witness()
        self.store: SqliteStore = open_store(path)
        self.poller = Poller(self.source, self.store, self.witness, page_size=10, pause=5.0)

    def serve(self, *names: str, start: float = NOW - 2000) -> None:
        self.poller.serve({name: Subscription(name, QUERY, start) for name in names}, ())

    def pending(self) -> dict[str, int]:
        return dict(self.store.waiting())


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
    scene.poller.poll(NOW)
    assert [(position, len(found)) for position, found in scene.source.reads] == [
        (None, 1000),
        ("past:1.79995e+09", 1000),
    ]
    assert set(scene.pending().values()) == {2}
    assert list(scene.poller.positions) == [COMMON]


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
    assert past_reader("a") not in scene.store.positions()


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
    assert own_reader("b") not in scene.store.positions()
    assert scene.poller.progress(NOW)["b"].status == "True"


def test_whose_query_is_refused_again_and_again_stays_where_it_is_and_stops_nobody(scene: Scene) -> None:
    scene.serve("a", "b")
    scene.poller.poll(NOW)
    scene.source.refuses = {"b": "the field is no date"}
    scene.source.events = 3
    for seconds in (0, 6, 12):
        scene.poller.poll(NOW + seconds)
    assert scene.pending() == {"a": 3}
    scene.source.refuses = {}
    scene.poller.poll(NOW + 18)
    assert scene.pending() == {"a": 3, "b": 3}


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
    scene.poller.leave({"b"}, NOW)
    scene.serve("a")
    scene.poller.poll(NOW)
    assert scene.poller.progress(NOW)["a"].status == "True"
    assert scene.poller.passed() == float("-inf")
    scene.serve("a", "b")
    scene.poller.poll(NOW)
    assert scene.poller.passed() == NOW - 5


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
