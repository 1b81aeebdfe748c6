"""What is learnt of a receiver and what of an event: bad events, late answers, changed settings, moved clocks."""

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
from sew_agent.delivery.queues import BUSY_PAUSE, CHECK_EVERY, MAX_BATCH, Assignment
from sew_agent.delivery.retry import DOWN_AFTER, MAX_TRIES, PROBE_EVERY
from sew_agent.store.records import DropReason, EnqueueBatch, NewDelivery, ReceiverState, StoreError
from sew_agent.store.sqlite.store import open_store
from tests.unit.agent.delivery.test_dispatcher import (
    NOW,
    PATIENCE,
    Bench,
    owe_more,
    quick_bench,
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
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, workers=8)
    yield made
    made.dispatcher.stop(PATIENCE)
    made.store.close()


def ids(bench: Bench, count: int) -> list[str]:
    """Of the events that wait, oldest first."""
    return [each.delivery_id for each in bench.store.due("a", now=NOW, limit=count)]


def refusing(bench: Bench, bad: Sequence[str], answer: Callable[[Request], Response]) -> None:
    """`a` answers so to these events, and accepts all others."""
    refused = set(bad)
    bench.receivers.answers["a"] = lambda request: (
        answer if dict(request.headers)["webhook-id"] in refused else status(204)
    )(request)


def sent(bench: Bench) -> list[str]:
    return [name for _, name in bench.receivers.got]


def taken(bench: Bench) -> Assignment:
    assignment = bench.dispatcher.next_assignment()
    assert isinstance(assignment, Assignment)
    return assignment


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
@pytest.mark.parametrize("proven", [False, True], ids=["a new receiver", "one that accepted before"])
def test_bad_events_delay_good_ones_behind_them_by_seconds(
    bench: Bench, answer: Callable[[Request], Response], *, proven: bool
) -> None:
    bench.serve("a")
    if proven:
        bench.owe("a", 1)
        bench.run()
    bench.receivers.got.clear()
    bench.owe("a", 56)
    waiting = ids(bench, 56)
    bad, good = waiting[:DOWN_AFTER], waiting[DOWN_AFTER:]
    refusing(bench, bad, answer)
    for _ in range(30):
        bench.pass_time(1)
    assert set(good) <= set(sent(bench))
    first_good = min(sent(bench).index(each) for each in good)
    assert first_good <= DOWN_AFTER, "every bad one went once before"
    assert sent(bench)[first_good : first_good + len(good)] == good, "and none of them again before all others"


@pytest.mark.parametrize("code", [403, 401, 404, 410])
def test_an_event_that_is_refused_like_a_wrong_configuration_is_a_dead_letter_when_others_are_accepted(
    bench: Bench, code: int
) -> None:
    bench.serve("a")
    bench.owe("a", 11)
    bad = ids(bench, 1)
    refusing(bench, bad, status(code))
    for _ in range(60):
        bench.pass_time(1)
    (letter,) = bench.store.dead_letters()
    assert (letter.delivery_id, letter.attempts) == (bad[0], MAX_TRIES)
    assert letter.detail.startswith(str(code))
    assert bench.store.counters()[0].delivered == 10
    assert not bench.store.receivers()["a"].parked


def test_an_event_that_fails_for_ever_is_tried_ever_less_and_nothing_waits_for_it(bench: Bench) -> None:
    bench.serve("a")
    bench.owe("a", 1)
    refusing(bench, ids(bench, 1), status(500))
    bench.run()
    for number in range(60):
        owe_more(bench, 1)
        bench.pass_time(60)
        assert bench.store.counters()[0].delivered == number + 1
    assert len(sent(bench)) - 60 < 15


