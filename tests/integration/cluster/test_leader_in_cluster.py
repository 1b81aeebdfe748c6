"""One leader of several agents: a Lease on a real API server, acquired, renewed, taken over and lost."""

import json
from pathlib import Path

import pytest

from testbed.receivers import Receiver
from tests.e2e.sew_agent import Agent, Folder
from tests.integration.cluster.in_cluster import SECRETS, ClusterHarness, page, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server


def holder(harness: ClusterHarness) -> str:
    return str(harness.server.get("lease", "sew-agent", "-n", SECRETS)["spec"]["holderIdentity"])


def second(harness: ClusterHarness, tmp_path: Path, folder: Folder) -> tuple[Agent, Folder]:
    """Start another agent, with a state of its own, on the same cluster and the same events."""
    (tmp_path / "second").mkdir()
    other = Folder(tmp_path / "second")
    other.events = folder.events
    return harness.agent(other, POD_NAME="second", POD_NAMESPACE="sew-system"), other


def identities(receiver: Receiver) -> set[str]:
    return set(receiver.ids(lambda request: request.headers["webhook-id"]))


def test_a_second_agent_stands_by_ready_and_takes_over_within_15_s_of_a_kill(
    harness: ClusterHarness, folder: Folder, receiver: Receiver, tmp_path: Path
) -> None:
    harness.apply(webhook("one", receiver.url))
    first = harness.agent(folder, POD_NAME="first", POD_NAMESPACE="sew-system")
    eventually(lambda: first.says("webhook_accepted"), "the first is active")
    assert holder(harness) == "sew-system/first"
    follower, other = second(harness, tmp_path, folder)
    eventually(lambda: follower.says("listening"), "the second stands by")
    assert follower.says("standing_by")[0]["holder"] == "sew-system/first"
    assert (page(follower, "/readyz")[0], page(follower, "/healthz")[0]) == (200, 200)
    status = other.command("status")
    assert (status.returncode, status.stderr) == (0, "")
    assert status.stdout.startswith("agent: stands by for sew-system/first, which holds the Lease, version ")
    assert folder.command("status").stdout.startswith("agent: running, version ")
    folder.write([1])
    eventually(lambda: receiver.accepted, "the first delivers")
    first.kill()
    eventually(lambda: holder(harness) == "sew-system/second", "the second takes over", 15)
    folder.write([2], time="2030-01-01T00:00:00Z")
    eventually(lambda: any("2030" in request.body.decode() for request in receiver.accepted), "the second delivers")
    assert not follower.says("lease_lost")
    assert other.command("status").stdout.startswith("agent: running, version ")
    other.stop()
    assert other.command("status").stdout.startswith("agent: not running")


def test_a_leader_that_shuts_down_is_followed_at_once(
    harness: ClusterHarness, folder: Folder, receiver: Receiver, tmp_path: Path
) -> None:
    harness.apply(webhook("one", receiver.url))
    first = harness.agent(folder)
    eventually(lambda: first.says("webhook_accepted"), "the first is active")
    follower, other = second(harness, tmp_path, folder)
    eventually(lambda: follower.says("standing_by"), "the second stands by")
    assert first.terminate() == 0
    eventually(lambda: follower.says("lease_taken"), "the second takes over", 5)
    other.stop()


def test_a_leader_goes_on_at_once_after_a_kill_and_a_restart(
    harness: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    harness.apply(webhook("one", receiver.url))
    harness.agent(folder)
    folder.write([1])
    eventually(lambda: receiver.accepted, "the first delivers")
    folder.agents[0].kill()
    folder.write([2])
    again = harness.agent(folder)
    eventually(lambda: again.says("started"), "it does not wait for itself", 8)
    eventually(lambda: len(identities(receiver)) == 2, "it goes on where it was; the first may have been in flight")
    assert again.says("standing_by") == []


def test_a_leader_that_loses_the_lease_stops_and_stands_by(
    harness: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    harness.apply(webhook("one", receiver.url))
    agent = harness.agent(folder)
    eventually(lambda: agent.says("webhook_accepted"), "it is active")
    stolen = {"spec": {"holderIdentity": "sew-system/thief", "renewTime": "2030-01-01T00:00:00.000000Z"}}
    harness.server.kubectl("patch", "lease", "sew-agent", "-n", SECRETS, "--type=merge", "-p", json.dumps(stolen))
    eventually(lambda: agent.says("stopped"), "it stops")
    folder.write([1], time="2030-01-01T00:00:00Z")
    assert agent.says("lease_lost")[0]["holder"] == "sew-system/thief"
    eventually(lambda: len(agent.says("lease_taken")) == 2, "it takes the silent thief's Lease", 20)
    eventually(lambda: receiver.accepted, "and goes on")


def test_once_ends_when_its_time_is_over_also_while_another_agent_holds_the_lease(
    harness: ClusterHarness, folder: Folder, receiver: Receiver, tmp_path: Path
) -> None:
    harness.apply(webhook("one", receiver.url))
    first = harness.agent(folder, POD_NAME="first", POD_NAMESPACE="sew-system")
    eventually(lambda: first.says("webhook_accepted"), "the first is active")
    (tmp_path / "once").mkdir()
    other = Folder(tmp_path / "once")
    other.events.write_text('{"time": "2030-01-01T00:00:00Z", "severity": 100}\n')
    once = harness.agent(other, "--once", "--timeout", "3s", POD_NAME="once", POD_NAMESPACE="sew-system")
    assert once.wait(20) == 124
    (timeout,) = once.says("once_timeout")
    assert timeout["message"].startswith("nothing was read or sent: ")
    assert "sew-system/first" in timeout["message"]
    assert receiver.accepted == []
    assert (holder(harness), first.running) == ("sew-system/first", True)
