"""The essential of reading from OpenSearch, in every run, and what servers of Elasticsearch here have not.

The rest of these tests run on it by `make test-matrix`.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from elasticsearch.helpers import bulk

from kubectl_sew.elasticsearch.access import Access, ElasticsearchError, IndexProblem
from kubectl_sew.elasticsearch.client import Index
from sew_agent.ingest.source import SourceError
from tests.integration.elasticsearch import field_types
from tests.integration.elasticsearch.faults import Answer, Proxy
from tests.integration.elasticsearch.harness import NOW, IngestHarness, ids

pytestmark = pytest.mark.server
HOUR = 3600
BACKSLASH = "\\"


@pytest.fixture
def search_url(opensearch_url: str) -> str:
    return opensearch_url


def sew(harness: IngestHarness, *arguments: str) -> "subprocess.CompletedProcess[str]":
    where = ("--elasticsearch", harness.url, "--index", f"{harness.prefix}.*")
    command = [str(Path(sys.executable).parent / "kubectl-sew"), *arguments, *where]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_backfill_of_many_events_of_one_time_in_many_shards_is_read_whole(harness: IngestHarness) -> None:
    """OpenSearch 2 numbers documents by shard alone: what two of them call the same must not be taken for one."""
    harness.page_size = 20
    harness.restart()
    harness.index("a", shards=3)
    harness.index("b", shards=2)
    harness.write(range(200), time=int(NOW) - HOUR)
    harness.write(range(200, 300), index="b", time=int(NOW) - HOUR)
    harness.write(range(300, 320), index="b", time=int(NOW) - 60)
    harness.serve(start=NOW - 2 * HOUR)
    harness.record_results()
    assert harness.got() == ids(*range(320))


def test_an_event_that_changes_while_a_backfill_reads_is_read_as_it_was(harness: IngestHarness) -> None:
    """An old one that changes is new to nobody: were it not in the view, it would be lost."""
    harness.page_size = 20
    harness.restart()
    harness.index(shards=2)
    harness.write(range(100), time=int(NOW) - 50 * HOUR)
    harness.serve(start=NOW - 60 * HOUR)
    while not harness.count():
        harness.now += 2
        harness.poller.poll(harness.now)
    harness.write(range(100), time=int(NOW) - 50 * HOUR, dismissed=True)
    harness.record_results()
    assert harness.got() == ids(*range(100))


def test_a_backfill_of_an_alias_has_its_filter(harness: IngestHarness) -> None:
    name = harness.index(shards=2)
    harness.client.indices.put_alias(index=name, name=f"{harness.prefix}.ours", filter={"term": {"host": "ours"}})
    harness.write(range(10), host="ours", time=int(NOW) - HOUR)
    harness.write(range(10, 20), host="theirs", time=int(NOW) - HOUR)
    harness.reading = type(harness.reading)(f"{harness.prefix}.ours")
    harness.restart()
    harness.serve(start=NOW - 2 * HOUR)
    harness.record_results()
    assert harness.got() == ids(*range(10))


def test_what_is_new_comes_at_once_and_once(harness: IngestHarness) -> None:
    harness.index(shards=2)
    harness.serve()
    harness.record_results()
    harness.write(range(20))
    harness.write(["late"], time=int(NOW) - HOUR)
    harness.poll()
    assert harness.got() == ids(*range(20))
    harness.index("b")
    harness.write(["b"], index="b")
    harness.write(["5"], dismissed=True)
    harness.record_results()
    assert harness.got() == ids("b", *range(20))
    assert harness.kinds() == {"before_start": 1}


def test_more_shards_than_it_keeps_points_in_time_are_named_with_the_setting(harness: IngestHarness) -> None:
    harness.index(shards=3)
    harness.write(range(30), time=int(NOW) - HOUR)
    harness.serve(start=NOW - 2 * HOUR)
    setting = "search.max_open_pit_context"
    try:
        harness.client.cluster.put_settings(persistent={setting: 2})
        harness.record_results()
        assert f"in one for each shard, here 3; raise the cluster's setting `{setting}`" in harness.message()
    finally:
        harness.client.cluster.put_settings(persistent={setting: None})
    harness.record_results()
    assert harness.got() == ids(*range(30))


def test_emptiness_of_a_value_that_may_be_too_long_to_be_indexed_is_refused(harness: IngestHarness) -> None:
    """OpenSearch does not say that it left a value out, so such an event would be taken for an empty one."""
    harness.index(dynamic=True, properties={"time": {"type": "date"}})
    harness.write(["seed"], description="x", time=int(NOW * 1000))
    harness.serve("description EMPTY")
    harness.poll()
    assert "`description` cannot be tested for EMPTY" in harness.message()


@pytest.mark.parametrize(
    ("mapping", "value"),
    [
        ({"type": "wildcard"}, "C:\\Windows\\evil.exe"),
        ({"type": "wildcard", "normalizer": "lowercase"}, "c:\\windows\\EVIL.exe"),
        ({"type": "text", "fields": {"raw": {"type": "wildcard"}}}, "C:\\Windows\\evil.exe"),
        ({"type": "match_only_text", "fields": {"raw": {"type": "keyword"}}}, "C:\\Windows\\evil.exe"),
    ],
)
def test_fields_of_the_newer_types_of_strings_are_asked_as_keywords_are(
    harness: IngestHarness, mapping: dict[str, Any], value: str
) -> None:
    queries = (
        f"field = `{value}`",
        f"field IN {{none, `{value.replace(BACKSLASH, 2 * BACKSLASH)}`}}",
        "field IN {`*.ex?`}",
        "field IN {`*:*o*.*`}",
        "NOT field EMPTY AND field != other",
    )
    found = field_types.selected(harness, mapping, value, "other", *queries)
    assert found == dict.fromkeys(queries, ids("before", "after"))


@pytest.mark.parametrize(
    ("mapping", "value", "query", "why"),
    [
        ({"type": "flat_object"}, {"app": {"name": "shop"}}, "field EMPTY", "its type flat_object cannot be queried"),
        (
            {"type": "flat_object"},
            {"app": {"name": "shop"}},
            '"field.app.name" = shop',
            "it is a part of `field`: its type flat_object cannot be queried",
        ),
        (
            {"type": "constant_keyword", "value": "suricata.eve"},
            "suricata.eve",
            'field = "suricata.eve"',
            "its type constant_keyword cannot be queried",
        ),
        ({"type": "unsigned_long"}, 2**64 - 1, "field > 1", "its type unsigned_long cannot be queried"),
        ({"type": "match_only_text"}, "Port scan", "field = 'Port scan'", "text without a keyword sub-field"),
    ],
)
def test_a_type_that_cannot_be_queried_is_named_and_its_events_are_delivered_whole(
    harness: IngestHarness, mapping: dict[str, Any], value: Any, query: str, why: str
) -> None:
    said, delivered = field_types.refused(harness, mapping, value, query)
    assert why in said
    assert delivered == [value] * 4


def test_an_order_of_a_wildcard_field_is_refused_and_holds_up_no_other_webhook(harness: IngestHarness) -> None:
    """OpenSearch answers it as a server does that has broken down, and so whatever is asked beside it."""
    said, delivered = field_types.refused(harness, {"type": "wildcard"}, "evil.exe", "field >= evil")
    assert "`field` has no order" in said
    assert delivered == ["evil.exe"] * 4


@pytest.fixture
def stream(harness: IngestHarness) -> Iterator[str]:
    """The name of a data stream of the pattern, whose events have their time in `@timestamp`."""
    harness.reading = replace(harness.reading, time_field="@timestamp")
    harness.restart()
    name = f"{harness.prefix}.stream"
    properties = {"@timestamp": {"type": "date"}, "type": {"type": "keyword"}}
    template = {"mappings": {"properties": properties}, "settings": {"number_of_replicas": 0, "number_of_shards": 2}}
    indices = harness.client.indices
    indices.put_index_template(name=name, index_patterns=[name], data_stream={}, template=template)
    yield name
    indices.delete_data_stream(name=name)
    indices.delete_index_template(name=name)


def append(harness: IngestHarness, stream: str, name: str, *, age: int = 0) -> None:
    source = {"@timestamp": int(harness.now - age) * 1000, "type": "waf"}
    bulk(harness.client, [{"_op_type": "create", "_index": stream, "_id": name, "_source": source}], refresh=True)


def test_a_data_stream_is_read_over_its_rollovers(harness: IngestHarness, stream: str) -> None:
    append(harness, stream, "before", age=HOUR)
    harness.client.indices.rollover(alias=stream)
    append(harness, stream, "before, in the next index", age=HOUR)
    harness.serve(start=NOW - 2 * HOUR)
    harness.record_results()
    append(harness, stream, "after")
    harness.poll()
    harness.client.indices.rollover(alias=stream)
    append(harness, stream, "after, in the next index")
    harness.record_results()
    assert harness.got() == ids("before", "before, in the next index", "after", "after, in the next index")


def test_the_plugin_previews_a_query_and_lists_the_fields(harness: IngestHarness) -> None:
    harness.index(shards=2)
    harness.write(range(7), time=int(time.time()) - HOUR, severity=90)
    harness.write(range(7, 10), time=int(time.time()) - HOUR, severity=10)
    shown = sew(harness, "preview-query", "severity >= 50", "--since", "2h")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "7 of 10 match" in shown.stdout
    listed = sew(harness, "fields")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "source_ip" in listed.stdout


def test_refused_credentials_are_named_though_they_are_refused_in_plain_text(
    harness: IngestHarness, between: Proxy
) -> None:
    index = Index(Access((between.url,), username="sew", password="WRONG-ONE"), f"{harness.prefix}.*")
    between.fault = lambda *_: Answer(401, b"Unauthorized", media_type="text/plain")
    with pytest.raises(ElasticsearchError, match=r"refuses our credentials \(401\)") as refused:
        index.fields()
    index.close()
    assert "WRONG-ONE" not in str(refused.value)
    assert refused.value.problem is IndexProblem.REFUSED


def test_what_is_neither_is_not_read(harness: IngestHarness, between: Proxy) -> None:
    between.headers.clear()
    between.fault = lambda _path, _body, _real: Answer(200, b'{"version": {"number": "7.9.1"}}')
    harness.index()
    other = IngestHarness(harness.client, between.url, harness.state.with_name("other"))
    other.serve()
    with pytest.raises(SourceError, match="does not say that it is Elasticsearch or OpenSearch"):
        other.poll()
    other.stop()
