"""One meaning of the index pattern for live reading, backfill and the mapping: aliases, lists, exclusions, clusters."""

from dataclasses import replace

import pytest

from kubectl_sew.elasticsearch.access import Access, IndexProblem
from kubectl_sew.elasticsearch.client import Index
from sew_agent.ingest.source import SourceError
from testbed.servers.elasticsearch import Version
from testbed.servers.indices import CALICO_MAPPINGS
from tests.integration.elasticsearch import field_types
from tests.integration.elasticsearch.harness import NOW, IngestHarness, ids

pytestmark = pytest.mark.server
HOUR = 3600


def over(harness: IngestHarness, pattern: str, **reading: str) -> None:
    harness.stop()
    harness.reading = replace(harness.reading, pattern=pattern.replace("%", harness.prefix), **reading)
    harness.open()


def two_tenants(harness: IngestHarness, seconds: int) -> None:
    harness.write([f"ours-{seconds}"], host="ours", time=int(harness.now) - seconds)
    harness.write([f"theirs-{seconds}"], host="theirs", time=int(harness.now) - seconds)


def test_an_alias_with_a_filter_hides_what_it_hides_from_reading_too(harness: IngestHarness) -> None:
    name = harness.index()
    harness.client.indices.put_alias(index=name, name=f"{harness.prefix}-ours", filter={"term": {"host": "ours"}})
    two_tenants(harness, HOUR)
    over(harness, "%-ours")
    harness.serve(start=NOW - 2 * HOUR)
    harness.record_results()
    two_tenants(harness, 0)
    harness.record_results()
    assert harness.got() == ids("ours-3600", "ours-0")


def test_an_index_that_is_named_beside_its_alias_is_read_whole(harness: IngestHarness) -> None:
    name = harness.index()
    harness.client.indices.put_alias(index=name, name=f"{harness.prefix}-ours", filter={"term": {"host": "ours"}})
    over(harness, "%-ours, %.a")
    harness.serve()
    harness.poll()
    two_tenants(harness, 0)
    harness.record_results()
    assert harness.got() == ids("ours-0", "theirs-0")


def test_an_alias_that_routes_to_some_shards_is_refused_with_the_reason(harness: IngestHarness) -> None:
    name = harness.index(shards=3)
    harness.client.indices.put_alias(index=name, name=f"{harness.prefix}-ours", routing="ours")
    over(harness, "%-ours")
    harness.serve()
    with pytest.raises(SourceError, match="has a search routing"):
        harness.poll()


def test_a_new_index_behind_an_alias_is_read_by_the_filter_at_once(harness: IngestHarness) -> None:
    harness.index("a")
    harness.client.indices.put_alias(
        index=f"{harness.prefix}.a", name=f"{harness.prefix}-ours", filter={"term": {"host": "x"}}
    )
    over(harness, "%-ours")
    harness.serve()
    harness.record_results()
    harness.index("b")
    harness.write(["theirs"], index="b", host="theirs")
    harness.write(["ours"], index="b", host="ours")
    harness.client.indices.put_alias(
        index=f"{harness.prefix}.b", name=f"{harness.prefix}-ours", filter={"term": {"host": "ours"}}
    )
    harness.record_results()
    assert harness.got() == ids("ours")


def test_blanks_in_a_list_of_patterns_are_no_part_of_a_name(harness: IngestHarness) -> None:
    for name in ("a", "old", "b"):
        harness.index(name)
    over(harness, "%.a*, %.*, -%.old")
    harness.serve()
    harness.poll()
    for name in ("a", "old", "b"):
        harness.write([name], index=name)
    harness.record_results()
    assert harness.got() == ids("a", "b")


def test_a_listed_index_that_does_not_exist_yet_holds_nothing_up(harness: IngestHarness, search_url: str) -> None:
    harness.index()
    harness.write(["before"], time=int(NOW) - HOUR)
    over(harness, "%.a,%.later")
    harness.serve(start=NOW - 2 * HOUR)
    harness.record_results()
    assert harness.got() == ids("before")
    index = Index(Access((search_url,)), f"{harness.prefix}.a,{harness.prefix}.later")
    (answer,) = index.search_many([(index.everywhere, {"size": 10})])
    index.close()
    assert len(answer["hits"]["hits"]) == 1


