"""Nothing is missed, nothing doubled while indices are written, in whatever order time, number and visibility have."""

from collections.abc import Callable
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from kubectl_sew.elasticsearch.access import Access
from sew_agent.ingest.elasticsearch.source import IngestSettings
from tests.integration.elasticsearch.faults import Answer, Proxy
from tests.integration.elasticsearch.harness import NOW, IngestHarness, ids

pytestmark = pytest.mark.server
HOUR = 3600
TIES = 50_000


def test_events_are_read_as_they_become_visible_and_once(harness: IngestHarness) -> None:
    harness.index()
    harness.serve()
    harness.poll()
    harness.write(range(5))
    harness.poll()
    assert harness.got() == ids(*range(5))
    harness.record_results()
    assert harness.got() == ids(*range(5))


def test_late_events_future_events_and_those_without_time_are_read(harness: IngestHarness) -> None:
    harness.index()
    harness.serve(start=NOW - 5 * HOUR)
    harness.record_results()
    for name, seconds in {"minutes": -300, "hours": -3 * HOUR, "future": 7 * 24 * HOUR}.items():
        harness.write([name], time=int(harness.now) + seconds)
    harness.write(["none"], time=None)
    harness.poll()
    harness.record_results()
    assert harness.got() == ids("minutes", "hours", "future", "none")


def test_what_is_too_old_is_counted_once_and_named(harness: IngestHarness) -> None:
    harness.index()
    harness.serve(start=NOW - 100 * HOUR)
    harness.record_results()
    harness.write(["old"], time=int(harness.now) - 30 * HOUR)
    harness.poll()
    harness.record_results()
    assert harness.got() == {}
    assert harness.kinds() == {"too_old": 1}
    assert "1 event older than SEW_MAX_EVENT_AGE" in harness.message()


def test_a_tie_of_thousands_on_one_moment_is_read_whole(harness: IngestHarness) -> None:
    harness.page_size = 100
    harness.restart()
    harness.index()
    harness.serve()
    harness.poll()
    harness.write(range(TIES))
    harness.poll()
    assert harness.count() == TIES
    harness.record_results()
    assert harness.got() == ids(*range(TIES))


def test_writes_that_no_refresh_has_shown_yet_are_waited_for(harness: IngestHarness) -> None:
    harness.index(refresh="30s")
    harness.serve()
    harness.record_results(91)
    harness.write(["first"], refresh=False)
    harness.poll()
    assert harness.got() == {}
    harness.write(["second"], refresh=False)
    harness.refresh()
    harness.poll()
    assert harness.got() == ids("first", "second")


def test_the_cursor_waits_for_three_refresh_intervals(harness: IngestHarness) -> None:
    harness.index(refresh="30s")
    harness.serve()
    harness.record_results(91)
    harness.write(["late"], refresh=False)
    harness.poll(88)
    harness.refresh()
    harness.record_results(91)
    assert harness.got() == ids("late")


def test_a_refresh_interval_that_grows_is_read_again_before_the_cursor_moves(harness: IngestHarness) -> None:
    name = harness.index(refresh="1s")
    harness.serve()
    harness.record_results()
    harness.client.indices.put_settings(index=name, settings={"index.refresh_interval": "40s"})
    harness.write(["late"], refresh=False)
    harness.poll(110)
    harness.refresh()
    harness.record_results(121)
    assert harness.got() == ids("late")


@pytest.mark.parametrize("part", ["_stats", "_msearch"])
def test_time_in_which_the_server_stands_still_does_not_count(
    harness: IngestHarness, between: Proxy, part: str
) -> None:
    """The server stops before its next refresh, as in a long garbage collection."""
    harness.access = lambda: Access((between.url,))
    harness.restart()
    harness.index(refresh="3s")
    harness.serve()
    harness.record_results()
    stalls = iter([30.0])

    def stand_still(path: str, _body: bytes, real: Callable[[], Answer]) -> Answer:
        harness.now += next(stalls, 0.0) if part in path else 0.0
        return real()

    harness.write(["a"], refresh=False)
    harness.poll()
    between.fault = stand_still
    harness.poll()
    harness.poll()
    harness.poll()
    between.fault = None
    harness.record_results()
    assert harness.got() == ids("a")


