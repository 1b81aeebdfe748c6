"""Webhooks, Secrets and ConfigMaps watched on a real API server by a real agent under its own service account."""

import json

import pytest

from testbed.receivers import Receiver, generic
from tests.e2e.sew_agent import Agent, Folder
from tests.integration.cluster.in_cluster import BASE, SECRETS, ClusterHarness, accepted, page, secret, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server
SOON = 10.0
"""Seconds within which a change takes effect."""


def refused(agent: Agent, name: str) -> str:
    """Return the last refusal of a webhook; "" before any."""
    refusals = [str(entry["message"]) for entry in agent.says("webhook_refused") if entry["webhook"] == name]
    return refusals[-1] if refusals else ""


def test_a_webhook_with_its_url_in_a_secret_gets_what_it_selects(
    harness: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    harness.apply(webhook("a"), secret("a", url=receiver.url))
    agent = harness.agent(folder)
    eventually(lambda: accepted(agent, "a"), "the webhook is known", SOON)
    folder.write(range(3))
    eventually(lambda: len(receiver.accepted) == 3, "all events arrive")


def test_creations_changes_and_deletions_take_effect_without_a_restart(
    harness: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    agent = harness.agent(folder)
    harness.apply(webhook("late"))
    eventually(lambda: "does not exist" in refused(agent, "late"), "the missing Secret is named", SOON)
    harness.apply(secret("late", other="x"))
    eventually(lambda: "it holds `other`" in refused(agent, "late"), "the missing key is named", SOON)
    harness.apply(secret("late", url=receiver.url, other="x"))
    eventually(lambda: accepted(agent, "late"), "the Secret makes it work", SOON)
    folder.write([1])
    eventually(lambda: len(receiver.accepted) == 1, "the event arrives")
    with generic() as moved:
        harness.apply(secret("late", url=moved.url))
        folder.write([2])
        eventually(lambda: len(receiver.accepted + moved.accepted) == 2, "the second event arrives")
        eventually(lambda: len(agent.says("webhook_accepted")) == 2, "the new URL is used", SOON)
        folder.write([3])
        eventually(lambda: moved.accepted, "the third event arrives at the new receiver")
    harness.delete("late")
    eventually(lambda: agent.says("webhook_deleted"), "the deletion is seen", SOON)


def test_a_selector_selects_webhooks_and_secrets(harness: ClusterHarness, folder: Folder, receiver: Receiver) -> None:
    ours = {"team": "red"}
    harness.apply(webhook("red", labels=ours), webhook("blue"), webhook("poor", labels=ours))
    harness.apply(secret("red", ours, url=receiver.url), secret("blue", url=receiver.url), secret("poor", url="x"))
    agent = harness.agent(folder, "--selector", "team=red", "--secret-selector", "team=red")
    eventually(lambda: accepted(agent, "red") and refused(agent, "poor"), "both are validated", SOON)
    assert "SEW_SECRET_SELECTOR (`team=red`) does not select it" in refused(agent, "poor")
    assert not accepted(agent, "blue")


def test_config_maps_serve_as_secrets_do(harness: ClusterHarness, folder: Folder, receiver: Receiver) -> None:
    metadata = {"name": "addresses", "namespace": SECRETS}
    harness.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"url": receiver.url}})
    source = {"configMapKeyRef": {"name": "addresses", "key": "url"}}
    harness.apply(webhook("mapped", config=[{"name": "url", "valueFrom": source}]))
    agent = harness.agent(folder)
    eventually(lambda: accepted(agent, "mapped"), "the webhook works", SOON)


def test_secrets_of_another_namespace_are_not_read(harness: ClusterHarness, folder: Folder) -> None:
    harness.apply(webhook("far"), secret("far", url="https://receiver.example") | {"metadata": {"name": "far"}})
    agent = harness.agent(folder)
    eventually(lambda: "does not exist" in refused(agent, "far"), "the Secret is not found", SOON)
    harness.server.kubectl("delete", "secret", "far")


@pytest.mark.parametrize("matter", ["webhooks", "secrets", "lease"])
def test_a_missing_permission_is_named_and_its_grant_is_enough(
    harness: ClusterHarness, folder: Folder, receiver: Receiver, matter: str
) -> None:
    harness.apply(webhook("a"), secret("a", url=receiver.url), webhook("plain", receiver.url))
    role, rule, resource = RULES[matter]
    without = [{"op": "replace", "path": f"/rules/{rule}/resources", "value": ["none"]}]
    harness.server.kubectl("patch", *role, "--type=json", "-p", json.dumps(without))
    eventually(lambda: not may(harness, *resource), "the right is gone")
    agent = harness.agent(folder)
    eventually(lambda: matter in str(agent.says("cluster_trouble")), "the problem is reported", SOON)
    assert "forbidden" in str(agent.says("cluster_trouble"))
    eventually(lambda: "forbidden" in page(agent, "/readyz")[1], "the readiness names it", SOON)
    if matter == "secrets":
        eventually(lambda: accepted(agent, "plain"), "who needs no Secret works", SOON)
        assert "forbidden" in refused(agent, "a")
    harness.server.apply(BASE / "rbac.yaml")
    eventually(lambda: accepted(agent, "a"), "the grant is found", SOON)
    eventually(lambda: matter in str(agent.says("cluster_recovered")), "its end is reported", SOON)


RULES = {
    "webhooks": (("clusterrole", "sew-agent"), 0, ("list", "securityeventwebhooks.projectcalico.org")),
    "secrets": (("role", "sew-agent", "-n", SECRETS), 0, ("list", "secrets", "-n", SECRETS)),
    "lease": (("role", "sew-agent", "-n", SECRETS), 2, ("get", "leases/sew-agent", "-n", SECRETS)),
}
"""Matter -> the role, the number of its rule, and what cannot be done without it."""


def may(harness: ClusterHarness, *what: str) -> bool:
    answer = harness.server.try_kubectl("auth", "can-i", *what, env={"KUBECONFIG": str(harness.kubeconfig)})
    return answer.returncode == 0
