"""Heartbeats of loops, by a clock that the test moves."""

import pytest

from sew_agent.base.health import Health
from tests.clocks import ManualClock


def test_a_loop_is_late_only_after_its_limit(clock: ManualClock, health: Health) -> None:
    heartbeat = health.heartbeat("poller", limit=30.0)
    clock.now += 30.0
    assert health.stalled() == {}
    clock.now += 1.0
    assert health.stalled() == {"poller": "no progress for 31 s"}
    heartbeat.beat()
    assert health.stalled() == {}


def test_a_loop_that_a_mistake_has_ended_is_named_with_its_place_and_without_the_errors_text(health: Health) -> None:
    heartbeat = health.heartbeat("poller", limit=30.0)
    with pytest.raises(ValueError, match="secret") as raised:
        int("secret")
    heartbeat.fail(raised.value)
    heartbeat.beat()
    problem = health.stalled()["poller"]
    assert problem.startswith("ended by a mistake of this program, please report it: ValueError at test_health.py:")
    assert "secret" not in problem


def test_work_with_an_end_is_late_only_while_it_lasts_or_when_an_error_ended_it(
    clock: ManualClock, health: Health
) -> None:
    with health.during("work", limit=30.0):
        clock.now += 31.0
        assert health.stalled() == {"work": "no progress for 31 s"}
    assert health.stalled() == {}
    with pytest.raises(RuntimeError), health.during("work", limit=30.0):
        raise RuntimeError
    clock.now += 31.0
    assert health.stalled() == {"work": "no progress for 31 s"}
