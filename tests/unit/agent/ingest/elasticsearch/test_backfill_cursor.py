"""A backfill goes through the hits of all its points in time once, in one order, however they are cut into pages."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sew_agent.ingest.elasticsearch.backfill_cursor import BackfillCursor, merged
from sew_agent.ingest.elasticsearch.new_hits import Hit

START = BackfillCursor(0.0)
TIMES = st.integers(0, 3)
"""Few, so that many events have the same."""


def hits_of(point: Sequence[int], number: int) -> list[Hit]:
    """Return the hits of one point in time: an event for each of its times, with the number of its document."""
    return sorted(
        (Hit("i", f"{number}-{document}", (time, document), ()) for document, time in enumerate(point)),
        key=lambda hit: hit.order,
    )


def page(hits: Sequence[Hit], after: tuple[int, int] | None, size: int) -> tuple[list[Hit], bool]:
    """Return what a search behind `after` finds, and whether its page is full."""
    found = [hit for hit in hits if after is None or hit.order > after][:size]
    return found, len(found) >= size


@given(st.lists(st.lists(TIMES, max_size=8), max_size=5), st.integers(1, 6), st.integers(1, 6))
def test_every_event_is_read_once_and_in_order(points: list[list[int]], size: int, limit: int) -> None:
    shards = [hits_of(point, number) for number, point in enumerate(points)]
    read: list[Hit] = []
    cursor, end = START, (0, 0, 0)
    while end is not None:
        pages = [page(hits, cursor.after_in(number), size) for number, hits in enumerate(shards)]
        hits, end = merged(pages, limit)
        assert len(hits) <= limit
        assert end is None or hits[-1].order == end
        read += hits
        cursor = replace(cursor, after=hits[-1].order if hits else cursor.after)
    assert [hit.order for hit in read] == sorted(hit.order for hit in read)
    assert sorted(hit.id for hit in read) == sorted(hit.id for hits in shards for hit in hits)


def test_a_position_is_the_same_after_it_was_stored() -> None:
    cursor = BackfillCursor(1.5, reached=2000, after=(2000, 1, 7), run="r", end=9.0)
    assert BackfillCursor.load(cursor.dump()) == cursor
    assert json.loads(cursor.dump())["after"] == [2000, 1, 7]


@pytest.mark.parametrize(
    ("cursor", "since", "start", "begin"),
    [
        (BackfillCursor(10.0), None, 10.0, 10_000),
        (BackfillCursor(10.0), 5.0, 10.0, 10_000),
        (BackfillCursor(10.0), 20.5, 20.5, 20_000),
        (BackfillCursor(10.0, reached=19_999), 20.5, 20.5, 20_000),
        (BackfillCursor(10.0, reached=20_000), 20.5, 20.5, 20_000),
        (BackfillCursor(10.0, reached=30_000, after=(30_000, 1, 7), run="r"), 20.5, 20.5, 30_000),
    ],
)
def test_a_narrowed_window_begins_no_earlier_and_goes_on_where_it_was_read_to(
    cursor: BackfillCursor, since: float | None, start: float, begin: int
) -> None:
    narrowed = cursor.narrowed(since, 40.25)
    assert (narrowed.start, narrowed.begin) == (start, begin)
    assert (narrowed.run, narrowed.after) == ("", None)  # another webhook's run may be of a wider window
    assert narrowed.window == {"gte": begin, "lt": 40_250, "format": "epoch_millis"}