def test_a_cursor_moves_when_every_copy_was_refreshed_twice(harness: IngestHarness) -> None:
    harness.index(refresh="1h")
    harness.serve("type = dns")
    harness.record_results()
    written = harness.now
    harness.write(["a"], refresh=False)
    harness.poll(30)
    assert (harness.checkpoint() or 0.0) < written
    for number in range(2):
        harness.write([number])
        harness.poll()
    assert (harness.checkpoint() or 0.0) >= written


def test_without_refreshes_the_cursor_stays_and_it_is_reported(harness: IngestHarness) -> None:
    name = harness.index(refresh="-1")
    harness.serve()
    harness.poll()
    harness.write(["hidden"], refresh=False)
    for _ in range(5):
        harness.poll(100)
    assert "refresh_interval is -1" in harness.message()
    harness.client.indices.put_settings(index=name, settings={"index.refresh_interval": "1s"})
    harness.record_results()
    assert harness.got() == ids("hidden")
    assert harness.message().startswith("read to")
    assert "refresh" not in harness.message()


def test_an_update_after_delivery_is_no_new_event_and_one_before_reading_is(harness: IngestHarness) -> None:
    harness.index()
    harness.serve("dismissed = false OR dismissed EMPTY OR dismissed = true")
    harness.poll()
    harness.write(["a"], dismissed=False)
    harness.poll()
    harness.write(["a"], dismissed=True)
    harness.write(["b"], dismissed=False)
    harness.write(["b"], dismissed=True)
    harness.record_results()
    assert harness.got() == ids("a", "b")


def test_an_event_is_delivered_to_a_webhook_when_it_first_matches(harness: IngestHarness) -> None:
    harness.index()
    harness.serve("type = waf", "all")
    harness.serve("dismissed = true", "some")
    harness.poll()
    harness.write(["a"])
    harness.poll()
    assert (harness.got("all"), harness.got("some")) == (ids("a"), ids())
    harness.write(["a"], dismissed=True)
    harness.record_results()
    assert (harness.got("all"), harness.got("some")) == (ids("a"), ids("a"))


def test_a_restart_goes_on_where_it_was(harness: IngestHarness) -> None:
    harness.index(shards=2)
    harness.serve()
    harness.record_results()
    harness.write(range(10))
    harness.poll()
    harness.restart()
    harness.write(range(10, 20))
    harness.poll()
    harness.restart()
    harness.record_results()
    assert harness.got() == ids(*range(20))


def test_an_outage_of_days_loses_nothing_and_updates_in_it_make_no_duplicate(harness: IngestHarness) -> None:
    harness.index()
    harness.serve()
    harness.record_results()
    harness.write(["before"])
    harness.record_results()
    harness.write(["known"])
    harness.record_results()
    harness.stop()
    harness.now += HOUR
    harness.write(["missed", "updated"])
    harness.write(["known", "updated"], dismissed=True, time=int(harness.now) - HOUR)
    harness.now += 72 * HOUR
    harness.open()
    harness.store.forget(min(harness.now, harness.poller.low_watermark()))
    harness.record_results()
    assert harness.got() == ids("before", "known", "missed", "updated")


def test_an_index_made_while_the_agent_runs_is_read_from_its_beginning(harness: IngestHarness) -> None:
    harness.index("a")
    harness.serve()
    harness.record_results()
    harness.index("b", shards=3)
    harness.write(range(9), index="b")
    harness.write(["no time"], index="b", time=None)
    harness.poll()
    assert harness.got() == ids(*range(9), "no time")


def test_an_index_made_while_the_agent_was_away_is_read_from_its_beginning(harness: IngestHarness) -> None:
    harness.index("a")
    harness.serve()
    harness.record_results()
    harness.stop()
    harness.now += 40 * HOUR
    harness.index("b")
    harness.write(["b"], index="b")
    harness.now += 40 * HOUR
    harness.open()
    harness.record_results()
    assert harness.got() == ids("b")


def test_events_of_one_cluster_in_a_shared_index_are_kept_apart(harness: IngestHarness) -> None:
    properties = {"type": {"type": "keyword"}, "cluster": {"type": "keyword"}, "time": {"type": "date"}}
    harness.index(properties=properties)
    harness.reading = IngestSettings(harness.reading.pattern, cluster="ours")
    harness.restart()
    harness.serve()
    harness.poll()
    harness.write(["a"], cluster="ours", time=int(harness.now * 1000))
    harness.write(["b"], cluster="theirs", time=int(harness.now * 1000))
    harness.record_results()
    assert harness.got() == ids("a")


