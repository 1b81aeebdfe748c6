"""Conditions written to a real API server: what they say, how seldom, and what of others they leave alone."""

import json
import time

import pytest

from testbed.receivers import Answer, Incoming, Receiver
from tests.e2e.sew_agent import Folder
from tests.integration.cluster.in_cluster import Installed, secret, webhook
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
    here: Installed, folder: Folder, receiver: Receiver
) -> None:
    here.apply(webhook("good"), secret("good", url=receiver.url))
    here.agent(folder)
    eventually(lambda: here.condition("good", "Healthy").get("reason") == "WebhookValidation", "it is accepted")
    folder.write([1])
    eventually(lambda: here.condition("good", "Healthy").get("reason") == "SecurityEventsProcessing", "it works")
    generation = here.object("good")["metadata"]["generation"]
    for kind in ("Healthy", "EventsFetched", "Delivering"):
        assert here.condition("good", kind)["status"] == "True"
        assert here.condition("good", kind)["observedGeneration"] == generation


BAD = {
    "unreadable": ({"query": "severity >="}, "QueryParsing", "query"),
    "unanswerable": ({"query": "nosuchkey = 1"}, "QueryValidation", "nosuchkey"),
    "elsewhere": ({"consumer": "Slack"}, "ConsumerConfigurationValidation", "Incoming Webhook"),
    "poor": ({"config": REFERENCE}, "ConfigurationParsing", "Secret `poor` does not exist"),
    "off": ({"state": "Disabled"}, "WebhookState", "Disabled"),
}


def test_what_does_not_work_says_why(here: Installed, folder: Folder) -> None:
    here.apply(*(webhook(name, "https://receiver.example", **change) for name, (change, _, _) in BAD.items()))
    here.agent(folder)
    for name, (_, reason, named) in BAD.items():
        eventually(lambda each=name, wanted=reason: here.condition(each, "Healthy").get("reason") == wanted, name)
        conditions = {each["type"]: each for each in here.object(name)["status"]}
        assert named in conditions["Healthy"]["message"]
        assert {each["status"] for each in conditions.values()} == {"False"}


def test_a_receiver_that_is_down_is_told_with_the_backlog_and_its_return_too(here: Installed, folder: Folder) -> None:
    answers = [Answer(503)]
    with Receiver(lambda _: answers[0]) as receiver:
        here.apply(webhook("down", receiver.url))
        here.agent(folder)
        folder.write(range(5))
        eventually(lambda: here.condition("down", "Delivering").get("reason") == "ReceiverUnavailable", "it is told")
        assert "503" in here.condition("down", "Delivering")["message"]
        assert "5 events wait" in here.condition("down", "Delivering")["message"]
        answers[0] = Answer(204)
        eventually(lambda: here.condition("down", "Delivering")["status"] == "True", "its return is told", 30)


def test_a_rotated_credential_ends_parking(here: Installed, folder: Folder) -> None:
    def answer(incoming: Incoming) -> Answer:
        return Answer(204) if incoming.path == "/new" else Answer(403)

    with Receiver(answer) as receiver:
        here.apply(webhook("locked"), secret("locked", url=f"{receiver.url}/old"))
        here.agent(folder)
        folder.write([1])
        eventually(lambda: here.condition("locked", "Delivering").get("reason") == "ReceiverRefuses", "it is parked")
        here.apply(secret("locked", url=f"{receiver.url}/new"))
        eventually(lambda: receiver.accepted, "the event arrives", 10)
        eventually(lambda: here.condition("locked", "Delivering")["status"] == "True", "the condition follows")


def test_conditions_of_others_are_kept_and_traffic_alone_writes_nothing(
    here: Installed, folder: Folder, receiver: Receiver
) -> None:
    here.apply(webhook("calm", receiver.url))
    overwrite(here, [FOREIGN])
    here.agent(folder)
    folder.write([0])
    settled = lambda: here.condition("calm", "Healthy").get("reason") == "SecurityEventsProcessing"  # noqa: E731
    eventually(settled, "it works")
    eventually(lambda: here.condition("calm", "EventsFetched")["status"] == "True", "events are read")
    version = here.object("calm")["metadata"]["resourceVersion"]
    traffic(folder, receiver, seconds=120)
    found = here.object("calm")
    assert found["metadata"]["resourceVersion"] == version
    assert found["status"][0] == FOREIGN
    overwrite(here, [])
    eventually(lambda: here.condition("calm", "Healthy").get("status") == "True", "what others took away is back", 30)


def overwrite(here: Installed, status: list[dict[str, str]]) -> None:
    """As another writer that cares for nobody."""
    name = "securityeventwebhooks.v3.projectcalico.org/calm"
    patch = json.dumps({"status": status})
    here.server.kubectl("patch", name, "--subresource=status", "--type=merge", "-p", patch)


def traffic(folder: Folder, receiver: Receiver, seconds: float) -> None:
    """Events all the time, each of them delivered."""
    ends, number = time.monotonic() + seconds, len(receiver.accepted)
    while time.monotonic() < ends:
        number += 1
        folder.write([number])
        eventually(lambda count=number: len(receiver.accepted) >= count, "the event arrives")
