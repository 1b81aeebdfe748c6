"""Failover between two agents, over a real API server and a real Elasticsearch: nothing is lost."""

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from kubectl_sew.resource import Condition, checkpoint
from testbed.receivers import Answer, Receiver
from testbed.servers.indices import index, write
from tests.e2e.sew_agent import Agent, Folder
from tests.integration.cluster.in_cluster import ClusterHarness, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server


class EventsHarness:
    """An index of the test's own; events are numbered as they are written."""

    def __init__(self, client: Elasticsearch, url: str, name: str) -> None:
        self._client, self._name = client, name
        self.flags = ("--elasticsearch", url, "--index", name)
        self.written: set[str] = set()

    def write(self, count: int, dated: float | None = None) -> None:
        """Write events of now, unless dated otherwise; the next refresh shows them."""
        names = [f"e{len(self.written) + number}" for number in range(count)]
        now = int(dated or time.time())
        write(self._client, self._name, ({"_id": name, "severity": 50, "time": now} for name in names), refresh=False)
        self.written |= set(names)


@pytest.fixture
def events(elasticsearch_8: str) -> Iterator[EventsHarness]:
    name = f"sew-failover-{uuid.uuid4().hex[:8]}"
    with Elasticsearch(elasticsearch_8, request_timeout=60) as client, index(client, name=name):
        yield EventsHarness(client, elasticsearch_8, name)


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[list[Folder]]:
    """Two folders: of the first agent and of the second."""
    made = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        made.append(Folder(tmp_path / name))
    yield made
    for folder in made:
        folder.stop()


def start_first(harness: ClusterHarness, receiver: Receiver, folder: Folder, events: EventsHarness) -> Agent:
    """Create the webhook, and start the first agent; return it once it has left a checkpoint."""
    harness.apply(webhook("kept", receiver.url))
    first = harness.agent(folder, *events.flags, POD_NAME="first", POD_NAMESPACE="n")
    eventually(lambda: read_to(harness), "the first reads, and leaves a checkpoint", 30)
    return first


def received(receiver: Receiver) -> set[str]:
    return set(receiver.ids(lambda incoming: incoming.json()["id"]))


def read_to(harness: ClusterHarness) -> float | None:
    """Return the checkpoint in the webhook's condition."""
    return checkpoint([Condition.from_object(condition) for condition in harness.object("kept").get("status") or ()])


def test_pending_deliveries_of_a_killed_leader_are_sent_by_the_next_and_back_again(
    harness: ClusterHarness, folders: list[Folder], events: EventsHarness
) -> None:
    answers = [Answer(204)]
    with Receiver(lambda _: answers[0]) as receiver:
        first = start_first(harness, receiver, folders[0], events)
        second = harness.agent(folders[1], *events.flags, POD_NAME="second", POD_NAMESPACE="n")
        events.write(50)
        eventually(lambda: received(receiver) == events.written, "the first delivers", 30)
        answers[0] = Answer(503)
        events.write(50)
        eventually(lambda: '"pending"} 50' in first.scrape(), "the first has 50 pending", 30)
        first.kill()
        events.write(50)
        answers[0] = Answer(204)
        eventually(lambda: received(receiver) == events.written, "the second delivers all of it", 60)
        assert second.says("lease_taken")[0]["before"] == "n/first"
        again = harness.agent(folders[0], *events.flags, POD_NAME="first", POD_NAMESPACE="n")
        eventually(lambda: again.says("standing_by"), "the first is back and stands by", 30)
        second.kill()
        events.write(50)
        eventually(lambda: received(receiver) == events.written, "the first goes on where the second was", 60)
        identities = receiver.ids(lambda incoming: incoming.headers["webhook-id"])
        assert len(identities) == len(events.written)


def test_deliveries_before_a_shutdown_are_not_sent_again_by_the_next_leader(
    harness: ClusterHarness, folders: list[Folder], events: EventsHarness
) -> None:
    with Receiver(lambda _: Answer(204)) as receiver:
        first = start_first(harness, receiver, folders[0], events)
        events.write(50)
        written = time.time()
        eventually(lambda: received(receiver) == events.written, "the first delivers", 30)
        eventually(lambda: reported_read_to(folders[0]) > written, "its checkpoint is past them", 60)
        assert (read_to(harness) or 0.0) < written
        assert first.terminate() == 0
        assert (read_to(harness) or 0.0) > written
        harness.agent(folders[1], *events.flags, POD_NAME="second", POD_NAMESPACE="n")
        events.write(1)
        eventually(lambda: received(receiver) == events.written, "the second goes on", 60)
        assert set(receiver.ids(lambda incoming: incoming.headers["webhook-id"]).values()) == {1}


def test_a_late_event_while_nobody_runs_is_delivered_by_an_agent_with_an_empty_store(
    harness: ClusterHarness, folders: list[Folder], events: EventsHarness
) -> None:
    """Replace a pod without a volume: an event on its way is dated before the last checkpoint."""
    with Receiver(lambda _: Answer(204)) as receiver:
        first = start_first(harness, receiver, folders[0], events)
        dated = time.time()
        eventually(lambda: reported_read_to(folders[0]) > dated + 1, "its checkpoint is past it", 30)
        assert first.terminate() == 0
        events.write(1, dated)
        harness.agent(folders[1], *events.flags, POD_NAME="second", POD_NAMESPACE="n")
        eventually(lambda: received(receiver) == events.written, "the second delivers it", 30)


def reported_read_to(folder: Folder) -> float:
    """Return the checkpoint in the running agent's report."""
    (row,) = json.loads(folder.command("status", "-o", "json").stdout)["webhooks"]
    return checkpoint([Condition("EventsFetched", "True", "EventsRead", row["eventsFetched"] or "")]) or 0.0
