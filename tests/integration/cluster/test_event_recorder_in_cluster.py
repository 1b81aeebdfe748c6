"""Kubernetes Events on a real API server."""

from typing import Any

import pytest

from testbed.receivers import Answer, Receiver
from tests.e2e.sew_agent import Folder
from tests.integration.cluster.in_cluster import SECRETS, Installed, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server


def told(here: Installed, name: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = here.server.get("events.events.k8s.io", "-n", "default")["items"]
    return [each for each in items if each["regarding"]["name"] == name]


def test_what_a_person_must_act_on_is_an_event_beside_the_webhook(here: Installed, folder: Folder) -> None:
    with Receiver(lambda _: Answer(403)) as closed, Receiver(lambda _: Answer(400)) as picky:
        here.apply(
            webhook("said-invalid", closed.url, query="severity >"),
            webhook("said-parked", closed.url),
            webhook("said-dead", picky.url),
        )
        here.agent(folder)
        eventually(lambda: here.condition("said-dead", "Healthy"), "it runs")
        folder.write([1, 2])
        for name, reason in (("said-invalid", "Invalid"), ("said-parked", "Parked"), ("said-dead", "DeadLetters")):
            eventually(lambda each=name: told(here, each), name)
            (found,) = told(here, name)
            assert (found["reason"], found["type"]) == (reason, "Warning")
            assert found["regarding"]["uid"] == here.object(name)["metadata"]["uid"]
        assert "dead-letters said-dead" in told(here, "said-dead")[0]["note"]
        described = here.server.kubectl("describe", "securityeventwebhooks.v3.projectcalico.org", "said-parked")
        assert "Parked" in described


def test_the_agent_may_write_events_in_no_other_namespace(here: Installed) -> None:
    account = "--as=system:serviceaccount:sew-system:sew-agent"

    def may(namespace: str) -> bool:
        asked = ("auth", "can-i", "create", "events.events.k8s.io", account, "-n", namespace)
        return here.server.try_kubectl(*asked).stdout.strip() == "yes"

    assert may("default")
    assert not any(may(each) for each in ("kube-system", "sew-system", SECRETS))
