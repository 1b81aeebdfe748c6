"""Documents of new events, each fetched once for all webhooks: as many as fit into one page, in bounded answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from kubectl_sew.elasticsearch.access import ElasticsearchError
from kubectl_sew.elasticsearch.client import Index, search_error
from sew_agent.ingest.elasticsearch.new_hits import Hit

MOST_AT_ONCE = 100
"""More are hardly quicker, and each may be as large as Elasticsearch takes them."""
_ANSWER_BYTES = 8 * 2**20
_PAGE_BYTES = 16 * 2**20


class Documents:
    """Learns from the answers how many documents fill one; the first holds one document."""

    def __init__(self) -> None:
        self._at_once = 1
        self._most = MOST_AT_ONCE

    def fetch(self, index: Index, hits: Sequence[Hit]) -> Mapping[bytes, Mapping[str, Any]]:
        """Return the event's key -> document (`found`, and `_source` where it is kept), of the hits that fill a page.

        Raises ElasticsearchError.
        """
        wanted = list({hit.key: hit for hit in hits}.items())
        documents: dict[bytes, Mapping[str, Any]] = {}
        skipped = _PAGE_BYTES
        self._most = min(self._most + 1, MOST_AT_ONCE)
        while wanted and skipped > 0:
            batch, wanted = wanted[: self._at_once], wanted[self._at_once :]
            answers, size = self._ask(index, [_address(hit) for _, hit in batch])
            skipped -= size
            self._learn(len(batch), size)
            for (key, _), answer in zip(batch, answers, strict=True):
                documents[key] = _checked(answer)
        return documents

    def _ask(self, index: Index, wanted: Sequence[Mapping[str, Any]]) -> tuple[Sequence[Mapping[str, Any]], int]:
        """Fetch documents; after a failure, which may come from a too large answer, ask for fewer for a while."""
        try:
            return index.documents(wanted)
        except ElasticsearchError:
            self._most = self._at_once = max(1, self._at_once // 2)
            raise

    def _learn(self, count: int, size: int) -> None:
        fit = _ANSWER_BYTES * count // max(size, 1)
        self._at_once = max(1, min(fit, self._at_once * 4, self._most))


def _address(hit: Hit) -> Mapping[str, Any]:
    routing = {} if hit.routing is None else {"routing": hit.routing}
    return {"_index": hit.index, "_id": hit.id, **routing}


def _checked(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the answer; a document whose index was deleted meanwhile is not found. Raises ElasticsearchError."""
    error = answer.get("error")
    if error and error.get("type") != "index_not_found_exception":
        raise search_error(error, 0, "a document cannot be read")
    return answer
