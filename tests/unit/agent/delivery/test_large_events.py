"""What large events take of the memory: the bytes that are in flight, and those that are read ahead."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kubectl_sew.event import Event
from sew_agent.delivery import in_flight, queues
from sew_agent.delivery.queue import Assignment
from sew_agent.store.records import Delivery, DropReason, EnqueueBatch, NewDelivery
from tests.unit.agent.delivery.harness import DispatcherHarness, status

MANY = [f"w{number}" for number in range(16)]
SIZE = 1000
"""Bytes of a large event's payload, a little more."""


@pytest.fixture(autouse=True)
def bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sixteen thousand bytes be in flight, and as many be read ahead."""
    monkeypatch.setattr(in_flight, "MOST_BYTES", 16 * SIZE)
    monkeypatch.setattr(queues, "READ_AHEAD", 16 * SIZE)


@pytest.fixture
def harness(bounds: None, tmp_path: Path) -> Iterator[DispatcherHarness]:
    """A dispatcher all of whose receivers have taken an event."""
    made = DispatcherHarness(tmp_path, in_flight=64)
    made.serve(*MANY)
    enqueue(made, MANY, 1, size=0)
    made.run()
    made.receivers.received.clear()
    yield made
    made.store.close()


def enqueue(harness: DispatcherHarness, webhooks: Sequence[str], count: int, size: int) -> None:
    ids = [f"{size} {number}" for number in range(count)]
    deliveries = [NewDelivery(Event("", name, {"text": "x" * size}), tuple(webhooks)) for name in ids]
    harness.store.enqueue(EnqueueBatch(deliveries, {}, harness.clock()))
    harness.dispatcher.notify(webhooks)


def all_that_begins(harness: DispatcherHarness) -> list[Assignment]:
    begun = []
    while isinstance(assignment := harness.dispatcher.next_assignment(), Assignment):
        begun.append(assignment)
    return begun


def test_no_more_large_events_are_in_flight_than_the_bytes_allow(harness: DispatcherHarness) -> None:
    enqueue(harness, MANY, 3, SIZE)
    begun = all_that_begins(harness)
    assert 0.7 * 16 <= len(begun) <= 16
    for assignment in begun:
        harness.deliver(assignment)
    harness.run()
    assert harness.receivers.count() == dict.fromkeys(MANY, 3)


def test_one_with_large_events_takes_no_more_than_its_share_of_the_bytes(harness: DispatcherHarness) -> None:
    enqueue(harness, ["w0"], 10, 10)
    harness.run()  # now its receiver takes many at once
    enqueue(harness, ["w0"], 20, SIZE)
    enqueue(harness, ["w1"], 2, 10)
    begun = Counter(assignment.route.webhook for assignment in all_that_begins(harness))
    assert begun["w0"] <= 5
    assert begun["w1"] == 2


def test_an_event_of_more_bytes_than_may_be_in_flight_goes_alone(harness: DispatcherHarness) -> None:
    enqueue(harness, MANY, 2, 20 * SIZE)
    assert len(all_that_begins(harness)) == 1
    harness.restart()
    harness.serve(*MANY)
    harness.run()
    assert harness.receivers.count() == dict.fromkeys(MANY, 2)


def test_small_events_never_wait_for_large_ones(harness: DispatcherHarness) -> None:
    enqueue(harness, MANY[1:], 4, 4 * SIZE)
    assert len(all_that_begins(harness)) == 4
    enqueue(harness, ["w0"], 3, 10)
    assert [assignment.route.webhook for assignment in all_that_begins(harness)] == ["w0"] * 3


def test_one_that_failed_is_tried_beside_large_events_for_others_that_fail(harness: DispatcherHarness) -> None:
    harness.receivers.answers = dict.fromkeys(MANY, status(503))
    enqueue(harness, MANY, 1, 4 * SIZE)
    harness.run()
    harness.clock.now += 100.0
    begun = all_that_begins(harness)
    assert [assignment.delivery.size // SIZE for assignment in begun] == [4, 4], "half of the room"
    waits = next(name for name in MANY if name not in {assignment.route.webhook for assignment in begun})
    enqueue(harness, [waits], 1, 10)
    harness.clock.now += 1.0
    assert [assignment.route.webhook for assignment in all_that_begins(harness)] == [waits]


def test_what_waits_for_room_goes_on_where_the_first_of_it_has_nothing_more_to_send(
    harness: DispatcherHarness,
) -> None:
    enqueue(harness, MANY, 1, 9 * SIZE)
    begun = all_that_begins(harness)
    waiting = [name for name in MANY if name not in {assignment.route.webhook for assignment in begun}]
    harness.store.drop(waiting[0], DropReason.BACKLOG_DROPPED)
    for assignment in begun:
        harness.deliver(assignment)
    harness.pass_time(1.0)
    assert harness.receivers.count() == dict.fromkeys(set(MANY) - {waiting[0]}, 1)


def test_each_webhook_reads_ahead_an_even_part_of_the_bytes(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = spied(harness, monkeypatch)
    enqueue(harness, MANY, 8, SIZE // 4)
    enqueue(harness, MANY, 2, SIZE)
    harness.run()
    assert Counter(map(len, pages))[3] == 2 * len(MANY)
    assert max(map(len, pages)) == 3
    assert harness.receivers.count() == dict.fromkeys(MANY, 10)


def test_a_large_event_is_not_kept_read_while_it_cannot_go(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.rates = dict.fromkeys(harness.rates, 1.0)
    harness.restart()
    harness.serve(*MANY)
    enqueue(harness, MANY, 4, SIZE)
    harness.run()
    pages = spied(harness, monkeypatch)
    for _ in range(3):
        harness.pass_time(1.0)
    assert sum(map(len, pages)) == 3 * len(MANY)
    assert harness.receivers.count() == dict.fromkeys(MANY, 4)


def spied(harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Delivery]]:
    """Return what the store gives from now on: the due deliveries of each reading that found any."""
    pages: list[Sequence[Delivery]] = []
    due = harness.store.due

    def read(*values: Any, **more: Any) -> Sequence[Delivery]:
        if page := due(*values, **more):
            pages.append(page)
        return page

    monkeypatch.setattr(harness.store, "due", read)
    return pages
