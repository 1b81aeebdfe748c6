"""The leader elector over a real API server: a Lease that is lost, deleted, and acquired again."""

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sew_agent.base.health import Health, Heartbeat
from sew_agent.base.log import Log
from sew_agent.kubernetes import failover
from sew_agent.kubernetes.client import KubernetesClient, connect
from sew_agent.kubernetes.context import ClusterContext
from sew_agent.kubernetes.leader_election import LONGEST_STEP, LeaderElector
from sew_agent.kubernetes.lease import Identity
from sew_agent.kubernetes.lease_client import LeaseClient
from sew_agent.kubernetes.paths import WebhookPath
from sew_agent.kubernetes.problems import Problems
from sew_agent.kubernetes.standby import Leadership
from tests.integration.cluster.in_cluster import SECRETS, ClusterHarness
from tests.waiting import eventually

pytestmark = pytest.mark.server


class ElectorHarness:
    """An elector that has become the leader, with a state folder of its own."""

    def __init__(self, client: KubernetesClient, state: Path) -> None:
        self.state = state
        self.log = io.StringIO()
        log = Log(self.log, lambda: 0.0)
        self.problems = Problems(log)
        self.now = 0.0
        heartbeat = Heartbeat(LONGEST_STEP, lambda: self.now)
        self.health = Health()
        self.health.watch("lease", heartbeat)
        self.hanging = threading.Lock()
        context = ClusterContext(client, WebhookPath(client, ""), self.problems, log)
        lease = LeaseClient(context, SECRETS, Identity("n/me", "mine"))
        self.elector = LeaderElector(context, lease, on_another_store=self._mark, heartbeat=heartbeat)
        self.elector.start()
        self.await_leading()

    def await_leading(self) -> None:
        eventually(self.elector.leading.is_set, "it holds the Lease")

    def _mark(self) -> None:
        with self.hanging:
            failover.mark(self.state)

    @property
    def marked(self) -> bool:
        """True where the store has to start afresh."""
        return (self.state / failover.MARKER).exists()


@pytest.fixture
def election(harness: ClusterHarness, tmp_path: Path) -> Iterator[ElectorHarness]:
    client = connect(harness.kubeconfig, "")
    made = ElectorHarness(client, tmp_path)
    yield made
    made.elector.release()
    client.close()


def steal(harness: ClusterHarness, duration: int) -> None:
    """Take the Lease as another agent, which does not renew it."""
    spec = {"holderIdentity": "n/thief", "renewTime": "2030-01-01T00:00:00.000000Z", "leaseDurationSeconds": duration}
    change = {"metadata": {"annotations": {"sew-agent/store": "theirs"}}, "spec": spec}
    harness.server.kubectl("patch", "lease", "sew-agent", "-n", SECRETS, "--type=merge", "-p", json.dumps(change))


def delete(harness: ClusterHarness) -> None:
    harness.server.kubectl("delete", "lease", "sew-agent", "-n", SECRETS)


def acquired(election: ElectorHarness) -> int:
    return election.log.getvalue().count("lease_taken")


def test_a_lease_that_another_agent_held_is_created_with_a_failover(
    harness: ClusterHarness, election: ElectorHarness
) -> None:
    steal(harness, duration=3600)
    eventually(lambda: not election.elector.leading.is_set(), "it loses the Lease")
    delete(harness)
    election.await_leading()
    assert election.marked


def test_a_leader_whose_lease_is_deleted_goes_on_without_a_failover(
    harness: ClusterHarness, election: ElectorHarness
) -> None:
    delete(harness)
    eventually(lambda: harness.server.kubectl("get", "lease", "sew-agent", "-n", SECRETS, "--ignore-not-found"), "it")
    assert election.elector.leading.is_set()
    assert acquired(election) == 1
    assert not election.marked


def test_a_state_folder_that_cannot_be_written_is_reported_and_the_lease_is_acquired_when_it_can(
    harness: ClusterHarness, election: ElectorHarness
) -> None:
    marker = election.state / failover.MARKER
    marker.symlink_to(election.state / "not mounted" / "marker")
    steal(harness, duration=1)
    eventually(lambda: "cannot be written" in "".join(election.problems.current), "it is reported")
    assert str(election.state) in election.problems.current[0]
    assert not election.elector.leading.is_set()
    marker.unlink()
    election.await_leading()
    eventually(lambda: not election.problems.current, "the problem is over")


def test_a_failover_that_could_not_be_noted_is_noted_later(harness: ClusterHarness, election: ElectorHarness) -> None:
    marker = election.state / failover.MARKER
    marker.symlink_to(election.state / "not mounted" / "marker")
    steal(harness, duration=3600)
    eventually(lambda: election.problems.current, "it cannot be noted")
    with election.hanging:
        delete(harness)
        marker.unlink()
    election.await_leading()
    assert election.marked


def test_a_term_ends_with_a_lease_that_was_lost_and_acquired_unseen(
    harness: ClusterHarness, election: ElectorHarness
) -> None:
    term = Leadership(election.elector, threading.Event())
    steal(harness, duration=1)
    eventually(lambda: acquired(election) == 2, "it takes the silent thief's Lease")
    election.await_leading()
    assert term.is_set()
    assert not Leadership(election.elector, threading.Event()).is_set()


def test_health_names_an_elector_that_hangs(harness: ClusterHarness, election: ElectorHarness) -> None:
    election.now = 1000.0
    eventually(lambda: not election.health.stalled(), "it beats at each step")
    with election.hanging:
        steal(harness, duration=1)
        eventually(lambda: not election.elector.leading.is_set(), "it is about to start afresh")
        election.now = 2000.0
        assert election.health.stalled() == {"lease": "no progress for 1000 s"}
    eventually(lambda: not election.health.stalled(), "it goes on")
