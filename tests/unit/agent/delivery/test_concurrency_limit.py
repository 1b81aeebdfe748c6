"""How many requests a webhook may have in flight, against simulated receivers that crowd, slow down and refuse."""

import heapq
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from sew_agent.delivery.concurrency_limit import FIRST, TOLERANCE, ConcurrencyLimit

MOST = 256


def run(limit: ConcurrencyLimit, takes: Callable[[int], float], seconds: float, now: float = 0.0) -> list[int]:
    """Keep as many requests in flight as the limit allows; return how many those are at each answer.

    `takes`: requests in flight -> seconds of an answer, or a negative number of those after which it fails.
    """
    flying: list[tuple[float, float, bool]] = []
    seen, ends = [], now + seconds
    while now < ends:
        while len(flying) < min(limit.allowed, MOST):
            took = takes(len(flying) + 1)
            heapq.heappush(flying, (now + abs(took), now, took < 0))
        now, started, failed = heapq.heappop(flying)
        if failed:
            limit.failed(started, now)
        else:
            limit.answered(started, now, len(flying) + 1)
        seen.append(limit.allowed)
    return seen


def serves(at_once: int, seconds: float) -> Callable[[int], float]:
    """Return a receiver that works on so many requests at once, and lets the others wait."""
    return lambda in_flight: seconds * max(in_flight / at_once, 1.0)


def test_a_receiver_that_takes_any_number_meets_as_many_as_there_may_be_within_seconds() -> None:
    assert max(run(ConcurrencyLimit(), lambda _: 0.2, 2.0)) >= MOST


@settings(max_examples=15, deadline=None)
@given(at_once=st.integers(8, 150), seconds=st.floats(0.1, 2.0))
def test_a_receiver_that_lets_requests_wait_is_kept_busy_without_a_crowd(at_once: int, seconds: float) -> None:
    seen = run(ConcurrencyLimit(), serves(at_once, seconds), 60 * seconds)
    settled = seen[len(seen) // 2 :]
    slack = 0.05 / seconds
    assert min(max(settled), MOST) <= 1.3 * at_once * (TOLERANCE + slack) + 2 * FIRST
    assert sum(settled) / len(settled) >= min(at_once, MOST) * 0.8


def test_a_failure_halves_the_limit_once_for_all_that_were_in_flight_together() -> None:
    limit = ConcurrencyLimit(limit=64.0)
    for _ in range(20):
        limit.failed(10.0, 11.0)
    assert limit.allowed == 32
    limit.failed(11.5, 12.0)
    assert limit.allowed == 16


def test_a_receiver_that_fails_above_a_number_is_met_below_it_and_tried_again() -> None:
    seen = run(ConcurrencyLimit(), lambda in_flight: 0.2 if in_flight <= 40 else -0.2, 60.0)
    settled = seen[len(seen) // 2 :]
    assert max(settled) <= 41 + FIRST
    assert sum(settled) / len(settled) >= 20


@settings(max_examples=5, deadline=None)
@given(slower=st.floats(2.5, 20.0))
def test_a_receiver_that_becomes_slower_by_itself_is_found_again(slower: float) -> None:
    limit = ConcurrencyLimit()
    run(limit, lambda _: 0.2, 5.0)
    seen = run(limit, lambda _: 0.2 * slower, 100 * 0.2 * slower, now=100.0)
    assert max(seen[-100:]) >= MOST / 2


def test_no_more_is_allowed_than_was_used() -> None:
    limit = ConcurrencyLimit()
    for second in range(1000):
        limit.answered(second, second + 0.2, 1)
    assert limit.allowed == FIRST


def test_an_answer_over_a_clock_that_was_set_back_says_nothing() -> None:
    limit = ConcurrencyLimit()
    limit.answered(1000.0, 10.0, 4)
    assert limit == ConcurrencyLimit()


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 2000)), max_size=200))
def test_there_is_always_room_for_one(history: list[tuple[bool, float, float, int]]) -> None:
    limit = ConcurrencyLimit()
    for answered, started, now, in_flight in history:
        if answered:
            limit.answered(started, now, in_flight)
        else:
            limit.failed(started, now)
        assert limit.allowed >= 1
