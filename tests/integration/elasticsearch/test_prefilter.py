"""A thousand webhooks: those whose queries cannot match what is new are not asked for, and nothing is missed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from kubectl_sew.query import bind, parse, to_dsl
from sew_agent.ingest.elasticsearch.named_queries import exact_fields, required_values
from sew_agent.ingest.elasticsearch.prefilter import MOST_EVENTS
from testbed.servers.elasticsearch import Version
from testbed.servers.indices import CALICO_MAPPINGS
from tests.differential import generate
from tests.differential.compare import EVENTS, ElasticsearchUnderTest, Index
from tests.integration.elasticsearch.faults import Answer, Proxy
from tests.integration.elasticsearch.harness import WAIT, IngestHarness, ids

pytestmark = pytest.mark.server
MANY = 600
"""Webhooks of two leaves each, more than fit into one search."""
INDICES = 10
QUERIES = 250


@pytest.fixture
def harness(client: Elasticsearch, between: Proxy, tmp_path: Path) -> Iterator[IngestHarness]:
    made = IngestHarness(client, between.url, tmp_path / "state")
    yield made
    made.close()


def serve_many(harness: IngestHarness) -> None:
    for number in range(MANY):
        harness.serve(f"type = waf AND host = 'h{number}'", f"w{number}", start=None)
    harness.serve("severity >= 0", "all", start=None)
    harness.serve("host = 'h1' OR host = 'h2'", "either", start=None)


def asked(between: Proxy) -> list[int]:
    """Return how many queries each request with searches asks from now on."""
    counts: list[int] = []

    def counted(path: str, body: bytes, real: Callable[[], Answer]) -> Answer:
        if "_msearch" in path:
            counts.append(body.count(b'"_name"'))
        return real()

    between.fault = counted
    return counts


def test_only_queries_that_can_match_are_asked(harness: IngestHarness, between: Proxy) -> None:
    harness.index(shards=2)
    serve_many(harness)
    harness.record_results()
    counts = asked(between)
    for number in range(20):
        harness.write([number], host=f"h{number}", severity=1)
    harness.write(["both"], host=["h30", "h31"])
    harness.record_results()
    assert max(counts) <= 4 * (22 + 2)
    assert [harness.count(f"w{number}") for number in range(40)] == [1] * 20 + [0] * 10 + [1, 1] + [0] * 8
    assert harness.got("all") == ids(*range(20))
    assert harness.got("either") == ids(1, 2)


def test_more_events_than_are_prefiltered_are_all_read(harness: IngestHarness) -> None:
    harness.index()
    serve_many(harness)
    harness.record_results()
    harness.write(range(MANY, MANY + MOST_EVENTS), host="none", refresh=False)
    for number in range(MANY):
        harness.write([number], host=f"h{number}", refresh=False)
    harness.record_results()
    assert {harness.count(f"w{number}") for number in range(MANY)} == {1}


def test_more_events_than_are_on_a_page_are_prefiltered(harness: IngestHarness, between: Proxy) -> None:
    """Events of the last seconds are read again, and would be too many for a page of each shard."""
    harness.page_size = 100
    harness.restart()
    harness.index(shards=2)
    serve_many(harness)
    harness.record_results()
    counts = asked(between)
    harness.write(range(1_000), host="h7")
    harness.record_results()
    assert max(counts) <= 4 * 3
    assert harness.count("w7") == 1_000


def test_where_no_query_requires_a_value_nothing_is_prefiltered(harness: IngestHarness, between: Proxy) -> None:
    harness.index()
    for number in range(MANY):
        harness.serve(f"severity > {number % 7} OR host = 'h{number}'", f"w{number}", start=None)
    harness.write(["first"], host="none")  # how much the server takes at once is learnt by it
    harness.record_results()
    counts = asked(between)
    harness.write(["a"], host="h9", severity=1)
    harness.record_results()
    assert counts
    assert min(counts) > MANY / 2
    assert harness.got("w9") == ids("a")


@pytest.mark.parametrize(
    "host",
    [
        {"type": "text", "fields": {"raw": {"type": "keyword", "ignore_above": 20}}},
        {"type": "keyword", "normalizer": "lowercase", "null_value": "h5"},
        {"type": "keyword", "index_options": "freqs", "store": True, "eager_global_ordinals": True},
    ],
)
def test_a_string_field_of_every_kind_has_its_values(
    harness: IngestHarness, between: Proxy, host: dict[str, Any]
) -> None:
    harness.index(**CALICO_MAPPINGS | {"properties": CALICO_MAPPINGS["properties"] | {"host": host}})
    harness.index(
        "without", **CALICO_MAPPINGS | {"properties": {"type": {"type": "keyword"}, "time": {"type": "date"}}}
    )
    serve_many(harness)
    harness.record_results()
    counts = asked(between)
    harness.write(["one"], host="h7")
    harness.write(["several"], host=["h8", "x" * 99, "h7", None])
    harness.write(["elsewhere"], host="h7", index="without")
    harness.record_results()
    assert max(counts) < MANY
    assert (harness.got("w7"), harness.got("w8")) == (ids("one", "several"), ids("several"))
    assert harness.got("w5") == (ids("several") if "null_value" in host else ids())


def test_a_field_whose_values_cannot_be_had_leaves_all_queries_asked(harness: IngestHarness, between: Proxy) -> None:
    host = {"host": {"type": "keyword", "doc_values": False}}
    harness.index(**CALICO_MAPPINGS | {"properties": CALICO_MAPPINGS["properties"] | host})
    serve_many(harness)
    harness.record_results()
    counts = asked(between)
    harness.write(["a"], host="h7")
    harness.record_results()
    assert max(counts) > MANY
    assert harness.got("w7") == ids("a")


def test_an_event_that_becomes_visible_between_the_two_searches_is_read(harness: IngestHarness, between: Proxy) -> None:
    harness.index()
    serve_many(harness)
    harness.record_results()
    looks: list[bool] = []

    def write_after_the_look(path: str, body: bytes, real: Callable[[], Answer]) -> Answer:
        answer = real()
        if "_msearch" in path and b'"_name"' not in body and not looks:
            looks.append(True)
            harness.write(["late"], host="h9")
            harness.write(["later"], host="h3")
        return answer

    harness.write(["first"], host="h3")
    between.fault = write_after_the_look
    harness.poll()
    assert looks
    harness.record_results()
    assert harness.got("w3") == ids("first", "later")
    assert harness.got("w9") == ids("late")


def test_an_index_that_stores_a_field_otherwise_is_not_read_by_the_mapping_of_before(
    harness: IngestHarness, between: Proxy
) -> None:
    """The index's settings were read before its shards were there, so it was not new any more when they were."""
    first = harness.index()
    serve_many(harness)
    harness.serve("host = 'H7'", "upper", start=None)
    harness.record_results()
    harness.poll(31)
    between.fault = lambda path, _body, real: real().change(without_the_second) if "_stats" in path else real()
    harness.write(["first"], host="h1")
    harness.poll()
    lowered = {"host": {"type": "keyword", "normalizer": "lowercase"}}
    harness.index("second", **CALICO_MAPPINGS | {"properties": CALICO_MAPPINGS["properties"] | lowered})
    harness.poll(WAIT)
    between.fault = None
    harness.write(["late"], host="H7", index="second")
    harness.poll()
    harness.poll(WAIT)
    harness.client.indices.delete(index=first)
    harness.poll(31)
    harness.record_results()
    assert harness.got("upper") == ids("late")


