"""Redaction of webhooks' secrets: canaries in every variable, searched for in all that the agent publishes."""

import io
from collections.abc import Mapping

import pytest

from sew_agent.base.health import Health
from sew_agent.base.log import Log
from sew_agent.kubernetes.client import connect
from sew_agent.kubernetes.context import ClusterContext
from sew_agent.kubernetes.paths import WebhookPath
from sew_agent.kubernetes.problems import Problems
from sew_agent.kubernetes.webhooks import KubernetesWebhooks, Scope
from testbed.receivers import Answer, Receiver
from testbed.servers.running import free_port
from tests.e2e.sew_agent import Folder
from tests.integration.cluster import redaction
from tests.integration.cluster.in_cluster import SECRETS, ClusterHarness, secret, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server


def canaries(url: str, closed: str) -> Mapping[str, tuple[str, Mapping[str, str]]]:
    """Return webhook -> consumer and variables: some work but for the receiver, one is wrong in each way."""
    jira = {"url": f"{url}/canary-1", "project": "CANARY2", "issueType": "canary-3", "username": "canary-4@example.com"}
    jira |= {"apiToken": "canary-5", "labels": "canary-6", "priority": "canary-7"}
    generic = {"url": f"{url}/canary-8?token=canary-9", "headers": "Authorization: Bearer canary-10"}
    generic |= {"signingSecret": "whsec_Q2FuYXJ5Q2FuYXJ5Q2FuYXJ5", "template": '{"x": "canary-11"}'}
    alerts = f"{closed}/canary-12/api/v2/alerts"
    return {
        "slack": ("Slack", {"url": f"{url}/services/canary-13"}),
        "jira": ("Jira", jira),
        "generic": ("Generic", generic),
        "alerts": ("AlertManager", {"url": alerts, "basicAuth": "user:canary-14", "generatorURL": f"{url}/canary-15"}),
        "bad-slack": ("Slack", {"url": "https://canary-16.example/services/canary-17"}),
        "bad-url": ("Generic", {"url": "canary-18://canary-19"}),
        "bad-user": ("Generic", {"url": "http://canary-20:canary-21@receiver.example/canary-22"}),
        "bad-headers": ("Generic", {"url": url, "headers": "canary-23 has no colon"}),
        "bad-header": ("Generic", {"url": url, "headers": "X-Key: canary-24\x01"}),
        "bad-template": ("Generic", {"url": url, "template": "{{ canary_25 }"}),
        "bad-name": ("Generic", {"url": url, "template": "{{ canary_26.canary }}"}),
        "bad-signing": ("Generic", {"url": url, "signingSecret": "canary-27 !"}),
        "bad-ca": ("Generic", {"url": url, "ca.crt": "canary-28"}),
        "bad-key": ("Generic", {"url": url, "tls.crt": "canary-29", "tls.key": "canary-30"}),
        "bad-jira": ("Jira", jira | {"url": "canary-31", "authentication": "canary-32"}),
        "bad-alerts": ("AlertManager", {"url": f"{url}/canary-33", "basicAuth": "canary-34"}),
    }


def test_no_variable_shows_in_status_events_logs_or_metrics(harness: ClusterHarness, folder: Folder) -> None:
    closed = f"http://127.0.0.1:{free_port()}"
    with Receiver(lambda _: Answer(401, b"no")) as refuses:
        made = canaries(refuses.url, closed)
        for name, (consumer, variables) in made.items():
            config = [{"name": key, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}} for key in variables]
            harness.apply(webhook(name, consumer=consumer, config=config), secret(name, **variables))
        agent = harness.agent(folder, SEW_SLACK_URL_PREFIXES="http://127.0.0.1")
        eventually(
            lambda: len(agent.says("webhook_accepted") + agent.says("webhook_refused")) >= len(made),
            "all are validated",
        )
        folder.write([1, 2])
        for name in ("slack", "jira", "generic", "alerts"):
            eventually(lambda name=name: harness.condition(name, "Delivering").get("status") == "False", name, 30)
        for name in made:
            eventually(lambda name=name: harness.condition(name, "Healthy"), name)
        harness.patch("generic", {"spec": {"state": "Test"}})
        eventually(lambda: harness.object("generic")["spec"]["state"] == "Enabled", "a test ends")
        eventually(lambda: "Parked" in redaction.events(harness), "Events are written")
        assert redaction.leaks(redaction.of_webhooks(harness, *made) | redaction.of_agent(agent, folder)) == {}


def test_only_the_keys_that_are_referred_to_are_kept(harness: ClusterHarness) -> None:
    harness.apply(webhook("frugal"), secret("frugal", url="http://127.0.0.1:9/", other="canary-35"))
    harness.apply(secret("stranger", url="canary-36"))
    client, log = connect(harness.kubeconfig, ""), Log(io.StringIO(), lambda: 0.0)
    context = ClusterContext(client, WebhookPath(client, ""), Problems(log), log)
    webhooks = KubernetesWebhooks(context, Scope(SECRETS), Health())
    webhooks.start()
    try:
        eventually(lambda: webhooks.snapshot().known, "the webhooks are known")
        assert webhooks.snapshot().secrets == {"frugal": {"url": b"http://127.0.0.1:9/", "other": b""}}
    finally:
        webhooks.close()
        client.close()
