"""A pace for receivers that refuse, against simulated ones that take so many requests in so many seconds."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from sew_agent.delivery.pace import Pace


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
