"""A pace for receivers that refuse, against simulated ones that take so many requests in so many seconds."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sew_agent.delivery.pace import BELOW, Pace


@dataclass
class LimitedReceiver:
    """A receiver that takes so many in a window, and asks to wait for so long otherwise. Requests take no time."""

    limit: int
    window: float = 1.0
    retry_after: float = 1.0
    at: dict[int, int] = field(default_factory=dict)
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def takes(self, now: float) -> bool:
        number = int(now / self.window)
        self.at[number] = self.at.get(number, 0) + 1
        (self.accepted if self.at[number] <= self.limit else self.refused).append(now)
        return self.at[number] <= self.limit


def run(pace: Pace, receiver: LimitedReceiver, seconds: float, *, every: float = 0.001, now: float = 1000.0) -> float:
    """Send one request after the other as fast as the pace allows; return the time at the end."""
    ends = now + seconds
    while now < ends:
        now += max(pace.delay(now), every)
        pace.start(now)
        if receiver.takes(now):
            pace.accept()
        else:
            pace.refuse(now, now, receiver.retry_after)
            now += receiver.retry_after
    return now


def rate(times: list[float], since: float, until: float) -> float:
    return sum(1 for at in times if since <= at < until) / (until - since)


def test_without_a_refusal_there_is_no_pace() -> None:
    receiver = LimitedReceiver(10**9)
    run(Pace(), receiver, 10.0)
    assert len(receiver.accepted) >= 9_900


def test_one_refusal_alone_makes_no_pace() -> None:
    pace = Pace()
    pace.start(0.5)
    pace.accept()
    pace.refuse(1.0, 1.0, 60.0)
    assert pace.delay(61.0) == 0.0


@settings(max_examples=15, deadline=None)
@given(limit=st.integers(5, 200), window=st.sampled_from([1.0, 2.0]))
def test_a_pace_stays_near_what_the_receiver_takes(limit: int, window: float) -> None:
    receiver = LimitedReceiver(limit, window)
    run(Pace(), receiver, 310.0)
    takes = limit / window
    assert rate(receiver.accepted, 1010.0, 1300.0) >= 0.8 * takes
    assert rate(receiver.refused, 1010.0, 1300.0) <= 0.1, "where honouring alone meets one at every pause"


def test_above_50_a_second_at_least_45_are_taken_from_the_tenth_second_on() -> None:
    receiver = LimitedReceiver(50)
    run(Pace(), receiver, 310.0)
    assert rate(receiver.accepted, 1010, 1310) >= 45.0
    assert rate(receiver.accepted, 1010, 1030) >= 45.0


def test_a_receiver_that_takes_less_than_before_is_found_again() -> None:
    pace = Pace()
    now = run(pace, LimitedReceiver(50), 20.0)
    receiver = LimitedReceiver(5)
    run(pace, receiver, 60.0, now=now)
    assert rate(receiver.accepted, now + 10, now + 60) >= 2.5
    assert rate(receiver.refused, now + 10, now + 60) <= 0.2


def test_a_receiver_that_takes_more_than_before_is_found_again() -> None:
    pace = Pace()
    now = run(pace, LimitedReceiver(5), 20.0)
    receiver = LimitedReceiver(10**9)
    run(pace, receiver, 600.0, now=now)
    assert rate(receiver.accepted, now + 500, now + 600) >= 100


def test_several_refusals_of_requests_in_flight_together_are_one() -> None:
    one, several = Pace(), Pace()
    for pace, times in ((one, 1), (several, 5)):
        for now in (1.0, 3.0):
            pace.start(now)
            pace.accept()
            for _ in range(times):
                pace.refuse(now, now, 1.0)
    assert one == several


def test_of_several_pauses_the_longest_counts() -> None:
    pace = Pace()
    for now in (1.0, 62.0):
        pace.start(now)
        pace.accept()
        for pause in (30.0, 60.0, 10.0):
            pace.refuse(now, now, pause)
    assert pace.delay(121.0) > 0
    assert pace.delay(122.0) == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(["start", "accept", "refuse"]), st.floats(0, 1e9), st.floats(0, 1e5)), max_size=100
    )
)
def test_a_pause_always_ends_however_the_clock_is_set(history: list[tuple[str, float, float]]) -> None:
    pace = Pace()
    for what, now, pause in history:
        if what == "refuse":
            pace.refuse(now, now, pause)
        elif what == "start":
            pace.start(now)
        else:
            pace.accept()
        assert 0.0 <= pace.delay(now) < float("inf")


def refused_twice(accepted: int = 10) -> Pace:
    """Return a pace of two refusals, at 100 s and 104 s, each with a pause of 2 s."""
    pace = Pace()
    pace.start(100.0)
    pace.refuse(100.0, 100.0, 2.0)
    for _ in range(accepted):
        pace.start(103.0)
        pace.accept()
    pace.start(104.0)
    pace.refuse(104.0, 104.0, 2.0)
    return pace


def test_a_pace_is_what_was_accepted_from_the_end_of_one_pause_to_the_end_of_the_next() -> None:
    pace = refused_twice()
    assert pace.rate == 10 / 4.0
    assert [pace.delay(now) for now in (105.0, 105.75, 106.0)] == [0.4, 0.25, 0.0]
    assert refused_twice(0).delay(104.0) == 0.0


def test_a_pace_may_come_of_less_than_a_second() -> None:
    pace = Pace()
    pace.refuse(100.0, 100.0, 0.0)
    for _ in range(3):
        pace.accept()
    pace.refuse(100.5, 100.5, 0.0)
    assert pace.rate == 6.0


def test_a_request_that_is_late_by_less_than_half_an_interval_costs_no_time() -> None:
    pace = refused_twice()
    pace.start(106.1)
    assert pace.next_at == pytest.approx(106.4)
    pace.start(106.7)
    assert pace.next_at == pytest.approx(106.9)


def test_what_was_in_flight_at_a_refusal_adds_to_the_pause_and_says_nothing_of_the_pace() -> None:
    pace = refused_twice()
    pace.accept()
    pace.refuse(105.9, 107.0, 2.0)
    assert (pace.rate, pace.accepted, pace.since, pace.next_at) == (2.5, 1, 109.0, 109.0)
    pace.refuse(109.0, 109.0, 2.0)
    assert (pace.rate, pace.accepted) == (pytest.approx(2.5 * BELOW), 0)


def test_after_ten_seconds_without_a_request_a_refusal_is_a_first_one() -> None:
    for rest, known in ((10.0, True), (10.5, False)):
        pace = Pace()
        pace.start(100.0)
        pace.refuse(100.0, 100.0, 2.0)
        pace.start(102.0 + rest)
        pace.accept()
        pace.refuse(102.0 + rest, 102.0 + rest, 2.0)
        assert (pace.rate < 1e6) is known


def test_each_refusal_of_a_pace_soon_after_another_takes_more_of_it() -> None:
    pace = refused_twice()
    parts = []
    now = 106.0
    for _ in range(9):
        before = pace.rate
        pace.accept()
        pace.refuse(now, now, 2.0)
        parts.append(pace.rate / before)
        now += 3.0
    expected = [BELOW**power for power in (1, 2, 4, 8, 8, 8, 8, 8, 8)]
    assert parts == pytest.approx(expected)
    for later in (now + 9.0, now + 12.0):
        pace.accept()
        before = pace.rate
        pace.refuse(later, later, 2.0)
        assert pace.rate / before == pytest.approx(BELOW), "ten seconds after a pause it is a first one"


def test_a_pace_that_was_never_refused_grows_by_three_per_cent_a_second() -> None:
    pace = refused_twice()
    assert pace.delay(106.0) == 0.0
    assert pace.rate == 2.5
    pace.delay(107.0)
    assert pace.rate == pytest.approx(2.5 * 1.03)
    pace.delay(109.0)
    assert pace.rate == pytest.approx(2.5 * 1.03**3)


def test_a_pace_that_was_refused_stays_for_a_minute_and_grows_by_one_per_cent_a_second_then() -> None:
    pace = refused_twice()
    pace.accept()
    pace.refuse(106.0, 106.0, 2.0)
    pace.delay(168.0)
    assert pace.rate == pytest.approx(2.5 * BELOW)
    pace.delay(170.0)
    assert pace.rate == pytest.approx(2.5 * BELOW * 1.01**2)
    pace.delay(171.0)
    assert pace.rate == pytest.approx(2.5 * BELOW * 1.01**3)


def test_a_rest_of_hours_lets_a_pace_grow_like_one_of_a_thousand_seconds() -> None:
    pace = refused_twice()
    pace.accept()
    pace.refuse(106.0, 106.0, 2.0)
    pace.delay(100_000.0)
    assert pace.rate == pytest.approx(2.5 * BELOW * 1.01**1000)


def test_a_pace_ends_where_it_has_grown_beyond_any_number() -> None:
    pace = refused_twice()
    assert pace.delay(106.0 + 1000.0) == 0.0
    assert pace.rate == 1e6
    pace.start(1106.0)
    assert pace.delay(1106.0) == 0.0


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
@pytest.mark.parametrize("known", [False, True])
def test_a_clock_that_is_set_changes_no_pace(seconds: float, known: bool) -> None:
    paces = Pace(), Pace()
    nows = [run(pace, LimitedReceiver(10, window=2.0), 300.0 if known else 5.0, now=10_000.0) for pace in paces]
    paces[1].shift(seconds)
    delays: list[list[float]] = [[], []]
    for pace, now, shift, waited in zip(paces, nows, (0.0, seconds), delays, strict=True):
        for step in range(90):
            waited.append(pace.delay(now + shift + step))
            pace.start(now + shift + step)
        pace.refuse(now + shift + 89, now + shift + 90, 1.0)
        waited.append(pace.delay(now + shift + 90))
        waited.append(pace.rate)
    assert delays[1] == pytest.approx(delays[0], abs=1e-6)


def test_a_request_that_waits_for_its_turn_waits_no_longer_by_a_clock_that_is_set_twice() -> None:
    pace = Pace()
    run(pace, LimitedReceiver(1, window=1.0), 30.0, now=10_000.0)
    pace.start(20_000.0)
    before = pace.delay(20_000.0)
    assert before > 0
    pace.shift(60.0)
    pace.shift(60.0)
    assert pace.delay(20_120.0) == pytest.approx(before, abs=1e-6)


def test_a_clock_that_is_set_makes_no_first_refusal_a_second_one() -> None:
    pace = Pace()
    pace.shift(3600.0)
    pace.start(4000.0)
    pace.accept()
    pace.refuse(4000.0, 4000.0, 1.0)
    assert pace.delay(4001.0) == 0.0


def test_a_clock_that_is_set_makes_no_second_refusal_a_first_one() -> None:
    pace = Pace()
    pace.refuse(999.0, 999.0, 1.0)
    pace.start(1008.0)
    pace.accept()
    pace.start(1016.0)
    pace.shift(3600.0)
    pace.start(4624.0)
    pace.refuse(4624.0, 4624.0, 1.0)
    pace.start(4625.0)
    assert pace.delay(4625.0) > 0