def test_a_receiver_that_is_down_gets_one_request_at_a_time_with_pauses_up_to_the_longest(bench: Bench) -> None:
    bench.serve("a")
    bench.owe("a", 500)
    bench.receivers.answers["a"] = status(500)
    for _ in range(2 * 3600):
        bench.pass_time(1)
    before = len(sent(bench))
    assert before < 25
    for _ in range(4 * 900):
        bench.pass_time(1)
    assert len(sent(bench)) - before <= 4
    bench.receivers.answers.clear()
    bench.pass_time(900)
    assert not bench.store.pending_counts()


def test_what_failed_while_the_receiver_was_down_goes_as_soon_as_it_is_up(bench: Bench) -> None:
    bench.serve("a")
    bench.owe("a", 3)
    bench.receivers.answers["a"] = status(500)
    for _ in range(3600):
        bench.pass_time(1)
    bench.receivers.answers.clear()
    bench.pass_time(900)
    bench.pass_time(1)
    assert not bench.store.pending_counts()


def test_a_receiver_that_rejects_one_event_after_the_other_is_parked_and_none_of_them_is_lost(bench: Bench) -> None:
    bench.serve("a", digest="old")
    bench.owe("a", 30)
    bench.receivers.answers["a"] = status(400)
    for _ in range(60):
        bench.pass_time(1)
    receiver = bench.store.receivers()["a"]
    assert (receiver.parked, receiver.detail) == (True, "400 Bad Request")
    counters = bench.store.counters()[0]
    assert (counters.pending, counters.dead) == (30, 0)
    assert len(sent(bench)) < 2 * DOWN_AFTER
    bench.receivers.answers.clear()
    bench.serve("a", digest="new")
    bench.run()
    assert bench.store.counters()[0].delivered == 30


def test_events_that_are_rejected_among_others_are_dead_letters(bench: Bench) -> None:
    bench.serve("a")
    bench.owe("a", 30)
    bad = ids(bench, 30)[::2]
    refusing(bench, bad, status(400))
    bench.run()
    assert {each.delivery_id for each in bench.store.dead_letters()} == set(bad)
    assert bench.store.counters()[0].delivered == 15


def test_rejected_events_in_a_row_delay_the_next_by_seconds_and_are_dead_letters_after_it(bench: Bench) -> None:
    bench.serve("a")
    bench.owe("a", 20)
    bad = ids(bench, DOWN_AFTER + 2)
    refusing(bench, bad, status(400))
    for _ in range(60):
        bench.pass_time(1)
    assert bench.store.counters()[0].delivered == 20 - len(bad)
    assert {each.delivery_id for each in bench.store.dead_letters()} == set(bad)


@pytest.mark.parametrize("answer", [status(401), status(429, retry_after="3600"), status(500), status(400)])
def test_a_result_of_old_settings_says_nothing_of_the_new_ones(
    bench: Bench, answer: Callable[[Request], Response]
) -> None:
    bench.serve("a", digest="old")
    bench.owe("a", 5)
    assignment = taken(bench)
    bench.clock.now += 1
    bench.serve("a", digest="new")
    bench.receivers.answers["a"] = answer
    bench.dispatcher.deliver(assignment)
    bench.receivers.answers.clear()
    bench.run()
    assert bench.store.counters()[0].delivered == 5


def test_a_late_result_does_not_overwrite_the_lane_of_a_webhook_that_came_back(bench: Bench) -> None:
    bench.serve("a", digest="same")
    bench.owe("a", 5)
    assignment = taken(bench)
    bench.serve()
    bench.serve("a", digest="same")
    bench.receivers.answers["a"] = status(401)
    bench.dispatcher.deliver(assignment)
    assert not bench.store.receivers()["a"].parked
    bench.receivers.answers.clear()
    bench.run()
    assert bench.store.counters()[0].delivered == 5


