"""Dispatcher over a real store, with a scripted receiver and a clock that only the test moves."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from kubectl_sew.consumers.base import FailureReason, Outcome, Request, Response, Verdict
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event, delivery_id
from kubectl_sew.redaction import HIDDEN
from sew_agent.delivery.attempt import Route
from sew_agent.delivery.concurrency_limit import FIRST
from sew_agent.delivery.delivery_log import Sent
from sew_agent.delivery.dispatcher import DispatcherError
from sew_agent.delivery.http.errors import SendError
from sew_agent.delivery.peers import REST
from sew_agent.delivery.queue import Assignment, QueueChanges
from sew_agent.delivery.retry import DOWN_AFTER, PROBE_EVERY
from sew_agent.store.records import Delivery, DeliveryState, EnqueueBatch, NewDelivery, StoreError
from sew_agent.store.sqlite.store import open_store
from tests.unit.agent.delivery.harness import (
    NOW,
    PATIENCE,
    TOKEN,
    DispatcherHarness,
    enqueue_more,
    route,
    status,
    until,
)

YEAR = 365 * 86_400.0
MISTAKE = "a mistake of this program, please report it: RecursionError"


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[DispatcherHarness]:
    made = DispatcherHarness(tmp_path)
    yield made
    made.dispatcher.stop(PATIENCE)
    made.store.close()


def test_everything_pending_is_delivered_once_and_nothing_stays(harness: DispatcherHarness) -> None:
    harness.serve("a", "b")
    harness.enqueue("a", 40)
    harness.enqueue("b", 3)
    harness.run()
    assert harness.receivers.count() == {"a": 40, "b": 3}
    assert len(set(harness.receivers.received)) == 43
    assert not harness.store.pending_counts()


def test_the_rate_limit_delays_and_never_drops(tmp_path: Path) -> None:
    harness = DispatcherHarness(tmp_path, rate=1.0)
    harness.serve("a")
    harness.enqueue("a", 3)
    arrived = []
    for _ in range(3):
        harness.run()
        arrived.append(harness.receivers.count()["a"])
        harness.clock.now += 1
    assert arrived == [1, 2, 3]
    harness.store.close()


def test_a_failing_webhook_backs_off_as_one_and_recovers_without_a_storm(harness: DispatcherHarness) -> None:
    harness.serve("a")
    harness.enqueue("a", 50)
    harness.receivers.answers["a"] = status(503)
    harness.run()
    harness.pass_time(2)
    assert harness.receivers.count()["a"] == 2
    harness.receivers.answers.clear()
    harness.pass_time(900)
    assert not harness.store.pending_counts()


def test_a_retry_after_is_honoured_in_full_and_over_a_restart(harness: DispatcherHarness, tmp_path: Path) -> None:
    harness.serve("a")
    harness.enqueue("a")
    harness.receivers.answers["a"] = status(429, retry_after="3600")
    harness.run()
    harness.receivers.answers.clear()
    harness.serve()
    harness.serve("a")
    harness.pass_time(3599)
    assert harness.receivers.count()["a"] == 1
    harness.pass_time(2)
    assert harness.receivers.count()["a"] == 2


def test_a_parked_webhook_is_probed_with_a_few_events_and_then_once_an_hour(harness: DispatcherHarness) -> None:
    harness.serve("a")
    harness.enqueue("a", 2 * DOWN_AFTER)
    harness.receivers.answers["a"] = status(404)
    for _ in range(60):
        harness.pass_time(1)
    assert len(set(harness.receivers.received)) == len(harness.receivers.received) == DOWN_AFTER + 1
    harness.pass_time(PROBE_EVERY - 60)
    assert harness.receivers.count()["a"] == DOWN_AFTER + 1
    harness.pass_time(60)
    assert harness.receivers.count()["a"] == DOWN_AFTER + 2
    harness.receivers.answers.clear()
    harness.pass_time(PROBE_EVERY + 1)
    assert not harness.store.pending_counts()


def test_a_change_ends_parking_at_once_and_its_time_does_not_count(harness: DispatcherHarness) -> None:
    harness.serve("a", digest="old")
    harness.enqueue("a")
    harness.receivers.answers["a"] = status(401)
    harness.run()
    harness.clock.now += 71 * 3600
    harness.receivers.answers["a"] = status(503)
    harness.serve("a", digest="new")
    harness.run()
    harness.pass_time(2 * 3600)
    assert harness.store.pending_counts() == {"a": 1}
    assert not list(harness.store.dead_letters())


def test_a_webhook_that_was_taken_away_and_comes_back_is_not_parked_any_more(harness: DispatcherHarness) -> None:
    harness.serve("a", digest="same")
    harness.enqueue("a")
    harness.receivers.answers["a"] = status(401)
    harness.run()
    harness.serve()
    harness.receivers.answers.clear()
    harness.serve("a", digest="same")
    harness.run()
    assert not harness.store.pending_counts()


def test_a_clock_that_is_set_back_holds_up_nobody(harness: DispatcherHarness) -> None:
    harness.serve("a")
    harness.enqueue("a")
    harness.receivers.answers["a"] = status(400)
    harness.run()
    harness.receivers.answers.clear()
    harness.store.replay(None)
    harness.clock.now -= 3600
    harness.run()
    assert not harness.store.pending_counts()


@pytest.mark.parametrize("answer", [status(503), status(401), status(429, retry_after="3600")])
@pytest.mark.parametrize("restart", [False, True])
def test_what_failed_while_the_clock_was_a_year_ahead_is_tried_when_it_is_right_again(
    harness: DispatcherHarness, answer: Callable[[Request], Response], *, restart: bool
) -> None:
    harness.clock.now += YEAR
    harness.serve("a")
    harness.enqueue("a")
    harness.receivers.answers["a"] = answer
    harness.run()
    for _ in range(3):
        harness.pass_time(3600)
    harness.clock.now = NOW
    if restart:
        harness.restart()
        harness.serve("a")
    before = harness.receivers.count()["a"]
    assert harness.run() > 0
    harness.pass_time(1)
    assert harness.receivers.count()["a"] == before + 1
    harness.receivers.answers.clear()
    harness.pass_time(3600)
    assert not harness.store.pending_counts()


def test_an_event_that_shows_a_mistake_of_ours_costs_itself_alone(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.serve("a")
    harness.enqueue("a", 2)

    def fail(*_: object) -> Outcome:
        raise RecursionError("https://a/SECRET")

    monkeypatch.setattr(type(CONSUMERS["Generic"]), "classify", fail)
    harness.run()
    assert harness.observer.outcomes == [Outcome(Verdict.REJECTED, FailureReason.INTERNAL, MISTAKE)] * 2
    assert [letter.reason for letter in harness.store.dead_letters()] == ["internal"] * 2


def test_a_mistake_of_ours_in_sending_costs_no_event(harness: DispatcherHarness) -> None:
    harness.serve("a")
    harness.enqueue("a", 2)

    def fail(_: Request) -> Response:
        raise RecursionError("https://a/SECRET")

    harness.receivers.answers["a"] = fail
    harness.run()
    assert harness.observer.outcomes == [Outcome(Verdict.RETRY, FailureReason.INTERNAL, MISTAKE)]
    assert harness.dispatcher.busy == 0
    harness.receivers.answers.clear()
    harness.pass_time(10)
    assert harness.store.counters()[0].delivered == 2


@pytest.mark.parametrize("asked", ["due", "version"])
def test_a_webhook_keeps_its_turn_where_the_store_cannot_be_asked_what_is_due(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    harness.serve("a")
    harness.enqueue("a", 5)
    if asked == "version":  # asked for where something was taken ahead
        harness.dispatcher.step()
    answer = getattr(harness.store, asked)

    def locked(*_: object, **__: object) -> object:
        raise StoreError("locked")

    monkeypatch.setattr(harness.store, asked, locked)
    with pytest.raises(StoreError):
        harness.dispatcher.step()
    monkeypatch.setattr(harness.store, asked, answer)
    harness.run()
    assert harness.store.pending_counts() == {}


def test_a_result_is_kept_until_the_store_takes_it(harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.serve("a")
    harness.enqueue("a")
    record_results, failures = harness.store.record_results, iter([StoreError("locked"), StoreError("locked")])

    def fail_twice(*arguments: Any) -> None:
        for failure in failures:
            raise failure
        record_results(*arguments)

    monkeypatch.setattr(harness.store, "record_results", fail_twice)
    monkeypatch.setattr("sew_agent.delivery.dispatcher._STORE_PAUSE", 0.0)
    harness.run()
    assert harness.receivers.count() == {"a": 1}
    assert [str(error) for error in harness.observer.errors] == ["locked"] * 2
    assert not harness.store.pending_counts()


def test_the_result_of_a_probe_is_kept_until_the_store_takes_it(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.serve("a")
    harness.enqueue("a")
    harness.receivers.answers["a"] = status(404)
    harness.run()
    harness.receivers.answers.clear()
    record_results, failures = harness.store.record_results, iter([StoreError("locked")])

    def fail_once(*arguments: Any) -> None:
        for failure in failures:
            raise failure
        record_results(*arguments)

    monkeypatch.setattr(harness.store, "record_results", fail_once)
    monkeypatch.setattr("sew_agent.delivery.dispatcher._STORE_PAUSE", 0.0)
    harness.pass_time(PROBE_EVERY + 1)
    assert harness.receivers.count() == {"a": 2}
    assert [str(error) for error in harness.observer.errors] == ["locked"]
    assert not harness.store.pending_counts()
    assert not harness.store.receivers()["a"].parked


def test_a_mistake_of_ours_that_ends_the_thread_is_told_with_its_place(harness: DispatcherHarness) -> None:
    harness.dispatcher.check()
    harness.dispatcher.start(lambda: {}["https://secret"])
    assert harness.dispatcher.stop(PATIENCE)
    with pytest.raises(DispatcherError, match=r"report it: KeyError at test_dispatcher\.py:\d+; what") as told:
        harness.dispatcher.check()
    assert str(told.value).endswith("what was not delivered is kept, and sent when the agent is started again")


def test_a_jira_search_that_fails_leaves_the_doubt(harness: DispatcherHarness) -> None:
    harness.serve("a", consumer="Jira")
    harness.enqueue("a")

    def cut(_: Request) -> Response:
        raise SendError(FailureReason.NETWORK, "cut")

    harness.receivers.answers["a"] = cut
    harness.run()
    harness.receivers.answers["a"] = status(429, retry_after="5")
    harness.pass_time(10)
    harness.receivers.answers["a"] = lambda request: Response(200, {}, b'{"issues": [{"key": "P-1"}]}')
    harness.pass_time(10)
    assert [what for _, what in harness.receivers.received] == ["POST", "GET", "GET"]
    assert not harness.store.pending_counts()


IN_40_S = format_datetime(datetime.fromtimestamp(NOW + 40, UTC), usegmt=True)
FOUND = Response(200, {}, b'{"issues": [{"key": "P-1"}]}')
NONE = Response(200, {}, b'{"issues": []}')
NO_SEARCH = Response(404, {}, b"")
CREATED = Response(201, {}, b'{"key": "P-2"}')
HAS_IT = Outcome(Verdict.DELIVERED, detail="found at the receiver", receipt="P-1")
SENT = Outcome(Verdict.DELIVERED, detail="201 Created", status=201, receipt="P-2")


@pytest.mark.parametrize(
    ("answers", "methods", "outcome"),
    [
        ([FOUND], "GET", HAS_IT),
        ([NO_SEARCH, FOUND], "GET GET", HAS_IT),
        (
            [Response(200, {}, json.dumps({"issues": [{"key": TOKEN}]}).encode())],
            "GET",
            replace(HAS_IT, receipt=HIDDEN),
        ),
        ([NONE, CREATED], "GET POST", SENT),
        (
            [NONE, Response(503, {"retry-after": IN_40_S}, b"")],
            "GET POST",
            Outcome(Verdict.WAIT, FailureReason.SERVER_ERROR, "503 Service Unavailable", 503, retry_after=30.0),
        ),
        (
            [NO_SEARCH, NO_SEARCH, Response(503, {"retry-after": IN_40_S}, b"")],
            "GET GET POST",
            Outcome(
                Verdict.WAIT,
                FailureReason.SERVER_ERROR,
                "503 Service Unavailable (without looking for an earlier one: this receiver has no search)",
                503,
                retry_after=30.0,
            ),
        ),
        (
            [NO_SEARCH, NO_SEARCH, CREATED],
            "GET GET POST",
            replace(SENT, detail="201 Created (without looking for an earlier one: this receiver has no search)"),
        ),
        (
            [Response(503, {"retry-after": IN_40_S}, b"")],
            "GET",
            Outcome(
                Verdict.WAIT,
                FailureReason.SERVER_ERROR,
                "looking for an earlier delivery: 503 Service Unavailable",
                503,
                retry_after=30.0,
            ),
        ),
        (
            [Response(400, {}, json.dumps({"errorMessages": [f"no project for {TOKEN}"]}).encode())],
            "GET",
            Outcome(
                Verdict.RETRY,
                FailureReason.UNEXPECTED_ANSWER,
                f"looking for an earlier delivery: 400 Bad Request: no project for {HIDDEN}",
                400,
            ),
        ),
        (
            [SendError(FailureReason.TIMEOUT, "late")],
            "GET",
            Outcome(Verdict.RETRY, FailureReason.TIMEOUT, "looking for an earlier delivery: late"),
        ),
        (
            [SendError(FailureReason.PROXY_REFUSED, "busy", answer=Response(503, {"retry-after": IN_40_S}, b""))],
            "GET",
            Outcome(
                Verdict.WAIT,
                FailureReason.PROXY_REFUSED,
                "looking for an earlier delivery: busy",
                retry_after=30.0,
            ),
        ),
    ],
)
def test_an_issue_of_unknown_fate_is_searched_for_and_created_only_where_jira_does_not_have_it(
    harness: DispatcherHarness, answers: list[Response | SendError], methods: str, outcome: Outcome
) -> None:
    harness.serve("a", consumer="Jira")
    harness.enqueue("a")
    harness.receivers.answers["a"] = given([SendError(FailureReason.NETWORK, "cut")])
    harness.run()
    harness.receivers.received.clear()
    harness.receivers.answers["a"] = given(answers)
    harness.pass_time(10)
    assert " ".join(what for _, what in harness.receivers.received) == methods
    assert harness.observer.outcomes[1:] == [outcome]


@pytest.mark.parametrize("changed", [False, True])
def test_what_follows_a_search_is_not_sent_where_it_may_not_be_any_more(
    harness: DispatcherHarness, *, changed: bool
) -> None:
    def answering(created: Response) -> Callable[[Request], Response]:
        return lambda request: created if request.method == "POST" else NONE

    harness.receivers.answers["a"] = answering(CREATED)
    harness.serve("a", consumer="Jira")
    harness.enqueue("a")
    harness.run()
    enqueue_more(harness, 2)
    harness.store.begin_attempts(harness.store.due("a", now=NOW, limit=2))
    harness.dispatcher.notify({"a"})
    first, second = harness.begin(), harness.begin()
    harness.receivers.received.clear()
    if changed:
        harness.serve("a", consumer="Jira", digest="other")
    else:
        harness.receivers.answers["a"] = answering(Response(429, {"retry-after": "300"}, b""))
    first()
    second()
    assert [what for _, what in harness.receivers.received] == (["GET", "GET"] if changed else ["GET", "POST", "GET"])
    assert harness.store.pending_counts() == {"a": 2}
    harness.receivers.received.clear()
    harness.receivers.answers["a"] = answering(CREATED)
    harness.pass_time(0 if changed else 299)
    assert [what for _, what in harness.receivers.received] == (["GET", "POST"] * 2 if changed else [])
    harness.pass_time(1)
    assert harness.store.pending_counts() == {}


@pytest.mark.parametrize("seconds", [0, 3_600, -3_600])
def test_a_peers_time_lasts_as_long_where_the_clock_is_set_before_its_answer(
    harness: DispatcherHarness, seconds: float
) -> None:
    both = Route("a", CONSUMERS["AlertManager"], {"url": "http://one/api/v2/alerts,http://two/api/v2/alerts"})
    harness.dispatcher.serve({"a": both})
    harness.enqueue("a")

    def busy(_: Request) -> Response:
        harness.clock.set(seconds)
        return Response(429, {"retry-after": "300"}, b"")

    harness.receivers.answers = {"one": busy, "two": status(200)}
    harness.run()
    harness.receivers.answers["one"] = status(200)
    for _ in range(2):
        harness.receivers.received.clear()
        harness.clock.now += 149
        enqueue_more(harness, 1)
        harness.run()
        assert [host for host, _ in harness.receivers.received] == ["two"]
    harness.receivers.received.clear()
    harness.clock.now += 2
    enqueue_more(harness, 1)
    harness.run()
    assert [host for host, _ in harness.receivers.received] == ["one", "two"]


def given(answers: Sequence[Response | SendError]) -> Callable[[Request], Response]:
    """Give one answer after the other."""
    remaining = iter(answers)

    def answer(_: Request) -> Response:
        result = next(remaining)
        if isinstance(result, SendError):
            raise result
        return result

    return answer


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Response(204, {}, b""), Outcome(Verdict.DELIVERED, detail="204 No Content", status=204)),
        (
            Response(503, {"retry-after": IN_40_S}, f"no {TOKEN}".encode()),
            Outcome(
                Verdict.WAIT, FailureReason.SERVER_ERROR, f"503 Service Unavailable: no {HIDDEN}", 503, retry_after=40.0
            ),
        ),
        (
            SendError(FailureReason.CERTIFICATE, "refused", parked=True),
            Outcome(Verdict.PARKED, FailureReason.CERTIFICATE, "refused"),
        ),
        (
            SendError(FailureReason.PROXY_REFUSED, "busy", answer=Response(503, {"retry-after": IN_40_S}, b"")),
            Outcome(Verdict.WAIT, FailureReason.PROXY_REFUSED, "busy", retry_after=40.0),
        ),
    ],
)
def test_what_came_of_a_request_is_reported_without_a_secret_and_by_the_clock(
    harness: DispatcherHarness, answer: Response | SendError, outcome: Outcome
) -> None:
    given_route = route("a", "", "Generic")
    headers = f"X-Token: {TOKEN}"
    harness.dispatcher.serve({"a": replace(given_route, config={**given_route.config, "headers": headers})})
    harness.enqueue("a")
    (deliveries,) = harness.store.due("a", now=NOW, limit=1)
    harness.receivers.answers["a"] = given([answer])
    harness.run()
    assert harness.receivers.received == [("a", deliveries.delivery_id)]
    assert harness.observer.outcomes == [outcome]


def test_an_event_that_no_request_can_be_made_of_is_a_dead_letter_that_says_why(harness: DispatcherHarness) -> None:
    made = route("a", "", "Generic")
    harness.dispatcher.serve({"a": replace(made, config={**made.config, "template": "{{ 1 | nothing }}"})})
    harness.enqueue("a")
    harness.run()
    assert harness.observer.outcomes == [
        Outcome(Verdict.REJECTED, FailureReason.RENDERING, "the template is not valid")
    ]
    assert harness.receivers.received == []


@pytest.mark.parametrize("costly", [1, 3, 10])
def test_however_many_templates_cost_much_others_have_most_of_the_time(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch, costly: int
) -> None:
    made, spent = CONSUMERS["Generic"].render, 0.0

    def render(*given: Any, **more: Any) -> tuple[Request, ...]:
        nonlocal spent
        spent += 1.0
        harness.clock.now += 1.0
        return made(*given, **more)

    monkeypatch.setattr(type(CONSUMERS["Generic"]), "render", lambda _, *given, **more: render(*given, **more))
    harness.restart(worked=harness.clock)
    names = [f"w{number}" for number in range(costly)]
    harness.serve(*names, consumer="Generic")
    for name in names:
        harness.enqueue(name, 100)
    began = harness.clock.now
    while harness.clock.now < began + 500:
        harness.clock.now += harness.dispatcher.step()
    assert 0.05 < spent / 500 < 0.15


def test_requests_are_sent_as_they_are_marked_for_traces_and_each_attempt_is_traced(
    harness: DispatcherHarness,
) -> None:
    sent: list[Request] = []
    traced: list[tuple[str, str, str, DeliveryState]] = []

    class Marks:
        def mark(self, assignment: Assignment, requests: Sequence[Request]) -> Sequence[Request]:
            mark = ("traceparent", assignment.delivery.delivery_id)
            return [replace(request, headers=(*request.headers, mark)) for request in requests]

        def attempted(self, assignment: Assignment, outcome: Outcome, went: Sent, changes: QueueChanges) -> None:
            result = changes.decision.result
            traced.append((assignment.delivery.delivery_id, outcome.detail, went.to, result.state))

    def answer(request: Request) -> Response:
        sent.append(request)
        return Response(503, {}, b"")

    harness.receivers.answers["a"] = answer
    harness.tracing = Marks()
    harness.restart()
    harness.serve("a")
    harness.enqueue("a")
    harness.run()
    identity = delivery_id("a", Event("", "a-0", {}))
    assert traced == [(identity, "503 Service Unavailable", "http://a", DeliveryState.PENDING)]
    assert [request.headers[-1] for request in sent] == [("traceparent", identity)]


def test_a_webhook_that_is_no_longer_served_gets_nothing(harness: DispatcherHarness) -> None:
    harness.serve("a")
    harness.serve()
    harness.enqueue("a")
    harness.run()
    assert not harness.receivers.received
    harness.serve("a")
    harness.run()
    assert harness.receivers.count() == {"a": 1}


def test_what_is_in_flight_is_not_sent_again_when_its_webhook_was_away_for_a_moment(harness: DispatcherHarness) -> None:
    harness.serve("a")
    harness.enqueue("a")

    def away(_: Request) -> Response:
        if len(harness.receivers.received) == 1:
            harness.serve()
            harness.serve("a")
            harness.dispatcher.step()
        return Response(204, {}, b"")

    harness.receivers.answers["a"] = away
    harness.run()
    assert harness.receivers.count() == {"a": 1}
    harness.enqueue("a", 2)
    harness.run()
    assert harness.receivers.count() == {"a": 2}
    assert harness.dispatcher.busy == 0


def test_a_replayed_dead_letter_is_noticed_within_two_seconds(harness: DispatcherHarness) -> None:
    harness.serve("a")
    harness.enqueue("a")
    harness.receivers.answers["a"] = status(400)
    harness.run()
    harness.receivers.answers.clear()
    harness.store.replay(None)
    harness.pass_time(2)
    assert [code for host, code in harness.receivers.received] == [harness.receivers.received[0][1]] * 2
    assert not harness.store.pending_counts()


def test_the_store_is_not_asked_about_each_webhook_for_which_nothing_waits(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.serve(*(f"w{number}" for number in range(100)))
    harness.run()
    asked: list[str] = []
    real = harness.store.due

    def due(webhook: str, **more: Any) -> Sequence[Delivery]:
        asked.append(webhook)
        return real(webhook, **more)

    monkeypatch.setattr(harness.store, "due", due)
    for _ in range(10):
        harness.pass_time(1)
    assert not asked
    harness.enqueue("w7")
    harness.run()
    assert set(asked) == {"w7"}


def test_receivers_that_hang_do_not_hold_up_the_others(harness: DispatcherHarness) -> None:
    release = threading.Event()

    def hang(_: Request) -> Response:
        release.wait(PATIENCE)
        raise SendError(FailureReason.TIMEOUT, "no answer")

    hanging = [f"hanging-{number}" for number in range(8)]
    for name in hanging:
        harness.receivers.answers[name] = hang
        harness.enqueue(name, 20)
    harness.enqueue("fine", 1)
    harness.serve("fine")
    harness.run()
    harness.enqueue("fine", 100)
    harness.serve(*hanging, "fine")
    harness.start()
    until(lambda: harness.receivers.count()["fine"] == 100)
    until(lambda: harness.dispatcher.busy == 3)
    assert sum(harness.receivers.count().values()) == 103
    release.set()


def serve_at(harness: DispatcherHarness, **rates: str) -> None:
    given = {name: route(name, rate, "Generic") for name, rate in rates.items()}
    routes = {name: replace(code, config={**code.config, "rate": rates[name]}) for name, code in given.items()}
    harness.dispatcher.serve(routes)


def test_each_webhook_has_its_own_rate_within_the_consumers(tmp_path: Path) -> None:
    harness = DispatcherHarness(tmp_path, rate=10.0)
    serve_at(harness, slow="1/s", quick="1000/s")
    for webhook in ("slow", "quick"):
        harness.enqueue(webhook, 40)
    harness.run()
    harness.pass_time(1.0)
    assert harness.receivers.count() == {"slow": 2, "quick": 20}
    harness.dispatcher.stop(PATIENCE)
    harness.store.close()


def test_a_changed_rate_holds_at_once(tmp_path: Path) -> None:
    harness = DispatcherHarness(tmp_path, rate=10.0)
    serve_at(harness, a="10/s")
    harness.enqueue("a", 40)
    harness.run()
    serve_at(harness, a="1/s")
    harness.run()
    harness.pass_time(3.0)
    assert harness.receivers.count()["a"] <= 10 + 1 + 3
    harness.dispatcher.stop(PATIENCE)
    harness.store.close()


def test_a_slow_receiver_leaves_others_their_share(tmp_path: Path) -> None:
    harness = DispatcherHarness(tmp_path, in_flight=8)
    release = threading.Event()
    first = threading.Event()

    def slow(_: Request) -> Response:
        if first.is_set():
            release.wait(PATIENCE)
        first.set()
        return Response(204, {}, b"")

    harness.receivers.answers["slow"] = slow
    harness.enqueue("slow", 50)
    harness.serve("slow", "fine")
    harness.start()
    until(lambda: harness.dispatcher.busy >= 1 and first.is_set())
    until(lambda: harness.dispatcher.busy == FIRST)
    harness.enqueue("fine", 10)
    until(lambda: harness.receivers.count()["fine"] == 10)
    release.set()
    until(lambda: not harness.store.pending_counts())
    harness.dispatcher.stop(PATIENCE)
    harness.store.close()


@pytest.mark.parametrize("created", [False, True])
def test_a_second_issue_that_a_replay_asks_for_is_not_taken_for_the_first(
    harness: DispatcherHarness, created: bool
) -> None:
    """The answer to its creation is lost: `created` says whether Jira did it. The first issue is there as ever."""
    issues: list[str] = []
    lost = False

    def tracker(request: Request) -> Response:
        if request.method == "GET":
            word = unquote(request.url).rsplit('"', 2)[1]
            found = [{"key": f"P-{at}"} for at, text in enumerate(issues, 1) if word in text.split()]
            return Response(200, {}, json.dumps({"issues": found}).encode())
        if created or not lost:
            issues.append(json.loads(request.body)["fields"]["description"])
        return Response(503, {}, b"") if lost else Response(201, {}, json.dumps({"key": f"P-{len(issues)}"}).encode())

    event = Event("", "e", {})
    harness.serve("a", consumer="Jira")
    harness.receivers.answers["a"] = tracker
    for replay in ("", "once", "twice"):
        lost = bool(replay)
        harness.store.enqueue(EnqueueBatch([NewDelivery(event, ("a",), again=replay)], {}, NOW))
        harness.dispatcher.notify({"a"})
        harness.run()
        lost = False
        harness.pass_time(3600.0)
    assert [attempt.receipt for attempt in harness.store.attempts("a")] == ["P-1", "", "P-2", "", "P-3"]
    assert len(issues) == 3
    assert all(f"Delivery {delivery_id('a', event)}" in text for text in issues)
    assert [" again " in text for text in issues] == [False, True, True]


def test_a_jira_attempt_is_on_disk_before_it_is_sent(harness: DispatcherHarness, tmp_path: Path) -> None:
    harness.serve("a", consumer="Jira")
    harness.enqueue("a")
    seen = []

    def search(_: Request) -> Response:
        beside = open_store(tmp_path, exclusive=False)
        seen.append(beside.due("a", now=NOW, limit=1)[0].in_doubt)
        beside.close()
        return Response(201, {}, b'{"key": "P-1"}')

    harness.receivers.answers["a"] = search
    harness.run()
    assert seen == [True]


def test_shutdown_starts_nothing_new_and_waits_for_what_is_in_flight(harness: DispatcherHarness) -> None:
    arrived, release = threading.Event(), threading.Event()

    def slow(_: Request) -> Response:
        arrived.set()
        release.wait(PATIENCE)
        return Response(204, {}, b"")

    harness.receivers.answers["a"] = slow
    harness.serve("a")
    harness.enqueue("a", 5)
    harness.start()
    assert arrived.wait(PATIENCE)
    assert not harness.dispatcher.stop(0.0)
    release.set()
    assert harness.dispatcher.stop(PATIENCE)
    assert harness.store.pending_counts() == {"a": 4}


def test_nothing_is_begun_while_it_may_not_be_sent(harness: DispatcherHarness) -> None:
    harness.serve("w")
    harness.enqueue("w", 3)
    allowed = [False]
    harness.start(lambda: allowed[0])
    for _ in range(2):
        harness.beats.clear()
        until(harness.beats.is_set)
    assert harness.receivers.received == []
    allowed[0] = True
    until(lambda: len(harness.observer.outcomes) == 3)


def test_nothing_is_sent_where_the_right_to_it_ended_while_the_store_was_slow(harness: DispatcherHarness) -> None:
    harness.serve("w")
    harness.enqueue("w")
    received_before: list[int] = []

    def may_send() -> bool:
        received_before.append(len(harness.receivers.received))
        return len(received_before) != 2

    harness.start(may_send)
    until(lambda: len(harness.observer.outcomes) == 1)
    assert received_before[:3] == [0, 0, 0]


@pytest.mark.parametrize("seconds", [-3 * 86_400.0, -1800.0, 1800.0, 3 * 86_400.0])
def test_a_receiver_is_waited_for_as_long_as_it_asked_however_the_clock_is_set(
    harness: DispatcherHarness, seconds: float
) -> None:
    harness.receivers.answers["a"] = lambda _: Response(429, {"retry-after": "3600"}, b"")
    harness.serve("a")
    harness.enqueue("a")
    harness.run()
    del harness.receivers.answers["a"]
    harness.clock.set(seconds)
    harness.pass_time(1800.0)
    harness.clock.set(-2 * seconds)
    harness.pass_time(1799.0)
    assert harness.receivers.count() == {"a": 1}
    harness.pass_time(2.0)
    assert harness.receivers.count() == {"a": 2}


@pytest.mark.parametrize("seconds", [-3 * 86_400.0, -1800.0, 1800.0])
@pytest.mark.parametrize(("answer", "rest"), [(status(503), REST), (status(429, retry_after="3600"), 3600.0)])
def test_a_peer_that_fails_is_left_out_for_as_long_however_the_clock_is_set(
    harness: DispatcherHarness, answer: Callable[[Request], Response], rest: float, seconds: float
) -> None:
    config = {"url": "http://one/api/v2/alerts,http://two/api/v2/alerts"}
    harness.receivers.answers = {"one": answer, "two": status(200)}
    harness.dispatcher.serve({"a": Route("a", CONSUMERS["AlertManager"], config)})
    enqueue_more(harness, 1)
    harness.run()
    harness.clock.set(seconds)
    for passed, asked in ((rest - 1.0, 1), (2.0, 2)):
        harness.clock.now += passed
        enqueue_more(harness, 1)
        harness.run()
        assert harness.receivers.count()["one"] == asked
    assert harness.receivers.count()["two"] == 3
