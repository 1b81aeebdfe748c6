"""Conditions written to a real API server: their text, how seldom they are written, and others' conditions."""

import json
import time

import pytest

from testbed.receivers import Answer, Incoming, Receiver
from tests.e2e.sew_agent import Folder
from tests.integration.cluster.in_cluster import ClusterHarness, secret, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server
REFERENCE = [{"name": "url", "valueFrom": {"secretKeyRef": {"name": "poor", "key": "url"}}}]
FOREIGN = {
    "type": "Audited",
    "status": "True",
    "reason": "ByHand",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


def test_a_webhook_that_works_is_healthy_and_says_how_far_events_are_read(
    harness: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    harness.apply(webhook("good"), secret("good", url=receiver.url))
    harness.agent(folder)
    eventually(lambda: harness.condition("good", "Healthy").get("reason") == "WebhookValidation", "it is accepted")
    folder.write([1])
    eventually(lambda: harness.condition("good", "Healthy").get("reason") == "SecurityEventsProcessing", "it works")
    generation = harness.object("good")["metadata"]["generation"]
    for kind in ("Healthy", "EventsFetched", "Delivering"):
        assert harness.condition("good", kind)["status"] == "True"
        assert harness.condition("good", kind)["observedGeneration"] == generation


BAD = {
    "unreadable": ({"query": "severity >="}, "QueryParsing", "query"),
    "unanswerable": ({"query": "nosuchkey = 1"}, "QueryValidation", "nosuchkey"),
    "elsewhere": ({"consumer": "Slack"}, "ConsumerConfigurationValidation", "Incoming Webhook"),
    "poor": ({"config": REFERENCE}, "ConfigurationParsing", "Secret `poor` does not exist"),
    "off": ({"state": "Disabled"}, "WebhookState", "Disabled"),
}


def test_a_webhook_that_does_not_work_says_why(harness: ClusterHarness, folder: Folder) -> None:
    harness.apply(*(webhook(name, "https://receiver.example", **change) for name, (change, _, _) in BAD.items()))
    harness.agent(folder)
    for name, (_, reason, named) in BAD.items():
        eventually(lambda name=name, wanted=reason: harness.condition(name, "Healthy").get("reason") == wanted, name)
        conditions = {condition["type"]: condition for condition in harness.object(name)["status"]}
        assert named in conditions["Healthy"]["message"]
        assert {condition["status"] for condition in conditions.values()} == {"False"}


def test_a_receiver_that_is_down_is_reported_with_the_backlog_and_so_is_its_return(
    harness: ClusterHarness, folder: Folder
) -> None:
    answers = [Answer(503)]
    with Receiver(lambda _: answers[0]) as receiver:
        harness.apply(webhook("down", receiver.url))
        harness.agent(folder)
        folder.write(range(5))
        eventually(
            lambda: harness.condition("down", "Delivering").get("reason") == "ReceiverUnavailable", "it is reported"
        )
        assert "503" in harness.condition("down", "Delivering")["message"]
        assert "5 events wait" in harness.condition("down", "Delivering")["message"]
        answers[0] = Answer(204)
        eventually(lambda: harness.condition("down", "Delivering")["status"] == "True", "its return is reported", 30)


def test_a_rotated_credential_ends_parking(harness: ClusterHarness, folder: Folder) -> None:
    def answer(incoming: Incoming) -> Answer:
        return Answer(204) if incoming.path == "/new" else Answer(403)

    with Receiver(answer) as receiver:
        harness.apply(webhook("locked"), secret("locked", url=f"{receiver.url}/old"))
        harness.agent(folder)
        folder.write([1])
        eventually(lambda: harness.condition("locked", "Delivering").get("reason") == "ReceiverRefuses", "it is parked")
        harness.apply(secret("locked", url=f"{receiver.url}/new"))
        eventually(lambda: receiver.accepted, "the event arrives", 10)
        eventually(lambda: harness.condition("locked", "Delivering")["status"] == "True", "the condition follows")


def test_conditions_of_others_are_kept_and_traffic_alone_writes_nothing(
    harness: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    harness.apply(webhook("calm", receiver.url))
    overwrite(harness, [FOREIGN])
    harness.agent(folder)
    folder.write([0])
    settled = lambda: harness.condition("calm", "Healthy").get("reason") == "SecurityEventsProcessing"  # noqa: E731
    eventually(settled, "it works")
    eventually(lambda: harness.condition("calm", "EventsFetched")["status"] == "True", "events are read")
    version = harness.object("calm")["metadata"]["resourceVersion"]
    traffic(folder, receiver, seconds=120)
    calm = harness.object("calm")
    assert calm["metadata"]["resourceVersion"] == version
    assert calm["status"][0] == FOREIGN
    overwrite(harness, [])
    eventually(
        lambda: harness.condition("calm", "Healthy").get("status") == "True", "what others took away is back", 30
    )


def overwrite(harness: ClusterHarness, status: list[dict[str, str]]) -> None:
    """Write the status as a writer that does not read it first."""
    name = "securityeventwebhooks.v3.projectcalico.org/calm"
    patch = json.dumps({"status": status})
    harness.server.kubectl("patch", name, "--subresource=status", "--type=merge", "-p", patch)


def traffic(folder: Folder, receiver: Receiver, seconds: float) -> None:
    """Write events all the time, and wait for the delivery of each."""
    ends, number = time.monotonic() + seconds, len(receiver.accepted)
    while time.monotonic() < ends:
        number += 1
        folder.write([number])
        eventually(lambda count=number: len(receiver.accepted) >= count, "the event arrives")
