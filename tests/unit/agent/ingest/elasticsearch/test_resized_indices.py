"""The index that a new one was made of."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from sew_agent.ingest.elasticsearch.cursors import Cursor
from sew_agent.ingest.elasticsearch.resized_indices import origin
from sew_agent.ingest.elasticsearch.shards import Shard


def cursors(**tops: Sequence[int]) -> Mapping[str, Cursor]:
    return {
        f"u-{name}/{number}": Cursor(name, "h", top, top, 0.0, top=top)
        for name, numbers in tops.items()
        for number, top in enumerate(numbers)
    }


def shards(*ends: int, name: str = "new") -> list[Shard]:
    return [Shard(name, "u", number, "h", end, end) for number, end in enumerate(ends)]


def recovered(kind: str, **source: str) -> Mapping[str, Any]:
    return {"shards": [{"type": "PEER", "primary": False}, {"type": kind, "primary": True, "source": source}]}


LOCAL = recovered("LOCAL_SHARDS")


@pytest.mark.parametrize(
    "ends", [(2, 9, 1, 4), (9, 4), (9,), (2, 2, 9, 9, 1, 1, 4, 4), (2, 9), (2, 9, 1, 4, 2, 9, 1, 4)]
)
def test_one_of_local_shards_was_made_of_the_index_whose_numbers_it_has(ends: Sequence[int]) -> None:
    known = cursors(old=(2, 9, 1, 4), other=(2, 8, 1, 5))
    assert origin("new", shards(*ends), LOCAL, known) == "old"


@pytest.mark.parametrize("ends", [(2, 9, 1, 5), (10, 4), (2, 9, 1), (-1, -1)])
def test_one_whose_numbers_no_index_has_is_its_own(ends: Sequence[int]) -> None:
    assert origin("new", shards(*ends), LOCAL, cursors(old=(2, 9, 1, 4), empty=(-1, -1))) == ""


def test_of_several_that_fit_the_name_decides() -> None:
    known = cursors(old=(3,), other=(3,))
    assert origin("new", shards(3), LOCAL, known) == ""
    assert origin("shrink-a1b2-old", shards(3), LOCAL, known) == "old"


@pytest.mark.parametrize("kind", ["EMPTY_STORE", "EXISTING_STORE", "PEER"])
def test_one_that_was_not_made_of_another_is_its_own(kind: str) -> None:
    assert origin("new", shards(3), recovered(kind), cursors(old=(3,))) == ""


def test_a_restored_one_names_its_index() -> None:
    assert origin("new", shards(3), recovered("SNAPSHOT", index="old"), {}) == "old"
    assert origin("old", shards(3), recovered("SNAPSHOT", index="old"), {}) == ""
    assert origin("new", shards(3), {}, {}) == ""
