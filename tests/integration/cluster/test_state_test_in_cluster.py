"""State Test on a real API server: once, told, and over; also where the agent dies in between."""

import json

import pytest

from kubectl_sew.resource import TEST_EVENT_ANNOTATION, TEST_REQUESTED_ANNOTATION, TEST_RESULT_ANNOTATION
from testbed.receivers import Answer, Incoming, Receiver
from tests.e2e.sew_agent import Agent, Folder
from tests.integration.cluster.in_cluster import Installed, webhook
from tests.waiting import eventually

PATH = "/apis/projectcalico.org/v3/securityeventwebhooks"
pytestmark = pytest.mark.server


def result(here: Installed, name: str) -> str:
    return str(here.object(name)["metadata"].get("annotations", {}).get(TEST_RESULT_ANNOTATION, ""))


def state(here: Installed, name: str) -> str:
    return str(here.object(name)["spec"]["state"])


def identities(receiver: Receiver) -> list[str]:
    requests = [*receiver.accepted, *(each for each, _ in receiver.refused)]
    return [each.headers["webhook-id"] for each in requests]


def test_the_sample_is_sent_once_and_its_result_told(here: Installed, folder: Folder, receiver: Receiver) -> None:
    annotations = {TEST_EVENT_ANNOTATION: "runtime_security", "other": "kept"}
    here.apply(webhook("tried", receiver.url, state="Test", annotations=annotations))
    here.agent(folder)
    eventually(lambda: state(here, "tried") == "Enabled", "the state is set back")
    assert "delivered: 204" in result(here, "tried")
    assert here.object("tried")["metadata"]["annotations"]["other"] == "kept"
    eventually(lambda: here.condition("tried", "Healthy").get("reason") == "TestFireProcedure", "the condition tells")
    assert here.condition("tried", "Healthy")["status"] == "True"
    assert len(receiver.accepted) == 1
    assert "[Test]" in receiver.accepted[0].body.decode()
    here.patch("tried", {"metadata": {"annotations": {TEST_REQUESTED_ANNOTATION: "now"}}, "spec": {"state": "Test"}})
    eventually(lambda: len(receiver.accepted) == 2, "the next test is another one")
    eventually(lambda: state(here, "tried") == "Enabled", "it ends as well")
    assert len(set(identities(receiver))) == 2
    folder.write([1])
    eventually(lambda: len(receiver.accepted) == 3, "events are delivered afterwards")
    eventually(lambda: here.condition("tried", "Healthy")["reason"] == "SecurityEventsProcessing", "and told", 30)


def test_a_refusal_is_told_with_its_status(here: Installed, folder: Folder) -> None:
    with Receiver(lambda _: Answer(500)) as receiver:
        here.apply(webhook("refused", receiver.url, state="Test"))
        here.agent(folder)
        eventually(lambda: state(here, "refused") == "Enabled", "the state is set back")
        assert "not delivered" in result(here, "refused")
        assert "500" in result(here, "refused")
        eventually(lambda: here.condition("refused", "Healthy").get("status") == "False", "the condition tells")
        assert len(receiver.refused) == 1


def test_a_test_that_an_agent_died_in_is_repeated_once_and_says_so(here: Installed, folder: Folder) -> None:
    agents: list[Agent] = []

    def answer(_: Incoming) -> Answer:
        if len(agents) == 1:
            agents[0].kill()
        return Answer(204)

    with Receiver(answer) as receiver:
        here.apply(webhook("died", receiver.url, state="Test"))
        agents.append(here.agent(folder))
        eventually(lambda: not agents[0].running, "the agent dies while it waits for the answer")
        agents.append(here.agent(folder))
        eventually(lambda: state(here, "died") == "Enabled", "the second agent ends the test", 40)
        assert "second time" in result(here, "died")
        assert len(receiver.accepted) == 2
        assert len(set(identities(receiver))) == 1


def test_a_test_that_two_agents_died_in_is_not_sent_a_third_time(
    here: Installed, folder: Folder, receiver: Receiver
) -> None:
    journal = "2026-11-25T15:00:00Z the sample is being sent again"
    here.apply(webhook("twice", receiver.url, state="Test", annotations={TEST_RESULT_ANNOTATION: journal}))
    here.agent(folder)
    eventually(lambda: state(here, "twice") == "Enabled", "the test ends")
    assert "not known" in result(here, "twice")
    assert receiver.accepted == []


def test_a_webhook_that_cannot_work_is_tested_when_it_can(here: Installed, folder: Folder, receiver: Receiver) -> None:
    here.apply(webhook("broken", receiver.url, state="Test", query="severity >"))
    here.agent(folder)
    eventually(lambda: here.condition("broken", "Healthy").get("reason") == "QueryParsing", "it is told")
    assert state(here, "broken") == "Test"
    here.patch("broken", {"spec": {"query": "severity > 1"}})
    eventually(lambda: state(here, "broken") == "Enabled", "then it is tested")
    assert len(receiver.accepted) == 1


def test_the_state_stays_whose_it_was_and_what_the_agent_writes_bears_its_name(
    here: Installed, folder: Folder, receiver: Receiver
) -> None:
    def apply(state: str) -> None:
        manifest = json.dumps(webhook("owned", receiver.url, state=state))
        here.server.kubectl("apply", "--server-side", "--field-manager=gitops", "-f", "-", stdin=manifest)

    def owners(field: str) -> set[str]:
        found = json.loads(here.server.kubectl("get", "--raw", f"{PATH}/owned"))["metadata"]["managedFields"]
        return {each["manager"] for each in found if f'"f:{field}"' in json.dumps(each)}

    apply("Test")
    here.agent(folder)
    eventually(lambda: state(here, "owned") == "Enabled", "the state is set back")
    eventually(lambda: owners("state") == {"gitops"}, "its owner keeps it")
    eventually(lambda: here.condition("owned", "Healthy"), "a condition")
    assert owners("status") == owners(TEST_RESULT_ANNOTATION) == {"sew-agent"}
    apply("Test")
    eventually(lambda: "not sent again" in result(here, "owned"), "the same is not sent again, and that is told")
    eventually(lambda: state(here, "owned") == "Enabled", "the state is set back")
    apply("Disabled")
    assert len(receiver.accepted) == 1
