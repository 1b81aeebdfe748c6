"""The recipe for an index on a real Elasticsearch: the real agent writes each event once, whatever it holds.

That of OpenSearch has the same body (tests/unit/recipes). Data streams need a module that the servers here have not.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from kubectl_sew.samples import SAMPLE_TYPES, sample
from tests.e2e.recipes import KEY, write_recipe
from tests.e2e.sew_agent import Folder

pytestmark = pytest.mark.server
HOSTILE = [
    {"id": "quotes", "severity": 80, "name": '"\\\n{"index": {}}\n', "description": '"}\n{"delete": {"_id": "1"}}\n'},
    {"id": "controls", "severity": "not a number", "time": "not a time", "description": "\x00\x85\u202e\ud800"},
    {"id": "shapes", "severity": [1], "time": {"a": 1}, "name": {"b": [None]}, "labels": 7, "description": None},
    {"id": "long", "severity": 80, "description": "x" * 100_000, "record": {"payload": '"\\' * 50_000}},
    {"id": "nothing"},
]


@pytest.fixture
def client(each_elasticsearch: str) -> Iterator[Elasticsearch]:
    with Elasticsearch(each_elasticsearch, request_timeout=60) as made:
        yield made


def deliver(folder: Folder, base: str, index: str) -> str:
    """Run an agent with a new store until all events are delivered, and return its log."""
    url = f"{base}/{index}/_bulk"
    write_recipe(folder, "elasticsearch", url=url, secrets={"apiKey": KEY}, query="NOT id = nobody")
    folder.state = folder.path / f"state-{len(folder.agents)}"
    agent = folder.start("--once", "--fields", "any")
    assert agent.wait() == 0
    return agent.text()


def documents(client: Elasticsearch, index: str) -> dict[str, dict[str, Any]]:
    client.indices.refresh(index=index)
    hits = client.search(index=index, size=1_000)["hits"]["hits"]
    return {hit["_source"]["event"]["id"]: hit["_source"] for hit in hits}


def write_events(folder: Folder) -> list[dict[str, Any]]:
    events = [sample(kind) for kind in SAMPLE_TYPES] + HOSTILE
    folder.events.write_text("".join(json.dumps(each) + "\n" for each in events))
    return events


def test_each_event_is_one_document_also_when_it_is_sent_again(
    client: Elasticsearch, each_elasticsearch: str, folder: Folder
) -> None:
    index = "recipe-index"
    events = write_events(folder)
    try:
        deliver(folder, each_elasticsearch, index)
        first = documents(client, index)
        assert first.keys() == {each["id"] for each in events}
        for each in events:
            original = first[each["id"]]["event"]["original"]
            assert each["id"] == "long" or json.loads(original)["id"] == each["id"]
        log = deliver(folder, each_elasticsearch, index)
        assert documents(client, index) == first
        assert KEY not in log
    finally:
        client.indices.delete(index=index, ignore_unavailable=True)


def test_a_document_that_the_mapping_refuses_is_no_delivery(
    client: Elasticsearch, each_elasticsearch: str, folder: Folder
) -> None:
    index = "recipe-refusing"
    client.indices.create(index=index, mappings={"properties": {"message": {"type": "long"}}})
    folder.events.write_text(json.dumps(sample("waf")) + "\n")
    try:
        write_recipe(folder, "elasticsearch", url=f"{each_elasticsearch}/{index}/_bulk", secrets={"apiKey": KEY})
        agent = folder.start("--once", SEW_RETRY_HORIZON="1s")
        agent.wait()
        assert "not what `expect` asks for" in agent.text()
        assert documents(client, index) == {}
        assert KEY not in agent.text()
    finally:
        client.indices.delete(index=index)
