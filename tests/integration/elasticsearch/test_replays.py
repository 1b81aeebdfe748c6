"""Replays from a real index: a window of time, beside what is written meanwhile."""

import pytest

from kubectl_sew.event import Event
from sew_agent.ingest.replay import Phase, Replay, ReplayRequest, replays_in, request_row
from sew_agent.store.records import DeliveryResult, DeliveryState, EnqueueBatch
from tests.integration.elasticsearch.harness import NOW, IngestHarness

pytestmark = pytest.mark.server
HOUR = 3600


@pytest.fixture
def harness(harness: IngestHarness) -> IngestHarness:
    """A webhook that begins now: what is in the index was written before, and is not read for it."""
    harness.index(shards=3)
    for hours in range(5):
        harness.write([f"{hours}h-{number}" for number in range(10)], time=int(NOW) - hours * HOUR - 60)
    harness.serve(start=NOW)
    harness.poll()
    return harness


def ask(harness: IngestHarness, since: float, until: float = 0.0, name: str = "1", **more: object) -> None:
    asked = {"query": "", "again": False, "confirmed": True, "who": "ann", "asked_at": harness.now, **more}
    request = ReplayRequest(name, NOW - since * HOUR, NOW - until * HOUR, **asked)  # type: ignore[arg-type]
    harness.store.enqueue(EnqueueBatch((), {request_row("w"): request.dump()}, harness.now))


def kept(harness: IngestHarness) -> Replay:
    return replays_in(harness.store.positions())["w"]


def deliver(harness: IngestHarness) -> list[Event]:
    """Deliver what waits."""
    due = harness.store.due("w", now=harness.now, limit=10_000)
    harness.store.record_results([DeliveryResult(one, DeliveryState.DELIVERED, harness.now, 1) for one in due], ())
    return [one.event for one in due]


def run(harness: IngestHarness, *, restart: bool = False) -> list[Event]:
    """Deliver until the replay has ended; return what was delivered, in order."""
    delivered: list[Event] = []
    for _ in range(200):
        harness.poll(2.5)
        if restart:
            harness.restart()
        delivered += deliver(harness)
        if kept(harness).ended:
            return delivered
    raise AssertionError("it never ended")


def ids(events: list[Event]) -> list[str]:
    return [event.id for event in events]


def window(*hours: int) -> list[str]:
    return sorted(f"{hour}h-{number}" for hour in hours for number in range(10))


def test_a_window_is_sent_in_order_of_time_with_the_identities_of_live_events(harness: IngestHarness) -> None:
    ask(harness, since=3, until=1)
    events = run(harness)
    assert sorted(ids(events)) == window(1, 2)
    assert [event.id[:2] for event in events] == ["2h"] * 10 + ["1h"] * 10
    assert {event.index for event in events} == {f"{harness.prefix}.a"}


def test_what_is_known_is_left_out_and_new_events_come_meanwhile(harness: IngestHarness) -> None:
    ask(harness, since=2, until=1)
    run(harness)
    ask(harness, since=4, name="2")
    harness.poll(2.5)
    harness.write(["live"])
    delivered = ids(run(harness))
    harness.poll()
    delivered += ids(deliver(harness))
    assert sorted(delivered) == sorted([*window(0, 2, 3), "live"])


@pytest.mark.parametrize("again", [False, True])
def test_a_restart_after_each_page_sends_each_event_once(harness: IngestHarness, *, again: bool) -> None:
    """Of a second with many events a new run finds all once more."""
    ask(harness, since=2, until=1)
    run(harness)
    ask(harness, since=3, name="2", again=again)
    assert sorted(ids(run(harness, restart=True))) == window(*((0, 1, 2) if again else (0, 2)))


def test_it_counts_what_matches_and_what_is_known(harness: IngestHarness) -> None:
    ask(harness, since=2, until=1)
    run(harness)
    ask(harness, since=3, name="2", confirmed=False)
    harness.poll(2.5)
    harness.poll(2.5)
    progress = kept(harness).progress
    assert progress is not None
    assert (progress.phase, progress.matching, progress.left_out) == (Phase.COUNTED, 30, 10)
    assert deliver(harness) == []


def test_an_index_that_is_deleted_meanwhile_ends_nothing(harness: IngestHarness) -> None:
    harness.index("b")
    harness.write(range(10), index="b", time=int(NOW) - HOUR)
    harness.poll()
    ask(harness, since=5)
    harness.poll(2.5)
    harness.poll(2.5)
    before = ids(deliver(harness))
    assert 0 < len(before) < 40
    harness.client.indices.delete(index=f"{harness.prefix}.a")
    after = ids(run(harness))
    assert set(map(str, range(10))) <= {*before, *after} <= {*map(str, range(10)), *window(0, 1, 2, 3, 4)}


def test_a_point_in_time_that_ended_is_opened_again(harness: IngestHarness) -> None:
    """A receiver that fails for minutes holds a replay for longer than Elasticsearch keeps its view."""
    ask(harness, since=5)
    harness.poll(2.5)
    harness.poll(2.5)
    delivered = ids(deliver(harness))
    for point in points(harness):
        harness.source._index.close_point_in_time(point)
    delivered += ids(run(harness))
    assert sorted(delivered) == window(0, 1, 2, 3, 4)


def points(harness: IngestHarness) -> list[str]:
    """Return the points in time that are open: Elasticsearch lists none."""
    return [point.id for run in harness.source._backfill._runs.values() for point in run.points or ()]


def test_a_query_that_the_mapping_cannot_answer_ends_it_with_the_reason(harness: IngestHarness) -> None:
    ask(harness, since=5, query="nonsense = 1", confirmed=False)
    harness.poll(2.5)
    progress = kept(harness).progress
    assert progress is not None
    assert progress.phase is Phase.FAILED
    assert "nonsense" in progress.why
