"""Queries that are asked after the others, by what their searches took."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from kubectl_sew.elasticsearch.access import ElasticsearchError
from kubectl_sew.elasticsearch.connection import TIMED_OUT
from sew_agent.ingest.elasticsearch.multi_search import MultiSearch, SearchJob
from sew_agent.ingest.elasticsearch.named_queries import NamedQuery, NamedSelector
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
    costs.begin_run()
    costs.charge([HEAVY], 0.01)
    costs.end_run()
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


class ChokingIndex:
    """An index that answers no search for one query in time."""

    timeout = 30.0

    def __init__(self, query: NamedQuery) -> None:
        self._chokes_on = json.dumps(query.dsl)

    def search_many(self, searches: Sequence[tuple[object, Any]]) -> list[dict[str, Any]]:
        if any(self._chokes_on in json.dumps(body) for _, body in searches):
            raise ElasticsearchError("did not answer in time", kind=TIMED_OUT)
        return [{"took": 5, "hits": {"hits": []}} for _ in searches]


def test_a_query_that_one_shard_answers_quickly_and_another_slowly_stays_slow_and_is_told_once() -> None:
    costs = QueryCosts()
    for _ in range(3):
        costs.begin_run()
        costs.charge([HEAVY], 5.0)
        costs.charge([HEAVY], 0.01)
        costs.end_run()
    assert costs.of(HEAVY) == 5.0
    assert len(costs.take_warnings()) == 1


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_one_with_many_wildcards_waits_for_none_with_few_that_is_never_answered(names: tuple[str, str]) -> None:
    few, many = (query(name, wildcards) for name, wildcards in zip(names, (2, 20), strict=True))
    few = replace(few, dsl={"wildcard": {"host": "*never"}})
    plain = NamedQuery("plain", None, {"term": {"host": "a"}}, {}, 1, 20)
    answered = runs_until_answered(MultiSearch("time"), ChokingIndex(few), sorted([plain, few, many], key=webhook_of))
    assert answered.keys() == {"plain", many.webhook}


def webhook_of(one: NamedQuery) -> str:
    return one.webhook


def test_after_a_stall_of_the_server_the_quick_ones_are_answered_and_nobody_is_called_slow() -> None:
    multi_search, index = MultiSearch("time"), StallingIndex()
    few = [replace(query(f"w{number}", 2), dsl={"wildcard": {"host": str(number)}}) for number in range(3)]
    for _ in range(5):
        with pytest.raises(ElasticsearchError):
            multi_search.run(index, [SearchJob({}, [], few, {"size": 10})])  # type: ignore[arg-type]
    index.stalls = False
    assert runs_until_answered(multi_search, index, few).keys() == {"w0", "w1", "w2"}


def test_a_pause_of_the_server_names_no_query_and_a_selector_no_webhook() -> None:
    multi_search, index = MultiSearch("time"), StallingIndex()
    selector = NamedSelector("exception", {"wildcard": {"host": "*a"}}, 1, 20, wildcards=2)
    for selectors in ([], [selector], [selector]):
        job = SearchJob({}, [], [query("few", 2)], {"size": 10}, selectors)
        with pytest.raises(ElasticsearchError):
            multi_search.run(index, [job])  # type: ignore[arg-type]
        assert multi_search.costs.take_warnings() == []


class StallingIndex:
    """An index that answers nothing in time while it stalls."""

    timeout = 30.0
    stalls = True

    def search_many(self, searches: Sequence[object]) -> list[dict[str, Any]]:
        if self.stalls:
            raise ElasticsearchError("did not answer in time", kind=TIMED_OUT)
        return [{"took": 5, "hits": {"hits": []}} for _ in searches]


def runs_until_answered(multi_search: MultiSearch, index: Any, queries: Sequence[NamedQuery]) -> dict[str, int]:
    """In how many runs each query was answered: those that are not stay for the next run, as in the agent."""
    answered: dict[str, int] = {}
    for run in range(1, 40):
        waiting = [query for query in queries if query.webhook not in answered]
        job = SearchJob({}, [], waiting, {"size": 10})
        with suppress(ElasticsearchError):
            deferred = multi_search.deferred([job])
            multi_search.run(index, [job])
            answered |= {query.webhook: run for query in waiting if query.webhook not in deferred}
    return answered


def test_a_query_of_few_wildcards_that_is_never_answered_in_time_stops_no_other() -> None:
    multi_search = MultiSearch("time")
    plain = [NamedQuery(f"plain{number}", None, {"term": {"host": number}}, {}, 1, 20) for number in range(5)]
    few = [NamedQuery(f"few{number}", None, {"wildcard": {"host": f"*{number}"}}, {}, 1, 20, 2) for number in range(50)]
    answered = runs_until_answered(multi_search, ChokingIndex(few[7]), [*plain, *few])
    assert all(answered[query.webhook] == 2 for query in plain), "the run after the one that was not answered"
    assert {query.webhook for query in (*plain, *few)} - answered.keys() == {"few7"}
    assert max(answered.values()) < 30
    (warning,) = multi_search.costs.take_warnings()
    assert warning.webhooks == ("few7",)
    assert warning.text.startswith("the query's 2 wildcards take Elasticsearch about 30.0 s")


def test_where_no_query_has_a_wildcard_the_server_is_the_reason() -> None:
    multi_search = MultiSearch("time")
    job = SearchJob({}, [], [NamedQuery("w", None, {"term": {"host": "a"}}, {}, 1, 20)], {"size": 10})
    with pytest.raises(ElasticsearchError):
        multi_search.run(SilentIndex(), [job])  # type: ignore[arg-type]
    assert multi_search.deferred([job]) == frozenset()
