"""Pauses that double with each failure in a row."""

import pytest

from sew_agent.base.backoff import doubled


@pytest.mark.parametrize(
    ("times", "seconds"),
    [(0, 3.0), (1, 6.0), (4, 48.0), (32, 3.0 * 2**32), (33, 3.0 * 2**32), (100_000, 3.0 * 2**32)],
)
def test_a_pause_doubles_with_each_failure_and_no_number_of_them_is_too_many(times: int, seconds: float) -> None:
    assert doubled(3.0, times, longest=1e12) == seconds
    assert doubled(3.0, times, longest=40.0) == min(seconds, 40.0)
