"""State Test on a real API server: sent once, reported, and over; also where the agent dies in between."""

import json

import pytest

from kubectl_sew.resource import TEST_EVENT_ANNOTATION, TEST_REQUESTED_ANNOTATION, TEST_RESULT_ANNOTATION
from testbed.receivers import Answer, Incoming, Receiver
from tests.e2e.sew_agent import Agent, Folder
from tests.integration.cluster.in_cluster import ClusterHarness, webhook
from tests.waiting import eventually

PATH = "/apis/projectcalico.org/v3/securityeventwebhooks"
pytestmark = pytest.mark.server


def result(harness: ClusterHarness, name: str) -> str:
    return str(harness.object(name)["metadata"].get("annotations", {}).get(TEST_RESULT_ANNOTATION, ""))


def state(harness: ClusterHarness, name: str) -> str:
    return str(harness.object(name)["spec"]["state"])


def identities(receiver: Receiver) -> list[str]:
    requests = [*receiver.accepted, *(request for request, _ in receiver.refused)]
    return [request.headers["webhook-id"] for request in requests]


def test_the_sample_is_sent_once_and_its_result_is_reported(
    harness: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    annotations = {TEST_EVENT_ANNOTATION: "runtime_security", "other": "kept"}
    harness.apply(webhook("tried", receiver.url, state="Test", annotations=annotations))
    harness.agent(folder)
    eventually(lambda: state(harness, "tried") == "Enabled", "the state is set back")
    assert "delivered: 204" in result(harness, "tried")
    assert harness.object("tried")["metadata"]["annotations"]["other"] == "kept"
    eventually(
        lambda: harness.condition("tried", "Healthy").get("reason") == "TestFireProcedure", "the condition says so"
    )
    assert harness.condition("tried", "Healthy")["status"] == "True"
    assert len(receiver.accepted) == 1
    assert "[Test]" in receiver.accepted[0].body.decode()
    harness.patch("tried", {"metadata": {"annotations": {TEST_REQUESTED_ANNOTATION: "now"}}, "spec": {"state": "Test"}})
    eventually(lambda: len(receiver.accepted) == 2, "the next test is another one")
    eventually(lambda: state(harness, "tried") == "Enabled", "it ends as well")
    assert len(set(identities(receiver))) == 2
    folder.write([1])
    eventually(lambda: len(receiver.accepted) == 3, "events are delivered afterwards")
    eventually(
        lambda: harness.condition("tried", "Healthy")["reason"] == "SecurityEventsProcessing", "and reported", 30
    )


def test_a_refusal_is_reported_with_its_status(harness: ClusterHarness, folder: Folder) -> None:
    with Receiver(lambda _: Answer(500)) as receiver:
        harness.apply(webhook("refused", receiver.url, state="Test"))
        harness.agent(folder)
        eventually(lambda: state(harness, "refused") == "Enabled", "the state is set back")
        assert "not delivered" in result(harness, "refused")
        assert "500" in result(harness, "refused")
        eventually(lambda: harness.condition("refused", "Healthy").get("status") == "False", "the condition says so")
        assert len(receiver.refused) == 1


def test_a_test_that_an_agent_died_in_is_repeated_once_and_says_so(harness: ClusterHarness, folder: Folder) -> None:
    agents: list[Agent] = []

    def answer(_: Incoming) -> Answer:
        if len(agents) == 1:
            agents[0].kill()
        return Answer(204)

    with Receiver(answer) as receiver:
        harness.apply(webhook("died", receiver.url, state="Test"))
        agents.append(harness.agent(folder))
        eventually(lambda: not agents[0].running, "the agent dies while it waits for the answer")
        agents.append(harness.agent(folder))
        eventually(lambda: state(harness, "died") == "Enabled", "the second agent ends the test", 40)
        assert "second time" in result(harness, "died")
        assert len(receiver.accepted) == 2
        assert len(set(identities(receiver))) == 1


def test_a_test_that_two_agents_died_in_is_not_sent_a_third_time(
    harness: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    journal = "2026-11-25T15:00:00Z the sample is being sent again"
    harness.apply(webhook("twice", receiver.url, state="Test", annotations={TEST_RESULT_ANNOTATION: journal}))
    harness.agent(folder)
    eventually(lambda: state(harness, "twice") == "Enabled", "the test ends")
    assert "not known" in result(harness, "twice")
    assert receiver.accepted == []


def test_a_webhook_that_cannot_work_is_tested_when_it_can(
    harness: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    harness.apply(webhook("broken", receiver.url, state="Test", query="severity >"))
    harness.agent(folder)
    eventually(lambda: harness.condition("broken", "Healthy").get("reason") == "QueryParsing", "it is reported")
    assert state(harness, "broken") == "Test"
    harness.patch("broken", {"spec": {"query": "severity > 1"}})
    eventually(lambda: state(harness, "broken") == "Enabled", "then it is tested")
    assert len(receiver.accepted) == 1


def test_the_state_keeps_its_field_manager_and_what_the_agent_writes_is_the_agents(
    harness: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    def apply(state: str) -> None:
        manifest = json.dumps(webhook("owned", receiver.url, state=state))
        harness.server.kubectl("apply", "--server-side", "--field-manager=gitops", "-f", "-", stdin=manifest)

    def owners(field: str) -> set[str]:
        managed = json.loads(harness.server.kubectl("get", "--raw", f"{PATH}/owned"))["metadata"]["managedFields"]
        return {entry["manager"] for entry in managed if f'"f:{field}"' in json.dumps(entry)}

    apply("Test")
    harness.agent(folder)
    eventually(lambda: state(harness, "owned") == "Enabled", "the state is set back")
    eventually(lambda: owners("state") == {"gitops"}, "its owner keeps it")
    eventually(lambda: harness.condition("owned", "Healthy"), "a condition")
    assert owners("status") == owners(TEST_RESULT_ANNOTATION) == {"sew-agent"}
    apply("Test")
    eventually(lambda: "not sent again" in result(harness, "owned"), "the same is not sent again, and that is reported")
    eventually(lambda: state(harness, "owned") == "Enabled", "the state is set back")
    apply("Disabled")
    assert len(receiver.accepted) == 1
