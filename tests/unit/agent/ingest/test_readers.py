"""Readers: which cursors are read together, and whose they are."""

from sew_agent.ingest.readers import SHARED, Cursors, Reader, backfill_cursor, dedicated_cursor, until_cursor
from tests.unit.agent.ingest.harness import FakeStore


def cursors(**positions: str) -> Cursors:
    """Return cursors of a store with the shared position 9 and these: `webhook_a` is the dedicated cursor of `a`."""
    store = FakeStore()
    store.kept = {SHARED: "9"} | {name.replace("_", ":", 1): position for name, position in positions.items()}
    return Cursors(store)  # type: ignore[arg-type]


def test_a_dedicated_and_a_backfill_cursor_at_one_position_are_read_apart() -> None:
    """Each ends elsewhere and by other rules, and one webhook may have both."""
    there = cursors(webhook_a="3", past_a="3", past_b="3", past_c="4")
    assert there.readers(there.positions) == [
        Reader("9", {"": SHARED}),
        Reader("3", {"a": dedicated_cursor("a")}),
        Reader("3", {"a": backfill_cursor("a"), "b": backfill_cursor("b")}),
        Reader("4", {"c": backfill_cursor("c")}),
    ]


def test_backfills_that_end_at_different_positions_are_read_apart() -> None:
    there = cursors(past_a="3", past_b="3", until_b="5")
    assert there.readers([backfill_cursor("a"), backfill_cursor("b")]) == [
        Reader("3", {"a": backfill_cursor("a")}),
        Reader("3", {"b": backfill_cursor("b")}),
    ]


def test_a_webhook_has_its_dedicated_cursor_or_the_shared_one_and_its_backfills() -> None:
    there = cursors(webhook_a="3", past_a="4", until_a="5", past_c="6", until_c="7")
    assert there.of_webhooks({"a", "b"}) == {"a": [dedicated_cursor("a"), backfill_cursor("a")], "b": [SHARED]}


def test_only_cursors_of_those_webhooks_are_beside_the_shared_one() -> None:
    there = cursors(webhook_a="3", past_b="4", until_b="5", past_c="6")
    held = [dedicated_cursor("b"), dedicated_cursor("c"), SHARED]
    assert there.others({"a", "b"}, held) == [dedicated_cursor("a"), backfill_cursor("b"), dedicated_cursor("b")]


def test_the_reader_of_the_others_stands_where_all_stood_and_the_shared_one_reads_on_for_nobody() -> None:
    beside = Reader("3", {"a": "past:a", "b": "past:b"})
    assert beside.without({"a"}) == Reader("3", {"b": "past:b"})
    assert beside.without({"a", "b"}) == Reader("3", {})
    assert Reader("9", {"a": SHARED}).without({"a"}) == Reader("9", {"": SHARED})


def test_only_a_stretch_that_was_left_ends_early() -> None:
    there = cursors(past_a="3", until_a="5", past_b="3", webhook_a="4")
    assert [there.ends_early(cursor) for cursor in there.positions] == [False, True, False, False, False]
    assert (there.goal(backfill_cursor("a")), there.goal(backfill_cursor("b"))) == ("5", "9")
    assert until_cursor(backfill_cursor("a", 2)) == "until:a 2"


def test_the_shared_reader_has_no_end_whatever_a_webhook_is_called() -> None:
    there = cursors(past_common="3", until_common="5")
    assert (there.fixed_goal(SHARED), there.fixed_goal(backfill_cursor(SHARED))) == (None, "5")
