"""`preview-query --elasticsearch` on answers that no healthy server gives, and without its client."""

import sys

import pytest

from kubectl_sew.cli.survey import Window, for_people, read, searches
from kubectl_sew.elasticsearch.access import ElasticsearchError
from kubectl_sew.pages import pip_install
from kubectl_sew.query import CALICO, bind, parse

WINDOW = Window("time", 1_767_225_600_000, 1_767_312_000_000)
QUERY = bind(parse('type = waf AND host IN {"*a*"}'), CALICO)


def _answer(count=0, took=1, bars=()):
    return {
        "took": took,
        "_shards": {"total": 1, "failed": 0},
        "hits": {"total": {"value": count}, "hits": []},
        "aggregations": {"bars": {"buckets": [{"key": key, "doc_count": n} for key, n in bars]}},
    }


REFUSED = {"error": {"type": "query_shard_exception", "reason": "too complex"}, "status": 400}


def test_a_search_is_made_for_all_events_the_query_and_each_part():
    bodies = searches(QUERY, WINDOW)
    assert len(bodies) == 4
    assert {"term": {"type": "waf"}} in bodies[2]["query"]["bool"]["filter"]
    assert bodies[1]["aggs"]["bars"]["date_histogram"]["fixed_interval"] == "3600s"


def test_slow_parts_are_named():
    survey = read(QUERY, [_answer(9), _answer(3, 1_500), _answer(5, 2), _answer(4, 1_200)])
    text = for_people(survey, WINDOW, "an index")
    assert "3 of 9 match (33.3%), found in 1500 ms: slow" in text
    assert 'host IN {"*a*"}: 4 in 1200 ms: slow' in text
    assert "type = waf: 5 in 2 ms\n" in text + "\n"


def test_a_part_that_cannot_be_answered_is_named():
    with pytest.raises(ElasticsearchError) as error:
        read(QUERY, [_answer(9), REFUSED, _answer(5), REFUSED])
    assert str(error.value) == (
        "a search failed: query_shard_exception: too complex\n"
        '  `host IN {"*a*"}`: a search failed: query_shard_exception: too complex'
    )


def test_of_many_parts_the_first_are_asked_alone_and_the_others_counted():
    many = bind(parse(" OR ".join(f"host = h{n}" for n in range(50))), CALICO)
    bodies = searches(many, WINDOW)
    assert len(bodies) == 22
    assert for_people(read(many, [_answer(1)] * 22), WINDOW, "").endswith("  … and 30 more, not asked alone")


def test_bars_are_as_long_as_their_share():
    bars = [(WINDOW.start, 10), (WINDOW.start + 3_600_000, 5), (WINDOW.start + 7_200_000, 0)]
    lines = for_people(read(QUERY, [_answer(15), _answer(15, 1, bars), _answer(), _answer()]), WINDOW, "").splitlines()
    drawn = [line.count("#") for line in lines if line.startswith("  2026-01-01")]
    assert drawn == [40, 20, 0]


def test_without_the_client_the_extra_is_named(sew, monkeypatch):
    monkeypatch.setitem(sys.modules, "elastic_transport", None)
    ran = sew("preview-query", "type = waf", "--elasticsearch", "http://127.0.0.1:9200")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"error: Elasticsearch's client is not installed: {pip_install('elasticsearch')}\n"


@pytest.mark.parametrize("since", ["", "yesterday", "-1h"])
def test_a_span_that_is_none_is_a_usage_error(sew, since):
    assert sew("preview-query", "type = waf", "--elasticsearch", "http://127.0.0.1:1", "--since", since).code == 2


@pytest.mark.parametrize(
    "line",
    [
        ("preview-query", "type = waf", "--since", "7d"),
        ("preview-query", "type = waf", "--time-field", "@timestamp"),
        ("fields", "--index", "falco-*"),
        ("validate", "-f", "docs/examples/collector.yaml", "--index", "falco-*"),
    ],
)
def test_what_is_said_of_an_index_where_none_is_asked_is_a_usage_error(line, sew):
    ran = sew(*line)
    assert (ran.code, ran.out) == (2, "")
    assert f"{line[-2]} is for --elasticsearch: give its URL, too" in ran.err