def without_the_second(stats: dict[str, Any]) -> dict[str, Any]:
    return stats | {"indices": {name: body for name, body in stats["indices"].items() if "second" not in name}}


def test_every_event_that_a_query_selects_has_the_doc_values_that_it_requires(
    each_elasticsearch: str, search_version: Version
) -> None:
    """The queries are random, as in the comparison of server and matcher."""
    if search_version.product == "OpenSearch":
        pytest.skip("the random mappings have `subobjects`, which OpenSearch does not know")
    needed = 0
    with ElasticsearchUnderTest(each_elasticsearch) as server:
        for number in range(INDICES):
            rng = Random(f"needs/{number}")
            with Index(server, *generate.index(rng)) as index:
                index.fill({f"e{event}": generate.event(rng, index.fields()) for event in range(EVENTS)})
                fields = index.fields()
                values = {path: index.values(path) for path in exact_fields(fields)}
                exact = [path for path, held in values.items() if held is not None]
                queries = [generate.query(rng, fields) for _ in range(QUERIES)]
                for query, selected in zip(queries, index.search(queries, fields), strict=True):
                    for path, wanted in required_values(to_dsl(bind(query, fields)), exact).items():
                        missing = [name for name in selected if wanted.isdisjoint(values[path][name])]
                        assert not missing, (index.mappings, str(query))
                        needed += len(selected)
    assert needed > 100


def test_a_letter_whose_lower_case_only_the_server_may_know_is_required_by_no_query(each_elasticsearch: str) -> None:
    """The letter is in Unicode since 2024: Java 24 knows it, Python before 3.14 does not."""
    letter = "\ua7cb"
    mappings = {"properties": {"name": {"type": "keyword", "normalizer": "lowercase"}}}
    with (
        ElasticsearchUnderTest(each_elasticsearch) as server,
        Index(server, mappings, {"number_of_replicas": 0}) as index,
    ):
        index.fill({"e": {"name": letter}})
        fields, query = index.fields(), parse(f"name = '{letter}'")
        assert index.search([query], fields) == [{"e"}]
        values = index.values("name") or {}
        wanted = required_values(to_dsl(bind(query, fields)), ["name"])
        assert not any(words.isdisjoint(values["e"]) for words in wanted.values())
