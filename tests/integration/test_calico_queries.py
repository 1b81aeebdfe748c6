"""What is said of Calico's reading of a query holds on a real Elasticsearch, with the searches that Calico makes.

It sends each member of a set as a wildcard, and a value as the text that was written.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from elasticsearch import BadRequestError, Elasticsearch

from kubectl_sew.query import CALICO, bind, parse, to_dsl
from kubectl_sew.query.calico import only_ours, read_otherwise
from testbed.servers.indices import index, write

pytestmark = pytest.mark.server

EVENTS = [
    {"_id": "start", "time": 1700000000, "host": r"C:\Temp", "source_ip": "10.0.0.1", "severity": 5},
    {"_id": "within", "time": 1700000000.5, "host": "C:Temp", "source_ip": "192.0.2.1", "severity": 6},
    {"_id": "after", "time": 1700000001, "host": r"\\srv\cam", "dismissed": True},
]


def wildcards(key: str, *members: str) -> dict[str, Any]:
    return {"bool": {"should": [{"wildcard": {key: {"value": member}}} for member in members]}}


def time_is(comparison: str, value: str) -> dict[str, Any]:
    return {"range": {"time": {comparison: value}}}


@pytest.fixture
def events(each_elasticsearch: str) -> Iterator[tuple[Elasticsearch, str]]:
    with Elasticsearch(each_elasticsearch) as client, index(client) as name:
        write(client, name, EVENTS)
        yield client, name


def selected(events: tuple[Elasticsearch, str], dsl: dict[str, Any]) -> set[str]:
    client, name = events
    return {hit["_id"] for hit in client.search(index=name, query=dsl)["hits"]["hits"]}


@pytest.mark.parametrize(
    ("query", "theirs", "same"),
    [
        ("time > 1700000000", time_is("gt", "1700000000"), "time >= 1700000001"),
        ("time <= 1700000000", time_is("lte", "1700000000"), "time < 1700000001"),
        (r"host IN {`C:\Temp`}", wildcards("host", r"C:\Temp"), "host IN {`C:Temp`}"),
        (r"host IN {`\\\\srv\c*`}", wildcards("host", r"\\\\srv\c*"), r"host IN {`\\\\src*`, `\\\\srvc*`}"),
    ],
)
def test_a_query_that_is_said_to_select_others_there_does(
    events: tuple[Elasticsearch, str], query: str, theirs: dict[str, Any], same: str
) -> None:
    assert list(read_otherwise(parse(query), CALICO))
    assert list(read_otherwise(parse(same), CALICO)) == []
    assert selected(events, to_dsl(bind(parse(query), CALICO))) != selected(events, theirs)
    assert selected(events, to_dsl(bind(parse(same), CALICO))) == selected(events, theirs)


@pytest.mark.parametrize(
    ("query", "theirs"),
    [
        (r"host IN {`C:\\Temp`, `x?`}", wildcards("host", r"C:\\Temp", "x?")),
        ("time >= 1700000001", time_is("gte", "1700000001")),
        ("time < 1700000001", time_is("lt", "1700000001")),
        ("severity >= 6", {"range": {"severity": {"gte": "6"}}}),
        ('source_ip = "10.0.0.9/8"', {"term": {"source_ip": {"value": "10.0.0.9/8"}}}),
    ],
)
def test_a_query_of_which_nothing_is_said_selects_the_same(
    events: tuple[Elasticsearch, str], query: str, theirs: dict[str, Any]
) -> None:
    assert [*only_ours(parse(query), CALICO), *read_otherwise(parse(query), CALICO)] == []
    assert selected(events, to_dsl(bind(parse(query), CALICO))) == selected(events, theirs) != set()


@pytest.mark.parametrize(
    ("query", "theirs"),
    [
        ('source_ip IN {"10.0.0.1"}', wildcards("source_ip", "10.0.0.1")),
        ('severity IN {"5"}', wildcards("severity", "5")),
        ("dismissed IN {true}", wildcards("dismissed", "true")),
        ("_id IN {start}", wildcards("_id", "start")),
        ("time > 1.5e9", time_is("gt", "1.5e9")),
    ],
)
def test_a_query_on_which_calico_is_said_to_fail_works_here(
    events: tuple[Elasticsearch, str], query: str, theirs: dict[str, Any]
) -> None:
    assert list(only_ours(parse(query), CALICO))
    assert selected(events, to_dsl(bind(parse(query), CALICO)))
    with pytest.raises(BadRequestError):
        selected(events, theirs)
