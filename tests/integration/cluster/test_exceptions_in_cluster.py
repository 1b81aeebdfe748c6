"""AlertExceptions watched on a real API server: also where the kind is not served at first, and is defined later."""

from typing import Any

import pytest

from testbed.receivers import Receiver
from tests.e2e.sew_agent import Folder, counters
from tests.integration.cluster.in_cluster import V1, V3, ClusterHarness, accepted, exceptions_definition, page, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server
SOON = 60.0
"""Seconds within which a kind that was not served is found, and its objects are listed."""


def exception(name: str, selector: str, group_version: str = V3, **spec: Any) -> dict[str, Any]:
    given = {"description": "d", "selector": selector, "startTime": "2026-01-01T00:00:00Z", **spec}
    return {"apiVersion": group_version, "kind": "AlertException", "metadata": {"name": name}, "spec": given}


@pytest.mark.parametrize("group_version", [V3, V1])
def test_an_exception_of_either_group_suppresses_from_its_creation_to_its_deletion(
    own: ClusterHarness, folder: Folder, receiver: Receiver, group_version: str
) -> None:
    group, _, version = group_version.partition("/")
    own.define()
    own.apply(webhook("a", receiver.url))
    agent = own.agent(folder, "--listen", "127.0.0.1:0")
    eventually(lambda: accepted(agent, "a"), "the webhook is known", SOON)
    folder.write([1], host="quiet")
    eventually(lambda: len(receiver.accepted) == 1, "without the kind nothing is suppressed")
    assert page(agent, "/readyz")[0] == 200
    own.server.apply(exceptions_definition(group_version))
    own.server.kubectl("wait", "--for=condition=Established", f"crd/alertexceptions.{group}")
    own.apply(exception("scan", "host = quiet", group_version), exception("torn", "hots = quiet", group_version))
    said = ("exception_accepted", "exception_refused")
    eventually(lambda: all(map(agent.says, said)), "both exceptions are known", SOON)
    (refused,) = agent.says("exception_refused")
    assert refused["exception"] == "torn"
    eventually(
        lambda: "AlertException torn suppresses nothing" in fetched(own), "the condition names the broken one", 30
    )
    folder.write([2, 3], host="quiet")
    folder.write([4], host="loud")
    eventually(lambda: len(receiver.accepted) == 2, "the other event arrives")
    assert b'"e4"' in receiver.accepted[-1].body
    metrics = page(agent, "/metrics")[1]
    assert counters(metrics, "sew_events_suppressed_total", "exception") == {"scan": 2.0, "torn": 0.0}
    own.server.kubectl("delete", f"alertexceptions.{version}.{group}", "scan")
    eventually(lambda: agent.says("exception_deleted"), "the deletion is seen", SOON)
    folder.write([5], host="quiet")
    eventually(lambda: len(receiver.accepted) == 3, "later events go again")
    own.server.kubectl("delete", f"crd/alertexceptions.{group}")
    eventually(lambda: len(agent.says("exception_deleted")) == 2, "without the kind there is none", 60)
    assert page(agent, "/readyz")[0] == 200


def fetched(harness: ClusterHarness) -> str:
    return str(harness.condition("a", "EventsFetched").get("message"))


def test_the_definition_refuses_what_cannot_be_meant(own: ClusterHarness) -> None:
    own.server.apply(exceptions_definition(V3))
    own.server.kubectl("wait", "--for=condition=Established", "crd/alertexceptions.projectcalico.org")
    own.apply(exception("good", "type = waf", endTime="2026-01-01T00:00:01+00:00"))
    for name, value, said in (
        ("endTime", "2025-01-01T00:00:00Z", "endTime must be after startTime"),
        ("endTime", "tomorrow", "endTime"),
        ("startTime", None, "startTime"),
        ("selector", "", "selector"),
        ("description", None, "description"),
    ):
        manifest = exception("bad", "type = waf")
        manifest["spec"] |= {name: value}
        with pytest.raises(AssertionError, match=said):
            own.apply(manifest)


def test_an_agent_without_the_right_delivers_and_says_what_it_lacks(
    own: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    own.define()
    own.server.apply(exceptions_definition(V3))
    patch = '[{"op": "remove", "path": "/rules/2"}]'
    own.server.kubectl("patch", "clusterrole", "sew-agent", "--type=json", "-p", patch)
    own.apply(webhook("a", receiver.url))
    agent = own.agent(folder, "--listen", "127.0.0.1:0")
    eventually(lambda: accepted(agent, "a"), "the webhook is known", SOON)
    folder.write([1])
    eventually(lambda: len(receiver.accepted) == 1, "the event arrives")
    assert "alertexceptions" in page(agent, "/readyz")[1]
