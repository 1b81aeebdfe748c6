"""Clocks of the system."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sew_agent.base.clocks import ProcessorTime


@given(st.lists(st.tuples(st.floats(0, 0.01), st.floats(0, 1))))
def test_the_processors_time_is_some_milliseconds_too_much_at_most_and_seldom_asked_for(
    passes: list[tuple[float, float]],
) -> None:
    now, worked, asked = [100.0], [5.0], list[float]()

    def ask() -> float:
        asked.append(now[0])
        return worked[0]

    processor_time = ProcessorTime(ask, lambda: now[0])
    for seconds, share in passes:
        now[0] += seconds
        worked[0] += seconds * share
        assert worked[0] - 1e-9 <= processor_time() <= worked[0] + 0.002 + 1e-9
    assert all(after - before >= 0.002 for before, after in pairwise(asked))
