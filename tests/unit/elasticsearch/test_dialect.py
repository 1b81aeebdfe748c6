"""Which product answers, and what is asked of each in its own words."""

import re
from pathlib import Path

import pytest

from kubectl_sew.elasticsearch.dialect import ELASTICSEARCH, OPENSEARCH, Dialect, View, by_greeting, by_headers

SHARDS = [("events-1", 0), ("events-1", 1)]
GREETING = {"version": {"distribution": "opensearch", "number": "2.19.6"}}
FORBIDDEN = {
    "error": {"type": "security_exception", "reason": "no permissions for [cluster:monitor/main] and User [a]"}
}


@pytest.mark.parametrize(
    ("headers", "dialect"),
    [
        ({"x-elastic-product": "Elasticsearch"}, ELASTICSEARCH),
        ({"x-opensearch-version": "OpenSearch/3.9.0 (opensearch)"}, OPENSEARCH),
        ({"x-elastic-product": "Other"}, None),
        ({}, None),
    ],
)
def test_a_product_is_known_by_its_header(headers: dict[str, str], dialect: Dialect | None) -> None:
    assert by_headers(headers) is dialect


@pytest.mark.parametrize(
    ("status", "body", "dialect"),
    [
        (200, GREETING, OPENSEARCH),
        (403, FORBIDDEN, OPENSEARCH),
        (404, GREETING, None),
        (200, {"version": {"number": "7.9.0"}}, None),
        (200, {"version": "1"}, None),
        (403, {"error": {"reason": "forbidden"}}, None),
        (403, {"error": "no permissions for [it]"}, None),
        (200, "hello", None),
    ],
)
def test_opensearch_2_which_has_no_header_is_known_by_its_greeting_or_how_it_refuses_that(
    status: int, body: object, dialect: Dialect | None
) -> None:
    assert by_greeting(status, body) is dialect


def test_elasticsearch_shows_all_indices_in_one_point_in_time_and_opensearch_each_shard_in_its_own() -> None:
    assert ELASTICSEARCH.views("events-*", SHARDS) == [View("events-*")]
    assert OPENSEARCH.views("events-*", SHARDS) == [
        View("events-1", "_shards:0|_primary"),
        View("events-1", "_shards:1|_primary"),
    ]


def test_an_early_end_counts_only_where_it_means_that_something_was_not_seen() -> None:
    answer = {"terminated_early": True, "hits": {}}
    assert (ELASTICSEARCH.whole(answer), OPENSEARCH.whole(answer)) == (answer, {"hits": {}})
    assert OPENSEARCH.whole({"hits": {}}) == {"hits": {}}


@pytest.mark.documentation
@pytest.mark.parametrize(
    ("dialect", "path"), [(ELASTICSEARCH, "_security/role"), (OPENSEARCH, "_plugins/_security/api/roles")]
)
def test_the_documented_role_grants_what_an_error_says_to_be_needed(dialect: Dialect, path: str) -> None:
    page = Path("docs/elasticsearch.md").read_text("utf-8")
    role = page.partition(f"PUT /{path}/sew\n")[2].partition("```")[0]
    lists = re.findall(r'"(?:privileges|cluster_permissions|allowed_actions)": \[(.*?)\]', role, re.DOTALL)
    granted = {name for names in lists for name in re.findall(r'"(.+?)"', names)}
    assert granted == set(re.findall(r"`(.+?)`", dialect.privileges)) != set()
