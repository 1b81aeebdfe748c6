"""Nothing is missed, nothing doubled while indices are written, in whatever order time, number and visibility have."""

from collections.abc import Callable
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from kubectl_sew.access import Access
from sew_agent.ingest.elasticsearch.source import IngestSettings
from tests.integration.elasticsearch.faults import Answer, Proxy
from tests.integration.elasticsearch.harness import NOW, Scene, ids

pytestmark = pytest.mark.server
HOUR = 3600
TIES = 50_000


def test_events_are_read_as_they_become_visible_and_once(scene: Scene) -> None:
    scene.index()
    scene.serve()
    scene.poll()
    scene.write(range(5))
    scene.poll()
    assert scene.got() == ids(*range(5))
    scene.record_results()
    assert scene.got() == ids(*range(5))


def test_late_events_future_events_and_those_without_time_are_read(scene: Scene) -> None:
    scene.index()
    scene.serve(start=NOW - 5 * HOUR)
    scene.record_results()
    for name, seconds in {"minutes": -300, "hours": -3 * HOUR, "future": 7 * 24 * HOUR}.items():
        scene.write([name], time=int(scene.now) + seconds)
    scene.write(["none"], time=None)
    scene.poll()
    scene.record_results()
    assert scene.got() == ids("minutes", "hours", "future", "none")


def test_what_is_too_old_is_counted_once_and_named(scene: Scene) -> None:
    scene.index()
    scene.serve(start=NOW - 100 * HOUR)
    scene.record_results()
    scene.write(["old"], time=int(scene.now) - 30 * HOUR)
    scene.poll()
    scene.record_results()
    assert scene.got() == {}
    assert scene.kinds() == {"too_old": 1}
    assert "1 event older than SEW_MAX_EVENT_AGE" in scene.message()


def test_a_tie_of_thousands_on_one_moment_is_read_whole(scene: Scene) -> None:
    scene.page_size = 100
    scene.restart()
    scene.index()
    scene.serve()
    scene.poll()
    scene.write(range(TIES))
    scene.poll()
    assert scene.count() == TIES
    scene.record_results()
    assert scene.got() == ids(*range(TIES))


def test_writes_that_no_refresh_has_shown_yet_are_waited_for(scene: Scene) -> None:
    scene.index(refresh="30s")
    scene.serve()
    scene.record_results(91)
    scene.write(["first"], refresh=False)
    scene.poll()
    assert scene.got() == {}
    scene.write(["second"], refresh=False)
    scene.refresh()
    scene.poll()
    assert scene.got() == ids("first", "second")


def test_the_cursor_waits_for_three_refresh_intervals(scene: Scene) -> None:
    scene.index(refresh="30s")
    scene.serve()
    scene.record_results(91)
    scene.write(["late"], refresh=False)
    scene.poll(88)
    scene.refresh()
    scene.record_results(91)
    assert scene.got() == ids("late")


def test_a_refresh_interval_that_grows_is_read_again_before_the_cursor_moves(scene: Scene) -> None:
    name = scene.index(refresh="1s")
    scene.serve()
    scene.record_results()
    scene.client.indices.put_settings(index=name, settings={"index.refresh_interval": "40s"})
    scene.write(["late"], refresh=False)
    scene.poll(110)
    scene.refresh()
    scene.record_results(121)
    assert scene.got() == ids("late")


@pytest.mark.parametrize("part", ["_stats", "_msearch"])
def test_time_in_which_the_server_stands_still_does_not_count(scene: Scene, between: Proxy, part: str) -> None:
    """Before its next refresh, as in a long garbage collection."""
    scene.access = lambda: Access((between.url,))
    scene.restart()
    scene.index(refresh="3s")
    scene.serve()
    scene.record_results()
    stalls = iter([30.0])

    def stand_still(path: str, _body: bytes, real: Callable[[], Answer]) -> Answer:
        scene.now += next(stalls, 0.0) if part in path else 0.0
        return real()

    scene.write(["a"], refresh=False)
    scene.poll()
    between.fault = stand_still
    scene.poll()
    scene.poll()
    scene.poll()
    between.fault = None
    scene.record_results()
    assert scene.got() == ids("a")


