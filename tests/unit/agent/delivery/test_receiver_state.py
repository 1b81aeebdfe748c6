"""State of a receiver and of an event: bad events, late answers, changed settings, moved clocks."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kubectl_sew.consumers.base import FailureReason, Request, Response
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event
from sew_agent.delivery.attempt import Route
from sew_agent.delivery.http.client import SendError
from sew_agent.delivery.queue import Assignment
from sew_agent.delivery.queues import CHECK_EVERY
from sew_agent.delivery.retry import DOWN_AFTER, MAX_TRIES, PROBE_EVERY
from sew_agent.store.records import DropReason, EnqueueBatch, NewDelivery, ReceiverState, StoreError
from sew_agent.store.sqlite.store import open_store
from tests.unit.agent.delivery.harness import (
    NOW,
    PATIENCE,
    DispatcherHarness,
    enqueue_more,
    route,
    status,
    until,
)

BAD_ANSWERS = {
    "500": status(500),
    "403": status(403),
    "401": status(401),
    "404": status(404),
    "410": status(410),
    "301": status(301, location="https://elsewhere/"),
    "503 with Retry-After": status(503, retry_after="1"),
    "429 with Retry-After": status(429, retry_after="1"),
}


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[DispatcherHarness]:
    made = DispatcherHarness(tmp_path, in_flight=8)
    yield made
    made.dispatcher.stop(PATIENCE)
    made.store.close()


def ids(harness: DispatcherHarness, count: int) -> list[str]:
    """Return the ids of pending events, oldest first."""
    return [delivery.delivery_id for delivery in harness.store.due("a", now=NOW, limit=count)]


def refusing(harness: DispatcherHarness, bad: Sequence[str], answer: Callable[[Request], Response]) -> None:
    """`a` answers so to these events, and accepts all others."""
    refused = set(bad)
    harness.receivers.answers["a"] = lambda request: (
        answer if dict(request.headers)["webhook-id"] in refused else status(204)
    )(request)


def sent(harness: DispatcherHarness) -> list[str]:
    return [name for _, name in harness.receivers.received]


def next_assignment(harness: DispatcherHarness) -> Assignment:
    assignment = harness.dispatcher.next_assignment()
    assert isinstance(assignment, Assignment)
    return assignment


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
@pytest.mark.parametrize("proven", [False, True], ids=["a new receiver", "one that accepted before"])
def test_bad_events_delay_good_ones_behind_them_by_seconds(
    harness: DispatcherHarness, answer: Callable[[Request], Response], *, proven: bool
) -> None:
    harness.serve("a")
    if proven:
        harness.enqueue("a", 1)
        harness.run()
    harness.receivers.received.clear()
    harness.enqueue("a", 56)
    waiting = ids(harness, 56)
    bad, good = waiting[:DOWN_AFTER], waiting[DOWN_AFTER:]
    refusing(harness, bad, answer)
    for _ in range(30):
        harness.pass_time(1)
    assert set(good) <= set(sent(harness))
    first_good = min(sent(harness).index(name) for name in good)
    assert first_good <= DOWN_AFTER, "every bad one went once before"
    assert sent(harness)[first_good : first_good + len(good)] == good, "and none of them again before all others"


@pytest.mark.parametrize("code", [403, 401, 404, 410])
def test_an_event_that_is_refused_like_a_wrong_configuration_is_a_dead_letter_when_others_are_accepted(
    harness: DispatcherHarness, code: int
) -> None:
    harness.serve("a")
    harness.enqueue("a", 11)
    bad = ids(harness, 1)
    refusing(harness, bad, status(code))
    for _ in range(60):
        harness.pass_time(1)
    (letter,) = harness.store.dead_letters()
    assert (letter.delivery_id, letter.attempts) == (bad[0], MAX_TRIES)
    assert letter.detail.startswith(str(code))
    assert harness.store.counters()[0].delivered == 10
    assert not harness.store.receivers()["a"].parked


def test_an_event_that_fails_for_ever_is_tried_ever_less_and_nothing_waits_for_it(harness: DispatcherHarness) -> None:
    harness.serve("a")
    harness.enqueue("a", 1)
    refusing(harness, ids(harness, 1), status(500))
    harness.run()
    for number in range(60):
        enqueue_more(harness, 1)
        harness.pass_time(60)
        assert harness.store.counters()[0].delivered == number + 1
    assert len(sent(harness)) - 60 < 15


def test_a_receiver_that_is_down_gets_one_request_at_a_time_with_pauses_up_to_the_longest(
    harness: DispatcherHarness,
) -> None:
    harness.serve("a")
    harness.enqueue("a", 500)
    harness.receivers.answers["a"] = status(500)
    for _ in range(2 * 3600):
        harness.pass_time(1)
    before = len(sent(harness))
    assert before < 25
    for _ in range(4 * 900):
        harness.pass_time(1)
    assert len(sent(harness)) - before <= 4
    harness.receivers.answers.clear()
    harness.pass_time(900)
    assert not harness.store.pending_counts()


def test_what_failed_while_the_receiver_was_down_goes_as_soon_as_it_is_up(harness: DispatcherHarness) -> None:
    harness.serve("a")
    harness.enqueue("a", 3)
    harness.receivers.answers["a"] = status(500)
    for _ in range(3600):
        harness.pass_time(1)
    harness.receivers.answers.clear()
    harness.pass_time(900)
    harness.pass_time(1)
    assert not harness.store.pending_counts()


def test_a_receiver_that_rejects_one_event_after_the_other_is_parked_and_none_of_them_is_lost(
    harness: DispatcherHarness,
) -> None:
    harness.serve("a", digest="old")
    harness.enqueue("a", 30)
    harness.receivers.answers["a"] = status(400)
    for _ in range(60):
        harness.pass_time(1)
    receiver = harness.store.receivers()["a"]
    assert (receiver.parked, receiver.detail) == (True, "400 Bad Request")
    counters = harness.store.counters()[0]
    assert (counters.pending, counters.dead) == (30, 0)
    assert len(sent(harness)) < 2 * DOWN_AFTER
    harness.receivers.answers.clear()
    harness.serve("a", digest="new")
    harness.run()
    assert harness.store.counters()[0].delivered == 30


def test_events_that_are_rejected_among_others_are_dead_letters(harness: DispatcherHarness) -> None:
    harness.serve("a")
    harness.enqueue("a", 30)
    bad = ids(harness, 30)[::2]
    refusing(harness, bad, status(400))
    harness.run()
    assert {letter.delivery_id for letter in harness.store.dead_letters()} == set(bad)
    assert harness.store.counters()[0].delivered == 15


def test_rejected_events_in_a_row_delay_the_next_by_seconds_and_are_dead_letters_after_it(
    harness: DispatcherHarness,
) -> None:
    harness.serve("a")
    harness.enqueue("a", 20)
    bad = ids(harness, DOWN_AFTER + 2)
    refusing(harness, bad, status(400))
    for _ in range(60):
        harness.pass_time(1)
    assert harness.store.counters()[0].delivered == 20 - len(bad)
    assert {letter.delivery_id for letter in harness.store.dead_letters()} == set(bad)


@pytest.mark.parametrize("answer", [status(401), status(429, retry_after="3600"), status(500), status(400)])
def test_a_result_of_old_settings_says_nothing_of_the_new_ones(
    harness: DispatcherHarness, answer: Callable[[Request], Response]
) -> None:
    harness.serve("a", digest="old")
    harness.enqueue("a", 5)
    assignment = next_assignment(harness)
    harness.clock.now += 1
    harness.serve("a", digest="new")
    harness.receivers.answers["a"] = answer
    harness.deliver(assignment)
    harness.receivers.answers.clear()
    harness.run()
    assert harness.store.counters()[0].delivered == 5


def test_a_late_result_does_not_overwrite_the_receiver_state_of_a_webhook_that_came_back(
    harness: DispatcherHarness,
) -> None:
    harness.serve("a", digest="same")
    harness.enqueue("a", 5)
    assignment = next_assignment(harness)
    harness.serve()
    harness.serve("a", digest="same")
    harness.receivers.answers["a"] = status(401)
    harness.deliver(assignment)
    assert not harness.store.receivers()["a"].parked
    harness.receivers.answers.clear()
    harness.run()
    assert harness.store.counters()[0].delivered == 5


@pytest.mark.parametrize("away", [False, True], ids=["changed", "away for a moment"])
def test_retry_after_holds_over_a_change_of_settings_while_the_receiver_is_the_same(
    harness: DispatcherHarness, *, away: bool
) -> None:
    def settings(digest: str) -> dict[str, Route]:
        return {"a": replace(route("a", "", "Generic"), settings_digest=digest, endpoint_digest="same")}

    harness.dispatcher.serve(settings("old"))
    harness.enqueue("a", 5)
    answer = harness.begin()
    if away:
        harness.dispatcher.serve({})
    else:
        harness.dispatcher.serve(settings("new"))
    harness.receivers.answers["a"] = status(429, retry_after="60")
    answer()
    harness.receivers.answers.clear()
    harness.dispatcher.serve(settings("new"))
    harness.pass_time(59)
    assert len(sent(harness)) == 1
    harness.pass_time(2)
    assert harness.store.counters()[0].delivered == 5


def start_many(harness: DispatcherHarness, count: int) -> list[Callable[[], None]]:
    """`a` has accepted events, and has so many in flight now; return what answers each."""
    harness.serve("a")
    harness.enqueue("a", 30)
    harness.deliver(next_assignment(harness))
    answers = [harness.begin()]
    while len(answers) < count:
        harness.clock.now += 1
        answers.append(harness.begin())
    return answers


def test_retry_after_holds_whatever_other_requests_in_flight_come_to(harness: DispatcherHarness) -> None:
    answers = start_many(harness, 4)
    harness.receivers.answers["a"] = status(429, retry_after="60")
    answers[0]()
    harness.receivers.answers.clear()
    for answer in answers[1:]:
        answer()
    before = len(sent(harness))
    harness.pass_time(59)
    assert len(sent(harness)) == before
    harness.pass_time(2)
    assert not harness.store.pending_counts()


def test_of_several_waits_the_longest_holds(harness: DispatcherHarness) -> None:
    for answer, seconds in zip(start_many(harness, 3), ("30", "90", "60"), strict=True):
        harness.receivers.answers["a"] = status(429, retry_after=seconds)
        answer()
    harness.receivers.answers.clear()
    harness.pass_time(89)
    assert len(sent(harness)) == 4
    harness.pass_time(2)
    assert not harness.store.pending_counts()


def test_a_late_success_does_not_lift_what_was_learnt_since(harness: DispatcherHarness) -> None:
    answers = start_many(harness, 3)
    harness.receivers.answers["a"] = status(401)
    answers[0]()
    answers[1]()
    harness.receivers.answers.clear()
    receiver = harness.store.receivers()["a"]
    answers[2]()
    assert harness.store.receivers()["a"] == receiver
    assert receiver.failures == 1, "two that failed together are one failure"


def test_a_late_failure_says_nothing_of_a_receiver_that_has_recovered(harness: DispatcherHarness) -> None:
    answers = start_many(harness, 2)
    harness.receivers.answers["a"] = status(401)
    answers[0]()
    harness.receivers.answers.clear()
    answers[1]()
    late = harness.begin()
    harness.receivers.answers["a"] = status(401)
    late()
    assert harness.store.receivers()["a"].parked, "two of them in a row, one after the other"


def test_a_changed_consumer_has_its_own_rate(tmp_path: Path) -> None:
    harness = DispatcherHarness(tmp_path)
    harness.rates = dict.fromkeys(CONSUMERS, 1000.0) | {"Jira": 1.0}
    harness.restart()
    harness.serve("a", digest="old")
    harness.enqueue("a", 3)
    harness.run()
    harness.receivers.received.clear()
    harness.receivers.answers["a"] = lambda _: Response(201, {}, b'{"key": "P-1"}')
    harness.serve("a", digest="new", consumer="Jira")
    enqueue_more(harness, 5)
    harness.run()
    assert len(sent(harness)) == 1
    harness.store.close()


def test_what_another_process_drops_is_not_sent(harness: DispatcherHarness, tmp_path: Path) -> None:
    harness.serve("a")
    harness.enqueue("a", 20)
    harness.deliver(next_assignment(harness))
    beside = open_store(tmp_path, exclusive=False)
    assert beside.drop("a", DropReason.BACKLOG_DROPPED) == 19
    beside.close()
    harness.run()
    assert len(sent(harness)) == 1
    assert harness.store.counters()[0].dropped == {"backlog_dropped": 19}


def test_time_parked_does_not_count_for_what_was_taken_from_the_store_before(harness: DispatcherHarness) -> None:
    harness.serve("a")
    harness.enqueue("a", 3)
    harness.receivers.answers["a"] = status(401)
    for _ in range(20):
        harness.pass_time(1)
    for _ in range(80):
        harness.pass_time(PROBE_EVERY)
    codes = iter([204, 500])
    harness.receivers.answers["a"] = lambda _: Response(next(codes, 204), {}, b"")
    harness.pass_time(PROBE_EVERY)
    harness.pass_time(900)
    assert not list(harness.store.dead_letters())
    assert harness.store.counters()[0].delivered == 3


@pytest.mark.parametrize("restart", [False, True])
def test_a_pause_is_no_longer_for_a_clock_that_was_ahead_when_it_began(
    harness: DispatcherHarness, *, restart: bool
) -> None:
    ahead = 20 * 3600.0
    harness.serve("a")
    harness.enqueue("a", 1)
    harness.clock.now += ahead
    harness.receivers.answers["a"] = status(500)
    harness.run()
    harness.clock.now -= ahead
    if restart:
        harness.restart()
        harness.serve("a")
    harness.receivers.answers.clear()
    harness.run()
    harness.pass_time(3)
    assert not harness.store.pending_counts()


def test_a_clock_that_is_set_back_a_little_after_a_doubt_holds_up_nothing(harness: DispatcherHarness) -> None:
    harness.serve("a")
    harness.enqueue("a", 1)
    harness.run()
    enqueue_more(harness, 2)
    harness.receivers.answers["a"] = status(500)
    harness.deliver(next_assignment(harness))
    harness.receivers.answers.clear()
    harness.clock.now -= 0.05
    harness.pass_time(5)
    assert not harness.store.pending_counts()


def test_a_retry_after_is_kept_in_full_when_the_clock_is_set_back_meanwhile(harness: DispatcherHarness) -> None:
    harness.serve("a")
    harness.enqueue("a", 1)
    harness.receivers.answers["a"] = status(429, retry_after="60")
    harness.run()
    harness.receivers.answers.clear()
    harness.clock.now -= 3600
    harness.run()
    harness.pass_time(59)
    assert len(sent(harness)) == 1
    harness.pass_time(2)
    assert not harness.store.pending_counts()


def test_a_result_that_comes_after_the_end_is_not_written_again_and_again(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, release = threading.Event(), threading.Event()

    def slow(_: Request) -> Response:
        arrived.set()
        release.wait(PATIENCE)
        raise SendError(FailureReason.TIMEOUT, "too late")

    def gone(*_: object) -> None:
        raise StoreError("closed")

    harness.receivers.answers["a"] = slow
    harness.serve("a")
    harness.enqueue("a")
    harness.start()
    assert arrived.wait(PATIENCE)
    assert not harness.dispatcher.stop(0.0)
    with monkeypatch.context() as patch:
        patch.setattr(harness.store, "record_results", gone)
        release.set()
        assert harness.dispatcher.stop(PATIENCE)
    assert len(harness.observer.errors) <= 1


def test_events_that_come_together_after_a_rest_are_sent_at_once_not_a_second_later(tmp_path: Path) -> None:
    harness = DispatcherHarness(tmp_path, in_flight=8)
    harness.serve("a", "b")
    both = threading.Barrier(2)

    def meet(_: Request) -> Response:
        both.wait(PATIENCE)
        return Response(204, {}, b"")

    harness.start()
    for name in ("a", "b"):
        harness.receivers.answers[name] = meet
        harness.enqueue(name)
    until(lambda: not harness.store.pending_counts())
    harness.dispatcher.stop(PATIENCE)
    harness.store.close()


def test_a_receiver_that_holds_requests_for_long_takes_no_share_of_another(tmp_path: Path) -> None:
    harness = DispatcherHarness(tmp_path, in_flight=64, rate=1e6)
    slow = [f"slow-{number}" for number in range(3)]
    for name in ("fine", *slow):
        harness.enqueue(name, 100)
    harness.serve("fine", *slow)
    held: dict[str, list[Assignment]] = {name: [] for name in ("fine", *slow)}
    for _ in range(200):
        harness.clock.now += 0.05
        while isinstance(assignment := harness.dispatcher.next_assignment(), Assignment):
            held[assignment.route.webhook].append(assignment)
        for name, assignments in held.items():
            if assignments and harness.clock.now - assignments[0].started >= (0.2 if name == "fine" else 5.0):
                harness.deliver(assignments.pop(0))
    assert len(held["fine"]) == 0
    assert harness.receivers.count()["fine"] == 100
    harness.store.close()


def test_a_new_endpoint_meets_one_request_first_however_many_at_once_the_old_one_took(
    harness: DispatcherHarness,
) -> None:
    def quick(_: Request) -> Response:
        harness.clock.now += 0.001
        return Response(204, {}, b"")

    harness.serve("a", digest="old")
    harness.enqueue("a", 100)
    harness.receivers.answers["a"] = quick
    harness.run()
    enqueue_more(harness, 20)
    harness.serve("a", digest="new")
    assert len(assignments_in_time(harness)) == 1


def test_a_check_costs_little_where_hundreds_wait_for_receivers_that_do_not_answer(tmp_path: Path) -> None:
    harness = DispatcherHarness(tmp_path, in_flight=256)
    names = [f"hook-{number}" for number in range(600)]
    harness.store.enqueue(EnqueueBatch([NewDelivery(Event("", "1", {}), tuple(names))], {}, NOW))
    harness.serve(*names)
    while isinstance(harness.dispatcher.next_assignment(), Assignment):
        pass
    began = time.process_time()
    for _ in range(10):
        harness.dispatcher.next_assignment()
    assert time.process_time() - began < 0.2, "some 5 ms; 600 ms where each lane counts all that are in flight"
    harness.store.close()


def assignments_in_time(harness: DispatcherHarness) -> list[Assignment]:
    """Return what is assigned while time goes by and no request ends."""
    assignments = []
    for _ in range(100):
        while isinstance(assignment := harness.dispatcher.next_assignment(), Assignment):
            assignments.append(assignment)
        harness.clock.now += 0.05
    return assignments


@pytest.mark.parametrize(
    ("in_flight", "beside", "most"),
    [
        *((1, 0, 1), (4, 0, 3), (8, 0, 6), (24, 0, 16), (143, 0, 35)),
        *((4, 1, 1), (8, 1, 3), (9, 1, 3), (24, 2, 10), (240, 3, 60), (4, 3, 1)),
    ],
)
def test_a_slow_receiver_has_three_quarters_of_few_a_quarter_of_many_and_its_part_beside_others(
    tmp_path: Path, in_flight: int, beside: int, most: int
) -> None:
    harness = DispatcherHarness(tmp_path, in_flight=in_flight)
    others = [f"other-{number}" for number in range(beside)]
    rested = ["rested-1", "rested-2"]
    harness.serve("a", *others, *rested)
    for name in ("a", *others, *rested):
        harness.enqueue(name)
    harness.run()
    enqueue_more(harness, 600)
    while assignments := assignments_in_time(harness):
        for assignment in assignments:
            harness.deliver(assignment)
    for name in others:
        harness.store.enqueue(EnqueueBatch([NewDelivery(Event("", "next", {}), (name,))], {}, NOW))
    enqueue_more(harness, 60)
    harness.dispatcher.notify(others)
    assert Counter(assignment.route.webhook for assignment in assignments_in_time(harness))["a"] == most
    harness.store.close()


@pytest.mark.parametrize(("failing", "most"), [(False, 6), (True, 4)])
def test_receivers_that_have_accepted_nothing_have_three_quarters_of_all_and_failing_ones_half(
    harness: DispatcherHarness, failing: bool, most: int
) -> None:
    names = [f"new-{number}" for number in range(10)]
    harness.serve(*names)
    for name in names:
        harness.enqueue(name, 2)
        harness.receivers.answers[name] = status(503)
    if failing:
        harness.run()
        harness.clock.now += 2
    assert len(assignments_in_time(harness)) == most


def test_there_are_never_more_in_flight_than_may_be_however_many_receivers_accept(tmp_path: Path) -> None:
    harness = DispatcherHarness(tmp_path, in_flight=2)
    harness.serve("a", "b", "c")
    for name in ("a", "b", "c"):
        harness.enqueue(name)
    harness.run()
    for name in ("a", "b", "c"):
        harness.store.enqueue(EnqueueBatch([NewDelivery(Event("", "next", {}), (name,))], {}, NOW))
    harness.dispatcher.notify(["gone", "a", "b", "c"])
    assert len(assignments_in_time(harness)) == harness.dispatcher.busy == 2
    assert harness.dispatcher.next_assignment() == CHECK_EVERY
    harness.store.close()


def test_a_pause_ends_when_there_may_be_something_to_do(tmp_path: Path) -> None:
    harness = DispatcherHarness(tmp_path, rate=4.0)
    assert harness.run() == CHECK_EVERY, "before any webhook is served"
    harness.serve("a")
    assert harness.run() == CHECK_EVERY, "nothing waits"
    harness.enqueue("a", 10)
    first = next_assignment(harness)
    assert [harness.dispatcher.next_assignment() for _ in range(20)] == [CHECK_EVERY] * 20, (
        "a new receiver gets one request"
    )
    harness.deliver(first)
    assert harness.run() == 0.25, "the rate, of which no look took anything"
    assert len(sent(harness)) == 4
    harness.receivers.answers["a"] = status(503)
    harness.pass_time(0.25)
    harness.pass_time(0.25)
    assert len(sent(harness)) == 6
    harness.clock.now += 1.5
    assert harness.run() == 0.5, "the pause of a receiver that fails"
    harness.store.close()


def test_time_parked_and_no_other_is_added_to_when_an_event_was_tried_first(harness: DispatcherHarness) -> None:
    def tried_first(name: str) -> float | None:
        return harness.store.due(name, now=harness.clock.now + 1e6, limit=9)[-1].first_attempt

    harness.serve("a", "b", digest="old")
    for name, code in (("a", 401), ("b", 503)):
        harness.enqueue(name, 2)
        harness.receivers.answers[name] = status(code)
    harness.run()
    harness.pass_time(2)
    assert (tried_first("a"), tried_first("b")) == (NOW + 2, NOW + 2)
    harness.clock.now += 3598
    harness.receivers.answers = dict.fromkeys(("a", "b"), status(204))
    for _ in range(2):
        harness.deliver(next_assignment(harness))
    assert (tried_first("a"), tried_first("b")) == (NOW + 2 + 3600, NOW + 2), "the receiver accepts again"
    harness.receivers.answers = {"a": status(401), "b": status(503)}
    harness.run()
    harness.clock.now += 1000
    harness.serve("a", "b", digest="new")
    assert tried_first("b") == NOW + 2


def test_settings_that_change_add_the_time_parked(harness: DispatcherHarness) -> None:
    harness.serve("a", "b", digest="old")
    for name, code in (("a", 401), ("b", 503)):
        harness.enqueue(name)
        harness.receivers.answers[name] = status(code)
    harness.run()
    harness.clock.now += 1000
    harness.serve("a", "b", digest="new")
    tried_first = [harness.store.due(name, now=harness.clock.now, limit=1)[0].first_attempt for name in ("a", "b")]
    assert tried_first == [NOW + 1000, NOW]


def test_a_pause_that_a_clock_has_cut_begins_no_second_time_when_webhooks_change(harness: DispatcherHarness) -> None:
    harness.serve("a")
    harness.enqueue("a")
    harness.receivers.answers["a"] = status(429, retry_after="60")
    harness.run()
    harness.receivers.answers.clear()
    harness.clock.now -= 3600
    harness.run()
    harness.clock.now += 40
    harness.serve("a", "other")
    harness.pass_time(21)
    assert not harness.store.pending_counts()


def written_from_now_on(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> Sequence[Sequence[ReceiverState]]:
    """Return what grows by the receivers that are written, each time that results are."""
    written: list[Sequence[ReceiverState]] = []
    record = harness.store.record_results

    def keep(results: Any, receivers: Sequence[ReceiverState], *more: Any) -> None:
        written.append(receivers)
        record(results, receivers, *more)

    monkeypatch.setattr(harness.store, "record_results", keep)
    return written


@pytest.mark.parametrize("sharing", [False, True])
def test_a_receiver_that_accepts_as_it_did_before_a_restart_is_not_written_again(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch, *, sharing: bool
) -> None:
    harness.serve("a")
    harness.enqueue("a")
    harness.run()
    monkeypatch.setattr(harness.store, "sharing", lambda: sharing)
    harness.restart()
    written = written_from_now_on(harness, monkeypatch)
    harness.serve("a")
    enqueue_more(harness, 1)
    harness.pass_time(1)
    assert (harness.receivers.count(), [*map(list, written)]) == ({"a": 2}, [[]] * 2)


def test_what_the_store_knows_is_neither_written_nor_asked_again(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.serve("a")
    harness.enqueue("a")
    harness.run()
    written = written_from_now_on(harness, monkeypatch)
    asked: list[None] = []
    waiting = harness.store.pending_counts

    def ask() -> Mapping[str, int]:
        asked.append(None)
        return waiting()

    monkeypatch.setattr(harness.store, "pending_counts", ask)
    enqueue_more(harness, 3)
    harness.run()
    harness.serve("a")
    for _ in range(3):
        harness.run()
    assert [*map(list, written)] == [[]] * 4
    assert asked == []
    harness.pass_time(CHECK_EVERY)
    harness.run()
    assert asked == [None]