def test_of_hidden_indices_behind_a_wildcard_no_privilege_is_said_to_be_missing(harness: IngestHarness) -> None:
    harness.client.indices.create(index=f"{harness.prefix}.hidden", settings={"hidden": True, "number_of_replicas": 0})
    harness.serve()
    harness.poll()
    harness.poll(11)
    assert [problem.problem for problem in harness.poller.problems] == [IndexProblem.EMPTY]


def test_where_nobody_logs_in_nothing_is_said_of_privileges(harness: IngestHarness) -> None:
    harness.index()
    harness.serve()
    harness.record_results()
    assert (harness.source.caveats, harness.message()[:7]) == ((), "read to")


CLUSTER_AS_TEXT = {"cluster": {"type": "text", "fields": {"keyword": {"type": "keyword"}}}}


def test_the_name_of_a_cluster_is_asked_as_the_mapping_stores_it(harness: IngestHarness) -> None:
    harness.index(dynamic=False, properties={**CALICO_MAPPINGS["properties"], **CLUSTER_AS_TEXT})
    over(harness, "%.*", cluster="Our One")
    harness.serve(start=NOW - HOUR)
    harness.write(["before"], cluster="Our One", time=int(NOW) - 60)
    harness.record_results()
    harness.write(["ours"], cluster="Our One")
    harness.write(["theirs"], cluster="another")
    harness.record_results()
    assert harness.got() == ids("before", "ours")


def test_the_name_of_a_cluster_that_cannot_be_asked_is_refused_and_costs_no_event(harness: IngestHarness) -> None:
    harness.index()
    over(harness, "%.*", cluster="ours")
    harness.serve()
    with pytest.raises(SourceError, match=r"SEW_CLUSTER_NAME.*there is no field `cluster`"):
        harness.poll()
    harness.write(["unmapped"], cluster="ours")
    harness.client.indices.put_mapping(index=f"{harness.prefix}.a", properties={"cluster": {"type": "keyword"}})
    harness.write(["mapped"], cluster="ours")
    harness.now += 31
    harness.record_results()
    assert harness.got() == ids("mapped")


def test_a_value_that_is_too_long_to_be_indexed_is_no_empty_one(
    harness: IngestHarness, search_version: Version
) -> None:
    if search_version.product == "OpenSearch":
        pytest.skip("OpenSearch does not say which values were too long, so EMPTY is refused there")
    harness.index(dynamic=True, properties={"time": CALICO_MAPPINGS["properties"]["time"]})
    harness.write(["seed"], description="x", time=int(NOW) - HOUR)
    harness.record_results()
    harness.serve("description EMPTY", "empty")
    harness.serve("NOT description EMPTY", "filled")
    harness.serve('"description.keyword" IN {short}', "by-keyword")
    harness.write(["padded"], description="SCAN" + "x" * 300)
    harness.write(["short"], description="short")
    harness.write(["none"])
    harness.record_results()
    assert harness.got("empty") == ids("none")
    assert harness.got("filled") == ids("padded", "short")
    assert harness.got("by-keyword") == ids("short")


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("field EMPTY", "its type flattened cannot be queried"),
        ('"field.app.name" = shop', "it is a part of `field`: its type flattened cannot be queried"),
    ],
)
def test_a_type_that_cannot_be_queried_is_named_and_its_events_are_delivered_whole(
    harness: IngestHarness, search_version: Version, query: str, why: str
) -> None:
    if search_version.product == "OpenSearch":
        pytest.skip("OpenSearch has flat_object in its place: tests/integration/elasticsearch/test_opensearch.py")
    value = {"app": {"name": "shop"}}
    said, delivered = field_types.refused(harness, {"type": "flattened"}, value, query)
    assert why in said
    assert delivered == [value] * 4
