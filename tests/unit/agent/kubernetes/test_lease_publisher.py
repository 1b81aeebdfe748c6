"""The Lease of agents that share a store, over an API server that is made up."""

import io
from collections.abc import Iterator
from typing import Any

import pytest

from sew_agent.base.health import Heartbeat
from sew_agent.base.log import Log
from sew_agent.kubernetes.context import ClusterContext
from sew_agent.kubernetes.lease import Identity
from sew_agent.kubernetes.lease_client import LeaseClient
from sew_agent.kubernetes.lease_publisher import LeasePublisher
from sew_agent.kubernetes.paths import WebhookPath
from sew_agent.kubernetes.problems import Problems
from tests.unit.agent.kubernetes.lease_server import LeaseServer
from tests.waiting import eventually


class PublisherHarness:
    """A publisher that asks whenever it is let."""

    def __init__(self) -> None:
        self.server: Any = LeaseServer()
        self.problems = Problems(log := Log(io.StringIO(), lambda: 0.0))
        self.reads, self.asked = True, 0
        context = ClusterContext(self.server, WebhookPath(self.server, ""), self.problems, log)
        client = LeaseClient(context, "n", Identity("n/me", "shared"))
        self.publisher = LeasePublisher(client, self.problems, self._reads, Heartbeat(1.0, float))
        self.publisher.start()

    def _reads(self) -> bool:
        self.asked += 1
        return self.reads

    def read_no_more(self) -> None:
        """Let another agent read, and wait until no write of this one's is under way."""
        self.reads, before = False, self.asked
        eventually(lambda: self.asked >= before + 2, "it has seen that")

    @property
    def holder(self) -> str:
        return str(self.server.lease.get("spec", {}).get("holderIdentity", ""))


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Iterator[PublisherHarness]:
    monkeypatch.setattr("sew_agent.kubernetes.lease_publisher.RETRY_PERIOD", 0.01)
    made = PublisherHarness()
    yield made
    made.publisher.stop()


def test_it_names_the_agent_that_reads_and_leaves_alone_what_another_one_has_written(
    harness: PublisherHarness,
) -> None:
    eventually(lambda: harness.holder == "n/me", "it names this agent")
    harness.read_no_more()
    harness.server.lease["spec"]["holderIdentity"] = "n/other"
    harness.publisher.stop()
    assert (harness.holder, harness.server.lease["spec"]["leaseDurationSeconds"]) == ("n/other", 10)


def test_at_its_end_nobody_has_it_for_long(harness: PublisherHarness) -> None:
    eventually(lambda: harness.holder == "n/me", "it names this agent")
    harness.read_no_more()
    harness.publisher.stop()
    assert harness.server.lease["spec"]["leaseDurationSeconds"] == 1


def test_a_lease_that_cannot_be_read_is_said_with_what_to_do_and_it_goes_on(harness: PublisherHarness) -> None:
    eventually(lambda: harness.holder == "n/me", "it names this agent")
    harness.server.lease = {"metadata": None}
    eventually(lambda: harness.problems.current, "it says so")
    assert "delete it, and it is created again; delivery goes on" in harness.problems.current[0]
    harness.server.lease = {}
    eventually(lambda: harness.holder == "n/me", "it is created again")
