"""Webhooks, Secrets and ConfigMaps watched on a real API server by a real agent under its own service account."""

import json
import urllib.error
import urllib.request

import pytest

from testbed.receivers import Receiver, generic
from tests.e2e.sew_agent import Agent, Folder
from tests.integration.cluster.in_cluster import BASE, SECRETS, Installed, secret, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server
SOON = 10.0
"""Seconds within which a change takes effect."""


def accepted(agent: Agent, name: str) -> bool:
    return any(each["webhook"] == name for each in agent.says("webhook_accepted"))


def refused(agent: Agent, name: str) -> str:
    """The last refusal of a webhook; "" before any."""
    return next(
        (str(each["message"]) for each in reversed(agent.says("webhook_refused")) if each["webhook"] == name), ""
    )


def test_a_webhook_with_its_url_in_a_secret_gets_what_it_selects(
    here: Installed, folder: Folder, receiver: Receiver
) -> None:
    here.apply(webhook("a"), secret("a", url=receiver.url))
    agent = here.agent(folder)
    eventually(lambda: accepted(agent, "a"), "the webhook is known", SOON)
    folder.write(range(3))
    eventually(lambda: len(receiver.accepted) == 3, "all events arrive")


def test_what_is_made_changed_and_deleted_takes_effect_without_a_restart(
    here: Installed, folder: Folder, receiver: Receiver
) -> None:
    agent = here.agent(folder)
    here.apply(webhook("late"))
    eventually(lambda: "does not exist" in refused(agent, "late"), "the missing Secret is named", SOON)
    here.apply(secret("late", other="x"))
    eventually(lambda: "it holds `other`" in refused(agent, "late"), "the missing key is named", SOON)
    here.apply(secret("late", url=receiver.url, other="x"))
    eventually(lambda: accepted(agent, "late"), "the Secret makes it work", SOON)
    folder.write([1])
    eventually(lambda: len(receiver.accepted) == 1, "the event arrives")
    with generic() as moved:
        here.apply(secret("late", url=moved.url))
        folder.write([2])
        eventually(lambda: len(receiver.accepted + moved.accepted) == 2, "the second event arrives")
        eventually(lambda: len(agent.says("webhook_accepted")) == 2, "the new URL is used", SOON)
        folder.write([3])
        eventually(lambda: moved.accepted, "the third event arrives at the new receiver")
    here.delete("late")
    eventually(lambda: agent.says("webhook_deleted"), "the deletion is seen", SOON)


def test_a_selector_takes_some_webhooks_and_some_secrets(here: Installed, folder: Folder, receiver: Receiver) -> None:
    ours = {"team": "red"}
    here.apply(webhook("red", labels=ours), webhook("blue"), webhook("poor", labels=ours))
    here.apply(secret("red", ours, url=receiver.url), secret("blue", url=receiver.url), secret("poor", url="x"))
    agent = here.agent(folder, "--selector", "team=red", "--secret-selector", "team=red")
    eventually(lambda: accepted(agent, "red") and refused(agent, "poor"), "both are judged", SOON)
    assert "SEW_SECRET_SELECTOR (`team=red`) does not select it" in refused(agent, "poor")
    assert not accepted(agent, "blue")


def test_config_maps_serve_as_secrets_do(here: Installed, folder: Folder, receiver: Receiver) -> None:
    metadata = {"name": "addresses", "namespace": SECRETS}
    here.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"url": receiver.url}})
    source = {"configMapKeyRef": {"name": "addresses", "key": "url"}}
    here.apply(webhook("mapped", config=[{"name": "url", "valueFrom": source}]))
    agent = here.agent(folder)
    eventually(lambda: accepted(agent, "mapped"), "the webhook works", SOON)


def test_secrets_of_another_namespace_are_not_read(here: Installed, folder: Folder) -> None:
    here.apply(webhook("far"), secret("far", url="https://receiver.example") | {"metadata": {"name": "far"}})
    agent = here.agent(folder)
    eventually(lambda: "does not exist" in refused(agent, "far"), "the Secret is not found", SOON)
    here.server.kubectl("delete", "secret", "far")


@pytest.mark.parametrize("matter", ["webhooks", "secrets", "lease"])
def test_a_missing_permission_is_named_and_its_grant_is_enough(
    here: Installed, folder: Folder, receiver: Receiver, matter: str
) -> None:
    here.apply(webhook("a"), secret("a", url=receiver.url), webhook("plain", receiver.url))
    role, rule, resource = RULES[matter]
    without = [{"op": "replace", "path": f"/rules/{rule}/resources", "value": ["none"]}]
    here.server.kubectl("patch", *role, "--type=json", "-p", json.dumps(without))
    eventually(lambda: not may(here, *resource), "the right is gone")
    agent = here.agent(folder)
    eventually(lambda: matter in str(agent.says("cluster_trouble")), "the trouble is told", SOON)
    assert "forbidden" in str(agent.says("cluster_trouble"))
    eventually(lambda: "forbidden" in unready(agent), "the readiness names it", SOON)
    if matter == "secrets":
        eventually(lambda: accepted(agent, "plain"), "who needs no Secret works", SOON)
        assert "forbidden" in refused(agent, "a")
    here.server.apply(BASE / "rbac.yaml")
    eventually(lambda: accepted(agent, "a"), "the grant is found", SOON)
    eventually(lambda: matter in str(agent.says("cluster_recovered")), "its end is told", SOON)


RULES = {
    "webhooks": (("clusterrole", "sew-agent"), 0, ("list", "securityeventwebhooks.projectcalico.org")),
    "secrets": (("role", "sew-agent", "-n", SECRETS), 0, ("list", "secrets", "-n", SECRETS)),
    "lease": (("role", "sew-agent", "-n", SECRETS), 2, ("get", "leases/sew-agent", "-n", SECRETS)),
}
"""Of each matter: the role, the number of its rule, and what cannot be done without it."""


def unready(agent: Agent) -> str:
    """What /readyz names; nothing where it is ready, or does not serve yet."""
    if not agent.says("listening"):
        return ""
    try:
        with urllib.request.urlopen(f"http://{agent.says('listening')[-1]['address']}/readyz", timeout=5):
            return ""
    except urllib.error.HTTPError as error:
        return str(error.read().decode())


def may(here: Installed, *what: str) -> bool:
    asked = here.server.try_kubectl("auth", "can-i", *what, env={"KUBECONFIG": str(here.kubeconfig)})
    return asked.returncode == 0
