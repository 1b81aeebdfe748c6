"""An API server that goes away, hangs, loses the kind, or serves it elsewhere; and a thousand webhooks."""

import time

import pytest

from testbed.receivers import Receiver
from testbed.servers.postgresql import find, postgresql
from testbed.servers.required import required
from tests.e2e.sew_agent import Agent, Folder
from tests.integration.cluster.in_cluster import V1, V3, ClusterHarness, accepted, definition, page, secret, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server
SOON = 10.0


def test_delivery_goes_on_without_the_server_and_changes_count_when_it_is_back(
    own: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    own.define()
    own.apply(webhook("a"), secret("a", url=receiver.url))
    agent = own.agent(folder)
    folder.write([1])
    eventually(lambda: len(receiver.accepted) == 1, "the first event arrives")
    own.server.stop()
    eventually(lambda: "webhooks" in page(agent, "/readyz")[1], "it is not ready, and says why")
    outlasted(agent, seconds=14)
    folder.write([2])
    eventually(lambda: len(receiver.accepted) == 2, "an event arrives without the server")
    own.server.start()
    own.apply(webhook("b", receiver.url, query="_id = e3"))
    eventually(lambda: accepted(agent, "b"), "a new webhook is seen", SOON)
    eventually(lambda: page(agent, "/readyz")[0] == 200, "it is ready again", SOON)
    own.delete("a")
    eventually(lambda: agent.says("webhook_deleted"), "a deletion is seen", SOON)
    assert page(agent, "/healthz")[0] == 200
    assert not agent.says("lease_lost")


def outlasted(agent: Agent, seconds: float) -> None:
    """Wait for longer than a Lease lasts, and see that the agent runs on."""
    ends = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > ends, "time passes", seconds + 1)
    assert agent.running


def test_a_server_that_hangs_holds_up_nobody(own: ClusterHarness, folder: Folder, receiver: Receiver) -> None:
    own.define()
    own.apply(webhook("a", receiver.url))
    agent = own.agent(folder)
    eventually(lambda: accepted(agent, "a"), "it is active", SOON)
    own.server.hang()
    folder.write([1])
    eventually(lambda: receiver.accepted, "the event arrives")
    eventually(lambda: page(agent, "/readyz")[0] == 503, "it is not ready", 40)
    own.server.resume()
    eventually(lambda: page(agent, "/readyz")[0] == 200, "it is ready again", 20)


