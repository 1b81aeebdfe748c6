"""Two agents over a real API server and a real Elasticsearch: whoever takes over loses nothing."""

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
from tests.e2e.sew_agent import Folder
from tests.integration.cluster.in_cluster import Installed, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server


class Events:
    """An index of the test's own; events are numbered as they are written."""

    def __init__(self, client: Elasticsearch, url: str, name: str) -> None:
        self._client, self._name = client, name
        self.flags = ("--elasticsearch", url, "--index", name)
        self.written: set[str] = set()

    def write(self, count: int, dated: float | None = None) -> None:
        """Of now, unless dated otherwise, visible after the next refresh."""
        names = [f"e{len(self.written) + number}" for number in range(count)]
        now = int(dated or time.time())
        write(self._client, self._name, ({"_id": name, "severity": 50, "time": now} for name in names), refresh=False)
        self.written |= set(names)


@pytest.fixture
def events(elasticsearch_8: str) -> Iterator[Events]:
    name = f"sew-takeover-{uuid.uuid4().hex[:8]}"
    with Elasticsearch(elasticsearch_8, request_timeout=60) as client, index(client, name=name):
        yield Events(client, elasticsearch_8, name)


def received(receiver: Receiver) -> set[str]:
    return set(receiver.ids(lambda incoming: incoming.json()["id"]))


def read_to(here: Installed) -> float | None:
    """The checkpoint in the webhook's condition."""
    return checkpoint([Condition.from_object(each) for each in here.object("kept").get("status") or ()])


def test_what_the_killed_agent_owed_is_delivered_by_the_next_and_back_again(
    here: Installed, tmp_path: Path, events: Events
) -> None:
    answers = [Answer(204)]
    folders = [Folder(tmp_path / name) for name in ("first", "second") if not (tmp_path / name).mkdir()]
    with Receiver(lambda _: answers[0]) as receiver:
        here.apply(webhook("kept", receiver.url))
        first = here.agent(folders[0], *events.flags, POD_NAME="first", POD_NAMESPACE="n")
        eventually(lambda: read_to(here), "the first reads, and leaves a checkpoint", 30)
        second = here.agent(folders[1], *events.flags, POD_NAME="second", POD_NAMESPACE="n")
        events.write(50)
        eventually(lambda: received(receiver) == events.written, "the first delivers", 30)
        answers[0] = Answer(503)
        events.write(50)
        eventually(lambda: '"pending"} 50' in first.scrape(), "the first owes 50", 30)
        first.kill()
        events.write(50)
        answers[0] = Answer(204)
        eventually(lambda: received(receiver) == events.written, "the second delivers all of it", 60)
        assert second.says("lease_taken")[0]["before"] == "n/first"
        again = here.agent(folders[0], *events.flags, POD_NAME="first", POD_NAMESPACE="n")
        eventually(lambda: again.says("standing_by"), "the first is back and stands by", 30)
        second.kill()
        events.write(50)
        eventually(lambda: received(receiver) == events.written, "the first goes on where the second was", 60)
        identities = receiver.ids(lambda incoming: incoming.headers["webhook-id"])
        assert len(identities) == len(events.written)
    for folder in folders:
        folder.stop()


def test_what_an_agent_delivered_that_ended_as_it_should_is_not_sent_again_by_the_next(
    here: Installed, tmp_path: Path, events: Events
) -> None:
    folders = [Folder(tmp_path / name) for name in ("first", "second") if not (tmp_path / name).mkdir()]
    with Receiver(lambda _: Answer(204)) as receiver:
        here.apply(webhook("kept", receiver.url))
        first = here.agent(folders[0], *events.flags, POD_NAME="first", POD_NAMESPACE="n")
        eventually(lambda: read_to(here), "the first reads, and leaves a checkpoint", 30)
        events.write(50)
        written = time.time()
        eventually(lambda: received(receiver) == events.written, "the first delivers", 30)
        eventually(lambda: told_read_to(folders[0]) > written, "its checkpoint is past them", 60)
        assert (read_to(here) or 0.0) < written
        assert first.terminate() == 0
        assert (read_to(here) or 0.0) > written
        here.agent(folders[1], *events.flags, POD_NAME="second", POD_NAMESPACE="n")
        events.write(1)
        eventually(lambda: received(receiver) == events.written, "the second goes on", 60)
        assert set(receiver.ids(lambda incoming: incoming.headers["webhook-id"]).values()) == {1}
    for folder in folders:
        folder.stop()


def test_an_event_that_comes_late_while_nobody_runs_is_delivered_by_one_with_an_empty_store(
    here: Installed, tmp_path: Path, events: Events
) -> None:
    """As when a pod without a volume is replaced: what was on its way is dated before the last checkpoint."""
    folders = [Folder(tmp_path / name) for name in ("first", "second") if not (tmp_path / name).mkdir()]
    with Receiver(lambda _: Answer(204)) as receiver:
        here.apply(webhook("kept", receiver.url))
        first = here.agent(folders[0], *events.flags, POD_NAME="first", POD_NAMESPACE="n")
        eventually(lambda: read_to(here), "the first reads, and leaves a checkpoint", 30)
        dated = time.time()
        eventually(lambda: told_read_to(folders[0]) > dated + 1, "its checkpoint is past it", 30)
        assert first.terminate() == 0
        events.write(1, dated)
        here.agent(folders[1], *events.flags, POD_NAME="second", POD_NAMESPACE="n")
        eventually(lambda: received(receiver) == events.written, "the second delivers it", 30)
    for folder in folders:
        folder.stop()


def told_read_to(folder: Folder) -> float:
    """The checkpoint that the running agent tells."""
    (row,) = json.loads(folder.command("status", "-o", "json").stdout)["webhooks"]
    return checkpoint([Condition("EventsFetched", "True", "EventsRead", row["eventsFetched"] or "")]) or 0.0
