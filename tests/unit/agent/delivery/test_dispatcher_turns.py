"""Turns of the dispatcher's thread: what wakes it, what it does between two waits, and what it learns of receivers."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from kubectl_sew.consumers.base import Consumer, Request, Response
from kubectl_sew.consumers.registry import CONSUMERS
from sew_agent.delivery.attempt import Answer
from sew_agent.delivery.concurrency_limit import FIRST, ConcurrencyLimit
from sew_agent.delivery.pace import Pace
from sew_agent.delivery.queue import Assignment
from sew_agent.store.records import Delivery, StoreError
from tests.unit.agent.delivery.harness import (
    NOW,
    PATIENCE,
    DispatcherHarness,
    ScriptedReceivers,
    enqueue_more,
    route,
    status,
    until,
)

BEGIN = "begin"


class WaitingTransport(ScriptedReceivers):
    """Transport whose waits end by answers and by `wake` alone, and which keeps what it was asked for, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[str | float] = []
        self.waiting = threading.Event()
        self.closed = 0
        self.woken = threading.Event()

    def begin(self, requests: Sequence[Request], done: Callable[[Sequence[Answer]], None]) -> None:
        self.turns.append(BEGIN)
        super().begin(requests, done)

    def run(self, seconds: float) -> None:
        self.turns.append(seconds)
        if seconds > 0 and self._ended.empty():
            self.waiting.set()
            assert self.woken.wait(PATIENCE * 2)
            self.waiting.clear()
        self.woken.clear()
        super().run(0.0)

    def wake(self) -> None:
        self.woken.set()

    def close(self) -> None:
        self.closed += 1


class TurnsHarness(DispatcherHarness):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, in_flight=64)
        self.receivers = self.transport = WaitingTransport()
        self.beaten = 0
        self.restart(lambda: 100.0)

    def begin(self) -> None:
        """Start the thread, and wait until it waits."""

        def beat() -> None:
            self.beaten += 1

        self.transport.woken.clear()
        self.dispatcher.start(beat)
        self.rests()

    def rests(self) -> None:
        until(self.transport.waiting.is_set)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[TurnsHarness]:
    made = TurnsHarness(tmp_path)
    yield made
    made.dispatcher.stop(PATIENCE)
    made.store.close()


def test_a_dispatcher_that_waits_is_woken_by_new_webhooks_new_deliveries_and_the_end(harness: TurnsHarness) -> None:
    harness.enqueue("a")
    harness.begin()
    assert [thread.name for thread in threading.enumerate()].count("dispatcher") == 1
    assert harness.receivers.received == []
    harness.serve("a")
    until(lambda: harness.receivers.count()["a"] == 1)
    harness.rests()
    enqueue_more(harness, 1)
    until(lambda: harness.receivers.count()["a"] == 2)
    harness.rests()
    assert harness.dispatcher.stop(PATIENCE)
    assert harness.transport.closed == 1


def test_attempts_that_end_without_a_request_wait_for_nothing(harness: TurnsHarness) -> None:
    """Of a receiver that is not proven one is in flight at a time, and the next one begins at once."""
    made = route("a", "", "Generic")
    harness.dispatcher.serve({"a": replace(made, config={**made.config, "template": "{{ 1 | nothing }}"})})
    harness.enqueue("a", 4)
    harness.begin()
    assert len(harness.observer.outcomes) == 4
    assert harness.transport.turns[:-1] == [0.0] * 4


def test_at_most_thirty_two_start_before_answers_are_taken_and_each_turn_is_a_heartbeat(harness: TurnsHarness) -> None:
    names = [f"w{number}" for number in range(40)]
    for name in names:
        harness.enqueue(name)
    harness.serve(*names)
    harness.begin()
    turns = harness.transport.turns
    assert turns[:41] == [BEGIN] * 32 + [0.0] + [BEGIN] * 8
    assert all(isinstance(turn, float) and turn > 0 for turn in turns[41:])
    assert harness.beaten == len(turns) - 40


def serve_jira(harness: TurnsHarness, *webhooks: str, generic: Sequence[str] = ()) -> None:
    """Serve webhooks with one delivery each: those of Jira, then generic ones. The store's marks are turns, too."""
    mark = harness.store.begin_attempts

    def marked(deliveries: Sequence[Delivery]) -> None:
        harness.transport.turns.append(f"mark {len(deliveries)}")
        mark(deliveries)

    harness.store.begin_attempts = marked  # type: ignore[method-assign]
    for name in (*webhooks, *generic):
        harness.enqueue(name)
    jira = {name: route(name, "", "Jira") for name in webhooks}
    harness.dispatcher.serve(jira | {name: route(name, "", "Generic") for name in generic})