@pytest.mark.parametrize("away", [False, True], ids=["changed", "away for a moment"])
def test_retry_after_holds_over_a_change_of_settings_while_the_receiver_is_the_same(
    bench: Bench, *, away: bool
) -> None:
    def settings(digest: str) -> dict[str, Route]:
        return {"a": replace(route("a", "", "Generic"), settings_digest=digest, endpoint_digest="same")}

    bench.dispatcher.serve(settings("old"))
    bench.owe("a", 5)
    assignment = taken(bench)
    if away:
        bench.dispatcher.serve({})
    else:
        bench.dispatcher.serve(settings("new"))
    bench.receivers.answers["a"] = status(429, retry_after="60")
    bench.dispatcher.deliver(assignment)
    bench.receivers.answers.clear()
    bench.dispatcher.serve(settings("new"))
    bench.pass_time(59)
    assert len(sent(bench)) == 1
    bench.pass_time(2)
    assert bench.store.counters()[0].delivered == 5


def many_in_flight(bench: Bench, count: int) -> list[Assignment]:
    """`a` has accepted events, and gets so many at once from now on."""
    bench.serve("a")
    bench.owe("a", 30)
    bench.dispatcher.deliver(taken(bench))
    assignments = [taken(bench)]
    while len(assignments) < count:
        bench.clock.now += 1
        assignments.append(taken(bench))
    return assignments


def test_retry_after_holds_whatever_other_requests_in_flight_come_to(bench: Bench) -> None:
    assignments = many_in_flight(bench, 4)
    bench.receivers.answers["a"] = status(429, retry_after="60")
    bench.dispatcher.deliver(assignments[0])
    bench.receivers.answers.clear()
    for assignment in assignments[1:]:
        bench.dispatcher.deliver(assignment)
    before = len(sent(bench))
    bench.pass_time(59)
    assert len(sent(bench)) == before
    bench.pass_time(2)
    assert not bench.store.pending_counts()


def test_of_several_waits_the_longest_holds(bench: Bench) -> None:
    assignments = many_in_flight(bench, 3)
    for assignment, seconds in zip(assignments, ("30", "90", "60"), strict=True):
        bench.receivers.answers["a"] = status(429, retry_after=seconds)
        bench.dispatcher.deliver(assignment)
    bench.receivers.answers.clear()
    bench.pass_time(89)
    assert len(sent(bench)) == 4
    bench.pass_time(2)
    assert not bench.store.pending_counts()


def test_a_late_success_does_not_lift_what_was_learnt_since(bench: Bench) -> None:
    assignments = many_in_flight(bench, 3)
    bench.receivers.answers["a"] = status(401)
    bench.dispatcher.deliver(assignments[0])
    bench.dispatcher.deliver(assignments[1])
    bench.receivers.answers.clear()
    receiver = bench.store.receivers()["a"]
    bench.dispatcher.deliver(assignments[2])
    assert bench.store.receivers()["a"] == receiver
    assert receiver.failures == 1, "two that failed together are one failure"


def test_a_late_failure_says_nothing_of_a_receiver_that_has_recovered(bench: Bench) -> None:
    assignments = many_in_flight(bench, 2)
    bench.receivers.answers["a"] = status(401)
    bench.dispatcher.deliver(assignments[0])
    bench.receivers.answers.clear()
    bench.dispatcher.deliver(assignments[1])
    late = taken(bench)
    bench.receivers.answers["a"] = status(401)
    bench.dispatcher.deliver(late)
    assert bench.store.receivers()["a"].parked, "two of them in a row, one after the other"


