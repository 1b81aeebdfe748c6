"""Indices come, go, close and come back; what was lost with them is named, and nothing else is lost."""

import pytest

from sew_agent.ingest.source import SourceError
from tests.integration.elasticsearch.harness import NOW, IngestHarness, ids

pytestmark = pytest.mark.server
HOUR = 3600


@pytest.fixture
def reading(harness: IngestHarness) -> IngestHarness:
    """A harness with one index that is read."""
    harness.index(shards=2)
    harness.serve(start=NOW - 100 * HOUR)
    harness.record_results()
    return harness


def test_an_index_that_goes_after_it_was_read_is_not_worth_a_warning(reading: IngestHarness) -> None:
    reading.index("b")
    reading.write(["b"], index="b")
    reading.record_results()
    reading.client.indices.delete(index=f"{reading.prefix}.b")
    reading.poll()
    assert reading.poller.problems == ()
    reading.record_results()
    assert reading.kinds() == {}


def test_what_went_with_an_index_before_it_was_read_is_named_with_its_numbers(reading: IngestHarness) -> None:
    reading.index("b", refresh="-1")
    reading.poll()
    reading.write(range(7), index="b", refresh=False)
    reading.poll()
    reading.client.indices.delete(index=f"{reading.prefix}.b")
    reading.record_results()
    assert reading.kinds() == {"lost": 7}
    assert f"{reading.prefix}.b[0] is gone: its writes 0 to 6 were not read" in reading.message()


def test_an_index_made_again_under_its_name_is_another_one(reading: IngestHarness) -> None:
    reading.write(range(20))
    reading.record_results()
    reading.client.indices.delete(index=f"{reading.prefix}.a")
    reading.index(shards=2)
    reading.write(range(10, 30))
    reading.record_results()
    assert reading.got() == ids(*range(30))


def test_a_closed_index_is_reported_and_read_from_where_it_was_when_it_opens(reading: IngestHarness) -> None:
    reading.index("b")
    reading.record_results()
    reading.write(["unread"], index="b", refresh=False)
    reading.client.indices.close(index=f"{reading.prefix}.b")
    reading.write(["other"])
    reading.poll()
    reading.poll(11)
    assert reading.got() == ids("other")
    assert f"{reading.prefix}.b[0] cannot be read: closed" in reading.message()
    assert "privilege" not in reading.message()
    reading.restart()
    reading.poll(11)
    reading.client.indices.open(index=f"{reading.prefix}.b")
    reading.record_results()
    assert reading.got() == ids("other", "unread")
    assert reading.poller.problems == ()


def test_a_copy_of_an_index_brings_no_old_events_back(reading: IngestHarness) -> None:
    """The copy is like an index that is restored under another name."""
    name = reading.index("b")
    reading.record_results()
    reading.write(["old"], index="b", time=int(NOW) - 30 * HOUR)
    reading.write(["timeless"], index="b", time=None)
    reading.record_results()
    assert reading.got() == ids("timeless")
    reading.observer.warnings.clear()
    reading.client.indices.add_block(index=name, block="write")
    reading.client.indices.clone(index=name, target=f"{reading.prefix}.copy")
    reading.record_results()
    assert reading.got() == ids("timeless")
    assert reading.kinds() == {"too_old": 1}


@pytest.mark.parametrize(("way", "shards"), [("shrink", 2), ("split", 8), ("clone", 4)])
def test_an_index_that_is_made_of_another_makes_no_duplicate(reading: IngestHarness, way: str, shards: int) -> None:
    """Index lifecycle management shrinks an index like this, and deletes the old one at once."""
    name = reading.index("b", shards=4)
    reading.write(range(50), index="b")
    reading.write(["timeless"], index="b", time=None)
    reading.record_results()
    reading.client.indices.add_block(index=name, block="write")
    numbers = {"index.number_of_shards": shards, "index.number_of_replicas": 0}
    settings = {**numbers, "index.blocks.write": None}
    getattr(reading.client.indices, way)(index=name, target=f"{reading.prefix}.made", settings=settings)
    reading.client.cluster.health(index=f"{reading.prefix}.made", wait_for_status="green")
    reading.client.indices.delete(index=name)
    reading.record_results()
    assert reading.got() == ids("timeless", *range(50))
    reading.write(range(40, 60), index="made")
    reading.record_results()
    assert reading.got() == ids("timeless", *range(60))