def test_all_that_a_turn_must_mark_waits_for_the_disk_once_and_holds_up_nothing_else_of_it(
    harness: TurnsHarness,
) -> None:
    serve_jira(harness, *(f"j{number}" for number in range(31)), generic=["a"])
    harness.begin()
    assert harness.transport.turns[:34] == [BEGIN, "mark 31", *[BEGIN] * 31, 0.0]


def test_all_that_cannot_be_marked_is_let_go_reported_once_and_sent_when_the_store_works(
    harness: TurnsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(_: Sequence[Delivery]) -> None:
        raise StoreError("locked")

    serve_jira(harness, "j0", "j1")
    with monkeypatch.context() as patch:
        patch.setattr(harness.store, "begin_attempts", locked)
        harness.begin()
    assert ([str(error) for error in harness.observer.errors], harness.receivers.count()) == (["locked"], {})
    assert (harness.dispatcher.busy, harness.transport.turns) == (0, [1.0])
    harness.transport.wake()
    until(lambda: harness.receivers.count() == {"j0": 1, "j1": 1})


def test_what_was_taken_before_the_store_failed_is_marked_and_sent(
    harness: TurnsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = harness.store.due

    def locked(webhook: str, **more: Any) -> Sequence[Delivery]:
        if webhook == "j1":
            raise StoreError("locked")
        return due(webhook, **more)

    monkeypatch.setattr(harness.store, "due", locked)
    serve_jira(harness, "j0", "j1")
    harness.begin()
    assert harness.transport.turns == ["mark 1", BEGIN, 0.0, 1.0]
    assert [str(error) for error in harness.observer.errors] == ["locked", "locked"]


def test_what_is_marked_and_not_begun_at_the_end_is_let_go(harness: TurnsHarness) -> None:
    """The end is asked for while the first of two is rendered, which takes long."""
    ended: list[bool] = []
    started = threading.Event()
    end = threading.Thread(target=lambda: ended.append(harness.dispatcher.stop(PATIENCE)))

    def stop() -> None:
        if not end.ident:
            assert started.wait(PATIENCE)
            end.start()
            assert harness.transport.woken.wait(PATIENCE)

    serve_long_work(harness, "b", "c", consumer="Jira", during=stop)
    harness.enqueue("b")
    harness.enqueue("c")
    harness.transport.woken.clear()
    harness.dispatcher.start(lambda: None)
    started.set()
    until(lambda: bool(ended))
    end.join(PATIENCE)
    assert (ended, harness.receivers.count(), harness.dispatcher.busy) == ([True], {"b": 1}, 0)


def test_a_store_that_cannot_be_asked_is_reported_and_asked_again_a_second_later(
    harness: TurnsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object, **__: object) -> None:
        raise StoreError("locked")

    harness.enqueue("a")
    harness.serve("a")
    with monkeypatch.context() as patch:
        patch.setattr(harness.store, "due", locked)
        harness.begin()
    assert [str(error) for error in harness.observer.errors] == ["locked"]
    assert harness.transport.turns == [1.0]
    harness.transport.wake()
    until(lambda: len(harness.observer.outcomes) == 1)


def test_what_is_in_flight_at_the_end_is_waited_for_and_the_transport_closed_after_it(harness: TurnsHarness) -> None:
    ends: list[Callable[[], None]] = []
    begin = harness.transport.begin
    harness.transport.begin = lambda requests, done: ends.append(lambda: begin(requests, done))  # type: ignore[method-assign]
    harness.enqueue("a", 2)
    harness.serve("a")
    harness.begin()
    assert not harness.dispatcher.stop(0.0)
    assert (harness.transport.closed, harness.dispatcher.busy) == (0, 1)
    (end,) = ends
    end()
    harness.transport.wake()
    assert harness.dispatcher.stop(PATIENCE)
    assert (harness.transport.closed, harness.store.pending_counts()) == (1, {"a": 1})


def test_a_result_that_the_store_does_not_take_at_the_end_is_written_when_it_does(
    harness: TurnsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object) -> None:
        raise StoreError("locked")

    ended: list[bool] = []
    end = threading.Thread(target=lambda: ended.append(harness.dispatcher.stop(PATIENCE)))
    harness.enqueue("a")
    harness.serve("a")
    with monkeypatch.context() as patch:
        patch.setattr(harness.store, "record_results", locked)
        harness.begin()
        assert len(harness.observer.errors) == 1
        end.start()
        until(lambda: len(harness.observer.errors) > 1)
        harness.rests()
    harness.transport.wake()
    end.join(PATIENCE)
    assert (ended, harness.store.pending_counts()) == ([True], {})


@pytest.mark.parametrize(
    ("code", "answers", "cut_at", "accepted", "paused_until"),
    [
        (204, 1, 0.0, 1, 0.0),
        (400, 1, 0.0, 1, 0.0),
        (401, 0, 0.0, 0, 0.0),
        (503, 0, NOW + 0.1, 0, 0.0),
        (429, 0, NOW + 0.1, 0, NOW + 7.1),
    ],
)
def test_an_answer_counts_a_failure_is_too_much_and_a_refusal_too_fast(
    tmp_path: Path, code: int, answers: int, cut_at: float, accepted: int, paused_until: float
) -> None:
    """Refused credentials say nothing of how much a receiver takes. The answer comes after 0.1 s."""
    harness = DispatcherHarness(tmp_path)
    harness.serve("a")
    harness.enqueue("a")
    harness.receivers.answers["a"] = status(code, retry_after="7") if code == 429 else status(code)
    assignment = harness.dispatcher.next_assignment()
    assert isinstance(assignment, Assignment)
    harness.clock.now += 0.1
    harness.deliver(assignment)
    limit, pace = assignment.queue.limit, assignment.queue.pace
    assert (limit.answers, limit.seconds) == (answers, pytest.approx(0.1 * answers))
    assert (limit.cut_at, limit.allowed) == (cut_at, int(FIRST / 2 if cut_at else FIRST))
    assert (pace.accepted, pace.since) == (accepted, pytest.approx(paused_until))
    assert [seconds for *_, seconds in harness.observer.ends] == [pytest.approx(0.1)]
    harness.store.close()


def test_other_settings_and_they_alone_forget_how_much_a_receiver_takes(tmp_path: Path) -> None:
    harness = DispatcherHarness(tmp_path)
    harness.serve("a", digest="old")
    harness.enqueue("a", 2)
    assignment = harness.dispatcher.next_assignment()
    assert isinstance(assignment, Assignment)
    harness.deliver(assignment)
    harness.serve("a", "b", digest="old")
    assert assignment.queue.limit.answers == assignment.queue.pace.accepted == 1
    harness.serve("a", digest="new")
    assert (assignment.queue.limit, assignment.queue.pace) == (ConcurrencyLimit(), Pace())
    harness.store.close()


def test_a_receiver_that_refuses_what_comes_too_fast_is_soon_sent_only_what_it_takes(tmp_path: Path) -> None:
    harness = DispatcherHarness(tmp_path)
    seconds: Counter[int] = Counter()
    refused: list[float] = []

    def limited(_: Request) -> Response:
        second = int(harness.clock.now)
        seconds[second] += 1
        if seconds[second] <= 5:
            return Response(204, {}, b"")
        refused.append(harness.clock.now - NOW)
        return Response(429, {"retry-after": "1"}, b"")

    harness.receivers.answers["a"] = limited
    harness.enqueue("a", 300)
    harness.serve("a")
    for _ in range(40 * 20):
        harness.pass_time(0.05)
    late = [at for at in refused if at >= 10]
    delivered = harness.receivers.count()["a"] - len(refused)
    assert len(late) <= 3, "where honouring each pause alone meets one every other second"
    assert delivered >= 0.8 * 5 * 40
    harness.store.close()


def test_a_webhook_without_room_goes_on_when_what_failed_meanwhile_has_ended(tmp_path: Path) -> None:
    harness = DispatcherHarness(tmp_path, in_flight=6)
    harness.serve("a", "b")
    harness.enqueue("a")
    harness.run()
    harness.receivers.answers = {"a": status(503, retry_after="3600"), "b": status(503)}
    harness.enqueue("b")
    harness.run()
    enqueue_more(harness, 6)
    crowd = [assignment for _ in range(4) if isinstance(assignment := harness.dispatcher.next_assignment(), Assignment)]
    assert [assignment.route.webhook for assignment in crowd] == ["a"] * 4
    harness.deliver(crowd[0])
    harness.clock.now += 10.0
    assert isinstance(harness.dispatcher.next_assignment(), float), "failing ones hold half of all there is"
    for assignment in crowd[1:]:
        harness.deliver(assignment)
    del harness.receivers.answers["b"]
    harness.run()
    assert harness.receivers.count()["b"] == 2
    harness.store.close()


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_a_receiver_with_a_pace_is_sent_to_however_the_clock_is_set(tmp_path: Path, seconds: float) -> None:
    harness = DispatcherHarness(tmp_path)
    accepted: Counter[int] = Counter()

    def limited(_: Request) -> Response:
        second = int(harness.clock.now)
        accepted[second] += 1
        return Response(204, {}, b"") if accepted[second] <= 5 else Response(429, {"retry-after": "1"}, b"")

    harness.receivers.answers["a"] = limited
    harness.enqueue("a", 300)
    harness.serve("a")
    for _ in range(10 * 20):
        harness.pass_time(0.05)
    before = harness.receivers.count()["a"]
    accepted.clear()
    harness.clock.set(seconds)
    for _ in range(10 * 20):
        harness.pass_time(0.05)
    assert 30 <= harness.receivers.count()["a"] - before <= 60
    harness.store.close()


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_how_long_an_answer_took_is_not_learnt_by_a_clock_that_was_set_meanwhile(
    tmp_path: Path, seconds: float
) -> None:
    harness = DispatcherHarness(tmp_path)
    harness.serve("a")
    harness.enqueue("a")
    assignment = harness.dispatcher.next_assignment()
    assert isinstance(assignment, Assignment)
    harness.clock.set(seconds)
    harness.dispatcher.next_assignment()
    harness.deliver(assignment)
    assert (assignment.queue.limit.answers, harness.receivers.count()) == (0, {"a": 1})
    harness.store.close()


class LongWork:
    """Consumer that takes two seconds of the processor for each event, during which something happens."""

    def __init__(self, harness: DispatcherHarness, consumer: str, during: Callable[[], None]) -> None:
        self.seconds = 0.0
        self._clock = harness.clock
        self._consumer = CONSUMERS[consumer]
        self._during = during

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def render(self, *args: Any, **kwargs: Any) -> Sequence[Request]:
        self._during()
        self.seconds += 2.0
        self._clock.now += 2.0
        return self._consumer.render(*args, **kwargs)


def serve_long_work(
    harness: DispatcherHarness, *webhooks: str, consumer: str = "Generic", during: Callable[[], None] = lambda: None
) -> None:
    """Serve `a`, and these, each of whose events takes two seconds of the processor."""
    long_work = LongWork(harness, consumer, during)
    harness.restart(lambda: long_work.seconds)
    long = {name: replace(route(name, "", consumer), consumer=cast(Consumer, long_work)) for name in webhooks}
    harness.dispatcher.serve(long | {"a": route("a", "", "Generic")})


def test_a_webhook_whose_events_take_long_to_render_leaves_most_of_the_time_to_others(tmp_path: Path) -> None:
    harness = DispatcherHarness(tmp_path)
    serve_long_work(harness, "long")
    harness.enqueue("a", 100)
    harness.enqueue("long", 100)
    while harness.clock.now < NOW + 64:
        harness.pass_time(0.5)
    assert harness.receivers.count() == {"a": 100, "long": 3}
    harness.store.close()


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_a_webhook_rests_as_long_however_the_clock_is_set(tmp_path: Path, seconds: float) -> None:
    harness = DispatcherHarness(tmp_path)
    serve_long_work(harness, "long")
    harness.enqueue("long", 3)
    harness.pass_time(0.5)
    harness.clock.set(seconds)
    for _ in range(36):
        harness.pass_time(0.5)
    assert harness.receivers.count() == {"long": 1}
    for _ in range(5):
        harness.pass_time(0.5)
    assert harness.receivers.count() == {"long": 2}
    harness.store.close()


@pytest.mark.parametrize("consumer", ["Generic", "Jira"])
def test_answers_are_read_after_each_event_that_takes_long_to_render(tmp_path: Path, consumer: str) -> None:
    harness, transport = DispatcherHarness(tmp_path), WaitingTransport()
    harness.receivers = transport
    serve_long_work(harness, "b", "c", consumer=consumer)
    harness.enqueue("b")
    harness.enqueue("c")
    harness.start()
    until(lambda: len(harness.observer.outcomes) == 2)
    harness.dispatcher.stop(PATIENCE)
    begun = [number for number, turn in enumerate(transport.turns) if turn == BEGIN]
    assert len(begun) == 2
    assert begun[1] - begun[0] > 1
    harness.store.close()