def test_another_time_field_rules_age_and_start(harness: IngestHarness) -> None:
    harness.index(properties={"type": {"type": "keyword"}, "@timestamp": {"type": "date"}})
    harness.reading = IngestSettings(harness.reading.pattern, time_field="@timestamp")
    harness.restart()
    harness.serve(start=NOW - HOUR)
    harness.record_results()
    for name, back in {"new": 0, "before its start": 2 * HOUR, "too old": 30 * HOUR}.items():
        harness.write([name], **{"@timestamp": int((harness.now - back) * 1000)})
    harness.record_results()
    assert harness.got() == ids("new")


def test_time_that_the_mapping_does_not_know_is_read_from_the_document(harness: IngestHarness) -> None:
    harness.index(dynamic=False, properties={"type": {"type": "keyword"}})
    harness.serve(start=NOW - HOUR)
    harness.record_results()
    harness.write(["new"])
    harness.write(["before"], time=int(NOW) - 2 * HOUR)
    harness.record_results()
    assert harness.got() == ids("new")


def test_the_other_version_is_read_as_well(elasticsearch_9: str, tmp_path: Path) -> None:
    with Elasticsearch(elasticsearch_9, request_timeout=60) as client:
        harness = IngestHarness(client, elasticsearch_9, tmp_path / "state")
        harness.index(shards=2)
        harness.write(["past"], time=int(NOW) - HOUR)
        harness.serve(start=NOW - 2 * HOUR)
        harness.record_results()
        harness.write(range(10))
        harness.write(["late"], time=int(NOW) - HOUR)
        harness.write(["timeless"], time=None)
        harness.poll()
        harness.index("b")
        harness.write(["b"], index="b")
        harness.write(["late"], dismissed=True, time=int(NOW) - HOUR)
        harness.record_results()
        assert harness.got() == ids("past", "late", "timeless", "b", *range(10))
        harness.close()


NEW_FIELDS = {"properties": {"time": {"type": "date", "format": "strict_date_optional_time||epoch_second"}}}


def serve_new_fields(harness: IngestHarness, *, start: float = NOW) -> None:
    harness.serve('"record.rule" IN {evil}', "in", start=start)
    harness.serve('NOT "record.env" IN {test}', "not", start=start)


def test_the_first_event_with_a_new_field_is_matched_by_the_mapping_that_it_made(harness: IngestHarness) -> None:
    harness.index(**NEW_FIELDS)
    serve_new_fields(harness)
    harness.record_results()
    harness.write(["a"], record={"rule": "evil", "env": "test"})
    harness.poll()
    assert (harness.got("in"), harness.got("not")) == (ids("a"), ids())
    harness.record_results()
    assert (harness.got("in"), harness.got("not")) == (ids("a"), ids())


def test_what_is_written_while_a_poll_reads_the_mapping_waits_for_the_next_one(
    harness: IngestHarness, between: Proxy
) -> None:
    harness.access = lambda: Access((between.url,))
    harness.restart()
    harness.index(**NEW_FIELDS)
    serve_new_fields(harness)
    harness.record_results()

    def write_before_the_search(path: str, _body: bytes, real: Callable[[], Answer]) -> Answer:
        if "_msearch" in path:
            between.fault = None
            harness.write(["later"], record={"rule": "evil", "env": "test"})
        return real()

    harness.write(["first"], host="h")
    between.fault = write_before_the_search
    harness.poll()
    assert (harness.got("in"), harness.got("not")) == (ids(), ids("first"))
    harness.poll()
    assert (harness.got("in"), harness.got("not")) == (ids("later"), ids("first"))


def test_a_new_field_in_a_backfill_is_matched_by_the_mapping_that_it_made(
    harness: IngestHarness, between: Proxy
) -> None:
    """The event is written after the first statistics, and is in the point in time all the same."""
    harness.access = lambda: Access((between.url,))
    harness.restart()
    harness.index(**NEW_FIELDS)
    harness.write(["before"], host="h", time=int(NOW) - 60)
    serve_new_fields(harness, start=NOW - HOUR)
    harness.poll()

    def write_before_the_view(path: str, _body: bytes, real: Callable[[], Answer]) -> Answer:
        if "_pit" in path or "point_in_time" in path:
            between.fault = None
            harness.write(["later"], record={"rule": "evil", "env": "test"})
        return real()

    between.fault = write_before_the_view
    harness.record_results()
    assert between.fault is None
    assert (harness.got("in"), harness.got("not")) == (ids("later"), ids("before"))