def test_a_cursor_moves_when_every_copy_was_refreshed_twice(scene: Scene) -> None:
    scene.index(refresh="1h")
    scene.serve("type = dns")
    scene.record_results()
    written = scene.now
    scene.write(["a"], refresh=False)
    scene.poll(30)
    assert (scene.checkpoint() or 0.0) < written
    for number in range(2):
        scene.write([number])
        scene.poll()
    assert (scene.checkpoint() or 0.0) >= written


def test_without_refreshes_the_cursor_stays_and_it_is_told(scene: Scene) -> None:
    name = scene.index(refresh="-1")
    scene.serve()
    scene.poll()
    scene.write(["hidden"], refresh=False)
    for _ in range(5):
        scene.poll(100)
    assert "refresh_interval is -1" in scene.message()
    scene.client.indices.put_settings(index=name, settings={"index.refresh_interval": "1s"})
    scene.record_results()
    assert scene.got() == ids("hidden")
    assert scene.message().startswith("read to")
    assert "refresh" not in scene.message()


def test_an_update_after_delivery_is_no_new_event_and_one_before_reading_is(scene: Scene) -> None:
    scene.index()
    scene.serve("dismissed = false OR dismissed EMPTY OR dismissed = true")
    scene.poll()
    scene.write(["a"], dismissed=False)
    scene.poll()
    scene.write(["a"], dismissed=True)
    scene.write(["b"], dismissed=False)
    scene.write(["b"], dismissed=True)
    scene.record_results()
    assert scene.got() == ids("a", "b")


def test_an_event_is_delivered_to_a_webhook_when_it_first_matches(scene: Scene) -> None:
    scene.index()
    scene.serve("type = waf", "all")
    scene.serve("dismissed = true", "some")
    scene.poll()
    scene.write(["a"])
    scene.poll()
    assert (scene.got("all"), scene.got("some")) == (ids("a"), ids())
    scene.write(["a"], dismissed=True)
    scene.record_results()
    assert (scene.got("all"), scene.got("some")) == (ids("a"), ids("a"))


def test_a_restart_goes_on_where_it_was(scene: Scene) -> None:
    scene.index(shards=2)
    scene.serve()
    scene.record_results()
    scene.write(range(10))
    scene.poll()
    scene.restart()
    scene.write(range(10, 20))
    scene.poll()
    scene.restart()
    scene.record_results()
    assert scene.got() == ids(*range(20))


def test_an_outage_of_days_loses_nothing_and_updates_in_it_double_nothing(scene: Scene) -> None:
    scene.index()
    scene.serve()
    scene.record_results()
    scene.write(["before"])
    scene.record_results()
    scene.write(["known"])
    scene.record_results()
    scene.stop()
    scene.now += HOUR
    scene.write(["missed", "updated"])
    scene.write(["known", "updated"], dismissed=True, time=int(scene.now) - HOUR)
    scene.now += 72 * HOUR
    scene.open()
    scene.store.forget(min(scene.now, scene.poller.low_watermark()))
    scene.record_results()
    assert scene.got() == ids("before", "known", "missed", "updated")


def test_an_index_made_while_the_agent_runs_is_read_from_its_beginning(scene: Scene) -> None:
    scene.index("a")
    scene.serve()
    scene.record_results()
    scene.index("b", shards=3)
    scene.write(range(9), index="b")
    scene.write(["no time"], index="b", time=None)
    scene.poll()
    assert scene.got() == ids(*range(9), "no time")


def test_an_index_made_while_the_agent_was_away_is_read_from_its_beginning(scene: Scene) -> None:
    scene.index("a")
    scene.serve()
    scene.record_results()
    scene.stop()
    scene.now += 40 * HOUR
    scene.index("b")
    scene.write(["b"], index="b")
    scene.now += 40 * HOUR
    scene.open()
    scene.record_results()
    assert scene.got() == ids("b")


def test_events_of_one_cluster_in_a_shared_index_are_told_from_others(scene: Scene) -> None:
    properties = {"type": {"type": "keyword"}, "cluster": {"type": "keyword"}, "time": {"type": "date"}}
    scene.index(properties=properties)
    scene.reading = IngestSettings(scene.reading.pattern, cluster="ours")
    scene.restart()
    scene.serve()
    scene.poll()
    scene.write(["a"], cluster="ours", time=int(scene.now * 1000))
    scene.write(["b"], cluster="theirs", time=int(scene.now * 1000))
    scene.record_results()
    assert scene.got() == ids("a")


