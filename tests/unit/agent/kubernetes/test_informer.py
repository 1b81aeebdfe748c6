"""The pauses of an informer whose server is away."""

import pytest

from sew_agent.kubernetes.informer import LONGEST_PAUSE, pause_after


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 1.0), (2, 2.0), (3, 4.0), (4, LONGEST_PAUSE), (100_000, LONGEST_PAUSE)]
)
def test_a_server_that_is_away_is_asked_again_after_pauses_that_double(failures: int, seconds: float) -> None:
    assert pause_after(failures) == seconds
