"""The loops that write to the cluster show in the health that they live, also while there is nothing to write."""

import io
import time
from collections.abc import Iterator

import pytest

from agent.cluster.announcer import Announcer
from agent.cluster.api import Api, connect
from agent.cluster.status import StatusWriter
from agent.cluster.troubles import Troubles
from agent.health import Health
from agent.log import Log
from agent.webhooks.cluster import ClusterWebhooks, Scope, WebhookPlace
from tests.integration.cluster.in_cluster import SECRETS, Installed
from tests.waiting import eventually

pytestmark = pytest.mark.server


@pytest.fixture
def api(here: Installed) -> Iterator[Api]:
    made = connect(here.kubeconfig, "")
    yield made
    made.close()


def test_the_writers_of_status_and_events_beat_until_they_are_stopped(api: Api) -> None:
    now = [0.0]
    health, troubles, place = Health(lambda: now[0]), Troubles(Log(io.StringIO(), time.time)), WebhookPlace(api, "")
    beats = [health.heartbeat(name, 10.0).beat for name in ("status", "announcer")]
    webhooks = ClusterWebhooks(api, place, Scope(SECRETS), troubles, lambda _: None, lambda _: lambda: None)
    loops = (
        StatusWriter(api, place, webhooks, troubles, time.time, beats[0]),
        Announcer(api, place, troubles, "n/me", beats[1]),
    )
    for each in loops:
        each.start()
    now[0] = 1000.0
    eventually(lambda: not health.stalled(), "both beat")
    for each in loops:
        each.stop()
    webhooks.close()
