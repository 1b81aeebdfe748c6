"""Beginnings of webhooks, and backfills by as few readers as can be."""

from pathlib import Path

import pytest

from kubectl_sew.resource import FetchedReason
from sew_agent.ingest.readers import SHARED
from sew_agent.ingest.source import Subscription
from testbed.servers.indices import CALICO_MAPPINGS
from tests.integration.elasticsearch.harness import NOW, WAIT, IngestHarness, ids

pytestmark = pytest.mark.server
HOUR = 3600


def lose_volume(harness: IngestHarness) -> None:
    harness.stop()
    for file in harness.state.iterdir():
        file.unlink()
    harness.open()


def write_after_leaving(harness: IngestHarness) -> None:
    """Serve `a` and `b`, and write ten events after `b` has left, which `a` reads."""
    harness.index(shards=2)
    harness.serve("type = waf", "a", "b")
    harness.record_results()
    harness.poller.leave({"b"})
    harness.poller.serve({"a": harness.subscriptions["a"]}, ())
    harness.write(range(10))
    harness.record_results()


def test_a_fresh_store_begins_at_its_first_poll(harness: IngestHarness) -> None:
    harness.index()
    harness.write(["before"], time=int(NOW) - 10)
    harness.serve(start=NOW)
    harness.record_results()
    harness.write(["after"])
    harness.record_results()
    assert harness.got() == ids("after")


def test_a_backfill_reads_its_window_once_and_beside_new_events(harness: IngestHarness) -> None:
    harness.page_size = 10
    harness.restart()
    harness.index(shards=3)
    harness.write(range(100), time=int(NOW) - 2 * HOUR)
    harness.write(["older"], time=int(NOW) - 4 * HOUR)
    harness.serve(start=NOW - 3 * HOUR)
    harness.poll()
    harness.write(["new"])
    harness.poll()
    assert harness.got() == ids("new")
    harness.record_results()
    assert harness.got() == ids("new", *range(100))
    assert list(harness.poller.positions) == [SHARED]


def test_the_window_is_above_the_age_limit(harness: IngestHarness) -> None:
    harness.index()
    harness.write(["old"], time=int(NOW) - 90 * HOUR)
    harness.serve(start=NOW - 100 * HOUR)
    harness.record_results()
    assert harness.got() == ids("old")


def test_a_restart_in_the_midst_of_a_backfill_goes_on_there(harness: IngestHarness) -> None:
    harness.page_size = 50
    harness.restart()
    harness.index()
    for back in range(10):
        harness.write(range(back * 30, back * 30 + 30), time=int(NOW) - HOUR + back)
    harness.serve(start=NOW - 2 * HOUR)
    while not harness.count():
        harness.now += 2
        harness.poller.poll(harness.now)
    assert harness.count() < 300
    harness.restart()
    harness.record_results()
    assert harness.got() == ids(*range(300))


def test_a_webhook_created_moments_before_it_was_learned_of_misses_nothing(harness: IngestHarness) -> None:
    harness.index()
    harness.serve()
    harness.record_results()
    created = harness.now
    harness.write(["between"])
    harness.record_results()
    harness.serve("type = waf", "late", start=created)
    harness.poll()
    harness.write(["after"])
    harness.record_results()
    assert harness.got("late") == ids("between", "after")
    assert harness.got("w") == ids("between", "after")


def test_a_lost_volume_reads_again_from_the_checkpoint(harness: IngestHarness) -> None:
    harness.index()
    harness.serve(start=NOW - 2 * HOUR)
    harness.record_results()
    harness.write(["delivered"], time=int(harness.now) - HOUR)
    harness.record_results()
    (delivery,) = harness.store.due("w", now=harness.now, limit=9)
    harness.deliver(delivery)
    checkpoint = harness.checkpoint()
    assert checkpoint is not None
    assert harness.now - 30 <= checkpoint <= harness.now
    lose_volume(harness)
    harness.write(["while it was away"])
    harness.serve(start=checkpoint)
    harness.record_results()
    assert harness.got() == ids("while it was away")


