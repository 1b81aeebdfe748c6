"""The Elasticsearch under test does what the other tests rely on."""

import pytest
from elasticsearch import Elasticsearch

from testbed.servers.elasticsearch import V8, V9, Version, cluster, elasticsearch
from testbed.servers.indices import index, write
from testbed.servers.required import required

pytestmark = pytest.mark.server


def test_calicos_index_takes_events_and_answers_a_query(each_elasticsearch: str) -> None:
    with Elasticsearch(each_elasticsearch) as client, index(client) as name:
        assert write(client, name, [{"_id": "a", "origin": "WAF", "source_ip": None}, {"_id": "b"}]) == 2
        asked = {"bool": {"filter": [{"term": {"origin": "waf"}}, {"term": {"source_ip": "0.0.0.0/8"}}]}}
        assert [hit["_id"] for hit in client.search(index=name, query=asked)["hits"]["hits"]] == ["a"]


@pytest.mark.parametrize("version", [V8, V9], ids=lambda version: version.number)
def test_a_killed_node_comes_back_on_its_port_with_its_data(version: Version) -> None:
    with required(), elasticsearch(version) as node, Elasticsearch(node.url) as client, index(client) as name:
        write(client, name, [{}])
        node.restart()
        assert client.count(index=name)["count"] == 1


def test_a_cluster_survives_the_loss_of_a_node() -> None:
    settings = {"number_of_replicas": 1, "number_of_shards": 1}
    with required(), cluster(V8) as nodes, Elasticsearch([node.url for node in nodes]) as client:
        client.indices.create(index="kept", settings=settings)
        write(client, "kept", [{}])
        client.cluster.health(wait_for_status="green", timeout="30s")
        nodes[0].kill()
        with Elasticsearch(nodes[1].url) as other:
            assert not other.cluster.health(wait_for_nodes="2", wait_for_status="yellow", timeout="30s")["timed_out"]
            assert other.count(index="kept")["count"] == 1


def test_a_node_that_is_stopped_closes_its_indices_first() -> None:
    with required(), elasticsearch(V8) as node:
        node.stop()
        assert "o.e.n.Node closed" in node.log.read_text()
