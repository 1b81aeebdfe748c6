"""Turns: how long a cursor is held, and what is forgotten with it."""

from sew_agent.ingest.readers import Reader
from sew_agent.ingest.turns import Turns


def turns(pause: float = 2.0) -> Turns:
    return Turns(pause, clock=lambda: 0.0)


def test_a_cursor_is_held_for_the_pause_where_its_read_cost_no_time() -> None:
    held = turns()
    held.hold(["a"], 100.0)
    assert [held.is_held("a", now) for now in (100.0, 101.9, 102.0)] == [True, True, False]


def test_only_those_that_are_released_or_forgotten_are_no_longer_held() -> None:
    held = turns()
    held.hold(["a", "b", "c"], 100.0)
    held.release(["a"])
    held.forget(["b"])
    assert list(held.held) == ["c"]
    assert [held.is_held(cursor, 101.0) for cursor in "abc"] == [False, False, True]


def test_one_that_was_forgotten_is_first_again() -> None:
    first, second = Reader("1", {"a": "a"}), Reader("2", {"b": "b"})
    held = turns()
    assert list(held.next_readers([first], 100.0)) == [first]
    assert list(held.next_readers([second], 50.0)) == [second]
    held.forget(["a"])
    assert list(held.next_readers([second, first], 101.0)) == [first, second]
