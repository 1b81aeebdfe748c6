"""Health under a clock that the test moves."""

import pytest

from sew_agent.base.health import Health
from tests.clocks import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(100.0)


@pytest.fixture
def health(clock: ManualClock) -> Health:
    return Health(clock)
