"""Readers beside the shared one, over a scripted source: backfills, and webhooks that were set aside."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubectl_sew.resource import FetchedReason
from sew_agent.ingest.poller import Polled
from sew_agent.ingest.readers import SHARED, backfill_cursor, dedicated_cursor
from sew_agent.ingest.replay import request_row
from sew_agent.ingest.source import SourceError, SourceProblem, Subscription
from sew_agent.store.records import EnqueueBatch
from tests.unit.agent.ingest.harness import NOW, QUERY, PollerHarness


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[PollerHarness]:
    made = PollerHarness(tmp_path)
    yield made
    made.store.close()


def test_a_thousand_that_begin_together_share_a_backfill(harness: PollerHarness) -> None:
    names = [f"w{number:04}" for number in range(1000)]
    harness.poller.begin({name: NOW - 50_000 - number for number, name in enumerate(names)}, NOW)
    harness.serve(*names)
    harness.source.events = 1
    assert harness.poller.poll(NOW) == Polled(done=True, more=False)
    assert [(position, len(webhooks)) for position, webhooks in harness.source.reads] == [
        (None, 1000),
        ("past:1799949001", 1000),
    ]
    assert set(harness.pending().values()) == {2}
    assert list(harness.poller.positions) == [SHARED]


def test_a_failing_backfill_stops_nobody_and_is_reported(harness: PollerHarness) -> None:
    harness.poller.begin({"a": NOW - 100}, NOW)
    harness.serve("a")
    harness.source.events, harness.source.backfill_fails = 1, True
    assert not harness.poller.poll(NOW).done
    assert harness.pending() == {"a": 1}
    assert "the past is closed" in harness.poller.progress(NOW)["a"].message
    harness.source.backfill_fails = False
    harness.poller.poll(NOW + 6)
    assert harness.pending() == {"a": 2}
    assert harness.poller.problems == ()
    assert backfill_cursor("a") not in harness.store.positions()


def test_a_webhook_whose_query_cannot_be_answered_waits_alone_and_catches_up(harness: PollerHarness) -> None:
    harness.serve("a", "b")
    harness.poller.poll(NOW)
    harness.source.refuses = {"b": "the field is no date"}
    harness.source.events = 3
    harness.poller.poll(NOW)
    assert harness.pending() == {"a": 3}
    progress = harness.poller.progress(NOW)
    assert (progress["a"].status, progress["b"].reason) == ("True", FetchedReason.UNANSWERABLE)
    assert "the field is no date" in progress["b"].message
    harness.source.refuses = {}
    harness.poller.poll(NOW + 6)
    assert harness.pending() == {"a": 3, "b": 3}
    assert dedicated_cursor("b") not in harness.store.positions()
    assert harness.poller.progress(NOW)["b"].status == "True"


def test_a_webhook_whose_query_is_refused_again_and_again_stays_where_it_is_and_stops_nobody(
    harness: PollerHarness,
) -> None:
    harness.serve("a", "b")
    harness.poller.poll(NOW)
    harness.source.refuses = {"b": "the field is no date"}
    harness.source.events = 3
    for seconds, tried_again in ((0, False), (1, False), (6, True), (12, True)):
        harness.source.reads.clear()
        harness.poller.poll(NOW + seconds)
        assert harness.pending() == {"a": harness.source.events}
        assert len(harness.source.reads) == (2 if tried_again else 1)
        harness.source.events += 1
    harness.source.refuses = {}
    harness.poller.poll(NOW + 18)
    assert harness.pending() == {"a": 7, "b": 7}


def test_a_webhook_whose_query_is_refused_by_the_very_first_read_misses_nothing_from_there_on(
    harness: PollerHarness,
) -> None:
    harness.serve("a", "b")
    harness.source.refuses = {"b": "the field is no date"}
    harness.source.first = harness.source.events = 3
    harness.poller.poll(NOW)
    harness.source.refuses = {}
    harness.source.first = harness.source.events = 5
    harness.poller.poll(NOW + 6)
    assert harness.pending() == {"a": 2, "b": 2}


def test_a_webhook_that_leaves_before_anything_was_read_stops_nothing(harness: PollerHarness) -> None:
    harness.poller.leave({"b"})
    harness.serve("a")
    harness.poller.poll(NOW)
    assert harness.poller.progress(NOW)["a"].status == "True"
    assert harness.poller.low_watermark() == float("-inf")
    harness.serve("a", "b")
    harness.poller.poll(NOW)
    assert harness.poller.low_watermark() == NOW - 5


def test_a_problem_with_part_of_the_source_is_reported_until_it_ends(harness: PollerHarness) -> None:
    harness.serve("a")
    harness.source.problems = (SourceProblem("shard 2 is absent"),)
    harness.poller.poll(NOW)
    assert harness.poller.problems == (SourceProblem("shard 2 is absent"),)
    assert harness.poller.progress(NOW)["a"].reason is FetchedReason.SOURCE_UNAVAILABLE
    harness.source.problems = ()
    harness.poller.poll(NOW)
    assert harness.poller.progress(NOW)["a"].status == "True"


def test_the_checkpoint_is_the_least_of_readers_and_of_what_waits(harness: PollerHarness) -> None:
    harness.serve("a", start=NOW - 3000)
    assert harness.poller.progress(NOW)["a"].message.startswith("read to 2027-01-15T07:10:00Z")  # its start
    harness.poller.poll(NOW)
    assert harness.poller.progress(NOW)["a"].message == "read to 2027-01-15T07:59:55Z"
    harness.poller.begin({"a": NOW - 3000}, NOW)
    assert harness.poller.progress(NOW)["a"].message == "read to 2027-01-15T07:43:20Z"


def test_what_was_left_out_is_named_for_an_hour(harness: PollerHarness) -> None:
    harness.serve("a")
    harness.source.events = 1
    harness.poller.poll(NOW)
    assert harness.poller.progress(NOW)["a"].message.endswith("; 1 was too old")
    assert "too old" not in harness.poller.progress(NOW + 3601)["a"].message


def test_webhooks_share_a_backfill_where_they_begin_about_equally_far_back(harness: PollerHarness) -> None:
    harness.poller.begin({f"w{back}": 1000.0 - back for back in (1, 3, 4, 15, 16)}, 1000.0)
    rows: dict[str, set[str]] = {}
    for row, position in harness.poller.positions.items():
        rows.setdefault(position, set()).add(row)
    assert rows == {
        "past:997": {backfill_cursor("w1"), backfill_cursor("w3")},
        "past:985": {backfill_cursor("w4"), backfill_cursor("w15")},
        "past:984": {backfill_cursor("w16")},
    }


@pytest.mark.parametrize(("takes", "first", "second"), [(0.0, 8, 8), (1.0, 3, 3), (5.0, 1, 1)])
def test_readers_beside_have_their_turn_as_long_as_there_is_time(
    harness: PollerHarness, takes: float, first: int, second: int
) -> None:
    names = [f"w{number}" for number in range(10)]
    harness.poller.begin({name: NOW - 4.0**number for number, name in enumerate(names)}, NOW)
    harness.serve(*names)
    harness.source.backfill_lasts, harness.source.backfill_takes = True, takes
    assert harness.poller.poll(NOW) == Polled(done=False, more=True)
    before = [webhooks for _, webhooks in harness.source.reads[1:]]
    assert harness.poller.poll(NOW + 1) == Polled(done=False, more=True)
    after = [webhooks for _, webhooks in harness.source.reads[2 + first :]]
    assert (len(before), len(after)) == (first, second)
    assert not {webhooks for webhooks in after[: 10 - first] if webhooks in before}


def test_a_reader_rests_five_times_as_long_as_it_failed(harness: PollerHarness) -> None:
    harness.poller.begin({"a": NOW - 100}, NOW)
    harness.serve("a")
    harness.source.backfill_fails, harness.source.backfill_takes = True, 4.0
    for seconds, reads in ((0, 1), (19, 1), (20, 2)):
        harness.poller.poll(NOW + seconds)
        assert len([position for position, _ in harness.source.reads if position != "0" and position]) == reads


def test_one_that_begins_again_waits_for_nothing_and_its_problem_is_over(harness: PollerHarness) -> None:
    harness.poller.begin({"a": NOW - 100}, NOW)
    harness.serve("a")
    harness.source.backfill_fails = True
    harness.poller.poll(NOW)
    assert harness.poller.problems == (SourceProblem("the past is closed"),)
    harness.poller.forget({"a"})
    assert harness.poller.problems == ()
    harness.poller.begin({"a": NOW - 100}, NOW)
    harness.source.backfill_fails = False
    harness.poller.poll(NOW + 1)
    assert harness.pending() == {"a": 1}


def test_a_source_that_cannot_be_read_is_a_problem_of_all_and_raised(harness: PollerHarness) -> None:
    harness.serve("a")
    harness.source.fails = True
    with pytest.raises(SourceError):
        harness.poller.poll(NOW)
    assert harness.poller.problems == (SourceProblem("nothing can be read"),)
    assert harness.poller.progress(NOW)["a"].reason is FetchedReason.SOURCE_UNAVAILABLE


@pytest.mark.parametrize(("more", "failed"), [(True, False), (False, True)])
def test_the_result_of_the_shared_reader_is_returned(harness: PollerHarness, *, more: bool, failed: bool) -> None:
    harness.serve("a")
    harness.source.more, harness.source.failed = more, failed
    assert harness.poller.poll(NOW) == Polled(done=True, more=more, failed=failed)


def test_where_all_are_refused_the_shared_position_moves_on(harness: PollerHarness) -> None:
    harness.serve("a")
    harness.source.events = 3
    harness.source.refuses = {"a": "no"}
    harness.poller.poll(NOW)
    assert dict(harness.store.positions()) == {SHARED: "3", dedicated_cursor("a"): "3"}


def test_a_query_that_only_the_backfill_refuses_waits_there_alone(harness: PollerHarness) -> None:
    harness.poller.begin({"a": NOW - 100, "b": NOW - 100}, NOW)
    harness.serve("a", "b")
    harness.source.backfill_refuses = {"b": "the field was no date"}
    harness.poller.poll(NOW)
    harness.poller.poll(NOW + 1)
    assert harness.pending() == {"a": 1}
    assert dict(harness.store.positions()) == {SHARED: "0", backfill_cursor("b"): "past:1799999900"}
    assert [webhooks for position, webhooks in harness.source.reads if position != "0" and position] == [("a", "b")]
    assert "the field was no date" in harness.poller.progress(NOW)["b"].message
    harness.poller.poll(NOW + 6)
    assert dict(harness.store.positions()) == {SHARED: "0", backfill_cursor("b"): "past:1799999900"}
    harness.source.backfill_refuses = {}
    harness.poller.poll(NOW + 12)
    assert harness.pending() == {"a": 1, "b": 1}


def test_an_answered_query_is_no_longer_reported_as_refused(harness: PollerHarness) -> None:
    harness.serve("a")
    harness.poller.poll(NOW)
    harness.source.events, harness.source.refuses = 3, {"a": "no"}
    harness.poller.poll(NOW)
    harness.source.refuses = {}
    harness.poller.poll(NOW + 6)
    harness.poller.leave({"a"})
    assert dedicated_cursor("a") in harness.poller.positions
    assert harness.poller.progress(NOW)["a"].status == "True"


def test_what_was_not_read_when_a_webhook_was_disabled_is_read_whatever_its_start_is_now(
    harness: PollerHarness,
) -> None:
    harness.serve("a", "b")
    harness.poller.poll(NOW)
    harness.poller.begin({"a": NOW - 100, "b": NOW - 100}, NOW)
    harness.poller.detach({"a": None}, NOW)
    harness.source.events = 5
    harness.serve("a", "b", start=NOW)
    harness.source.asked.clear()
    harness.poller.poll(NOW)
    starts = [
        {subscription.webhook: subscription.start for subscription in subscriptions}
        for subscriptions, _ in harness.source.asked
    ]
    assert sorted(starts, key=str) == [{"a": NOW, "b": NOW}, {"a": None}, {"b": NOW}]
    assert {moment for _, moment in harness.source.asked} == {NOW}
    assert [end for end in harness.source.ends if end] == ["0"]
    assert list(harness.store.positions()) == [SHARED]


def narrowed(start: int, since: float | None, until: float) -> str:
    return f"past:{start} from {since} to {until:.0f}"


def test_a_backfill_that_was_not_done_when_a_webhook_was_disabled_stays_its_own(harness: PollerHarness) -> None:
    harness.serve("b")
    harness.poller.poll(NOW)
    harness.poller.begin({"a": NOW - 100}, NOW)
    harness.poller.detach({"a": NOW - 90}, NOW + 1)
    harness.poller.detach({"a": None}, NOW + 2)
    left = narrowed(1799999900, NOW - 90, NOW + 1)
    assert harness.store.positions() == {SHARED: "0", backfill_cursor("a"): left, "until:a": "0"}
    harness.source.events = 3
    harness.serve("a", "b")
    harness.poller.poll(NOW)
    assert harness.pending() == {"a": 4, "b": 3}


def test_old_events_stay_those_of_a_webhook_that_was_disabled_before_anything_was_read(harness: PollerHarness) -> None:
    harness.poller.begin({"a": NOW - 100}, NOW)
    harness.poller.detach({"a": NOW - 90}, NOW + 1)
    left = narrowed(1799999900, NOW - 90, NOW + 1)
    assert harness.store.positions() == {backfill_cursor("a"): left, "until:a": ""}
    harness.serve("b")
    harness.poller.poll(NOW)
    harness.serve("a", "b", start=NOW + 10)
    harness.poller.poll(NOW)
    assert harness.pending() == {"a": 1}
    assert list(harness.store.positions()) == [SHARED]


def test_a_clock_that_was_set_back_ends_no_backfill_before_what_was_read(harness: PollerHarness) -> None:
    harness.poller.poll(NOW)
    harness.poller.begin({"a": NOW - 100}, NOW)
    harness.poller.detach({"a": None}, NOW - 3600)
    assert harness.store.positions()[backfill_cursor("a")] == narrowed(1799999900, None, NOW - 5)


def test_one_that_begins_again_keeps_what_was_left_to_read_of_its_first_beginning(harness: PollerHarness) -> None:
    harness.poller.poll(NOW)
    harness.poller.begin({"a": NOW - 100}, NOW)
    harness.poller.end_backfills({"a": (None, NOW - 60), "never-begun": (None, NOW)})
    for _ in range(2):
        harness.poller.begin({"a": NOW - 50}, NOW)
    assert harness.store.positions() == {
        SHARED: "0",
        backfill_cursor("a"): narrowed(1799999900, None, NOW - 60),
        "until:a": "0",
        backfill_cursor("a", 1): "past:1799999950",
    }
    harness.poller.detach({"a": NOW - 50}, NOW)
    harness.poller.begin({"a": NOW - 20}, NOW)
    assert harness.store.positions()[backfill_cursor("a", 1)] == narrowed(1799999950, NOW - 50, NOW)
    assert harness.store.positions()[backfill_cursor("a", 2)] == "past:1799999980"
    harness.poller.forget({"a"})
    assert list(harness.store.positions()) == [SHARED]


def test_one_that_left_keeps_the_position_of_the_shared_reader_and_what_it_missed_when_it_is_disabled(
    harness: PollerHarness,
) -> None:
    harness.source.first = harness.source.events = 3
    harness.poller.poll(NOW)
    harness.poller.leave({"a"})
    assert harness.store.positions()[dedicated_cursor("a")] == "3"
    harness.source.events = 5
    harness.poller.poll(NOW)
    harness.poller.detach({"a": None}, NOW)
    harness.source.events = 9
    harness.poller.poll(NOW)
    assert harness.store.positions() == {SHARED: "9", backfill_cursor("a"): "3", "until:a": "5"}


def test_before_anything_is_read_nothing_is_known(harness: PollerHarness) -> None:
    assert harness.poller.low_watermark() == float("inf")
    harness.poller.serve({"a": Subscription("a", QUERY)}, ())
    progress = harness.poller.progress(NOW)["a"]
    assert (progress.status, progress.read_to, progress.reading) == ("Unknown", None, None)
    harness.poller.poll(NOW)
    progress = harness.poller.progress(NOW)["a"]
    assert (progress.status, progress.read_to, progress.reading) == ("True", NOW - 5, NOW - 5)
    harness.poller.begin({"a": NOW - 3000}, NOW)
    assert harness.poller.progress(NOW - 2000)["a"].read_to == NOW - 2000


def test_the_checkpoint_is_never_beyond_the_oldest_event_that_waits(harness: PollerHarness) -> None:
    harness.serve("a")
    harness.source.events, harness.source.time = 1, NOW - 60
    harness.poller.poll(NOW)
    progress = harness.poller.progress(NOW)["a"]
    assert (progress.read_to, progress.reading) == (NOW - 60, NOW - 5)
    progress = harness.poller.progress(NOW - 90)["a"]
    assert (progress.read_to, progress.reading) == (NOW - 90, NOW - 90)
    assert harness.observer.taken == [1]


def test_a_stream_has_one_reader_whatever_happens(harness: PollerHarness) -> None:
    harness.source.seekable = False
    harness.serve("a")
    harness.poller.poll(NOW)
    harness.poller.leave({"a"})
    assert dict(harness.store.positions()) == {SHARED: "0"}


def test_what_a_webhook_missed_that_began_in_the_past_is_its_own_when_it_is_disabled(harness: PollerHarness) -> None:
    harness.poller.poll(NOW)
    harness.poller.begin({"a": NOW - 100}, NOW)
    harness.poller.leave({"a"})
    harness.source.events = 3
    harness.poller.poll(NOW)
    harness.poller.detach({"a": None}, NOW)
    harness.poller.poll(NOW)
    harness.serve("a")
    assert harness.poller.progress(NOW)["a"].read_to == NOW - 1000
    harness.poller.poll(NOW)
    assert harness.pending() == {"a": 4}
    assert list(harness.store.positions()) == [SHARED]
    harness.poller.begin({"a": NOW - 100}, NOW)
    harness.poller.leave({"a"})
    harness.poller.detach({"a": None}, NOW)
    harness.poller.forget({"a"})
    assert list(harness.store.positions()) == [SHARED]


def test_what_may_be_missing_of_what_is_read_stands_in_the_condition_as_long_as_it_may(harness: PollerHarness) -> None:
    harness.serve("a")
    harness.source.caveats = ("some may be missing",)
    harness.poller.poll(NOW)
    progress = harness.poller.progress(NOW + 10_000)["a"]
    assert (progress.status, progress.what) == ("True", "some may be missing")
    harness.source.caveats = ()
    assert harness.poller.progress(NOW + 10_000)["a"].what == ""


def test_an_agent_that_takes_over_goes_on_where_the_other_one_has_read_to(harness: PollerHarness) -> None:
    harness.serve("a")
    harness.source.events = 2
    harness.poller.poll(NOW)
    harness.store.enqueue(EnqueueBatch((), {SHARED: "7", request_row("a"): "{}"}, NOW))
    harness.source.events = 9
    harness.poller.resume()
    assert (harness.poller.positions, harness.source.resumed) == ({SHARED: "7"}, 1)
    harness.poller.poll(NOW)
    assert harness.source.reads[-1] == ("7", ("a",))
    assert harness.pending() == {"a": 4}


def test_what_stood_in_its_way_before_another_agent_took_over_is_no_longer_reported(harness: PollerHarness) -> None:
    harness.serve("a", "b")
    harness.source.refuses = {"b": "the field is no date"}
    harness.source.problems = (SourceProblem("shard 2 is absent"),)
    harness.poller.poll(NOW)
    reasons = [progress.reason for progress in harness.poller.progress(NOW).values()]
    assert reasons == [FetchedReason.SOURCE_UNAVAILABLE, FetchedReason.UNANSWERABLE]
    harness.poller.resume()
    assert harness.poller.problems == ()
    assert [progress.status for progress in harness.poller.progress(NOW).values()] == ["True", "True"]


@pytest.mark.parametrize(("time", "owners"), [(NOW - 1, "ab"), (NOW, "b"), (NOW + 1, "b"), (None, "ab")])
def test_an_event_of_the_moment_at_which_a_webhook_ends_or_later_is_not_its_own(
    harness: PollerHarness, time: float | None, owners: str
) -> None:
    harness.poller.serve({"a": Subscription("a", QUERY, end=NOW), "b": Subscription("b", QUERY)}, ())
    harness.source.events, harness.source.time = 3, time
    harness.poller.poll(NOW)
    assert harness.pending() == dict.fromkeys(owners, 3)