def test_a_changed_consumer_has_its_own_rate(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.rates = dict.fromkeys(CONSUMERS, 1000.0) | {"Jira": 1.0}
    bench.restart()
    bench.serve("a", digest="old")
    bench.owe("a", 3)
    bench.run()
    bench.receivers.got.clear()
    bench.receivers.answers["a"] = lambda _: Response(201, {}, b'{"key": "P-1"}')
    bench.serve("a", digest="new", consumer="Jira")
    owe_more(bench, 5)
    bench.run()
    assert len(sent(bench)) == 1
    bench.store.close()


def test_what_another_process_drops_is_not_sent(bench: Bench, tmp_path: Path) -> None:
    bench.serve("a")
    bench.owe("a", 20)
    bench.dispatcher.deliver(taken(bench))
    beside = open_store(tmp_path, exclusive=False)
    assert beside.drop("a", DropReason.BACKLOG_DROPPED) == 19
    beside.close()
    bench.run()
    assert len(sent(bench)) == 1
    assert bench.store.counters()[0].dropped == {"backlog_dropped": 19}


def test_time_parked_does_not_count_for_what_was_taken_from_the_store_before(bench: Bench) -> None:
    bench.serve("a")
    bench.owe("a", 3)
    bench.receivers.answers["a"] = status(401)
    for _ in range(20):
        bench.pass_time(1)
    for _ in range(80):
        bench.pass_time(PROBE_EVERY)
    codes = iter([204, 500])
    bench.receivers.answers["a"] = lambda _: Response(next(codes, 204), {}, b"")
    bench.pass_time(PROBE_EVERY)
    bench.pass_time(900)
    assert not list(bench.store.dead_letters())
    assert bench.store.counters()[0].delivered == 3


@pytest.mark.parametrize("restart", [False, True])
def test_a_pause_is_no_longer_for_a_clock_that_was_ahead_when_it_began(bench: Bench, *, restart: bool) -> None:
    ahead = 20 * 3600.0
    bench.serve("a")
    bench.owe("a", 1)
    bench.clock.now += ahead
    bench.receivers.answers["a"] = status(500)
    bench.run()
    bench.clock.now -= ahead
    if restart:
        bench.restart()
        bench.serve("a")
    bench.receivers.answers.clear()
    bench.run()
    bench.pass_time(3)
    assert not bench.store.pending_counts()


def test_a_clock_that_is_set_back_a_little_after_a_doubt_costs_no_worker(bench: Bench) -> None:
    bench.serve("a")
    bench.owe("a", 1)
    bench.run()
    owe_more(bench, 2)
    bench.receivers.answers["a"] = status(500)
    bench.dispatcher.deliver(taken(bench))
    bench.receivers.answers.clear()
    bench.clock.now -= 0.05
    bench.pass_time(5)
    assert not bench.store.pending_counts()


def test_a_wait_is_kept_in_full_when_the_clock_is_set_back_meanwhile(bench: Bench) -> None:
    bench.serve("a")
    bench.owe("a", 1)
    bench.receivers.answers["a"] = status(429, retry_after="60")
    bench.run()
    bench.receivers.answers.clear()
    bench.clock.now -= 3600
    bench.run()
    bench.pass_time(59)
    assert len(sent(bench)) == 1
    bench.pass_time(2)
    assert not bench.store.pending_counts()


def test_a_result_that_comes_after_the_end_is_not_written_again_and_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, release = threading.Event(), threading.Event()

    def slow(_: Request) -> Response:
        arrived.set()
        release.wait(PATIENCE)
        raise SendError(FailureReason.TIMEOUT, "too late")

    def gone(*_: object) -> None:
        raise StoreError("closed")

    bench.receivers.answers["a"] = slow
    bench.serve("a")
    bench.owe("a")
    bench.start(2)
    assert arrived.wait(PATIENCE)
    assert not bench.dispatcher.stop(0.0)
    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "record_results", gone)
        release.set()
        assert bench.dispatcher.stop(PATIENCE)
    assert len(bench.watch.errors) <= 1


def test_workers_are_started_as_they_are_needed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, workers=8)
    release = threading.Event()

    def hang(_: Request) -> Response:
        release.wait(PATIENCE)
        return Response(204, {}, b"")

    names = [f"w{number}" for number in range(4)]
    for name in names:
        bench.receivers.answers[name] = hang
        bench.owe(name)

    before = set(threading.enumerate())

    def workers() -> list[str]:
        return sorted(each.name for each in set(threading.enumerate()) - before)

    bench.start(8)
    until(lambda: workers() == ["worker-0"])
    bench.serve(*names)
    until(lambda: bench.dispatcher.busy == 4)
    until(lambda: workers() == [f"worker-{number}" for number in range(5)])
    release.set()
    bench.dispatcher.stop(PATIENCE)
    bench.store.close()


