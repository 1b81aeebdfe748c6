"""Pages of a replay: small for a slow receiver, large where all is known, and never the same one for ever."""

from sew_agent.ingest.replay_pace import ReplayPace


def test_pages_follow_how_long_the_last_one_took() -> None:
    pace = ReplayPace(100)
    sizes = []
    for seconds in (1.0, 1.0, 3.0, 5.0, 9.0, 9.0, 9.0, 9.0, 9.0, 1.0):
        pace.enqueued(pace.limit, 0.0)
        pace.tried(seconds)
        sizes.append(pace.limit)
    assert sizes == [16, 32, 32, 16, 8, 4, 2, 2, 2, 4]


def test_pages_of_known_events_grow_and_one_with_too_many_new_ones_is_read_again_in_small_ones() -> None:
    pace = ReplayPace(100)
    for _ in range(5):
        pace.enqueued(0, 0.0)
    assert pace.limit == 100
    assert pace.is_too_much(9)
    assert pace.limit == 8
    pace.enqueued(0, 0.0)  # as where a search begins anew, or the new ones are at the page's end
    assert pace.limit == 8
    assert not pace.is_too_much(8)
    pace.enqueued(8, 0.0)
    pace.enqueued(0, 0.0)
    assert pace.limit == 16


def test_a_page_of_the_least_size_is_never_too_much() -> None:
    """A source may give more than it was asked for."""
    pace = ReplayPace(100)
    assert not pace.is_too_much(50)
