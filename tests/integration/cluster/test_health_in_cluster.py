"""The loops in a cluster show in the health that they live, also while there is nothing to do."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from kubectl_sew.consumers.base import Outcome, Verdict
from kubectl_sew.event import Event
from kubectl_sew.query import CALICO
from kubectl_sew.validation import Accepted, accept
from sew_agent.base.health import Health
from sew_agent.base.log import Log
from sew_agent.kubernetes.client import KubernetesClient, connect
from sew_agent.kubernetes.event_recorder import EventRecorder
from sew_agent.kubernetes.problems import Problems
from sew_agent.kubernetes.status_writer import StatusWriter
from sew_agent.kubernetes.tester import KubernetesDeliveryTester
from sew_agent.kubernetes.webhooks import KubernetesWebhooks, Scope, WebhookPath, read_webhook
from tests.integration.cluster.in_cluster import SECRETS, Installed, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server


@pytest.fixture
def api(here: Installed) -> Iterator[KubernetesClient]:
    made = connect(here.kubeconfig, "")
    yield made
    made.close()


class Lives:
    """Heartbeats of a clock that stands still but for the test."""

    def __init__(self) -> None:
        self.now = 0.0
        self.health = Health(lambda: self.now)

    def beat(self, name: str) -> Callable[[], None]:
        return self.health.heartbeat(name, 10.0).beat

    def all_go_on(self) -> None:
        """Each of them beats after all were late."""
        self.now += 1000.0
        assert self.health.stalled()
        eventually(lambda: not self.health.stalled(), "all of them beat")


@pytest.fixture
def problems() -> Problems:
    return Problems(Log(io.StringIO(), time.time))


def watching(api: KubernetesClient, problems: Problems, lives: Lives) -> KubernetesWebhooks:
    place, named = WebhookPath(api, ""), lives.beat
    return KubernetesWebhooks(api, place, Scope(SECRETS), problems, lambda _: None, named)


def test_the_writers_of_status_and_events_beat_until_they_are_stopped(
    api: KubernetesClient, problems: Problems
) -> None:
    lives, place = Lives(), WebhookPath(api, "")
    webhooks = watching(api, problems, Lives())
    writer = StatusWriter(api, place, webhooks, problems, time.time, lives.beat("status"))
    event_recorder = EventRecorder(api, place, problems, "n/me", lives.beat("announcer"))
    writer.start()
    event_recorder.start()
    lives.all_go_on()
    writer.stop(in_charge=False)
    event_recorder.stop()
    webhooks.close()


def test_the_loop_that_puts_webhooks_together_beats_while_nothing_changes(
    api: KubernetesClient, problems: Problems
) -> None:
    lives = Lives()
    beats = {"webhooks": lives.beat}
    webhooks = KubernetesWebhooks(
        api,
        WebhookPath(api, ""),
        Scope(SECRETS),
        problems,
        lambda _: None,
        lambda name: beats.get(name, Lives().beat)(name),
    )
    eventually(lambda: webhooks.snapshot().known, "all is read")
    lives.all_go_on()
    lives.all_go_on()
    webhooks.close()


def test_a_test_that_hangs_is_named_until_it_has_ended(
    here: Installed, api: KubernetesClient, problems: Problems
) -> None:
    here.apply(webhook("hangs", "http://127.0.0.1:9/", state="Test"))
    lives, reached, release = Lives(), threading.Event(), threading.Event()

    def attempt(_accepted: Accepted, _event: Event) -> Outcome:
        reached.set()
        release.wait()
        return Outcome(Verdict.DELIVERED)

    tester = KubernetesDeliveryTester(
        api, WebhookPath(api, ""), problems, attempt, time.time, partial(lives.health.during, limit=10.0)
    )
    tester.fire(accepted(here, "hangs"), "")
    assert reached.wait(10)
    lives.now += 11.0
    assert lives.health.stalled() == {"test-hangs": "no progress for 11 s"}
    release.set()
    eventually(lambda: here.object("hangs")["spec"]["state"] == "Enabled", "the test ends")
    eventually(lambda: not (tester.finished() or tester.busy), "its thread ends")
    lives.now += 11.0
    assert lives.health.stalled() == {}


def accepted(here: Installed, name: str) -> Accepted:
    found = accept(read_webhook(here.object(name)).webhook, {}, {}, CALICO)
    assert isinstance(found, Accepted)
    return found