def test_a_token_that_is_refused_is_named_and_a_new_one_in_the_kubeconfig_is_used(
    own: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    own.define()
    agent = own.agent(folder)
    eventually(lambda: page(agent, "/readyz")[0] == 200, "it is ready", SOON)
    own.server.kubectl("delete", "serviceaccount", "sew-agent", "-n", "sew-system")
    eventually(lambda: "put a new one there" in agent.text(), "it says what to do", 30)
    own.server.as_account("sew-agent", "sew-system")
    own.apply(webhook("a", receiver.url))
    eventually(lambda: accepted(agent, "a"), "a new webhook is seen", 30)
    eventually(lambda: page(agent, "/readyz")[0] == 200, "nothing is refused any more", 30)


def test_without_the_kind_the_agent_waits_and_says_so_and_a_lost_kind_deletes_nothing(
    own: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    agent = own.agent(folder)
    eventually(lambda: "kubectl sew install" in page(agent, "/readyz")[1], "it says what is missing", SOON)
    own.define()
    own.apply(webhook("a", receiver.url))
    eventually(lambda: accepted(agent, "a"), "the kind is found", SOON)
    own.server.kubectl("delete", "crd", "securityeventwebhooks.projectcalico.org")
    eventually(lambda: "kubectl sew install" in page(agent, "/readyz")[1], "its loss is reported", SOON)
    folder.write([1])
    eventually(lambda: receiver.accepted, "delivery goes on")
    own.define()
    eventually(lambda: page(agent, "/readyz")[0] == 200, "the kind is back", SOON)
    folder.write([2])
    eventually(lambda: len(receiver.accepted) == 2, "an empty list deletes nothing")
    own.apply(webhook("b", receiver.url, query="_id = nothing"))
    eventually(lambda: agent.says("webhook_deleted"), "the next webhook says that the first is gone", SOON)


@pytest.mark.parametrize("group", [V3, V1])
@pytest.mark.parametrize("status", [True, False])
def test_either_group_serves_with_and_without_the_subresource(
    own: ClusterHarness, folder: Folder, receiver: Receiver, group: str, status: bool
) -> None:
    own.define(group, status=status)
    own.apply({**webhook("a", receiver.url, state="Test"), "apiVersion": group})
    own.agent(folder)
    eventually(lambda: own.object("a", group)["spec"]["state"] == "Enabled", "a test is served")
    folder.write([1])
    eventually(lambda: own.condition("a", "Healthy", group).get("reason") == "SecurityEventsProcessing", "it works", 30)
    eventually(lambda: settled(own, group), "the status comes to rest", 40)
    obj = own.object("a", group)
    assert own.condition("a", "Healthy", group)["observedGeneration"] == obj["metadata"]["generation"]


def settled(own: ClusterHarness, group: str) -> bool:
    """Return whether nothing is written for longer than two writes are apart."""
    before = own.object("a", group)["metadata"]["resourceVersion"]
    ends = time.monotonic() + 12
    eventually(lambda: time.monotonic() > ends, "time passes", 13)
    return bool(own.object("a", group)["metadata"]["resourceVersion"] == before)


def test_a_group_can_be_chosen(own: ClusterHarness, folder: Folder, receiver: Receiver) -> None:
    own.define(V3)
    own.define(V1)
    own.apply(webhook("in-v3", receiver.url), {**webhook("in-v1", receiver.url), "apiVersion": V1})
    agent = own.agent(folder, "--api-group", "crd.projectcalico.org")
    eventually(lambda: accepted(agent, "in-v1"), "the chosen group is read", SOON)
    assert not accepted(agent, "in-v3")


def test_a_thousand_webhooks_and_secrets_are_known_within_seconds(
    own: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    own.define()
    names = [f"w{number:04}" for number in range(1000)]
    own.apply(*(secret(name, url=f"{receiver.url}/{name}") for name in names))
    own.apply(*(webhook(name, query="severity >= 0") for name in names))
    began = time.monotonic()
    agent = own.agent(folder)
    eventually(lambda: len(agent.says("webhook_accepted")) == 1000, "all are known", 60)
    print(f"a thousand webhooks and Secrets known after {time.monotonic() - began:.1f} s")
    own.apply(secret("w0500", url=f"{receiver.url}/moved"))
    changed = time.monotonic()
    eventually(lambda: len(agent.says("webhook_accepted")) == 1001, "one change is seen", SOON)
    print(f"one of them changed: seen after {time.monotonic() - changed:.1f} s")
    folder.write([1])
    eventually(lambda: len(receiver.accepted) == 1000, "each gets the event", 60)
    assert sum(request.path == "/moved" for request in receiver.accepted) == 1


def test_a_status_that_the_server_refuses_holds_up_no_other(
    own: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    crd = definition()
    condition = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["items"]
    condition["properties"]["message"]["pattern"] = "^[^;]*$"  # not what the agent writes for a Disabled one
    own.server.apply(crd)
    own.server.kubectl("wait", "--for=condition=Established", f"crd/{crd['metadata']['name']}")
    own.apply(webhook("a-refused", receiver.url, state="Disabled"), webhook("b-taken", receiver.url))
    agent = own.agent(folder)
    eventually(lambda: own.condition("b-taken", "Healthy"), "the other status is written")
    eventually(lambda: "status of a-refused" in str(agent.says("cluster_trouble")), "the refusal is reported")
    assert len(agent.says("cluster_trouble")) == 1


def test_an_agent_that_starts_while_its_postgresql_is_away_goes_on_when_that_is_back(
    harness: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    harness.apply(webhook("any", receiver.url))
    with required(), postgresql(find()) as store:
        store.stop()
        agent = harness.agent(folder, SEW_STORE=store.url)
        eventually(lambda: agent.says("store_failed"), "it says what it waits for")
        assert (page(agent, "/healthz")[0], page(agent, "/readyz")[0]) == (200, 503)
        store.start()
        eventually(lambda: accepted(agent, "any"), "it has begun")
        folder.write(range(5))
        eventually(lambda: len(receiver.accepted) == 5, "it delivers")
        assert agent.terminate() == 0
