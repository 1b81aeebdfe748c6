"""Moves of cursors: the rules that keep a reader from missing a write."""

from dataclasses import replace

import pytest

from sew_agent.ingest.elasticsearch.cursors import (
    COARSE,
    Cursor,
    Search,
    TailPosition,
    begin,
    catch_up,
    moved,
    reached,
    searches,
    up_to,
)
from sew_agent.ingest.elasticsearch.shards import IndexSettings, Shard, ShardStats
from sew_agent.ingest.elasticsearch.visibility import VisibleCheckpoints

AT = 1_800_000_000.0
SHARD = Shard("events", "uuid", 0, "history", checkpoint=10, top=12, node="n", refreshes={"n": 0})
CURSOR = Cursor("events", "history", 5, 7, AT, top=10)
NOBODY: frozenset[str] = frozenset()


def stats(*shards: Shard, at: float = AT) -> ShardStats:
    return ShardStats(at, {shard.key: shard for shard in shards})


def position(cursor: Cursor = CURSOR) -> TailPosition:
    return TailPosition(AT, {SHARD.key: cursor})


def visible_up_to(shard: Shard = SHARD, checkpoint: int = 10) -> VisibleCheckpoints:
    """Checkpoints by which a search sees all writes up to `checkpoint`."""
    visible = VisibleCheckpoints()
    for number, state in enumerate([replace(shard, checkpoint=checkpoint)] * 7 + [shard]):
        visible.count(stats(state), 2.0 * number, 2.0 * number)
        visible.conclude(stats(state), {"uuid": IndexSettings("events", "uuid", 1, 1.0)})
    return visible


def test_a_position_is_stored_in_few_words_and_is_the_same_when_it_is_read() -> None:
    stored = '[1800000000.0,{"uuid/0":["events","history",5,7,1800000000.0,-1,10,0.0]}]'
    assert position().dump() == stored
    assert TailPosition.load(stored) == position()


def test_a_fresh_store_begins_at_the_checkpoints() -> None:
    assert begin(stats(SHARD)) == position(replace(CURSOR, seq=10, seen=10))


def test_a_cursor_at_its_checkpoint_is_not_searched() -> None:
    resting = position(replace(CURSOR, seq=10, seen=10))
    other = replace(SHARD, number=1)
    both = TailPosition(AT, {**resting.cursors, other.key: CURSOR})
    assert list(searches(both, stats(SHARD, other), VisibleCheckpoints())) == [Search(other, 7)]


def test_the_newest_are_searched_at_once_and_all_when_the_checkpoint_is_visible() -> None:
    assert list(searches(position(), stats(SHARD), VisibleCheckpoints())) == [Search(SHARD, 7)]
    whole = list(searches(position(), stats(SHARD), visible_up_to()))
    assert whole == [Search(SHARD, 5, 10, AT), Search(SHARD, 10)]
    grown = replace(SHARD, checkpoint=12)
    ahead = position(replace(CURSOR, seq=10, seen=10))
    assert list(searches(ahead, stats(grown), visible_up_to(grown))) == [Search(grown, 10)]


def test_what_was_seen_up_to_the_top_is_not_searched_for_newer_ones() -> None:
    assert list(searches(position(replace(CURSOR, seen=12)), stats(SHARD), VisibleCheckpoints())) == []


def test_only_a_whole_search_moves_the_cursor_and_never_beyond_the_visible_checkpoint() -> None:
    assert moved(CURSOR, Search(SHARD, 7), 12, None) == replace(CURSOR, seen=12)
    assert moved(CURSOR, Search(SHARD, 5, 9, AT + 3), 8, None) == replace(CURSOR, seq=9, seen=9, at=AT + 3)
    assert moved(CURSOR, Search(SHARD, 5, 9, AT + 3), -1, None).seq == 9
    assert moved(CURSOR, Search(SHARD, 7), -1, None) == CURSOR


@pytest.mark.parametrize(
    ("end", "searched"),
    [
        (replace(CURSOR, seq=8, seen=9), [(5, 9)]),
        (replace(CURSOR, seq=20, seen=20), [(5, 10)]),
        (replace(CURSOR, seq=5, seen=6), [(5, 6)]),
        (replace(CURSOR, seq=5, seen=5), []),
        (replace(CURSOR, history="another"), []),
    ],
)
def test_a_reader_that_ends_searches_up_to_what_was_read_there(end: Cursor, searched: list[tuple[int, int]]) -> None:
    wanted = list(searches(position(), stats(SHARD), visible_up_to()))
    assert [(search.above, search.last) for search in wanted] == [(5, 10), (10, 12)]
    assert [(search.above, search.last) for search in up_to(position(end), wanted)] == searched
    assert list(up_to(TailPosition(AT), wanted)) == []


def test_a_page_that_is_cut_off_moves_the_cursor_to_its_end_and_not_its_moment() -> None:
    assert moved(CURSOR, Search(SHARD, 5, 9, AT + 3), 8, 8) == replace(CURSOR, seq=8, seen=8)


