"""Kubernetes Events on a real API server."""

from typing import Any

import pytest

from testbed.receivers import Answer, Receiver
from tests.e2e.sew_agent import Folder
from tests.integration.cluster.in_cluster import SECRETS, ClusterHarness, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server


def recorded(harness: ClusterHarness, name: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = harness.server.get("events.events.k8s.io", "-n", "default")["items"]
    return [event for event in items if event["regarding"]["name"] == name]


def test_a_webhook_that_needs_a_person_has_an_event(harness: ClusterHarness, folder: Folder) -> None:
    with Receiver(lambda _: Answer(403)) as closed, Receiver(lambda _: Answer(400)) as picky:
        harness.apply(
            webhook("said-invalid", closed.url, query="severity >"),
            webhook("said-parked", closed.url),
            webhook("said-dead", picky.url),
        )
        harness.agent(folder)
        eventually(lambda: harness.condition("said-dead", "Healthy"), "it runs")
        folder.write([1, 2])
        for name, reason in (("said-invalid", "Invalid"), ("said-parked", "Parked"), ("said-dead", "DeadLetters")):
            eventually(lambda name=name: recorded(harness, name), name)
            (event,) = recorded(harness, name)
            assert (event["reason"], event["type"]) == (reason, "Warning")
            assert event["regarding"]["uid"] == harness.object(name)["metadata"]["uid"]
        assert "dead-letters said-dead" in recorded(harness, "said-dead")[0]["note"]
        described = harness.server.kubectl("describe", "securityeventwebhooks.v3.projectcalico.org", "said-parked")
        assert "Parked" in described


def test_the_agent_may_write_events_in_no_other_namespace(harness: ClusterHarness) -> None:
    account = "--as=system:serviceaccount:sew-system:sew-agent"

    def may(namespace: str) -> bool:
        asked = ("auth", "can-i", "create", "events.events.k8s.io", account, "-n", namespace)
        return harness.server.try_kubectl(*asked).stdout.strip() == "yes"

    assert may("default")
    assert not any(may(namespace) for namespace in ("kube-system", "sew-system", SECRETS))
