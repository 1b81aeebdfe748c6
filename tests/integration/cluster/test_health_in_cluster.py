"""Heartbeats of the loops in a cluster, also while there is nothing to do."""

import io
import threading
import time
from collections.abc import Iterator

import pytest

from kubectl_sew.consumers.base import Outcome, Verdict
from kubectl_sew.event import Event
from kubectl_sew.query import CALICO
from kubectl_sew.validation.webhook import Accepted, accept
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
from tests.integration.cluster.in_cluster import SECRETS, ClusterHarness, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server


@pytest.fixture
def context(harness: ClusterHarness) -> Iterator[ClusterContext]:
    client, log = connect(harness.kubeconfig, ""), Log(io.StringIO(), time.time)
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
    beats = HealthHarness()
    webhooks = KubernetesWebhooks(context, Scope(SECRETS), Health())
    webhooks.start()
    writer = StatusWriter(context, webhooks, beats.health)
    recorder = EventRecorder(context, "n/me", beats.health)
    writer.start()
    recorder.start()
    beats.await_beats("status", "event-recorder")
    writer.stop(leading=False)
    recorder.stop()
    webhooks.close()


def test_the_loop_that_makes_snapshots_beats_while_nothing_changes(context: ClusterContext) -> None:
    beats = HealthHarness()
    webhooks = KubernetesWebhooks(context, Scope(SECRETS), beats.health)
    webhooks.start()
    eventually(lambda: webhooks.snapshot().known, "all is read")
    beats.await_beats("webhooks")
    beats.await_beats("webhooks")
    webhooks.close()


def test_a_test_that_hangs_is_named_until_it_has_ended(harness: ClusterHarness, context: ClusterContext) -> None:
    harness.apply(webhook("hangs", "http://127.0.0.1:9/", state="Test"))
    beats, reached, release = HealthHarness(), threading.Event(), threading.Event()

    def attempt(_accepted: Accepted, _event: Event) -> Outcome:
        reached.set()
        release.wait()
        return Outcome(Verdict.DELIVERED)

    tester = KubernetesDeliveryTester(context, attempt, beats.health, request_timeout=1.0)
    tester.fire(accepted(harness, "hangs"), "")
    assert reached.wait(10)
    late = longest_step(1.0) + 1.0
    beats.now += late
    assert beats.health.stalled() == {"test-hangs": f"no progress for {late:.0f} s"}
    release.set()
    eventually(lambda: harness.object("hangs")["spec"]["state"] == "Enabled", "the test ends")
    eventually(lambda: not (tester.take_finished() or tester.busy), "its thread ends")
    beats.now += late
    assert beats.health.stalled() == {}


def accepted(harness: ClusterHarness, name: str) -> Accepted:
    webhook = accept(read_webhook(harness.object(name)).webhook, {}, {}, CALICO)
    assert isinstance(webhook, Accepted)
    return webhook
