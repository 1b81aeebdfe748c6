"""The real process delivers every event, whatever happens on the way."""

import random
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from kubectl_sew.event import Event, delivery_id
from testbed.receivers import Answer, Incoming, Receiver
from tests.e2e.receivers import SwitchableReceiver, delivery_ids, received_ids
from tests.e2e.sew_agent import Agent, Folder, counters
from tests.waiting import eventually

WORKERS = 4


@pytest.fixture
def refusing() -> Iterator[SwitchableReceiver]:
    made = SwitchableReceiver(400)
    yield made
    made.receiver.close()


def test_every_event_arrives_without_duplicates_at_every_webhook_that_selects_it(
    folder: Folder, receiver: Receiver
) -> None:
    folder.webhook("all", receiver.url)
    folder.webhook("urgent", receiver.url, query="severity >= 90")
    folder.write(range(300))
    folder.write(range(300, 310), severity=95)
    assert folder.start("--once").wait() == 0
    urgent = {delivery_id("urgent", Event("", f"e{number}", {})) for number in range(300, 310)}
    assert received_ids(receiver) == Counter(delivery_ids("all", 310) | urgent)


def test_an_event_whose_id_holds_a_lone_surrogate_arrives(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("all", receiver.url)
    with folder.events.open("a") as file:
        file.write('{"id": "\\ud800", "type": "waf", "severity": 1}\n')
    folder.write(range(3))
    assert folder.start("--once").wait() == 0
    assert received_ids(receiver).total() == 4


def test_events_that_are_written_later_arrive_too(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("all", receiver.url)
    folder.start()
    folder.write(range(50))
    eventually(lambda: len(received_ids(receiver)) == 50, "the first events arrive")
    folder.write(range(50, 100))
    eventually(lambda: received_ids(receiver).keys() == delivery_ids("all", 100), "the later events arrive")


def test_kills_lose_no_event_and_duplicate_at_most_what_was_in_flight(folder: Folder, receiver: Receiver) -> None:
    chance, kills = random.Random(7), 6
    folder.webhook("one", receiver.url)
    folder.webhook("two", receiver.url)
    for number in range(kills):
        folder.write(range(number * 400, (number + 1) * 400))
        agent = folder.start(SEW_WORKERS=str(WORKERS))
        target = received_ids(receiver).total() + chance.randrange(1, 500)
        eventually(lambda target=target: received_ids(receiver).total() >= target, "deliveries go on")  # type: ignore[misc]
        agent.kill()
    assert folder.start("--once").wait() == 0
    got = received_ids(receiver)
    assert got.keys() == delivery_ids("one", 400 * kills) | delivery_ids("two", 400 * kills)
    assert got.total() - len(got) <= kills * WORKERS


def test_receivers_that_hang_or_refuse_do_not_slow_the_others(
    folder: Folder, receiver: Receiver, refusing: SwitchableReceiver
) -> None:
    release = threading.Event()

    def hang(incoming: Incoming) -> Answer:
        release.wait(30)
        return Answer(200)

    refusing.status = 503
    with Receiver(hang) as hanging:
        folder.webhook("hanging", hanging.url)
        folder.webhook("refusing", refusing.receiver.url)
        folder.webhook("unreachable", "http://127.0.0.1:9")
        folder.webhook("good", receiver.url)
        folder.write(range(500))
        folder.start(SEW_WORKERS=str(WORKERS))
        eventually(lambda: received_ids(receiver).keys() == delivery_ids("good", 500), "the good one gets all", 10)
        release.set()


def test_the_counters_add_up_at_every_scrape(folder: Folder, receiver: Receiver, refusing: SwitchableReceiver) -> None:
    folder.webhook("good", receiver.url)
    refused = delivery_ids("bad", 2000, step=10)  # of half of them five in a row would be by chance, which parks it
    refusing.accepted = delivery_ids("bad", 2000) - refused
    folder.webhook("bad", refusing.receiver.url)
    agent = folder.start()
    for number in range(20):
        folder.write(range(number * 100, (number + 1) * 100))
        assert_counters_add_up(agent)
    eventually(lambda: len(received_ids(receiver)) == 2000, "all arrive")
    eventually(lambda: counters(agent.scrape(), "sew_deliveries", "state").get("dead") == 200, "the bad ones are dead")
    assert_counters_add_up(agent)
    assert counters(agent.scrape(), "sew_events_seen_total", "webhook") == {"good": 2000, "bad": 2000}


def assert_counters_add_up(agent: Agent) -> None:
    metrics = agent.scrape()
    seen = counters(metrics, "sew_events_seen_total", "webhook")
    assert seen == counters(metrics, "sew_deliveries", "webhook")


def test_state_debug_sends_nothing_and_logs_and_counts_each_event(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("watched", receiver.url, state="Debug")
    folder.write(range(3))
    agent = folder.start("--once")
    assert agent.wait() == 0
    assert not received_ids(receiver)
    assert [entry["id"] for entry in agent.says("debug_event")] == ["e0", "e1", "e2"]


def test_state_test_sends_the_sample_once_and_then_delivers(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("tried", receiver.url, state="Test")
    folder.write(range(2))
    first = folder.start("--once")
    assert first.wait() == 0
    assert len(first.says("webhook_tested")) == 1
    assert folder.start("--once").wait() == 0
    assert len(received_ids(receiver)) == 3


def test_state_disabled_keeps_the_queue_and_skips_new_events(
    folder: Folder, receiver: Receiver, refusing: SwitchableReceiver
) -> None:
    refusing.status = 503
    folder.webhook("w", refusing.receiver.url)
    folder.write(range(2))
    agent = folder.start()
    eventually(lambda: refusing.receiver.refused, "it is tried")
    folder.webhook("w", refusing.receiver.url, state="Disabled")
    eventually(lambda: agent.says("webhook_accepted")[-1]["state"] == "Disabled", "it is disabled")
    folder.write([7], _id="meanwhile")
    folder.webhook("other", receiver.url, query="_id = meanwhile")
    eventually(lambda: len(received_ids(receiver)) == 1, "what came meanwhile is read")
    folder.webhook("w", receiver.url)
    eventually(lambda: delivery_ids("w", 2) <= received_ids(receiver).keys(), "the queue is delivered")
    folder.write([2])
    eventually(lambda: delivery_ids("w", 3) <= received_ids(receiver).keys(), "new events are delivered")
    assert len(received_ids(receiver)) == 4