def test_another_time_field_rules_age_and_start(scene: Scene) -> None:
    scene.index(properties={"type": {"type": "keyword"}, "@timestamp": {"type": "date"}})
    scene.reading = IngestSettings(scene.reading.pattern, time_field="@timestamp")
    scene.restart()
    scene.serve(start=NOW - HOUR)
    scene.record_results()
    for name, back in {"new": 0, "before its start": 2 * HOUR, "too old": 30 * HOUR}.items():
        scene.write([name], **{"@timestamp": int((scene.now - back) * 1000)})
    scene.record_results()
    assert scene.got() == ids("new")


def test_time_that_the_mapping_does_not_know_is_read_from_the_document(scene: Scene) -> None:
    scene.index(dynamic=False, properties={"type": {"type": "keyword"}})
    scene.serve(start=NOW - HOUR)
    scene.record_results()
    scene.write(["new"])
    scene.write(["before"], time=int(NOW) - 2 * HOUR)
    scene.record_results()
    assert scene.got() == ids("new")


def test_the_other_version_is_read_as_well(elasticsearch_9: str, tmp_path: Path) -> None:
    with Elasticsearch(elasticsearch_9, request_timeout=60) as client:
        scene = Scene(client, elasticsearch_9, tmp_path / "state")
        scene.index(shards=2)
        scene.write(["past"], time=int(NOW) - HOUR)
        scene.serve(start=NOW - 2 * HOUR)
        scene.record_results()
        scene.write(range(10))
        scene.write(["late"], time=int(NOW) - HOUR)
        scene.write(["timeless"], time=None)
        scene.poll()
        scene.index("b")
        scene.write(["b"], index="b")
        scene.write(["late"], dismissed=True, time=int(NOW) - HOUR)
        scene.record_results()
        assert scene.got() == ids("past", "late", "timeless", "b", *range(10))
        scene.close()


NEW_FIELDS = {"properties": {"time": {"type": "date", "format": "strict_date_optional_time||epoch_second"}}}


def serve_new_fields(scene: Scene, *, start: float = NOW) -> None:
    scene.serve('"record.rule" IN {evil}', "in", start=start)
    scene.serve('NOT "record.env" IN {test}', "not", start=start)


def test_the_first_event_with_a_new_field_is_judged_by_the_mapping_that_it_made(scene: Scene) -> None:
    scene.index(**NEW_FIELDS)
    serve_new_fields(scene)
    scene.record_results()
    scene.write(["a"], record={"rule": "evil", "env": "test"})
    scene.poll()
    assert (scene.got("in"), scene.got("not")) == (ids("a"), ids())
    scene.record_results()
    assert (scene.got("in"), scene.got("not")) == (ids("a"), ids())


def test_what_is_written_while_a_poll_reads_the_mapping_waits_for_the_next_one(scene: Scene, between: Proxy) -> None:
    scene.access = lambda: Access((between.url,))
    scene.restart()
    scene.index(**NEW_FIELDS)
    serve_new_fields(scene)
    scene.record_results()

    def write_before_the_search(path: str, _body: bytes, real: Callable[[], Answer]) -> Answer:
        if "_msearch" in path:
            between.fault = None
            scene.write(["later"], record={"rule": "evil", "env": "test"})
        return real()

    scene.write(["first"], host="h")
    between.fault = write_before_the_search
    scene.poll()
    assert (scene.got("in"), scene.got("not")) == (ids(), ids("first"))
    scene.poll()
    assert (scene.got("in"), scene.got("not")) == (ids("later"), ids("first"))


def test_a_new_field_in_the_past_is_judged_by_the_mapping_that_it_made(scene: Scene, between: Proxy) -> None:
    """Written after the checkpoints were noted, and seen in the point in time all the same."""
    scene.access = lambda: Access((between.url,))
    scene.restart()
    scene.index(**NEW_FIELDS)
    scene.write(["before"], host="h", time=int(NOW) - 60)
    serve_new_fields(scene, start=NOW - HOUR)
    scene.poll()

    def write_before_the_view(path: str, _body: bytes, real: Callable[[], Answer]) -> Answer:
        if "_pit" in path:
            between.fault = None
            scene.write(["later"], record={"rule": "evil", "env": "test"})
        return real()

    between.fault = write_before_the_view
    scene.record_results()
    assert between.fault is None
    assert (scene.got("in"), scene.got("not")) == (ids("later"), ids("before"))
