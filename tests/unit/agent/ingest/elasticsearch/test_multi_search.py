"""Many searches in few requests: how they are put together."""

from collections.abc import Sequence
from typing import Any

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


def test_the_selectors_of_exceptions_count_for_the_size_of_a_request() -> None:
    """Each search holds them all again: Elasticsearch refuses a request beyond its limit, and nothing is read."""
    index = CountingIndex()
    query = NamedQuery("hook", None, {"term": {"type": "waf"}}, {}, 1, 20)
    selector = NamedSelector("many-hosts", {"terms": {"host": []}}, 1, MEBIBYTE)
    MultiSearch("time").run(index, [SearchJob({}, [], [query], {"size": 10}, [selector])] * 20)  # type: ignore[arg-type]
    assert sum(index.asked) == 20
    assert max(index.asked) * MEBIBYTE < MOST_REQUEST_BYTES
