"""Heartbeats of the loops in a cluster, also while there is nothing to do."""

import io
import threading
import time
from collections.abc import Iterator

import pytest

from kubectl_sew.consumers.base import Outcome, Verdict
from kubectl_sew.event import Event
from kubectl_sew.query import CALICO
from kubectl_sew.validation import Accepted, accept
from sew_agent.base.health import Health
from sew_agent.base.log import Log
from sew_agent.kubernetes.client import connect
from sew_agent.kubernetes.context import ClusterContext
from sew_agent.kubernetes.event_recorder import EventRecorder
from sew_agent.kubernetes.paths import WebhookPath
from sew_agent.kubernetes.problems import Problems
from sew_agent.kubernetes.status_writer import StatusWriter
from sew_agent.kubernetes.tester import KubernetesDeliveryTester, longest_step
from sew_agent.kubernetes.webhooks import KubernetesWebhooks, Scope, read_webhook
from tests.integration.cluster.in_cluster import SECRETS, Installed, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server


@pytest.fixture
def context(here: Installed) -> Iterator[ClusterContext]:
    client, log = connect(here.kubeconfig, ""), Log(io.StringIO(), time.time)
    yield ClusterContext(client, WebhookPath(client, ""), Problems(log), log)
    client.close()


class HealthHarness:
    """Heartbeats of a clock that stands still but for the test."""

    def __init__(self) -> None:
        self.now = 0.0
        self.health = Health(lambda: self.now)

    def await_beats(self, *names: str) -> None:
        """Wait until each of these loops beats after all were late."""
        self.now += 1000.0
        assert self.health.stalled().keys() >= set(names)
        eventually(lambda: not self.health.stalled().keys() & set(names), "all of them beat")


def test_the_status_writer_and_the_event_recorder_beat_until_they_are_stopped(context: ClusterContext) -> None:
    harness = HealthHarness()
    webhooks = KubernetesWebhooks(context, Scope(SECRETS), Health())
    webhooks.start()
    writer = StatusWriter(context, webhooks, harness.health)
    recorder = EventRecorder(context, "n/me", harness.health)
    writer.start()
    recorder.start()
    harness.await_beats("status", "announcer")
    writer.stop(leading=False)
    recorder.stop()
    webhooks.close()


def test_the_loop_that_makes_snapshots_beats_while_nothing_changes(context: ClusterContext) -> None:
    harness = HealthHarness()
    webhooks = KubernetesWebhooks(context, Scope(SECRETS), harness.health)
    webhooks.start()
    eventually(lambda: webhooks.snapshot().known, "all is read")
    harness.await_beats("webhooks")
    harness.await_beats("webhooks")
    webhooks.close()


def test_a_test_that_hangs_is_named_until_it_has_ended(here: Installed, context: ClusterContext) -> None:
    here.apply(webhook("hangs", "http://127.0.0.1:9/", state="Test"))
    harness, reached, release = HealthHarness(), threading.Event(), threading.Event()

    def attempt(_accepted: Accepted, _event: Event) -> Outcome:
        reached.set()
        release.wait()
        return Outcome(Verdict.DELIVERED)

    tester = KubernetesDeliveryTester(context, attempt, harness.health, request_timeout=1.0)
    tester.fire(accepted(here, "hangs"), "")
    assert reached.wait(10)
    late = longest_step(1.0) + 1.0
    harness.now += late
    assert harness.health.stalled() == {"test-hangs": f"no progress for {late:.0f} s"}
    release.set()
    eventually(lambda: here.object("hangs")["spec"]["state"] == "Enabled", "the test ends")
    eventually(lambda: not (tester.finished() or tester.busy), "its thread ends")
    harness.now += late
    assert harness.health.stalled() == {}


def accepted(here: Installed, name: str) -> Accepted:
    webhook = accept(read_webhook(here.object(name)).webhook, {}, {}, CALICO)
    assert isinstance(webhook, Accepted)
    return webhook
