"""The leader elector over an API server that is made up, by a clock that is moved by hand."""

import io
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sew_agent.base.health import Heartbeat
from sew_agent.base.log import Log
from sew_agent.kubernetes.context import ClusterContext
from sew_agent.kubernetes.leader_election import LeaderElector
from sew_agent.kubernetes.lease import LEASE_DURATION, Identity
from sew_agent.kubernetes.lease_client import LeaseClient
from sew_agent.kubernetes.paths import WebhookPath
from sew_agent.kubernetes.problems import Problems
from tests.unit.agent.kubernetes.lease_server import LeaseServer
from tests.waiting import eventually


class ElectorHarness:
    """An elector that asks whenever it is let, and has become the leader."""

    def __init__(self, lease: Mapping[str, Any] | None = None) -> None:
        self.now = 1_000.0
        self.server: Any = LeaseServer()
        self.server.lease = dict(lease or {})
        log = Log(io.StringIO(), lambda: 0.0)
        path = WebhookPath(self.server, "")
        context = ClusterContext(self.server, path, Problems(log), log, monotonic=self._monotonic)
        lease_client = LeaseClient(context, "n", Identity("n/me", "mine"))
        self.elector = LeaderElector(
            context, lease_client, on_another_store=lambda: None, heartbeat=Heartbeat(1.0, float)
        )
        self.elector.start()
        eventually(lambda: self.elector.is_leader, "it has the Lease")

    def _monotonic(self) -> float:
        """Return a time that goes on by itself only while a holder that is gone is waited for."""
        self.now += 0.5 if self.server.lease.get("spec", {}).get("holderIdentity") == "n/gone" else 0.0
        return self.now

    def await_requests(self) -> None:
        before = self.server.requests
        eventually(lambda: self.server.requests > before + 2, "it asks again")


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Iterator[ElectorHarness]:
    monkeypatch.setattr("sew_agent.kubernetes.leader_election.RETRY_PERIOD", 0.01)
    made = ElectorHarness()
    yield made
    made.elector.release()


def test_a_leader_that_paused_for_as_long_as_the_lease_lasts_is_the_leader_again_when_it_has_asked(
    harness: ElectorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    leading: list[bool] = []
    get = harness.server.get

    def pause(path: str) -> dict[str, Any]:
        if not leading:
            harness.now += LEASE_DURATION
            leading.append(harness.elector.is_leader)
        lease: dict[str, Any] = get(path)
        return lease

    monkeypatch.setattr(harness.server, "get", pause)
    eventually(lambda: leading, "it pauses")
    assert leading == [False]
    eventually(lambda: harness.elector.is_leader, "it has asked")


def test_a_leader_that_reads_anothers_name_is_not_the_leader_any_more(harness: ElectorHarness) -> None:
    spec = {"holderIdentity": "n/thief", "renewTime": "2030-01-01T00:00:00Z", "leaseDurationSeconds": 3600}
    harness.server.lease = {"metadata": {"annotations": {}, "resourceVersion": "2"}, "spec": spec}
    eventually(lambda: not harness.elector.is_leader, "it reads the thief's name")


def test_a_leader_that_cannot_reach_the_api_server_stays_the_leader(harness: ElectorHarness) -> None:
    harness.server.away = True
    for _ in range(3):
        harness.now += LEASE_DURATION / 2
        harness.await_requests()
        assert harness.elector.is_leader


def test_a_lease_that_its_holder_released_is_read_again_when_its_short_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sew_agent.kubernetes.leader_election.RETRY_PERIOD", 3600.0)
    spec = {"holderIdentity": "n/gone", "renewTime": "2026-01-01T00:00:00Z", "leaseDurationSeconds": 1}
    harness = ElectorHarness({"metadata": {"annotations": {}, "resourceVersion": "2"}, "spec": spec})
    harness.elector.release()
