"""A webhook that moves from one agent to another, of those that share a store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubectl_sew.event import Event
from sew_agent.delivery.queue import Assignment
from sew_agent.delivery.queues import CLOCKS_DIFFER, SHARED_EVERY
from sew_agent.store.records import EnqueueBatch, NewDelivery, ReceiverState
from tests.unit.agent.delivery.harness import NOW, DispatcherHarness, route, status


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[DispatcherHarness]:
    made = DispatcherHarness(tmp_path)
    yield made
    made.store.close()


def parked(harness: DispatcherHarness) -> bool:
    return harness.store.receivers()["w"].parked


def test_what_is_known_of_a_receiver_moves_with_its_webhook_and_ends_where_that_is_not_sent_to_any_more(
    harness: DispatcherHarness,
) -> None:
    state = ReceiverState("w", parked=True, failures=9, since=NOW, settings_digest="d", endpoint_digest="d")
    harness.store.record_results((), [state])
    harness.serve("w", digest="d")
    harness.dispatcher.serve({}, moving={"w"})
    assert parked(harness)
    harness.serve("w", digest="d")
    assert parked(harness)
    harness.dispatcher.serve({})
    assert not parked(harness)


def test_a_webhook_that_moves_is_in_flight_until_the_results_of_its_requests_are_written(
    harness: DispatcherHarness,
) -> None:
    harness.enqueue("w", 2)
    harness.serve("w")
    answer = harness.begin()
    harness.dispatcher.serve({}, moving={"w"})
    assert set(harness.dispatcher.in_flight({"w", "other"})) == {"w"}
    assert isinstance(harness.dispatcher.next_assignment(), float), "nothing more of it begins"
    answer()
    assert not harness.dispatcher.in_flight({"w"})
    assert harness.store.pending_counts() == {"w": 1}


def test_what_was_assigned_and_not_sent_yet_is_left_to_the_new_owner(harness: DispatcherHarness) -> None:
    harness.enqueue("w")
    harness.serve("w")
    assignment = harness.dispatcher.next_assignment()
    assert isinstance(assignment, Assignment)
    harness.dispatcher.serve({}, moving={"w"})
    harness.deliver(assignment)
    assert (harness.receivers.received, harness.store.pending_counts()) == ([], {"w": 1})
    assert not harness.dispatcher.in_flight({"w"})


@pytest.mark.parametrize("tried", [False, True])
def test_a_new_owner_keeps_a_pause_for_longer_than_the_clocks_of_two_agents_differ(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch, *, tried: bool
) -> None:
    """What was tried waits for longer than what is new."""
    harness.enqueue("w")
    if tried:
        harness.receivers.answers["w"] = status(503)
        harness.serve("w")
        harness.run()
        harness.receivers.answers.clear()
        harness.receivers.received.clear()
    monkeypatch.setattr(harness.store, "sharing", lambda: True)
    held_until = NOW + (0.0 if tried else 10.0)
    waiting = ReceiverState("w", failures=1, held_at=NOW, held_until=held_until, retry_until=NOW + 10.0)
    harness.store.record_results((), [waiting])
    harness.restart()
    harness.serve("w")
    harness.pass_time(10.0 + CLOCKS_DIFFER / 2)
    assert harness.receivers.received == []
    harness.pass_time(CLOCKS_DIFFER)
    assert len(harness.receivers.received) == 1


def test_what_another_agent_takes_in_is_sent_sooner_where_they_share_a_store(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness.store, "sharing", lambda: True)
    harness.restart()
    harness.serve("w")
    harness.run()
    harness.store.enqueue(EnqueueBatch([NewDelivery(Event("", "e", {}), ("w",))], {}, NOW))
    harness.pass_time(SHARED_EVERY)
    assert harness.receivers.count() == {"w": 1}


def test_a_new_owner_begins_without_a_token_of_the_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = DispatcherHarness(tmp_path, rate=2.0)
    monkeypatch.setattr(harness.store, "sharing", lambda: True)
    harness.restart()
    harness.enqueue("w", 5)
    harness.dispatcher.serve({"w": route("w", "", "Generic")})
    assert harness.run() > 0
    assert harness.receivers.received == []
    harness.clock.now += 0.6
    harness.run()
    assert len(harness.receivers.received) == 1
    harness.store.close()
