"""The cache of an informer: errors do not empty it."""

from sew_agent.kubernetes.cache import UNDO, ResourceCache

BELIEVE = 600.0


def full() -> ResourceCache[int]:
    made: ResourceCache[int] = ResourceCache(BELIEVE)
    made.replace({"a": 1, "b": 2}, 0.0)
    return made


def test_lists_changes_and_deletions_are_followed() -> None:
    cache = full()
    cache.put("c", 3)
    cache.delete("a", 1.0)
    assert cache.objects == {"b": 2, "c": 3}
    cache.replace({}, 2.0)
    assert cache.objects == {}
    assert not cache.stale


def test_an_object_that_comes_again_as_it_was_is_no_news() -> None:
    cache = full()
    assert not cache.put("a", 1)
    assert cache.put("a", 2)
    assert cache.put("c", 3)
    cache.failed()
    cache.replace({}, 10.0)
    assert cache.put("a", 2)


def test_an_empty_list_after_an_error_is_not_believed_for_a_while() -> None:
    cache = full()
    cache.failed()
    cache.replace({}, 10.0)
    cache.resumed()
    cache.replace({}, 11.0)
    assert cache.objects == {"a": 1, "b": 2}
    assert cache.stale
    assert not cache.expire_doubt(10.0 + BELIEVE - 1)
    assert cache.expire_doubt(10.0 + BELIEVE)
    assert (cache.objects, cache.stale) == ({}, False)


def test_without_a_time_of_doubt_an_empty_list_is_believed_at_once() -> None:
    cache: ResourceCache[int] = ResourceCache(0.0)
    cache.replace({"a": 1}, 0.0)
    cache.failed()
    cache.replace({}, 10.0)
    assert (cache.objects, cache.doubted) == ({}, False)


def test_the_first_object_after_a_doubted_list_shows_that_the_others_are_gone() -> None:
    cache = full()
    cache.failed()
    cache.replace({}, 10.0)
    cache.put("a", 4)
    cache.resumed()
    assert (cache.objects, cache.stale) == ({"a": 4}, False)


def test_a_list_that_is_not_empty_is_believed_after_an_error_too() -> None:
    cache = full()
    cache.failed()
    cache.replace({"b": 2}, 10.0)
    assert cache.objects == {"b": 2}


def test_objects_deleted_with_their_kind_are_restored_and_those_deleted_before_are_not() -> None:
    cache = full()
    cache.delete("a", 0.0)
    cache.delete("b", UNDO + 1)
    cache.kind_removed(UNDO + 2)
    assert cache.objects == {"b": 2}
    assert cache.stale


def test_a_watch_that_goes_on_where_it_stopped_leaves_no_doubt() -> None:
    cache = full()
    cache.failed()
    assert cache.stale
    cache.resumed()
    assert not cache.stale
    cache.replace({}, 5.0)
    assert cache.objects == {}
