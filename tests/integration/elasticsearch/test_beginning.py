"""Where webhooks begin, and that what was before is read by as few readers as can be."""

from pathlib import Path

import pytest

from kubectl_sew.resource import FetchedReason
from sew_agent.ingest.readers import SHARED
from testbed.servers.indices import CALICO_MAPPINGS
from tests.integration.elasticsearch.harness import NOW, WAIT, Scene, ids

pytestmark = pytest.mark.server
HOUR = 3600


def lose_volume(scene: Scene) -> None:
    scene.stop()
    for each in scene.state.iterdir():
        each.unlink()
    scene.open()


def test_a_fresh_store_begins_at_its_first_poll(scene: Scene) -> None:
    scene.index()
    scene.write(["before"], time=int(NOW) - 10)
    scene.serve(start=NOW)
    scene.record_results()
    scene.write(["after"])
    scene.record_results()
    assert scene.got() == ids("after")


def test_a_window_of_the_past_is_read_once_and_beside_what_is_new(scene: Scene) -> None:
    scene.page_size = 10
    scene.restart()
    scene.index(shards=3)
    scene.write(range(100), time=int(NOW) - 2 * HOUR)
    scene.write(["older"], time=int(NOW) - 4 * HOUR)
    scene.serve(start=NOW - 3 * HOUR)
    scene.poll()
    scene.write(["new"])
    scene.poll()
    assert scene.got() == ids("new")
    scene.record_results()
    assert scene.got() == ids("new", *range(100))
    assert list(scene.poller.positions) == [SHARED]


def test_the_window_is_above_the_age_limit(scene: Scene) -> None:
    scene.index()
    scene.write(["old"], time=int(NOW) - 90 * HOUR)
    scene.serve(start=NOW - 100 * HOUR)
    scene.record_results()
    assert scene.got() == ids("old")


def test_a_restart_in_the_midst_of_the_past_goes_on_there(scene: Scene) -> None:
    scene.page_size = 50
    scene.restart()
    scene.index()
    for back in range(10):
        scene.write(range(back * 30, back * 30 + 30), time=int(NOW) - HOUR + back)
    scene.serve(start=NOW - 2 * HOUR)
    while not scene.count():
        scene.now += 2
        scene.poller.poll(scene.now)
    assert scene.count() < 300
    scene.restart()
    scene.record_results()
    assert scene.got() == ids(*range(300))


def test_a_webhook_created_moments_before_it_was_learned_of_misses_nothing(scene: Scene) -> None:
    scene.index()
    scene.serve()
    scene.record_results()
    created = scene.now
    scene.write(["between"])
    scene.record_results()
    scene.serve("type = waf", "late", start=created)
    scene.poll()
    scene.write(["after"])
    scene.record_results()
    assert scene.got("late") == ids("between", "after")
    assert scene.got("w") == ids("between", "after")


def test_a_lost_volume_reads_again_from_the_checkpoint(scene: Scene) -> None:
    scene.index()
    scene.serve(start=NOW - 2 * HOUR)
    scene.record_results()
    scene.write(["delivered"], time=int(scene.now) - HOUR)
    scene.record_results()
    (delivery,) = scene.store.due("w", now=scene.now, limit=9)
    scene.deliver(delivery)
    checkpoint = scene.checkpoint()
    assert checkpoint is not None
    assert scene.now - 30 <= checkpoint <= scene.now
    lose_volume(scene)
    scene.write(["while it was away"])
    scene.serve(start=checkpoint)
    scene.record_results()
    assert scene.got() == ids("while it was away")


def test_the_checkpoint_waits_for_what_is_not_delivered(scene: Scene) -> None:
    scene.index()
    scene.serve(start=NOW - 2 * HOUR)
    scene.record_results()
    scene.write(["waits"], time=int(NOW) - HOUR)
    scene.record_results()
    assert scene.checkpoint() == NOW - HOUR


def test_a_thousand_webhooks_that_begin_together_cost_a_handful_of_readers(scene: Scene) -> None:
    scene.index()
    scene.write(range(20), time=int(NOW) - 600)
    names = [f"w{number:03}" for number in range(300)]
    scene.serve("type = waf", *names, start=NOW - HOUR)
    scene.poll()
    assert len(set(scene.poller.positions.values())) == 2
    scene.record_results()
    assert {scene.count(name) for name in names} == {20}
    assert list(scene.poller.positions) == [SHARED]