def test_a_new_shard_is_read_from_its_beginning_by_the_age_of_its_reader() -> None:
    new = replace(SHARD, uuid="new")
    caught_up = catch_up(position(), stats(SHARD, new, at=AT + 30), frozenset({"uuid", "new"}), NOBODY)
    assert caught_up.position.cursors[new.key] == Cursor("events", "history", -1, -1, AT, top=10)
    aged = catch_up(position(), stats(SHARD, new, at=AT + 30), frozenset({"uuid", "new"}), frozenset({"new"}))
    assert aged.position.cursors[new.key].old == 10


def test_a_changed_history_is_read_from_its_beginning_and_reported() -> None:
    other = replace(SHARD, history="restored", checkpoint=3, top=3)
    caught_up = catch_up(position(), stats(other), frozenset({"uuid"}), NOBODY)
    assert caught_up.position.cursors[SHARD.key] == Cursor("events", "restored", -1, -1, AT, 3, 3)
    text = "events[0] has another history than when it was last read: it is read again from its start"
    assert [(warning.kind, warning.text) for warning in caught_up.warnings] == [("history", text)]


def test_a_cursor_keeps_the_last_checkpoint_so_that_a_loss_can_be_reported() -> None:
    seen = catch_up(position(), stats(replace(SHARD, checkpoint=11)), frozenset({"uuid"}), NOBODY)
    assert seen.position == position(replace(CURSOR, top=11))


def test_numbers_that_were_rolled_back_are_searched_again() -> None:
    back = replace(SHARD, checkpoint=8, top=8)
    caught_up = catch_up(position(replace(CURSOR, seen=12)), stats(back), frozenset({"uuid"}), NOBODY)
    assert (caught_up.position.cursors[SHARD.key].seq, caught_up.position.cursors[SHARD.key].seen) == (5, 8)


def test_an_absent_shard_keeps_its_cursor_and_one_that_is_gone_is_named_with_its_numbers() -> None:
    assert catch_up(position(), stats(), frozenset({"uuid"}), NOBODY).position.cursors == {SHARD.key: CURSOR}
    gone = catch_up(position(), stats(at=AT + 5), NOBODY, NOBODY)
    assert [(warning.kind, warning.count) for warning in gone.warnings] == [("lost", 3)]
    assert "events[0] is gone: its writes 8 to 10 were not read" in gone.warnings[0].text
    assert catch_up(gone.position, stats(at=AT + 6), NOBODY, NOBODY).warnings == ()
    two = TailPosition(AT, {SHARD.key: CURSOR, "read/1": replace(CURSOR, seen=10), "uuid/1": replace(CURSOR, seen=9)})
    assert [warning.count for warning in catch_up(two, stats(), NOBODY, NOBODY).warnings] == [3, 1]


def test_the_cursor_of_what_is_gone_is_kept_for_a_day_in_case_it_comes_back() -> None:
    gone = catch_up(position(), stats(at=AT + 5), NOBODY, NOBODY).position
    back = catch_up(gone, stats(SHARD, at=AT + 100), frozenset({"uuid"}), NOBODY)
    assert back.position.cursors[SHARD.key] == replace(CURSOR)
    assert catch_up(gone, stats(at=AT + 5 + 86_399), NOBODY, NOBODY).position.cursors == gone.cursors
    assert catch_up(gone, stats(at=AT + 5 + 86_400), NOBODY, NOBODY).position.cursors == {}


def test_a_reader_at_rest_has_read_up_to_the_last_statistics() -> None:
    resting = position(replace(CURSOR, seq=10))
    assert resting.read_to(stats(SHARD, at=AT + 500)) == AT + 500
    assert position().read_to(stats(SHARD, at=AT + 500)) == AT
    assert resting.read_to(stats(replace(SHARD, history="another"), at=AT + 500)) == AT
    assert (TailPosition(AT).read_to(None), TailPosition(AT).read_to(stats(at=AT + 500))) == (AT, AT + 500)


def test_the_moment_of_a_reader_at_rest_is_stored_only_now_and_then() -> None:
    resting = position(replace(CURSOR, seq=10))
    assert catch_up(resting, stats(SHARD, at=AT + COARSE - 1), frozenset({"uuid"}), NOBODY).position == resting
    deferred = catch_up(resting, stats(SHARD, at=AT + COARSE), frozenset({"uuid"}), NOBODY).position
    assert deferred == TailPosition(AT + COARSE, {SHARD.key: replace(CURSOR, seq=10, at=AT + COARSE)})


@pytest.mark.parametrize(
    ("mine", "joins"),
    [
        (CURSOR, True),
        (replace(CURSOR, seq=6), True),
        (replace(CURSOR, seq=4, seen=99), False),
        (replace(CURSOR, history="another"), False),
    ],
)
def test_a_reader_joins_another_that_it_has_reached_in_every_shard(mine: Cursor, joins: bool) -> None:
    assert reached(position(mine), position()) is joins
    assert not reached(TailPosition(AT), position())
