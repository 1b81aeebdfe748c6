"""A copy of a collection that errors do not empty."""

from sew_agent.kubernetes.cache import UNDO, ResourceCache

BELIEVE = 600.0


def full() -> ResourceCache[int]:
    made: ResourceCache[int] = ResourceCache(BELIEVE)
    made.listed({"a": 1, "b": 2}, 0.0)
    return made


def test_what_is_listed_changed_and_deleted_is_followed() -> None:
    holding = full()
    holding.put("c", 3)
    holding.delete("a", 1.0)
    assert holding.objects == {"b": 2, "c": 3}
    holding.listed({}, 2.0)
    assert holding.objects == {}
    assert not holding.stale


def test_what_comes_again_as_it_was_is_no_news() -> None:
    holding = full()
    assert not holding.put("a", 1)
    assert holding.put("a", 2)
    assert holding.put("c", 3)
    holding.failed()
    holding.listed({}, 10.0)
    assert holding.put("a", 2)


def test_an_empty_list_after_an_error_is_not_believed_for_a_while() -> None:
    holding = full()
    holding.failed()
    holding.listed({}, 10.0)
    holding.resumed()
    holding.listed({}, 11.0)
    assert holding.objects == {"a": 1, "b": 2}
    assert holding.stale
    assert not holding.look(10.0 + BELIEVE - 1)
    assert holding.look(10.0 + BELIEVE)
    assert (holding.objects, holding.stale) == ({}, False)


def test_the_first_object_after_a_doubted_list_says_that_the_others_are_gone() -> None:
    holding = full()
    holding.failed()
    holding.listed({}, 10.0)
    holding.put("a", 4)
    holding.resumed()
    assert (holding.objects, holding.stale) == ({"a": 4}, False)


def test_a_list_that_is_not_empty_is_believed_after_an_error_too() -> None:
    holding = full()
    holding.failed()
    holding.listed({"b": 2}, 10.0)
    assert holding.objects == {"b": 2}


def test_what_went_with_its_kind_comes_back_and_what_was_deleted_before_does_not() -> None:
    holding = full()
    holding.delete("a", 0.0)
    holding.delete("b", UNDO + 1)
    holding.lost(UNDO + 2)
    assert holding.objects == {"b": 2}
    assert holding.stale


def test_going_on_where_reading_stopped_leaves_no_doubt() -> None:
    holding = full()
    holding.failed()
    assert holding.stale
    holding.resumed()
    assert not holding.stale
    holding.listed({}, 5.0)
    assert holding.objects == {}
