"""Documents are fetched in answers of bounded size."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from kubectl_sew.elasticsearch.access import ElasticsearchError
from sew_agent.ingest.elasticsearch.documents import MOST_AT_ONCE, Documents
from sew_agent.ingest.elasticsearch.new_hits import Hit

MIB = 2**20


class FakeIndex:
    """An index of documents of one size; more than `most` at once are too much for it."""

    def __init__(self, size: int, most: int = 10**9) -> None:
        self.size, self.most = size, most
        self.asked: list[int] = []

    def documents(self, wanted: Sequence[Mapping[str, Any]]) -> tuple[Sequence[Mapping[str, Any]], int]:
        self.asked.append(len(wanted))
        if len(wanted) > self.most:
            raise ElasticsearchError("has too much to do (429)", 429)
        return [{"found": True, "_source": {}} for _ in wanted], self.size * len(wanted)


def hits(count: int) -> list[Hit]:
    return [Hit("i", str(number), (number,), ()) for number in range(count)]


def test_the_first_request_is_for_one_and_small_documents_soon_come_by_the_hundred() -> None:
    shelf = FakeIndex(1_000)
    assert len(Documents().fetch(shelf, hits(1_000))) == 1_000  # type: ignore[arg-type]
    assert shelf.asked[:4] == [1, 4, 16, 64]
    assert max(shelf.asked) == MOST_AT_ONCE


def test_large_documents_come_in_answers_of_8_mib_and_pages_of_16() -> None:
    shelf = FakeIndex(3 * MIB)
    assert len(Documents().fetch(shelf, hits(50))) == 7  # type: ignore[arg-type]
    assert shelf.asked == [1, 2, 2, 2]


def test_what_is_too_much_for_the_server_is_less_for_a_while() -> None:
    shelf, documents = FakeIndex(1_000, most=10), Documents()
    with pytest.raises(ElasticsearchError):
        documents.fetch(shelf, hits(200))  # type: ignore[arg-type]
    assert len(documents.fetch(shelf, hits(200))) == 200  # type: ignore[arg-type]
    assert shelf.asked[:5] == [1, 4, 16, 8, 9]