def test_events_that_come_together_after_a_rest_are_sent_at_once_not_a_second_later(tmp_path: Path) -> None:
    bench = Bench(tmp_path, workers=8)
    bench.serve("a", "b")
    both = threading.Barrier(2)

    def meet(_: Request) -> Response:
        both.wait(PATIENCE)
        return Response(204, {}, b"")

    bench.start(8)
    for name in ("a", "b"):
        bench.receivers.answers[name] = meet
        bench.owe(name)
    until(lambda: not bench.store.pending_counts())
    bench.dispatcher.stop(PATIENCE)
    bench.store.close()


def test_a_receiver_that_holds_workers_for_long_takes_no_share_of_another(tmp_path: Path) -> None:
    bench = Bench(tmp_path, workers=64, rate=1e6)
    slow = [f"slow-{number}" for number in range(3)]
    for name in ("fine", *slow):
        bench.owe(name, 100)
    bench.serve("fine", *slow)
    held: dict[str, list[Assignment]] = {name: [] for name in ("fine", *slow)}
    for _ in range(200):
        bench.clock.now += 0.05
        while isinstance(assignment := bench.dispatcher.next_assignment(), Assignment):
            held[assignment.route.webhook].append(assignment)
        for name, assignments in held.items():
            if assignments and bench.clock.now - assignments[0].started >= (0.2 if name == "fine" else 5.0):
                bench.dispatcher.deliver(assignments.pop(0))
    assert len(held["fine"]) == 0
    assert bench.receivers.count()["fine"] == 100
    bench.store.close()


def test_a_new_endpoint_meets_one_request_first_however_many_at_once_the_old_one_took(bench: Bench) -> None:
    def quick(_: Request) -> Response:
        bench.clock.now += 0.001
        return Response(204, {}, b"")

    bench.serve("a", digest="old")
    bench.owe("a", 100)
    bench.receivers.answers["a"] = quick
    bench.run()
    assert max(bench.receivers.together) > 1
    owe_more(bench, 20)
    bench.serve("a", digest="new")
    assert len(taken(bench).deliveries) == 1


def test_a_look_costs_little_where_hundreds_wait_for_receivers_that_do_not_answer(tmp_path: Path) -> None:
    bench = Bench(tmp_path, workers=256)
    names = [f"hook-{number}" for number in range(600)]
    bench.store.enqueue(EnqueueBatch([NewDelivery(Event("", "1", {}), tuple(names))], {}, NOW))
    bench.serve(*names)
    while isinstance(bench.dispatcher.next_assignment(), Assignment):
        pass
    began = time.process_time()
    for _ in range(10):
        bench.dispatcher.next_assignment()
    assert time.process_time() - began < 0.2, "some 5 ms; 600 ms where each lane counts all that are in flight"
    bench.store.close()


def test_a_system_that_gives_no_more_threads_costs_no_worker_and_no_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, workers=8)
    bench.serve("a", "b")
    bench.owe("a", 5)
    bench.owe("b", 5)
    bench.start(8)
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    bench.dispatcher.notify({"a", "b"})
    until(lambda: not bench.store.pending_counts())
    monkeypatch.setattr(threading.Thread, "start", start)
    assert bench.dispatcher.stop(PATIENCE)
    bench.store.close()


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def all_that_go(bench: Bench) -> list[Assignment]:
    """What workers take while time goes by and no request ends."""
    found = []
    for _ in range(100):
        while isinstance(assignment := bench.dispatcher.next_assignment(), Assignment):
            found.append(assignment)
        bench.clock.now += 0.05
    return found


