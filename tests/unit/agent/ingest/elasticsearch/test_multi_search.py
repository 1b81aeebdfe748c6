"""Many searches in few requests: how they are put together."""

from collections.abc import Sequence
from typing import Any

import pytest

from kubectl_sew.elasticsearch.access import ElasticsearchError
from kubectl_sew.elasticsearch.connection import TIMED_OUT
from sew_agent.ingest.elasticsearch.multi_search import MOST_REQUEST_BYTES, MultiSearch, SearchJob
from sew_agent.ingest.elasticsearch.named_queries import NamedQuery, NamedSelector

MEBIBYTE = 2**20


class CountingIndex:
    """An index where nothing matches."""

    timeout = 30.0

    def __init__(self) -> None:
        self.asked: list[int] = []

    def search_many(self, searches: Sequence[object]) -> list[dict[str, Any]]:
        self.asked.append(len(searches))
        return [{"hits": {"hits": []}} for _ in searches]


QUERY = NamedQuery("hook", None, {"term": {"type": "waf"}}, {}, 1, 20)


class SlowSelectorIndex(CountingIndex):
    """An index that answers no search in time that asks for wildcards."""

    def search_many(self, searches: Sequence[object]) -> list[dict[str, Any]]:
        if "wildcard" in repr(searches):
            raise ElasticsearchError("did not answer in time", kind=TIMED_OUT)
        return super().search_many(searches)


def test_an_exception_whose_wildcards_are_not_answered_in_time_suppresses_nothing_and_is_named() -> None:
    index, multi_search = SlowSelectorIndex(), MultiSearch("time")
    slow = NamedSelector("slow", {"wildcard": {"host": "*a*"}}, 1, 40, wildcards=300)
    quick = NamedSelector("quick", {"term": {"host": "a"}}, 1, 40)
    jobs = [SearchJob({}, [], [QUERY], {"size": 10}, [quick, slow])] * 2
    for _ in range(2):
        with pytest.raises(ElasticsearchError):
            multi_search.run(index, jobs)  # type: ignore[arg-type]
    multi_search.run(index, jobs)  # type: ignore[arg-type]
    broken = multi_search.broken_exceptions([quick, slow])
    assert broken == {"slow": "its 300 wildcards were not answered in 30 s: use fewer of them"}
    for _ in range(58):
        multi_search.run(index, jobs)  # type: ignore[arg-type]
    with pytest.raises(ElasticsearchError):
        multi_search.run(index, jobs)  # type: ignore[arg-type]


def test_where_a_webhooks_wildcards_may_be_the_reason_no_exception_is_taken_for_it() -> None:
    multi_search = MultiSearch("time")
    heavy = NamedQuery("heavy", None, {"wildcard": {}}, {}, 1, 20, wildcards=100)
    selector = NamedSelector("slow", {"wildcard": {"host": "*a*"}}, 1, 40, wildcards=300)
    with pytest.raises(ElasticsearchError):
        multi_search.run(SlowSelectorIndex(), [SearchJob({}, [], [heavy], {"size": 10}, [selector])])  # type: ignore[arg-type]
    assert multi_search.broken_exceptions([selector]) == {}


def test_the_selectors_of_exceptions_count_for_the_size_of_a_request() -> None:
    """Each search holds them all again: Elasticsearch refuses a request beyond its limit, and nothing is read."""
    index = CountingIndex()
    selector = NamedSelector("many-hosts", {"terms": {"host": []}}, 1, MEBIBYTE)
    MultiSearch("time").run(index, [SearchJob({}, [], [QUERY], {"size": 10}, [selector])] * 20)  # type: ignore[arg-type]
    assert sum(index.asked) == 20
    assert max(index.asked) * MEBIBYTE < MOST_REQUEST_BYTES


class NarrowIndex(CountingIndex):
    """An index that takes one query at once, and refuses more as OpenSearch does: with the status 500."""

    def search_many(self, searches: Sequence[tuple[object, dict[str, Any]]]) -> list[dict[str, Any]]:  # type: ignore[override]
        self.asked += [repr(body).count("_name") for _, body in searches]
        error = {"error": {"type": "too_many_nested_clauses", "reason": "1024"}, "status": 500}
        return [error if repr(body).count("_name") > 1 else {"hits": {"hits": []}} for _, body in searches]


def test_a_search_that_is_too_large_is_asked_in_halves_whatever_the_status_of_its_refusal() -> None:
    index = NarrowIndex()
    jobs = [SearchJob({}, [], [QUERY] * 4, {"size": 10})]
    (result,), refused = MultiSearch("time").run(index, jobs)  # type: ignore[arg-type]
    assert (result.failure, refused) == (None, {})
    assert index.asked == [4, 2, 2, 1, 1, 1, 1]


class FailingIndex(CountingIndex):
    """An index that fails at searches with a word in them."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self._word = word

    def search_many(self, searches: Sequence[object]) -> list[dict[str, Any]]:
        self.asked.append(len(searches))
        error = {"error": {"type": "unsupported_operation_exception", "reason": "TODO"}, "status": 500}
        return [error if self._word in repr(one) else {"hits": {"hits": []}} for one in searches]


FATAL = NamedQuery("fatal", None, {"term": {"type": "fatal"}}, {}, 1, 20)
TODO = "a search failed: unsupported_operation_exception: TODO"


def test_a_query_at_which_the_server_fails_stops_no_other() -> None:
    index = FailingIndex("'type': 'fatal'")
    jobs = [SearchJob({}, [], [QUERY, FATAL, QUERY], {"size": 10})]
    (result,), refused = MultiSearch("time").run(index, jobs)  # type: ignore[arg-type]
    assert (result.failure, refused) == (None, {"fatal": TODO})


def test_an_exception_at_whose_selector_the_server_fails_stops_no_webhook() -> None:
    selector = NamedSelector("broken", {"term": {"type": "fatal"}}, 1, 40)
    multi_search, index = MultiSearch("time"), FailingIndex("'type': 'fatal'")
    (result,), refused = multi_search.run(index, [SearchJob({}, [], [QUERY], {"size": 10}, [selector])])  # type: ignore[arg-type]
    assert (result.failure, refused) == (None, {})
    assert multi_search.broken_exceptions([selector]) == {"broken": TODO}


def test_a_server_that_fails_at_everything_is_asked_twice() -> None:
    index = FailingIndex("size")
    (result,), refused = MultiSearch("time").run(index, [SearchJob({}, [], [QUERY] * 8, {"size": 10})])  # type: ignore[arg-type]
    assert (str(result.failure), refused) == (TODO, {})
    assert index.asked == [1, 1]


class RefusingIndex(CountingIndex):
    """An index that fails at a search with a query, and refuses the same one without: one that closes just then."""

    def search_many(self, searches: Sequence[object]) -> list[dict[str, Any]]:
        kinds = ["_name" in repr(one) for one in searches]
        return [{"error": {"type": "x", "reason": "y"}, "status": 500 if named else 400} for named in kinds]


def test_a_server_that_refuses_a_search_without_any_query_has_failed_itself() -> None:
    (result,), refused = MultiSearch("time").run(RefusingIndex(), [SearchJob({}, [], [QUERY] * 2, {"size": 10})])  # type: ignore[arg-type]
    assert (str(result.failure), refused) == ("a search failed: x: y", {})