def test_the_checkpoint_waits_for_what_is_not_delivered(harness: IngestHarness) -> None:
    harness.index()
    harness.serve(start=NOW - 2 * HOUR)
    harness.record_results()
    harness.write(["waits"], time=int(NOW) - HOUR)
    harness.record_results()
    assert harness.checkpoint() == NOW - HOUR


def test_a_thousand_webhooks_that_begin_together_cost_a_handful_of_readers(harness: IngestHarness) -> None:
    harness.index()
    harness.write(range(20), time=int(NOW) - 600)
    names = [f"w{number:03}" for number in range(300)]
    harness.serve("type = waf", *names, start=NOW - HOUR)
    harness.poll()
    assert len(set(harness.poller.positions.values())) == 2
    harness.record_results()
    assert {harness.count(name) for name in names} == {20}
    assert list(harness.poller.positions) == [SHARED]


def test_a_webhook_whose_share_is_full_waits_alone_and_catches_up(harness: IngestHarness) -> None:
    harness.max_bytes = 60_000
    harness.page_size = 20
    harness.restart()
    harness.index()
    harness.serve("type = waf", "slow")
    harness.serve("severity >= 90", "quick")
    harness.record_results()
    for some in range(10):
        harness.write(range(some * 20, some * 20 + 20), description="x" * 300)
        harness.poll()
    harness.write(["urgent"], severity=95, type="alert")
    harness.record_results()
    assert harness.got("quick") == ids("urgent")
    progress = harness.poller.progress(harness.now)
    assert (progress["slow"].reason, progress["quick"].status) == (FetchedReason.BACKLOG_FULL, "True")
    assert 0 < harness.count("slow") < 200
    delivered: list[str] = []
    for _ in range(40):
        for delivery in harness.store.due("slow", now=harness.now, limit=50):
            delivered.append(delivery.event.id)
            harness.deliver(delivery)
        harness.poll(5)
    assert sorted(delivered) == sorted(map(str, range(200)))
    assert list(harness.poller.positions) == [SHARED]
    assert harness.poller.progress(harness.now)["slow"].status == "True"


def test_a_webhook_that_left_and_came_back_misses_nothing(harness: IngestHarness, tmp_path: Path) -> None:
    write_after_leaving(harness)
    assert harness.got("b") == ids()
    harness.poller.serve(harness.subscriptions, ())
    harness.record_results()
    assert harness.got("b") == ids(*range(10))
    assert list(harness.poller.positions) == [SHARED]


def test_what_came_while_a_webhook_was_disabled_is_not_read_with_what_was_left_before(harness: IngestHarness) -> None:
    write_after_leaving(harness)
    harness.poller.detach({"b": None}, harness.now)
    harness.write(range(10, 20))
    harness.index("of-the-meantime")
    harness.write(range(20, 30), index="of-the-meantime")
    harness.record_results()
    harness.poller.serve(harness.subscriptions, ())
    harness.record_results()
    assert harness.got("b") == ids(*range(10))
    assert list(harness.poller.positions) == [SHARED]
    harness.write(["after"])
    harness.record_results()
    assert harness.got("b") == ids(*range(10), "after")


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("begun", [False, True])
def test_what_came_while_a_webhook_was_disabled_is_not_read_with_what_was_before_it(
    harness: IngestHarness, *, begun: bool, restart: bool
) -> None:
    """It is disabled before all old events were read for it, and has a later start than the one it is read with."""
    harness.page_size = 10
    harness.restart()
    harness.index(shards=2)
    harness.write(range(40), time=int(NOW) - HOUR)
    harness.write(["not-its-own"], time=int(NOW) - HOUR - 60)
    harness.serve("type = waf", "a")
    harness.record_results()
    harness.poller.begin({"b": NOW - HOUR, "other": NOW - 2 * HOUR}, harness.now)
    both = {name: Subscription(name, harness.subscriptions["a"].query, NOW - HOUR) for name in ("b", "other")}
    harness.poller.serve(harness.subscriptions | both, ())
    harness.poller.poll(harness.now)
    while begun and not harness.count("b"):
        harness.now += 0.3
        harness.poller.poll(harness.now)
    assert harness.count("b") < 40
    harness.poller.detach({"b": NOW - HOUR}, harness.now)
    harness.poller.serve(harness.subscriptions, ())
    harness.now += 10
    harness.write(range(50, 60))
    harness.record_results()
    harness.poller.detach({"b": None}, harness.now)
    if restart:
        harness.restart()
    harness.now += 10
    enabled = {"b": Subscription("b", harness.subscriptions["a"].query, harness.now)}
    harness.poller.serve(harness.subscriptions | enabled, ())
    harness.write(["after"])
    harness.record_results()
    assert harness.got("b") == ids(*range(40), "after")
    harness.poller.forget({"other"})
    assert list(harness.poller.positions) == [SHARED]


