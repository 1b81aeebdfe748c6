"""Queries that are asked after the others, by what their searches took."""

from collections.abc import Sequence
from typing import Any

import pytest

from kubectl_sew.elasticsearch.access import ElasticsearchError
from kubectl_sew.elasticsearch.connection import TIMED_OUT
from sew_agent.ingest.elasticsearch.multi_search import MultiSearch, SearchJob
from sew_agent.ingest.elasticsearch.named_queries import NamedQuery
from sew_agent.ingest.elasticsearch.query_costs import QueryCosts


def query(webhook: str, wildcards: int) -> NamedQuery:
    return NamedQuery(webhook, None, {"wildcard": {}}, {}, 1, 20, wildcards)


QUICK, HEAVY, HEAVIER = query("quick", 3), query("heavy", 100), query("heavier", 300)


def test_of_a_slow_search_many_wildcards_are_the_reason_each_by_its_share() -> None:
    costs = QueryCosts()
    costs.charge([QUICK, HEAVY, HEAVIER], 8.0)
    assert [costs.of(query) for query in (QUICK, HEAVY, HEAVIER)] == [0.0, 2.0, 6.0]
    assert costs.deferred([QUICK, HEAVY, HEAVIER]) == {"heavy", "heavier"}


def test_a_quick_search_and_one_without_many_wildcards_are_nobodys_fault() -> None:
    costs = QueryCosts()
    costs.charge([HEAVY], 0.9)
    costs.charge([QUICK], 60.0)
    assert costs.deferred([QUICK, HEAVY]) == frozenset()


def test_of_slow_queries_alone_so_many_are_asked_as_take_a_few_seconds_and_one_at_least() -> None:
    costs = QueryCosts()
    several = [query(f"w{number}", 100) for number in range(4)]
    costs.charge(several, 6.0)
    assert costs.deferred(several) == {"w2", "w3"}
    costs.charge(several, 60.0)
    assert costs.deferred(several) == {"w1", "w2", "w3"}


def test_a_query_that_is_quick_again_or_another_is_asked_with_the_others() -> None:
    costs = QueryCosts()
    costs.charge([HEAVY, HEAVIER], 8.0)
    costs.charge([HEAVY], 0.01)
    assert costs.deferred([QUICK, HEAVY, HEAVIER]) == {"heavier"}
    assert costs.deferred([QUICK, query("heavier", 2)]) == frozenset()


def test_a_costly_query_is_reported_once() -> None:
    costs = QueryCosts()
    costs.charge([HEAVY], 2.0)
    costs.charge([HEAVY], 3.0)
    assert [warning.webhooks for warning in costs.take_warnings()] == [("heavy",)]
    assert costs.take_warnings() == []


class SlowIndex:
    """An index that answers few searches in time."""

    timeout = 30.0

    def __init__(self) -> None:
        self.asked: list[int] = []

    def search_many(self, searches: Sequence[object]) -> list[dict[str, Any]]:
        self.asked.append(len(searches))
        if len(searches) > 3:
            raise ElasticsearchError("did not answer in time", kind=TIMED_OUT)
        return [{"hits": {"hits": []}} for _ in searches]


def test_what_is_not_answered_in_time_is_asked_in_halves() -> None:
    multi_search, index = MultiSearch("time"), SlowIndex()
    jobs = [SearchJob({}, [], [QUICK], {"size": 10})] * 10
    for _ in range(2):
        with pytest.raises(ElasticsearchError):
            multi_search.run(index, jobs)  # type: ignore[arg-type]
    results, _ = multi_search.run(index, jobs)  # type: ignore[arg-type]
    assert len(results) == 10
    assert index.asked[:3] == [10, 5, 2]


class SilentIndex:
    """An index that does not answer in time."""

    timeout = 30.0

    def search_many(self, _searches: object) -> object:
        raise ElasticsearchError("did not answer in time", kind=TIMED_OUT)


def test_where_there_is_no_answer_in_time_many_wildcards_are_the_reason_too() -> None:
    multi_search = MultiSearch("time")
    job = SearchJob({}, [], [QUICK, HEAVY], {"size": 10})
    with pytest.raises(ElasticsearchError):
        multi_search.run(SilentIndex(), [job])  # type: ignore[arg-type]
    assert multi_search.deferred([job]) == {"heavy"}
