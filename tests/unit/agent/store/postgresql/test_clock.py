"""The database's clock as its agents read it."""

from hypothesis import given
from hypothesis import strategies as st

from sew_agent.store.postgresql.clock import DatabaseClock


def test_it_goes_on_by_the_steady_clock_and_is_corrected_no_further_than_an_answer_proves() -> None:
    now = [100.0]
    clock = DatabaseClock(lambda: now[0])
    clock.heard(99.0, 101.0, 5000.0)
    assert clock() == 4999.0
    now[0] += 7.0
    assert clock() == 5006.0
    clock.heard(102.0, 112.0, 5007.0)  # an answer that took long proves little
    assert clock() == 5006.0
    clock.heard(107.0, 107.0, 5007.5)
    assert clock() == 5007.5
    clock.heard(107.0, 107.5, 4000.0)  # the server's clock was set back
    assert clock() == 3999.5


WAYS = st.floats(1e-4, 5)


@given(st.lists(st.tuples(st.floats(0, 60), WAYS, WAYS), min_size=1), st.floats(0, 1e6))
def test_it_is_never_ahead_of_the_server_and_behind_it_by_the_quickest_way_back_at_most(
    answers: list[tuple[float, float, float]], started: float
) -> None:
    now = [started]
    clock, quickest = DatabaseClock(lambda: now[0]), float("inf")
    for pause, way, back in answers:  # the server's time is that of this machine, and 1,000 s
        now[0] += pause
        asked, at = now[0], now[0] + way + 1000.0
        now[0] += way + back
        clock.heard(asked, now[0], at)
        quickest = min(quickest, back)
        assert -1e-6 <= now[0] + 1000.0 - clock() <= quickest + 1e-6
