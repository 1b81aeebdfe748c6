"""The keeper of the Lease over a real API server: what it makes of a lost, deleted and retaken Lease."""

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
from sew_agent.kubernetes.leader_election import LONGEST_STEP, LeaderElector
from sew_agent.kubernetes.lease import Identity
from sew_agent.kubernetes.problems import Problems
from sew_agent.kubernetes.standby import Leadership
from tests.integration.cluster.in_cluster import SECRETS, Installed
from tests.waiting import eventually

pytestmark = pytest.mark.server


class Kept:
    """A keeper at work, with a state folder of its own."""

    def __init__(self, api: KubernetesClient, state: Path) -> None:
        self.state = state
        self.log = io.StringIO()
        log = Log(self.log, lambda: 0.0)
        self.problems = Problems(log)
        me = Identity("n/me", "mine")
        self.now = 0.0
        heartbeat = Heartbeat(LONGEST_STEP, lambda: self.now)
        self.health = Health()
        self.health.watch("lease", heartbeat)
        self.hanging = threading.Lock()
        self.elector = LeaderElector(api, SECRETS, me, self.problems, log, afresh=self._mark, beat=heartbeat.beat)
        self.elector.start()
        self.has_it()

    def has_it(self) -> None:
        eventually(self.elector.held.is_set, "it holds the Lease")

    def _mark(self) -> None:
        with self.hanging:
            failover.mark(self.state)

    @property
    def afresh(self) -> bool:
        return (self.state / failover.MARKER).exists()


@pytest.fixture
def kept(here: Installed, tmp_path: Path) -> Iterator[Kept]:
    api = connect(here.kubeconfig, "")
    made = Kept(api, tmp_path)
    yield made
    made.elector.release()
    api.close()


def steal(here: Installed, lasts: int) -> None:
    """Another agent, which is silent afterwards."""
    spec = {"holderIdentity": "n/thief", "renewTime": "2030-01-01T00:00:00.000000Z", "leaseDurationSeconds": lasts}
    change = {"metadata": {"annotations": {"sew-agent/store": "theirs"}}, "spec": spec}
    here.server.kubectl("patch", "lease", "sew-agent", "-n", SECRETS, "--type=merge", "-p", json.dumps(change))


def delete(here: Installed) -> None:
    here.server.kubectl("delete", "lease", "sew-agent", "-n", SECRETS)


def taken(kept: Kept) -> int:
    return kept.log.getvalue().count("lease_taken")


def test_a_lease_that_another_agent_had_is_made_anew_with_a_fresh_start(here: Installed, kept: Kept) -> None:
    steal(here, lasts=3600)
    eventually(lambda: not kept.elector.held.is_set(), "it loses the Lease")
    delete(here)
    kept.has_it()
    assert kept.afresh


def test_the_holder_whose_lease_is_deleted_goes_on_with_what_it_owes(here: Installed, kept: Kept) -> None:
    delete(here)
    eventually(lambda: here.server.kubectl("get", "lease", "sew-agent", "-n", SECRETS, "--ignore-not-found"), "it")
    assert kept.elector.held.is_set()
    assert taken(kept) == 1
    assert not kept.afresh


def test_a_state_folder_that_cannot_be_written_is_told_and_the_lease_is_taken_when_it_can(
    here: Installed, kept: Kept
) -> None:
    marker = kept.state / failover.MARKER
    marker.symlink_to(kept.state / "not mounted" / "marker")
    steal(here, lasts=1)
    eventually(lambda: "cannot be written" in "".join(kept.problems.all), "it is told")
    assert str(kept.state) in kept.problems.all[0]
    assert not kept.elector.held.is_set()
    marker.unlink()
    kept.has_it()
    eventually(lambda: not kept.problems.all, "the trouble is over")


def test_another_agent_is_not_forgotten_where_it_could_not_be_noted(here: Installed, kept: Kept) -> None:
    marker = kept.state / failover.MARKER
    marker.symlink_to(kept.state / "not mounted" / "marker")
    steal(here, lasts=3600)
    eventually(lambda: kept.problems.all, "it cannot be noted")
    with kept.hanging:
        delete(here)
        marker.unlink()
    kept.has_it()
    assert kept.afresh


def test_a_turn_ends_with_a_lease_that_was_lost_and_retaken_unseen(here: Installed, kept: Kept) -> None:
    turn = Leadership(kept.elector, threading.Event())
    steal(here, lasts=1)
    eventually(lambda: taken(kept) == 2, "it takes the silent thief's Lease")
    kept.has_it()
    assert turn.is_set()
    assert turn.lost
    assert not Leadership(kept.elector, threading.Event()).is_set()


def test_health_names_a_keeper_that_hangs(here: Installed, kept: Kept) -> None:
    kept.now = 1000.0
    eventually(lambda: not kept.health.stalled(), "it beats at each look")
    with kept.hanging:
        steal(here, lasts=1)
        eventually(lambda: not kept.elector.held.is_set(), "it is about to start afresh")
        kept.now = 2000.0
        assert kept.health.stalled() == {"lease": "no progress for 1000 s"}
    eventually(lambda: not kept.health.stalled(), "it goes on")
