"""One active agent: a Lease on a real API server, taken, renewed, taken over and lost."""

import json
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from testbed.receivers import Receiver
from tests.e2e.sew_agent import Agent, Folder
from tests.integration.cluster.in_cluster import SECRETS, Installed, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server


def holder(here: Installed) -> str:
    return str(here.server.get("lease", "sew-agent", "-n", SECRETS)["spec"]["holderIdentity"])


def second(here: Installed, tmp_path: Path, folder: Folder) -> tuple[Agent, Folder]:
    """Another agent, with a state of its own, on the same cluster and the same events."""
    (tmp_path / "second").mkdir()
    other = Folder(tmp_path / "second")
    other.events = folder.events
    return here.agent(other, POD_NAME="second", POD_NAMESPACE="sew-system"), other


def page(agent: Agent, path: str) -> int:
    """The status of a page of the agent, at the address that it told last."""
    try:
        with urllib.request.urlopen(f"http://{agent.says('listening')[-1]['address']}{path}", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def identities(receiver: Receiver) -> set[str]:
    return set(receiver.ids(lambda request: request.headers["webhook-id"]))


def test_a_second_agent_stands_by_ready_and_takes_over_within_15_s_of_a_kill(
    here: Installed, folder: Folder, receiver: Receiver, tmp_path: Path
) -> None:
    here.apply(webhook("one", receiver.url))
    first = here.agent(folder, POD_NAME="first", POD_NAMESPACE="sew-system")
    eventually(lambda: first.says("webhook_accepted"), "the first is active")
    assert holder(here) == "sew-system/first"
    webhook_status, other = second(here, tmp_path, folder)
    eventually(lambda: webhook_status.says("listening"), "the second stands by")
    assert webhook_status.says("standing_by")[0]["holder"] == "sew-system/first"
    assert (page(webhook_status, "/readyz"), page(webhook_status, "/healthz")) == (200, 200)
    said = other.command("status")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("agent: stands by for sew-system/first, which holds the Lease, version ")
    assert folder.command("status").stdout.startswith("agent: running, version ")
    folder.write([1])
    eventually(lambda: receiver.accepted, "the first delivers")
    first.kill()
    killed = time.monotonic()
    eventually(lambda: holder(here) == "sew-system/second", "the second takes over")
    assert time.monotonic() - killed <= 15
    folder.write([2], time="2030-01-01T00:00:00Z")
    eventually(lambda: any("2030" in each.body.decode() for each in receiver.accepted), "the second delivers")
    assert not webhook_status.says("lease_lost")
    assert other.command("status").stdout.startswith("agent: running, version ")
    other.stop()
    assert other.command("status").stdout.startswith("agent: not running")


def test_an_agent_that_ends_as_it_should_is_followed_at_once(
    here: Installed, folder: Folder, receiver: Receiver, tmp_path: Path
) -> None:
    here.apply(webhook("one", receiver.url))
    first = here.agent(folder)
    eventually(lambda: first.says("webhook_accepted"), "the first is active")
    webhook_status, other = second(here, tmp_path, folder)
    eventually(lambda: webhook_status.says("standing_by"), "the second stands by")
    assert first.terminate() == 0
    eventually(lambda: webhook_status.says("lease_taken"), "the second takes over", 5)
    other.stop()


def test_the_same_agent_goes_on_at_once_after_a_kill(here: Installed, folder: Folder, receiver: Receiver) -> None:
    here.apply(webhook("one", receiver.url))
    here.agent(folder)
    folder.write([1])
    eventually(lambda: receiver.accepted, "the first delivers")
    folder.agents[0].kill()
    folder.write([2])
    again = here.agent(folder)
    eventually(lambda: again.says("started"), "it does not wait for itself", 8)
    eventually(lambda: len(identities(receiver)) == 2, "it goes on where it was; the first may have been in flight")
    assert again.says("standing_by") == []


def test_who_loses_the_lease_stops_and_stands_by(here: Installed, folder: Folder, receiver: Receiver) -> None:
    here.apply(webhook("one", receiver.url))
    agent = here.agent(folder)
    eventually(lambda: agent.says("webhook_accepted"), "it is active")
    taken = {"spec": {"holderIdentity": "sew-system/thief", "renewTime": "2030-01-01T00:00:00.000000Z"}}
    here.server.kubectl("patch", "lease", "sew-agent", "-n", SECRETS, "--type=merge", "-p", json.dumps(taken))
    eventually(lambda: agent.says("stopped"), "it stops")
    folder.write([1], time="2030-01-01T00:00:00Z")
    assert agent.says("lease_lost")[0]["holder"] == "sew-system/thief"
    eventually(lambda: len(agent.says("lease_taken")) == 2, "it takes the silent thief's Lease", 20)
    eventually(lambda: receiver.accepted, "and goes on")
