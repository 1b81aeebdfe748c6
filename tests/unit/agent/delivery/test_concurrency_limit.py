"""How many requests a webhook may have in flight, against simulated receivers that crowd, slow down and refuse."""

import heapq
from collections.abc import Callable

import pytest
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


def answered(limit: ConcurrencyLimit, *seconds: float, in_flight: int) -> ConcurrencyLimit:
    """Count answers that took so long."""
    for took in seconds:
        limit.answered(0.0, took, in_flight)
    return limit


def test_each_answer_adds_one_at_the_beginning_where_at_least_half_were_in_flight() -> None:
    assert answered(ConcurrencyLimit(8.0, left=99), 0.2, in_flight=4).limit == 9.0
    assert answered(ConcurrencyLimit(8.0, left=99), 0.0, in_flight=4).limit == 9.0
    assert answered(ConcurrencyLimit(8.0, left=99), 0.2, in_flight=3).limit == 8.0


def test_once_something_was_too_much_all_answers_together_add_four() -> None:
    assert answered(ConcurrencyLimit(32.0, beginning=False, left=99), 0.2, in_flight=32).limit == 32.0 + 4.0 / 32.0


def test_nothing_is_added_after_a_crowd_until_answers_are_quick_again() -> None:
    crowd = ConcurrencyLimit(32.0, beginning=False, crowded=True, uncrowded=0.2, left=3)
    assert answered(crowd, 0.4, 0.4, in_flight=32).limit == 32.0
    assert answered(crowd, 0.4, 0.4, in_flight=32).limit == 32.0 + 4.0 / 32.0


@pytest.mark.parametrize(("mean", "limit"), [(0.45, 20.0), (0.6, 15.0), (0.9, 10.0), (9.0, 10.0)])
def test_a_crowd_takes_as_much_as_its_answers_are_too_slow_and_at_most_half(mean: float, limit: float) -> None:
    """Answers without a crowd take 0.2 s here: twice that, and 0.05 s, is no crowd yet."""
    made = ConcurrencyLimit(20.0, beginning=False, crowded=True, uncrowded=0.2, left=4)
    answered(made, mean, mean, mean, mean, in_flight=20)
    assert made.limit == pytest.approx(limit)
    assert (made.crowded, made.beginning, made.uncrowded) == (mean > 0.45, False, 0.2)


def test_a_crowd_ends_the_beginning_and_leaves_as_many_as_never_crowd() -> None:
    made = answered(ConcurrencyLimit(5.0, uncrowded=0.2, left=1), 2.0, in_flight=5)
    assert (made.limit, made.beginning) == (FIRST, False)


def test_what_an_uncrowded_answer_takes_is_the_mean_of_the_first_four() -> None:
    made = answered(ConcurrencyLimit(beginning=False), 0.1, 0.2, 0.4, in_flight=1)
    assert made.uncrowded == 0.0
    answered(made, 0.5, in_flight=4)
    assert (made.uncrowded, made.beginning) == (pytest.approx(0.3), True)


def test_the_first_answers_are_no_crowd_however_many_were_in_flight() -> None:
    made = answered(ConcurrencyLimit(64.0, left=1), 0.5, in_flight=10)
    assert (made.uncrowded, made.crowded) == (0.5, False)


@pytest.mark.parametrize(
    ("in_flight", "mean", "uncrowded", "beginning"),
    [
        (4, 0.46, 0.46, True),
        (4, 0.45, 0.25, False),
        (4, 0.1, 0.18, False),
        (5, 0.1, 0.18, False),
        (5, 0.2, 0.2, False),
        (5, 0.4, 0.2, False),
    ],
)
def test_what_an_uncrowded_answer_takes_is_learnt_only_where_it_is_certain(
    in_flight: int, mean: float, uncrowded: float, beginning: bool
) -> None:
    """It was 0.2 s. Slow answers to few requests, and quick ones to many, come from the receiver itself."""
    made = answered(ConcurrencyLimit(64.0, beginning=False, uncrowded=0.2, left=1), mean, in_flight=in_flight)
    assert made.uncrowded == pytest.approx(uncrowded)
    assert (made.beginning, made.crowded) == (beginning, False)


def test_a_mean_is_that_of_as_many_answers_as_may_be_in_flight_and_at_least_sixteen() -> None:
    made = answered(ConcurrencyLimit(40.0, uncrowded=0.2, left=2), 0.2, 0.2, in_flight=1)
    assert (made.left, made.answers, made.seconds, made.most) == (40, 0, 0.0, 0)
    made.failed(1001.0, 1002.0)
    made.failed(1002.0, 1003.0)
    assert (made.limit, made.left) == (10.0, 16)
    answered(made, 0.2, 0.2, in_flight=3)
    assert (made.answers, made.seconds, made.most) == (2, pytest.approx(0.4), 3)
    made.failed(1003.0, 1004.0)
    assert (made.answers, made.seconds, made.most) == (0, 0.0, 0)


def test_a_failure_says_nothing_where_its_request_began_before_the_last_one() -> None:
    made = ConcurrencyLimit(2.0)
    made.failed(10.0, 11.0)
    made.failed(10.9, 20.0)
    assert (made.limit, made.cut_at, made.beginning) == (1.0, 11.0, False)
    made.failed(11.0, 21.0)
    assert (made.limit, made.cut_at) == (1.0, 21.0)


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
def test_a_clock_that_is_set_changes_nothing_of_what_a_failure_says(seconds: float) -> None:
    limit = ConcurrencyLimit(limit=16.0)
    limit.failed(started=9_999.0, now=10_000.0)
    limit.shift(seconds)
    limit.failed(started=9_999.5 + seconds, now=10_001.0 + seconds)
    assert limit.allowed == 8, "it was in flight with the one that failed before"
    limit.failed(started=10_000.5 + seconds, now=10_001.0 + seconds)
    assert limit.allowed == 4