def test_a_webhook_whose_share_is_full_waits_alone_and_catches_up(scene: Scene) -> None:
    scene.max_bytes = 60_000
    scene.page_size = 20
    scene.restart()
    scene.index()
    scene.serve("type = waf", "slow")
    scene.serve("severity >= 90", "quick")
    scene.record_results()
    for some in range(10):
        scene.write(range(some * 20, some * 20 + 20), description="x" * 300)
        scene.poll()
    scene.write(["urgent"], severity=95, type="alert")
    scene.record_results()
    assert scene.got("quick") == ids("urgent")
    told = scene.poller.progress(scene.now)
    assert (told["slow"].reason, told["quick"].status) == (FetchedReason.BACKLOG_FULL, "True")
    assert 0 < scene.count("slow") < 200
    delivered: list[str] = []
    for _ in range(40):
        for delivery in scene.store.due("slow", now=scene.now, limit=50):
            delivered.append(delivery.event.id)
            scene.deliver(delivery)
        scene.poll(5)
    assert sorted(delivered) == sorted(map(str, range(200)))
    assert list(scene.poller.positions) == [SHARED]
    assert scene.poller.progress(scene.now)["slow"].status == "True"


def test_a_webhook_that_left_and_came_back_misses_nothing(scene: Scene, tmp_path: Path) -> None:
    scene.index(shards=2)
    scene.serve("type = waf", "a", "b")
    scene.record_results()
    scene.poller.leave({"b"})
    scene.poller.serve({"a": scene.subscriptions["a"]}, ())
    scene.write(range(10))
    scene.record_results()
    assert scene.got("b") == ids()
    scene.poller.serve(scene.subscriptions, ())
    scene.record_results()
    assert scene.got("b") == ids(*range(10))
    assert list(scene.poller.positions) == [SHARED]


def test_a_query_that_one_index_of_the_past_refuses_stands_alone(scene: Scene) -> None:
    """The mapping is changed after it was read."""
    scene.index()
    other = scene.index("b", dynamic=False, properties={"type": {"type": "keyword"}, "time": {"type": "date"}})
    scene.write(range(20), time=int(NOW) - HOUR)
    scene.write(["b"], index="b", time=int(NOW - HOUR) * 1000)
    scene.serve("source_ip = '10.0.0.1' OR type = waf", "bad", start=NOW - 2 * HOUR)
    scene.serve("type = waf", "w", "x", start=NOW - 2 * HOUR)
    scene.poll()
    scene.client.indices.put_mapping(index=other, properties={"source_ip": {"type": "long"}})
    scene.poll(WAIT)
    scene.poll()
    assert scene.got("w") == scene.got("x") == ids(*range(20), "b")
    assert scene.poller.progress(scene.now)["bad"].reason is FetchedReason.UNANSWERABLE
    assert scene.poller.progress(scene.now)["w"].status == "True"


def test_a_time_that_is_mapped_as_a_number_is_named_with_its_field(scene: Scene) -> None:
    scene.index(dynamic=False, properties={**CALICO_MAPPINGS["properties"], "time": {"type": "long"}})
    scene.serve(start=NOW - HOUR)
    scene.record_results()
    assert "`time` is mapped as integer, not as a date" in scene.message()
    scene.write(["new"])
    scene.record_results()
    assert scene.got() == ids("new")


def test_an_index_that_gives_few_hits_at_once_is_read_in_such_pages(scene: Scene) -> None:
    name = scene.index()
    scene.client.indices.put_settings(index=name, settings={"max_result_window": 20})
    scene.write(range(50), time=int(NOW) - 60)
    scene.serve(start=NOW - HOUR)
    scene.record_results()
    scene.write(range(50, 100))
    scene.record_results()
    assert scene.got() == ids(*range(100))


def test_what_comes_late_and_is_dated_before_the_start_is_counted_once_and_named(scene: Scene) -> None:
    scene.index()
    scene.serve("type = waf", "w", start=NOW)
    scene.serve("type = waf", "earlier", start=NOW - HOUR)
    scene.record_results()
    scene.write(["early"], time=int(NOW) - 5)
    scene.write(["other"], time=int(NOW) - 5, type="other")
    scene.write(["own"])
    scene.record_results()
    assert (scene.got(), scene.got("earlier")) == (ids("own"), ids("early", "own"))
    assert scene.kinds() == {"before_start": 1}
    assert "1 event left out, by their own time from before its start, the last one early" in scene.message()
    assert "left out" not in scene.message("earlier")
    assert scene.witness.events == 3