def test_a_rollover_between_two_polls_loses_nothing(reading: IngestHarness) -> None:
    name = f"{reading.prefix}.roll-000001"
    alias = f"{reading.prefix}-write"
    reading.client.indices.create(
        index=name, aliases={alias: {"is_write_index": True}}, settings={"number_of_replicas": 0}
    )
    reading.write(["one"], index="roll-000001")
    reading.client.indices.rollover(alias=alias)
    reading.write(["two"], index="roll-000002")
    reading.poll()
    assert reading.got() == ids()  # its mapping knows no keyword `type`
    reading.client.indices.delete(index=[name, f"{reading.prefix}.roll-000002"])
    reading.poll(31)
    reading.record_results()
    assert reading.poller.progress(reading.now)["w"].status == "True"


def test_a_pattern_without_any_index_is_reported_and_its_first_index_is_read_whole(harness: IngestHarness) -> None:
    harness.serve()
    harness.poll()
    assert "no index is there to read from" in harness.message()
    harness.index()
    harness.write(["first"])
    harness.write(["no time"], time=None)
    harness.poll()
    assert harness.got() == ids("first", "no time")
    assert harness.poller.problems == ()


def test_documents_without_source_are_counted_and_named(reading: IngestHarness) -> None:
    mappings = {"_source": {"enabled": False}, "properties": {"type": {"type": "keyword"}, "time": {"type": "date"}}}
    reading.index("b", **mappings)
    reading.write(["empty"], index="b", time=int(NOW * 1000))
    reading.record_results()
    assert reading.kinds() == {"no_source": 1}
    assert "without _source" in reading.message()


def test_an_event_of_five_megabytes_is_read(reading: IngestHarness) -> None:
    reading.write(["large"], description="x", record={"text": "x" * 5 * 2**20})
    reading.write(range(10))
    reading.record_results()
    assert reading.got() == ids("large", *range(10))


def test_events_with_routing_of_their_own_are_read(reading: IngestHarness) -> None:
    for number in range(5):
        document = {"type": "waf", "time": int(NOW)}
        reading.client.index(index=f"{reading.prefix}.a", id=str(number), document=document, routing=f"r{number}")
    reading.record_results()
    assert reading.got() == ids(*range(5))


def test_time_that_one_index_stores_otherwise_is_read_from_the_documents(reading: IngestHarness) -> None:
    reading.index("b", properties={"type": {"type": "keyword"}, "time": {"type": "long"}})
    reading.write(["b"], index="b")
    reading.write(["old"], index="b", time=int(NOW) - 30 * HOUR)
    reading.write(["a"])
    reading.record_results()
    assert reading.got() == ids("a", "b")
    assert reading.kinds() == {"too_old": 1}


def test_time_in_nanoseconds_is_read(harness: IngestHarness) -> None:
    harness.index(properties={"type": {"type": "keyword"}, "time": {"type": "date_nanos"}})
    harness.write(["past"], time="2027-01-15T07:59:00.123456789Z")
    harness.serve(start=NOW - HOUR)
    harness.record_results()
    harness.write(["new"], time="2027-01-15T08:00:30.987654321Z")
    harness.record_results()
    assert harness.got() == ids("past", "new")
    assert harness.store.oldest_times()["w"] == pytest.approx(NOW - 59.876544)


def test_a_remote_cluster_is_refused_with_the_reason(harness: IngestHarness) -> None:
    harness.reading = type(harness.reading)("other:events.*")
    with pytest.raises(SourceError, match="names a remote cluster"):
        harness.restart()
    harness.reading = type(harness.reading)(f"{harness.prefix}.*")
    harness.store.close()
    harness.open()


def test_an_index_without_the_field_of_the_events_own_time_is_named(reading: IngestHarness) -> None:
    reading.index("b", properties={"type": {"type": "keyword"}, "@timestamp": {"type": "date"}}, dynamic=False)
    reading.record_results()
    assert "without the field `time`" not in reading.message()
    reading.write(["b"], index="b", time=None)
    reading.record_results()
    assert reading.got() == ids("b")
    assert f"{reading.prefix}.b: without the field `time`" in reading.message()
    assert reading.kinds() == {"no_time_field": 1}
