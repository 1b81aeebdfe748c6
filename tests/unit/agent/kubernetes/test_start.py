"""The parts of the agent in a cluster begin when they are started, and not while they are made."""

import io
import threading
from typing import Any

from sew_agent.base.health import Health, Heartbeat
from sew_agent.base.log import Log
from sew_agent.kubernetes.context import ClusterContext
from sew_agent.kubernetes.event_recorder import EventRecorder
from sew_agent.kubernetes.leader_election import LeaderElector
from sew_agent.kubernetes.lease import Identity
from sew_agent.kubernetes.lease_client import LeaseClient
from sew_agent.kubernetes.paths import WebhookPath
from sew_agent.kubernetes.problems import Problems
from sew_agent.kubernetes.status_writer import StatusWriter
from sew_agent.kubernetes.tester import KubernetesDeliveryTester
from sew_agent.kubernetes.webhooks import KubernetesWebhooks, Scope


class NoRequests:
    """A client of an API server that must not be asked."""

    def quick(self, _seconds: float) -> "NoRequests":
        return self

    def _fail(self, *_arguments: object, **_more: object) -> None:
        raise AssertionError("the API server was asked")

    get = create = patch = watch = _fail


def test_nothing_is_asked_and_no_thread_begins_before_start() -> None:
    now = 0.0
    health, log, client = Health(lambda: now), Log(io.StringIO(), lambda: now), NoRequests()
    not_a_client: Any = client
    context = ClusterContext(not_a_client, WebhookPath(not_a_client, ""), Problems(log), log)
    before = set(threading.enumerate())
    webhooks = KubernetesWebhooks(context, Scope("n"), health)
    StatusWriter(context, webhooks, health)
    EventRecorder(context, "n/me", health)
    lease = LeaseClient(context, "n", Identity("n/me", "mine"))
    LeaderElector(context, lease, on_another_store=client._fail, heartbeat=Heartbeat(1.0, lambda: now))
    KubernetesDeliveryTester(context, lambda *_: client._fail(), health, request_timeout=1.0)
    assert not webhooks.snapshot().known
    assert set(threading.enumerate()) <= before  # those of other tests may end
    now = 1e9
    assert health.stalled() == {}
