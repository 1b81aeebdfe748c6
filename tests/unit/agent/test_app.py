"""The main loop's pauses."""

import pytest

from agent.app import pause_after


@pytest.mark.parametrize(("failures", "seconds"), [(0, 1.0), (1, 2.0), (3, 8.0), (4, 16.0), (5, 16.0), (100_000, 16.0)])
def test_a_source_that_fails_is_tried_again_after_pauses_that_double_up_to_16_s(failures: int, seconds: float) -> None:
    assert pause_after(failures) == seconds
