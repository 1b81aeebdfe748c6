"""Failovers over one PostgreSQL, and the judge of them; `make prove SETUP=failover` has pauses and partitions, too."""

from pathlib import Path

import pytest

from testbed.servers.required import required
from tests.proof.failover import LEASE, TIMEOUT, WEBHOOKS, Failover, Sent, judge, run
from tests.proof.oracle import say

PAUSE = Failover("pause", 0, 10.0, 30.0)
KILL = Failover("kill", 0, 10.0, 30.0)


def sent(*by: tuple[int, float]) -> list[Sent]:
    """Return requests of one event each, by agent and time, to each webhook."""
    return [Sent(agent, name, f"e{number}", at) for name in WEBHOOKS for number, (agent, at) in enumerate(by)]


def test_a_takeover_in_time_is_right() -> None:
    found = judge(sent((0, 9.0), (1, 22.0)), [PAUSE], 2)
    assert (found.wrong, found.seconds) == ([], {"pause": [12.0] * len(WEBHOOKS)})


@pytest.mark.parametrize(
    ("requests", "failover", "events", "says"),
    [
        (((0, 9.0), (1, 26.0)), KILL, 2, "nobody took over within 16.0 s of the kill"),
        (((0, 9.0), (1, 20.0)), KILL, 3, "1 events are lost"),
        (((0, 9.0), (1, 20.0), (0, 30.5)), PAUSE, 3, "a stale owner sent 1 requests"),
        (((0, 9.0), (1, 20.0), (0, 10.5 + LEASE + TIMEOUT)), PAUSE, 3, "a stale owner sent 1 requests"),
    ],
)
def test_what_is_wrong_with_a_failover_is_noticed(
    requests: tuple[tuple[int, float], ...], failover: Failover, events: int, says: str
) -> None:
    assert all(says in wrong for wrong in judge(sent(*requests), [failover], events).wrong)
    assert judge(sent(*requests), [failover], events).wrong


def test_more_doubles_than_were_in_flight_are_noticed() -> None:
    twice = sent((0, 9.0), (1, 20.0)) * 4
    assert any("were doubled" in wrong for wrong in judge(twice, [KILL], 2).wrong)


@pytest.mark.server
def test_agents_take_over_from_one_that_is_killed_paused_or_cut_off(tmp_path: Path) -> None:
    with required():
        found = run(tmp_path, count=3, seed=1, say=say)
    assert found.wrong == []
    assert found.seconds.keys() == {"kill", "pause", "partition"}
