"""Queues side by side: whose turn it is, what stays free for others, and when the store is asked."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kubectl_sew.consumers.base import Request, Response
from kubectl_sew.event import Event
from sew_agent.delivery import queues
from sew_agent.delivery.queue import Assignment
from sew_agent.delivery.queues import CHECK_EVERY
from sew_agent.store.records import Delivery, EnqueueBatch, NewDelivery, StoreError
from tests.unit.agent.delivery.harness import NOW, PATIENCE, DispatcherHarness, enqueue_more, status


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[DispatcherHarness]:
    made = DispatcherHarness(tmp_path, in_flight=8)
    yield made
    made.dispatcher.stop(PATIENCE)
    made.store.close()


def proven(harness: DispatcherHarness, *names: str) -> None:
    """Serve webhooks whose receivers have accepted one event each."""
    harness.serve(*names)
    for name in names:
        harness.enqueue(name)
    harness.run()


def enqueue(harness: DispatcherHarness, name: str, count: int, prefix: str = "next") -> None:
    """Events that were not there before."""
    deliveries = [NewDelivery(Event("", f"{prefix}-{number}", {}), (name,)) for number in range(count)]
    harness.store.enqueue(EnqueueBatch(deliveries, {}, harness.clock()))
    harness.dispatcher.notify({name})


def started(harness: DispatcherHarness) -> list[Assignment]:
    """Return the assignments that may start now, while none ends."""
    assignments = []
    while isinstance(assignment := harness.dispatcher.next_assignment(), Assignment):
        assignments.append(assignment)
    return assignments


@pytest.mark.parametrize("was_set", [0.0, -3600.0, 3600.0])
def test_webhooks_have_their_turns_one_after_the_other_also_after_the_clock_was_set(
    harness: DispatcherHarness, was_set: float
) -> None:
    proven(harness, "a", "b")
    harness.receivers.received.clear()
    harness.clock.set(was_set)
    harness.run()
    for round_ in range(2):
        for name in ("a", "b"):
            enqueue(harness, name, 10, str(round_))
        harness.run()
    hosts = [host for host, _ in harness.receivers.received]
    assert hosts == ["a", "b"] * 20


def test_a_quarter_stays_free_for_those_that_have_nothing_in_flight(harness: DispatcherHarness) -> None:
    proven(harness, "a", "b")
    enqueue_more(harness, 60)
    while assignments := started(harness):
        for assignment in assignments:
            harness.deliver(assignment)
    enqueue_more(harness, 30)
    of_a = started(harness)
    assert [assignment.route.webhook for assignment in of_a] == ["a"] * 6
    enqueue(harness, "b", 5)
    (of_b,) = started(harness)
    assert of_b.route.webhook == "b"
    harness.deliver(of_a[0])
    assert (harness.dispatcher.busy, started(harness)) == (6, [])
    harness.deliver(of_a[1])
    harness.deliver(of_b)
    assert [assignment.route.webhook for assignment in started(harness)] == ["a", "b"]
    assert harness.dispatcher.busy == 6


def learnt(harness: DispatcherHarness, *names: str) -> None:
    """Serve webhooks whose receivers are known to take many requests at once."""
    proven(harness, *names)
    for name in names:
        for number in range(20):
            enqueue(harness, name, 10, f"learnt-{number}")
            for assignment in started(harness):
                harness.deliver(assignment)
    harness.run()


@pytest.mark.parametrize(("most", "webhooks", "each"), [(100, 4, 18), (40, 5, 6)])
def test_webhooks_share_three_quarters_evenly_where_more_than_half_is_taken(
    tmp_path: Path, most: int, webhooks: int, each: int
) -> None:
    harness = DispatcherHarness(tmp_path, in_flight=most)
    with closing(harness.store):
        names = [f"w{number}" for number in range(webhooks)]
        learnt(harness, *names)
        for name in names:
            enqueue(harness, name, 100)
        shares = Counter(assignment.route.webhook for assignment in started(harness))
    assert (sorted(shares), min(shares.values())) == (names, each), shares


def test_those_behind_others_that_must_wait_have_their_turn_at_once(harness: DispatcherHarness) -> None:
    proven(harness, "a")
    new = [f"new-{number}" for number in range(8)]
    harness.serve(*new, "a")
    for name in new:
        harness.enqueue(name)
    enqueue(harness, "a", 1)
    assert [assignment.route.webhook for assignment in started(harness)] == [*new[:6], "a"]


def test_a_new_receiver_is_tried_as_soon_as_another_one_has_answered(harness: DispatcherHarness) -> None:
    new = [f"new-{number}" for number in range(8)]
    harness.serve(*new)
    for name in new:
        harness.enqueue(name)
    first, *others = started(harness)
    assert len(others) == 5
    harness.receivers.answers["new-0"] = status(503)
    harness.deliver(first)
    assert [assignment.route.webhook for assignment in started(harness)] == ["new-6"]


def test_news_of_a_webhook_that_is_not_served_keeps_none_from_another(harness: DispatcherHarness) -> None:
    proven(harness, "a")
    harness.store.enqueue(EnqueueBatch([NewDelivery(Event("", "next", {}), ("a",))], {}, NOW))
    harness.dispatcher.notify(["gone", "a"])
    assert [assignment.route.webhook for assignment in started(harness)] == ["a"]


@pytest.mark.parametrize(("most", "new", "failing"), [(1, 1, 1), (2, 2, 1), (3, 3, 1), (5, 4, 2), (9, 7, 4)])
def test_of_receivers_that_have_accepted_nothing_as_many_are_tried_at_once(
    tmp_path: Path, most: int, new: int, failing: int
) -> None:
    harness = DispatcherHarness(tmp_path, in_flight=most)
    names = [f"w{number}" for number in range(12)]
    for name in names:
        harness.enqueue(name, 2)
        harness.receivers.answers[name] = status(503)
    harness.serve(*names)
    first = started(harness)
    assert len(first) == new
    for assignment in first:
        harness.deliver(assignment)
    harness.run()
    harness.clock.now += 2
    assert len(started(harness)) == failing
    harness.store.close()


@pytest.mark.parametrize("was_set", [0.0, -3600.0, 3600.0])
def test_what_another_process_replays_is_noticed_a_second_later_however_the_clock_is_set(
    harness: DispatcherHarness, was_set: float
) -> None:
    harness.serve("a")
    harness.enqueue("a")
    harness.receivers.answers["a"] = status(400)
    harness.run()
    harness.receivers.answers.clear()
    harness.clock.set(was_set)
    harness.run()
    harness.store.replay(None)
    harness.pass_time(CHECK_EVERY)
    assert harness.receivers.count() == {"a": 2}


def test_the_store_is_asked_once_a_second_what_waits_and_once_for_several_deliveries(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    proven(harness, "a")
    asked: list[str] = []
    counts, due = harness.store.pending_counts, harness.store.due
    monkeypatch.setattr(harness.store, "pending_counts", lambda: asked.append("counts") or counts())
    monkeypatch.setattr(harness.store, "due", lambda *args, **more: asked.append("due") or due(*args, **more))
    harness.clock.now += CHECK_EVERY
    enqueue(harness, "a", 8)
    harness.run()
    assert harness.receivers.count() == {"a": 9}
    assert (asked.count("counts"), asked.count("due")) == (1, 2), "the second time there is nothing more"


def test_a_pause_ends_when_the_only_event_that_waits_may_be_tried_again(harness: DispatcherHarness) -> None:
    """An event that fails among others waits for itself alone."""
    proven(harness, "a")
    enqueue(harness, "a", 1, "bad")
    (bad,) = harness.store.due("a", now=NOW, limit=2)

    def answer(request: Request) -> Response:
        failed = dict(request.headers)["webhook-id"] == bad.delivery_id
        return Response(503 if failed else 204, {}, b"")

    harness.receivers.answers["a"] = answer
    pauses = []
    for number in range(10):
        enqueue(harness, "a", 1, f"good-{number}")
        pauses.append(harness.run())
        harness.clock.now += 0.3
    assert min(pauses) < CHECK_EVERY
    due = harness.store.next_due("a")
    assert due is not None
    harness.clock.now = due - 0.25
    assert harness.run() == 0.25


def test_a_receivers_pause_ends_in_time_though_its_events_are_due_already(harness: DispatcherHarness) -> None:
    harness.serve("a")
    harness.enqueue("a", 2)
    harness.receivers.answers["a"] = status(503)
    for _ in range(6):
        harness.pass_time(
            harness.store.receivers()["a"].retry_until - harness.clock.now if harness.receivers.count() else 0
        )
    harness.clock.now = harness.store.receivers()["a"].retry_until - 0.25
    due = harness.store.next_due("a")
    assert due is not None
    assert due < harness.clock.now
    harness.dispatcher.notify({"a"})
    assert harness.run() == 0.25


def test_a_result_of_settings_before_the_last_ones_says_nothing(harness: DispatcherHarness) -> None:
    harness.serve("a", digest="first")
    harness.serve("a", digest="second")
    harness.enqueue("a", 3)
    (late,) = started(harness)
    harness.serve("a", digest="third")
    harness.receivers.answers["a"] = status(401)
    harness.deliver(late)
    assert not harness.store.receivers()["a"].parked


def test_a_late_success_says_nothing_of_a_receiver_that_has_failed_for_the_second_time(
    harness: DispatcherHarness,
) -> None:
    proven(harness, "a")
    harness.receivers.answers["a"] = status(401)
    enqueue(harness, "a", 1, "parks")
    harness.run()
    harness.receivers.answers.clear()
    harness.pass_time(3600.0)
    assert not harness.store.receivers()["a"].parked
    enqueue(harness, "a", 3, "late")
    first, second, *_ = started(harness)
    harness.receivers.answers["a"] = status(401)
    harness.deliver(first)
    receiver = harness.store.receivers()["a"]
    harness.receivers.answers.clear()
    harness.deliver(second)
    assert harness.store.receivers()["a"] == receiver


def test_results_that_were_written_with_new_webhooks_are_reported_with_the_next_ones(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object) -> None:
        raise StoreError("locked")

    def answer(_: Request) -> Response:
        return Response(204, {}, b"")

    harness.receivers.answers["a"] = harness.receivers.answers["b"] = answer
    harness.serve("a", "b")
    harness.enqueue("a")
    harness.enqueue("b")
    first, second = started(harness)
    with monkeypatch.context() as patch:
        patch.setattr(harness.store, "record_results", locked)
        harness.deliver(first)
    assert (harness.observer.outcomes, harness.dispatcher.busy) == ([], 2)
    harness.serve("a", "b")
    harness.deliver(second)
    assert (len(harness.observer.outcomes), harness.dispatcher.busy) == (2, 0)
    assert harness.clock() == NOW


@pytest.mark.parametrize("rate", [2.0, 1.0, 0.2])
def test_a_retry_that_is_due_for_long_goes_however_many_new_ones_wait_and_however_slow_they_go(
    harness: DispatcherHarness, rate: float
) -> None:
    """All rates of Slack and Jira are so slow that the store is looked at again between two messages."""
    proven(harness, "w")
    harness.receivers.answers["w"] = status(503)
    enqueue(harness, "w", 1, "failed")
    harness.run()
    harness.receivers.answers.clear()
    harness.rates = dict.fromkeys(harness.rates, rate)
    harness.restart()
    enqueue(harness, "w", 60)
    harness.serve("w")
    harness.clock.now += 3 * 3600.0
    for _ in range(30):
        harness.pass_time(1 / rate)
    assert "failed-0" in [event for _, event, *_ in harness.observer.ends[2:]]
    assert harness.store.pending_counts()["w"] > 20


def test_a_webhook_reads_as_much_ahead_however_many_others_have_nothing(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "READ_AHEAD", 100)
    proven(harness, *(f"idle-{number}" for number in range(50)), "w")
    harness.pass_time(CHECK_EVERY)  # now it is known that the others have nothing
    reads, due = 0, harness.store.due

    def read(*values: Any, **more: Any) -> Sequence[Delivery]:
        nonlocal reads
        reads += 1
        return due(*values, **more)

    monkeypatch.setattr(harness.store, "due", read)
    enqueue(harness, "w", 16)
    harness.run()
    assert reads == 3, "two of a page, and one that finds no more"
