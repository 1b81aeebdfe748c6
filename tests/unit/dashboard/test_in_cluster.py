"""A cluster's webhooks and its agent, as the overview asks kubectl for them."""

import json
from collections.abc import Sequence
from threading import Barrier, BrokenBarrierError
from typing import Any, cast

import pytest

from kubectl_sew.dashboard.in_cluster import ClusterReach
from kubectl_sew.kubectl import Kubectl, KubectlError, KubectlProblem
from kubectl_sew.query import CALICO

GROUP, LIST = "/apis/projectcalico.org/v3", "/apis/projectcalico.org/v3/securityeventwebhooks"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/secrets/leases/sew-agent"
TOGETHER = 10.0
"""Seconds in which two requests must have met that are made side by side."""


class Server:
    """kubectl for one webhook and its agent; the first requests for the list and for the Lease wait for each other."""

    def __init__(self, refuses: str = "") -> None:
        self.flags: tuple[str, ...] = ()
        self.asked: list[str] = []
        self.met = Barrier(2)
        self.refuses = refuses

    def get(self, path: str, **_: str) -> Any:
        self.asked.append(path)
        if path in (LIST, LEASE):
            try:
                self.met.wait(TOGETHER)
            except BrokenBarrierError:
                raise AssertionError("the list and the Lease are not asked for side by side") from None
        if path == self.refuses:
            raise KubectlError(KubectlProblem.FORBIDDEN, f"no right to read {path}")
        return {
            GROUP: {"resources": [{"name": "securityeventwebhooks", "kind": "SecurityEventWebhook"}]},
            LIST: {"items": [{"metadata": {"name": "night"}, "spec": {"consumer": "Generic", "query": "type = waf"}}]},
            LEASE: {"spec": {"holderIdentity": "secrets/agent-0", "leaseDurationSeconds": 15}},
        }[path]

    def find(self, path: str) -> Any:
        return self.get(path)

    def execute(self, namespace: str, pod: str, container: str, command: Sequence[str]) -> str:
        self.asked.append(f"{namespace}/{pod}/{container}: {' '.join(command)}")
        return json.dumps({"agent": {"running": True}, "webhooks": [{"name": "night", "backlog": 3}]})


def reach(server: Server) -> ClusterReach:
    return ClusterReach(cast(Kubectl, server), "secrets", "", CALICO, lambda: 0.0)


def test_the_webhooks_and_their_agent_are_asked_for_side_by_side() -> None:
    fleet = reach(Server()).fleet()
    assert [webhook.name for webhook in fleet.webhooks] == ["night"]
    assert fleet.agent.rows["night"]["backlog"] == 3


def test_the_first_request_is_made_alone_so_that_a_login_is_asked_for_once() -> None:
    server = Server()
    place = reach(server)
    place.fleet()
    place.fleet()
    assert server.asked[0] == GROUP
    assert server.asked.count(GROUP) == 1


def test_where_the_webhooks_may_not_be_read_the_overview_says_so() -> None:
    with pytest.raises(KubectlError, match="no right to read"):
        reach(Server(refuses=LIST)).fleet()


def test_where_the_lease_may_not_be_read_the_webhooks_are_shown_without_their_agent() -> None:
    fleet = reach(Server(refuses=LEASE)).fleet()
    assert [webhook.name for webhook in fleet.webhooks] == ["night"]
    assert "no right to read" in fleet.agent.unknown
