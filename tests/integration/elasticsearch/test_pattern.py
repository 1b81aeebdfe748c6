"""One meaning of the index pattern for live reading, backfill and the mapping: aliases, lists, exclusions, clusters."""

from dataclasses import replace

import pytest

from kubectl_sew.access import Access, IndexProblem
from kubectl_sew.index import Index
from sew_agent.ingest.source import SourceError
from testbed.servers.indices import CALICO_MAPPINGS
from tests.integration.elasticsearch.harness import NOW, Scene, ids

pytestmark = pytest.mark.server
HOUR = 3600


def over(scene: Scene, pattern: str, **reading: str) -> None:
    scene.stop()
    scene.reading = replace(scene.reading, pattern=pattern.replace("%", scene.prefix), **reading)
    scene.open()


def two_tenants(scene: Scene, seconds: int) -> None:
    scene.write([f"ours-{seconds}"], host="ours", time=int(scene.now) - seconds)
    scene.write([f"theirs-{seconds}"], host="theirs", time=int(scene.now) - seconds)


def test_an_alias_with_a_filter_hides_what_it_hides_from_reading_too(scene: Scene) -> None:
    name = scene.index()
    scene.client.indices.put_alias(index=name, name=f"{scene.prefix}-ours", filter={"term": {"host": "ours"}})
    two_tenants(scene, HOUR)
    over(scene, "%-ours")
    scene.serve(start=NOW - 2 * HOUR)
    scene.record_results()
    two_tenants(scene, 0)
    scene.record_results()
    assert scene.got() == ids("ours-3600", "ours-0")


def test_an_index_that_is_named_beside_its_alias_is_read_whole(scene: Scene) -> None:
    name = scene.index()
    scene.client.indices.put_alias(index=name, name=f"{scene.prefix}-ours", filter={"term": {"host": "ours"}})
    over(scene, "%-ours, %.a")
    scene.serve()
    scene.poll()
    two_tenants(scene, 0)
    scene.record_results()
    assert scene.got() == ids("ours-0", "theirs-0")


def test_an_alias_that_routes_to_some_shards_is_refused_with_the_reason(scene: Scene) -> None:
    name = scene.index(shards=3)
    scene.client.indices.put_alias(index=name, name=f"{scene.prefix}-ours", routing="ours")
    over(scene, "%-ours")
    scene.serve()
    with pytest.raises(SourceError, match="has a search routing"):
        scene.poll()


def test_a_new_index_behind_an_alias_is_read_by_the_filter_at_once(scene: Scene) -> None:
    scene.index("a")
    scene.client.indices.put_alias(
        index=f"{scene.prefix}.a", name=f"{scene.prefix}-ours", filter={"term": {"host": "x"}}
    )
    over(scene, "%-ours")
    scene.serve()
    scene.record_results()
    scene.index("b")
    scene.write(["theirs"], index="b", host="theirs")
    scene.write(["ours"], index="b", host="ours")
    scene.client.indices.put_alias(
        index=f"{scene.prefix}.b", name=f"{scene.prefix}-ours", filter={"term": {"host": "ours"}}
    )
    scene.record_results()
    assert scene.got() == ids("ours")


def test_blanks_in_a_list_of_patterns_are_no_part_of_a_name(scene: Scene) -> None:
    for name in ("a", "old", "b"):
        scene.index(name)
    over(scene, "%.a*, %.*, -%.old")
    scene.serve()
    scene.poll()
    for name in ("a", "old", "b"):
        scene.write([name], index=name)
    scene.record_results()
    assert scene.got() == ids("a", "b")


def test_a_listed_index_that_does_not_exist_yet_holds_nothing_up(scene: Scene, elasticsearch_8: str) -> None:
    scene.index()
    scene.write(["before"], time=int(NOW) - HOUR)
    over(scene, "%.a,%.later")
    scene.serve(start=NOW - 2 * HOUR)
    scene.record_results()
    assert scene.got() == ids("before")
    index = Index(Access((elasticsearch_8,)), f"{scene.prefix}.a,{scene.prefix}.later")
    (answer,) = index.search_many([(index.everywhere, {"size": 10})])
    index.close()
    assert len(answer["hits"]["hits"]) == 1


def test_of_hidden_indices_behind_a_wildcard_no_privilege_is_said_to_be_missing(scene: Scene) -> None:
    scene.client.indices.create(index=f"{scene.prefix}.hidden", settings={"hidden": True, "number_of_replicas": 0})
    scene.serve()
    scene.poll()
    scene.poll(11)
    assert [each.problem for each in scene.poller.problems] == [IndexProblem.EMPTY]


CLUSTER_AS_TEXT = {"cluster": {"type": "text", "fields": {"keyword": {"type": "keyword"}}}}


def test_the_name_of_a_cluster_is_asked_as_the_mapping_stores_it(scene: Scene) -> None:
    scene.index(dynamic=False, properties={**CALICO_MAPPINGS["properties"], **CLUSTER_AS_TEXT})
    over(scene, "%.*", cluster="Our One")
    scene.serve(start=NOW - HOUR)
    scene.write(["before"], cluster="Our One", time=int(NOW) - 60)
    scene.record_results()
    scene.write(["ours"], cluster="Our One")
    scene.write(["theirs"], cluster="another")
    scene.record_results()
    assert scene.got() == ids("before", "ours")


def test_the_name_of_a_cluster_that_cannot_be_asked_is_refused_and_costs_no_event(scene: Scene) -> None:
    scene.index()
    over(scene, "%.*", cluster="ours")
    scene.serve()
    with pytest.raises(SourceError, match=r"SEW_CLUSTER_NAME.*there is no field `cluster`"):
        scene.poll()
    scene.write(["unmapped"], cluster="ours")
    scene.client.indices.put_mapping(index=f"{scene.prefix}.a", properties={"cluster": {"type": "keyword"}})
    scene.write(["mapped"], cluster="ours")
    scene.now += 31
    scene.record_results()
    assert scene.got() == ids("mapped")


def test_a_value_that_is_too_long_to_be_indexed_is_no_empty_one(scene: Scene) -> None:
    scene.index(dynamic=True, properties={"time": CALICO_MAPPINGS["properties"]["time"]})
    scene.write(["seed"], description="x", time=int(NOW) - HOUR)
    scene.record_results()
    scene.serve("description EMPTY", "empty")
    scene.serve("NOT description EMPTY", "filled")
    scene.serve('"description.keyword" IN {short}', "by-keyword")
    scene.write(["padded"], description="SCAN" + "x" * 300)
    scene.write(["short"], description="short")
    scene.write(["none"])
    scene.record_results()
    assert scene.got("empty") == ids("none")
    assert scene.got("filled") == ids("padded", "short")
    assert scene.got("by-keyword") == ids("short")