@pytest.mark.parametrize(
    ("workers", "beside", "most"),
    [(1, 0, 1), (4, 0, 3), (8, 0, 6), (24, 0, 16), (143, 0, 17), (8, 1, 3), (24, 2, 6), (4, 3, 1)],
)
def test_a_slow_receiver_has_three_quarters_of_few_workers_an_eighth_of_many_and_its_part_beside_others(
    tmp_path: Path, workers: int, beside: int, most: int
) -> None:
    bench = Bench(tmp_path, workers=workers)
    others = [f"other-{number}" for number in range(beside)]
    rested = ["rested-1", "rested-2"]
    bench.serve("a", *others, *rested)
    for name in ("a", *others, *rested):
        bench.owe(name)
    bench.run()
    for name in others:
        bench.store.enqueue(EnqueueBatch([NewDelivery(Event("", "next", {}), (name,))], {}, NOW))
    owe_more(bench, 60)
    bench.dispatcher.notify(others)
    assert Counter(each.route.webhook for each in all_that_go(bench))["a"] == most
    bench.store.close()


@pytest.mark.parametrize(("failing", "most"), [(False, 6), (True, 4)])
def test_receivers_that_have_accepted_nothing_have_three_quarters_of_the_workers_and_failing_ones_half(
    bench: Bench, failing: bool, most: int
) -> None:
    names = [f"new-{number}" for number in range(10)]
    bench.serve(*names)
    for name in names:
        bench.owe(name, 2)
        bench.receivers.answers[name] = status(503)
    if failing:
        bench.run()
        bench.clock.now += 2
    assert [len(each.deliveries) for each in all_that_go(bench)] == [1] * most


def test_there_are_never_more_in_flight_than_workers_however_many_receivers_accept(tmp_path: Path) -> None:
    bench = Bench(tmp_path, workers=2)
    bench.serve("a", "b", "c")
    for name in ("a", "b", "c"):
        bench.owe(name)
    bench.run()
    for name in ("a", "b", "c"):
        bench.store.enqueue(EnqueueBatch([NewDelivery(Event("", "next", {}), (name,))], {}, NOW))
    bench.dispatcher.notify(["gone", "a", "b", "c"])
    assert len(all_that_go(bench)) == bench.dispatcher.busy == 2
    assert bench.dispatcher.next_assignment() == BUSY_PAUSE
    bench.store.close()


def test_a_pause_ends_when_there_may_be_something_to_do(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rate=4.0)
    assert bench.run() == CHECK_EVERY, "before any webhook is served"
    bench.serve("a")
    assert bench.run() == CHECK_EVERY, "nothing waits"
    bench.owe("a", 10)
    first = taken(bench)
    assert [bench.dispatcher.next_assignment() for _ in range(20)] == [BUSY_PAUSE] * 20, (
        "a new receiver gets one request"
    )
    bench.dispatcher.deliver(first)
    assert bench.run() == 0.25, "the rate, of which no look took anything"
    assert len(sent(bench)) == 4
    bench.receivers.answers["a"] = status(503)
    bench.pass_time(0.25)
    bench.pass_time(0.25)
    assert len(sent(bench)) == 6
    bench.clock.now += 1.5
    assert bench.run() == 0.5, "the pause of a receiver that fails"
    bench.store.close()


def test_time_parked_and_no_other_is_added_to_when_an_event_was_tried_first(bench: Bench) -> None:
    def tried_first(name: str) -> float | None:
        return bench.store.due(name, now=bench.clock.now + 1e6, limit=9)[-1].first_attempt

    bench.serve("a", "b", digest="old")
    for name, code in (("a", 401), ("b", 503)):
        bench.owe(name, 2)
        bench.receivers.answers[name] = status(code)
    bench.run()
    bench.pass_time(2)
    assert (tried_first("a"), tried_first("b")) == (NOW + 2, NOW + 2)
    bench.clock.now += 3598
    bench.receivers.answers = dict.fromkeys(("a", "b"), status(204))
    for _ in range(2):
        bench.dispatcher.deliver(taken(bench))
    assert (tried_first("a"), tried_first("b")) == (NOW + 2 + 3600, NOW + 2), "the receiver accepts again"
    bench.receivers.answers = {"a": status(401), "b": status(503)}
    bench.run()
    bench.clock.now += 1000
    bench.serve("a", "b", digest="new")
    assert tried_first("b") == NOW + 2