def test_a_query_that_one_index_of_the_backfill_refuses_waits_alone(harness: IngestHarness) -> None:
    """The mapping is changed after it was read."""
    harness.index()
    other = harness.index("b", dynamic=False, properties={"type": {"type": "keyword"}, "time": {"type": "date"}})
    harness.write(range(20), time=int(NOW) - HOUR)
    harness.write(["b"], index="b", time=int(NOW - HOUR) * 1000)
    harness.serve("source_ip = '10.0.0.1' OR type = waf", "bad", start=NOW - 2 * HOUR)
    harness.serve("type = waf", "w", "x", start=NOW - 2 * HOUR)
    harness.poll()
    harness.client.indices.put_mapping(index=other, properties={"source_ip": {"type": "long"}})
    harness.poll(WAIT)
    harness.poll()
    assert harness.got("w") == harness.got("x") == ids(*range(20), "b")
    assert harness.poller.progress(harness.now)["bad"].reason is FetchedReason.UNANSWERABLE
    assert harness.poller.progress(harness.now)["w"].status == "True"


def test_a_time_that_is_mapped_as_a_number_is_named_with_its_field(harness: IngestHarness) -> None:
    harness.index(dynamic=False, properties={**CALICO_MAPPINGS["properties"], "time": {"type": "long"}})
    harness.serve(start=NOW - HOUR)
    harness.record_results()
    assert "`time` is mapped as integer, not as a date" in harness.message()
    harness.write(["new"])
    harness.record_results()
    assert harness.got() == ids("new")


def test_an_index_that_gives_few_hits_at_once_is_read_in_such_pages(harness: IngestHarness) -> None:
    name = harness.index()
    harness.client.indices.put_settings(index=name, settings={"max_result_window": 20})
    harness.write(range(50), time=int(NOW) - 60)
    harness.serve(start=NOW - HOUR)
    harness.record_results()
    harness.write(range(50, 100))
    harness.record_results()
    assert harness.got() == ids(*range(100))


def test_what_comes_late_and_is_dated_before_the_start_is_counted_once_and_named(harness: IngestHarness) -> None:
    harness.index()
    harness.serve("type = waf", "w", start=NOW)
    harness.serve("type = waf", "earlier", start=NOW - HOUR)
    harness.record_results()
    harness.write(["early"], time=int(NOW) - 5)
    harness.write(["other"], time=int(NOW) - 5, type="other")
    harness.write(["own"])
    harness.record_results()
    assert (harness.got(), harness.got("earlier")) == (ids("own"), ids("early", "own"))
    assert harness.kinds() == {"before_start": 1}
    assert "1 event left out, by their own time from before its start, the last one early" in harness.message()
    assert "left out" not in harness.message("earlier")
    assert harness.observer.events == 3
