"""The real process reads from a real Elasticsearch, from the event that is written to the receiver's request."""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from elasticsearch import Elasticsearch

from testbed.receivers import Receiver
from testbed.servers.indices import index, write
from tests.e2e.sew_agent import Agent, Folder
from tests.integration.elasticsearch.faults import Answer, proxy
from tests.waiting import eventually

pytestmark = pytest.mark.server


class EventIndex:
    """An index of a test's own, and the flags of an agent that reads it."""

    def __init__(self, client: Elasticsearch, url: str, name: str) -> None:
        self._client, self._name = client, name
        self.flags = ("--elasticsearch", url, "--index", name)

    def write(self, numbers: range) -> None:
        """Write events that the index's next refresh makes visible, as in life."""
        documents = ({"_id": f"e{number}", "severity": 50, "time": int(time.time())} for number in numbers)
        write(self._client, self._name, documents, refresh=False)


@pytest.fixture
def events(elasticsearch_8: str) -> Iterator[EventIndex]:
    name = f"sew-e2e-{uuid.uuid4().hex[:8]}"
    with Elasticsearch(elasticsearch_8, request_timeout=60) as client, index(client, name=name):
        yield EventIndex(client, elasticsearch_8, name)


def received_events(receiver: Receiver) -> Counter[str]:
    return receiver.ids(lambda incoming: incoming.json()["id"])


def expected(numbers: range) -> Counter[str]:
    return Counter(f"e{number}" for number in numbers)


def reads(agent: Agent) -> bool:
    """Return whether it has polled the index, so that it reads what is written from now on."""
    return bool(agent.says("listening")) and "\nsew_polls_total 0\n" not in agent.scrape()


def test_an_overloaded_elasticsearch_is_polled_less_and_shows_in_readiness_and_metrics(
    folder: Folder, receiver: Receiver, events: EventIndex
) -> None:
    busy = {"error": {"type": "es_rejected_execution_exception", "reason": "queue full"}, "status": 429}

    def overloaded(path: str, _body: bytes, real: Callable[[], Answer]) -> Answer:
        answer = real()
        if "_msearch" not in path:
            return answer
        return answer.change(lambda body: {**body, "responses": [busy for _ in body["responses"]]})

    folder.webhook("all", receiver.url)
    with proxy(events.flags[1]) as between:
        agent = folder.start("--elasticsearch", between.url, *events.flags[2:])
        eventually(lambda: reads(agent), "the agent reads")
        between.fault = overloaded
        events.write(range(10))
        eventually(lambda: "queue full" in agent.get("/readyz")[1], "it is not ready, and says why")
        eventually(lambda: 'sew_poll_errors_total{reason="source"} 2' in agent.scrape(), "failures are counted")
        assert 'sew_webhook_accepted{webhook="all"} 1' in agent.scrape()
        assert "sew_read_lag_seconds{" in agent.scrape()
        assert between.of("_msearch") <= 3
        between.fault = None
        eventually(lambda: received_events(receiver) == expected(range(10)), "everything arrives")


def test_kills_of_the_agent_duplicate_at_most_what_was_in_flight(
    folder: Folder, receiver: Receiver, events: EventIndex
) -> None:
    folder.webhook("all", receiver.url)
    agent = folder.start(*events.flags, "--workers", "16")
    eventually(lambda: reads(agent), "the agent reads")
    events.write(range(100))
    eventually(lambda: len(received_events(receiver)) > 20, "some events arrive")
    agent.kill()
    events.write(range(100, 200))
    folder.start(*events.flags, "--workers", "16")
    eventually(lambda: len(received_events(receiver)) == 200, "all events arrive")
    assert received_events(receiver).keys() == expected(range(200)).keys()
    assert sum(received_events(receiver).values()) <= 200 + 16  # in flight at the kill
    eventually(
        lambda: '"eventsFetched": "read to 2' in folder.command("status", "-o", "json").stdout, "it says how far"
    )


def test_once_reads_a_backfill_window_and_ends(folder: Folder, receiver: Receiver, events: EventIndex) -> None:
    folder.webhook("all", receiver.url)
    events.write(range(50))
    assert folder.start(*events.flags, "--once", "--start", "1h").wait(60) == 0
    assert received_events(receiver) == expected(range(50))