def test_settings_that_change_add_the_time_parked(bench: Bench) -> None:
    bench.serve("a", "b", digest="old")
    for name, code in (("a", 401), ("b", 503)):
        bench.owe(name)
        bench.receivers.answers[name] = status(code)
    bench.run()
    bench.clock.now += 1000
    bench.serve("a", "b", digest="new")
    tried_first = [bench.store.due(name, now=bench.clock.now, limit=1)[0].first_attempt for name in ("a", "b")]
    assert tried_first == [NOW + 1000, NOW]


def test_a_pause_that_a_clock_has_cut_begins_no_second_time_when_webhooks_change(bench: Bench) -> None:
    bench.serve("a")
    bench.owe("a")
    bench.receivers.answers["a"] = status(429, retry_after="60")
    bench.run()
    bench.receivers.answers.clear()
    bench.clock.now -= 3600
    bench.run()
    bench.clock.now += 40
    bench.serve("a", "other")
    bench.pass_time(21)
    assert not bench.store.pending_counts()


def test_what_the_store_knows_is_neither_written_nor_asked_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.serve("a")
    bench.owe("a")
    bench.run()
    written: list[Sequence[ReceiverState]] = []
    asked: list[None] = []
    record, waiting = bench.store.record_results, bench.store.pending_counts

    def keep(results: Any, receivers: Sequence[ReceiverState], *more: Any) -> None:
        written.append(receivers)
        record(results, receivers, *more)

    def ask() -> Mapping[str, int]:
        asked.append(None)
        return waiting()

    monkeypatch.setattr(bench.store, "record_results", keep)
    monkeypatch.setattr(bench.store, "waiting", ask)
    owe_more(bench, 3)
    bench.run()
    bench.serve("a")
    for _ in range(3):
        bench.run()
    assert [*map(list, written)] == [[]] * 4
    assert asked == []
    bench.pass_time(CHECK_EVERY)
    bench.run()
    assert asked == [None]


def test_one_that_fails_among_several_side_by_side_is_no_reason_to_send_one_at_a_time(tmp_path: Path) -> None:
    bench = quick_bench(tmp_path, 20)
    quick = bench.receivers.answers["a"]
    owe_more(bench, 10)
    refusing(bench, ids(bench, 1), lambda asked: replace(quick(asked), status=503))
    bench.receivers.together.clear()
    bench.run()
    bench.receivers.answers["a"] = quick
    bench.pass_time(2)
    owe_more(bench, 20)
    bench.run()
    assert bench.receivers.together[0] == max(bench.receivers.together[1:]) == MAX_BATCH
    bench.store.close()


def test_each_quick_answer_takes_one_worker_back_until_one_is_left(bench: Bench) -> None:
    def end(assignments: Sequence[Assignment], seconds: float) -> int:
        """How many go at once after these have ended."""
        bench.clock.now += seconds
        for each in assignments:
            bench.dispatcher.deliver(each)
        going.clear()
        while isinstance(assignment := bench.dispatcher.next_assignment(), Assignment):
            going.append(assignment)
        return len(going)

    going: list[Assignment] = []
    assert end(many_in_flight(bench, 4), 1.0) == 4
    quick, *slow = going
    bench.dispatcher.deliver(quick)
    assert end(slow, 1.0) == 3
    assert end(list(going), 0.0) == 1
    assert end(list(going), 0.0) == 1
