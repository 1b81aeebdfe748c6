"""Workers over a real store, with a scripted receiver and a clock that only the test moves."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from kubectl_sew.consumers.base import FailureReason, Outcome, Request, Response, Verdict
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event
from kubectl_sew.redaction import HIDDEN
from sew_agent.delivery.attempt import Route
from sew_agent.delivery.dispatcher import Dispatcher
from sew_agent.delivery.http.errors import SendError
from sew_agent.delivery.http.pool import STALLED
from sew_agent.delivery.queues import SINGLE_FOR, SLOW, Queues
from sew_agent.delivery.retry import DOWN_AFTER, PROBE_EVERY, Decision, Policy
from sew_agent.store.records import Delivery, EnqueueBatch, NewDelivery, StoreError
from sew_agent.store.sqlite.store import SqliteStore, open_store

NOW = 1_800_000_000.0
YEAR = 365 * 86_400.0
PATIENCE = 10.0
TOKEN = "not-for-everybody"
MISTAKE = "a mistake of this program, please report it: RecursionError"


class Receivers:
    """Answers by host; keeps the delivery ids that arrived. A test may put in other answers."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[Request], Response]] = {}
        self.got: list[tuple[str, str]] = []
        self.together: list[int] = []
        """How many requests were sent side by side, each time."""
        self._lock = threading.Lock()

    def send(self, requests: Sequence[Request]) -> list[Response | SendError]:
        self.together.append(len(requests))
        return [self._one(each) for each in requests]

    def _one(self, request: Request) -> Response | SendError:
        try:
            return self._answer(request)
        except SendError as error:
            return error

    def _answer(self, request: Request) -> Response:
        host = request.url.split("/")[2]
        with self._lock:
            self.got.append((host, dict(request.headers).get("webhook-id", request.method)))
        return self.answers.get(host, lambda _: Response(204, {}, b""))(request)

    def count(self) -> Counter[str]:
        with self._lock:
            return Counter(host for host, _ in self.got)


class Clock:
    def __init__(self) -> None:
        self.now = NOW
        self.was_set = 0.0

    def __call__(self) -> float:
        return self.now

    def steady(self) -> float:
        """Another clock, that nobody sets."""
        return self.now - self.was_set

    def set(self, seconds: float) -> None:
        self.now += seconds
        self.was_set += seconds


class Watch:
    """Keeps what the scheduler tells."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.ends: list[tuple[str, str, str, float]] = []
        """Webhook, the event as it was sent and as it was judged, and seconds."""
        self.errors: list[StoreError] = []

    def attempted(self, route: Route, delivery: Delivery, outcome: Outcome, decision: Decision, seconds: float) -> None:
        self.outcomes.append(outcome)
        self.ends.append((route.webhook, delivery.event.id, decision.result.delivery.event.id, seconds))

    def store_failed(self, error: StoreError) -> None:
        self.errors.append(error)


class Bench:
    """A scheduler with all that it needs."""

    def __init__(self, folder: Path, workers: int = 4, rate: float = 1e6) -> None:
        self.store: SqliteStore = open_store(folder)
        self.receivers, self.clock, self.watch = Receivers(), Clock(), Watch()
        self.beats = threading.Event()
        self.workers, self.rates = workers, dict.fromkeys(CONSUMERS, rate)
        self.restart()

    def restart(self) -> None:
        """Another scheduler over the same store."""
        policy = Policy(2.0, 900.0, 72 * 3600.0, lambda: 1.0)
        queues = Queues(self.store, self.rates, self.workers, policy)
        self.dispatcher = Dispatcher(self.store, queues, self.receivers.send, self.watch, self.clock, self.clock.steady)

    def owe(self, webhook: str, count: int = 1) -> None:
        owed = [NewDelivery(Event("", f"{webhook}-{number}", {}), (webhook,)) for number in range(count)]
        self.store.enqueue(EnqueueBatch(owed, {}, self.clock()))
        self.dispatcher.notify({webhook})

    def serve(self, *webhooks: str, digest: str = "", consumer: str = "Generic") -> None:
        self.dispatcher.serve({name: route(name, digest, consumer) for name in webhooks})

    def run(self) -> float:
        """Deliver what is due, in this thread; the pause after."""
        while not (pause := self.dispatcher.step()):
            pass
        return pause

    def start(self, workers: int) -> None:
        self.dispatcher.start([self.beats.set] * workers)

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.run()


def route(name: str, digest: str, consumer: str) -> Route:
    config = {"url": f"http://{name}/rest/api/2/issue", "project": "P", "issueType": "Bug", "apiToken": TOKEN}
    return Route(name, CONSUMERS[consumer], config, {}, digest, digest)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.dispatcher.stop(PATIENCE)
    made.store.close()


def until(condition: Callable[[], bool]) -> None:
    """Waits for other threads; fails when they take too long."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("it did not come about in time")


def status(code: int, **headers: str) -> Callable[[Request], Response]:
    return lambda _: Response(code, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


def test_everything_owed_is_delivered_once_and_nothing_stays(bench: Bench) -> None:
    bench.serve("a", "b")
    bench.owe("a", 40)
    bench.owe("b", 3)
    bench.run()
    assert bench.receivers.count() == {"a": 40, "b": 3}
    assert len(set(bench.receivers.got)) == 43
    assert not bench.store.pending_counts()


def test_the_rate_makes_it_later_never_lost(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rate=1.0)
    bench.serve("a")
    bench.owe("a", 3)
    arrived = []
    for _ in range(3):
        bench.run()
        arrived.append(bench.receivers.count()["a"])
        bench.clock.now += 1
    assert arrived == [1, 2, 3]
    bench.store.close()


def test_a_failing_webhook_backs_off_as_one_and_recovers_without_a_storm(bench: Bench) -> None:
    bench.serve("a")
    bench.owe("a", 50)
    bench.receivers.answers["a"] = status(503)
    bench.run()
    bench.pass_time(2)
    assert bench.receivers.count()["a"] == 2
    bench.receivers.answers.clear()
    bench.pass_time(900)
    assert not bench.store.pending_counts()


def test_a_wait_is_honoured_in_full_and_over_a_restart(bench: Bench, tmp_path: Path) -> None:
    bench.serve("a")
    bench.owe("a")
    bench.receivers.answers["a"] = status(429, retry_after="3600")
    bench.run()
    bench.receivers.answers.clear()
    bench.serve()
    bench.serve("a")
    bench.pass_time(3599)
    assert bench.receivers.count()["a"] == 1
    bench.pass_time(2)
    assert bench.receivers.count()["a"] == 2


def test_a_parked_webhook_is_probed_with_a_few_events_and_then_once_an_hour(bench: Bench) -> None:
    bench.serve("a")
    bench.owe("a", 2 * DOWN_AFTER)
    bench.receivers.answers["a"] = status(404)
    for _ in range(60):
        bench.pass_time(1)
    assert len(set(bench.receivers.got)) == len(bench.receivers.got) == DOWN_AFTER + 1
    bench.pass_time(PROBE_EVERY - 60)
    assert bench.receivers.count()["a"] == DOWN_AFTER + 1
    bench.pass_time(60)
    assert bench.receivers.count()["a"] == DOWN_AFTER + 2
    bench.receivers.answers.clear()
    bench.pass_time(PROBE_EVERY + 1)
    assert not bench.store.pending_counts()


def test_a_change_ends_parking_at_once_and_its_time_does_not_count(bench: Bench) -> None:
    bench.serve("a", digest="old")
    bench.owe("a")
    bench.receivers.answers["a"] = status(401)
    bench.run()
    bench.clock.now += 71 * 3600
    bench.receivers.answers["a"] = status(503)
    bench.serve("a", digest="new")
    bench.run()
    bench.pass_time(2 * 3600)
    assert bench.store.pending_counts() == {"a": 1}
    assert not list(bench.store.dead_letters())


def test_a_webhook_that_was_taken_away_and_comes_back_is_not_parked_any_more(bench: Bench) -> None:
    bench.serve("a", digest="same")
    bench.owe("a")
    bench.receivers.answers["a"] = status(401)
    bench.run()
    bench.serve()
    bench.receivers.answers.clear()
    bench.serve("a", digest="same")
    bench.run()
    assert not bench.store.pending_counts()


def test_a_clock_that_is_set_back_holds_up_nobody(bench: Bench) -> None:
    bench.serve("a")
    bench.owe("a")
    bench.receivers.answers["a"] = status(400)
    bench.run()
    bench.receivers.answers.clear()
    bench.store.replay(None)
    bench.clock.now -= 3600
    bench.run()
    assert not bench.store.pending_counts()


@pytest.mark.parametrize("answer", [status(503), status(401), status(429, retry_after="3600")])
@pytest.mark.parametrize("restart", [False, True])
def test_what_failed_while_the_clock_was_a_year_ahead_is_tried_when_it_is_right_again(
    bench: Bench, answer: Callable[[Request], Response], *, restart: bool
) -> None:
    bench.clock.now += YEAR
    bench.serve("a")
    bench.owe("a")
    bench.receivers.answers["a"] = answer
    bench.run()
    for _ in range(3):
        bench.pass_time(3600)
    bench.clock.now = NOW
    if restart:
        bench.restart()
        bench.serve("a")
    before = bench.receivers.count()["a"]
    assert bench.run() > 0
    bench.pass_time(1)
    assert bench.receivers.count()["a"] == before + 1
    bench.receivers.answers.clear()
    bench.pass_time(3600)
    assert not bench.store.pending_counts()


def test_an_event_that_shows_a_mistake_of_ours_costs_no_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.serve("a")
    bench.owe("a", 2)

    def fail(_: Response) -> Outcome:
        raise RecursionError("https://a/SECRET")

    monkeypatch.setattr(CONSUMERS["Generic"], "classify", fail)
    bench.run()
    assert bench.watch.outcomes == [Outcome(Verdict.REJECTED, FailureReason.INTERNAL, MISTAKE)] * 2
    assert [each.reason for each in bench.store.dead_letters()] == ["internal"] * 2


def test_a_mistake_of_ours_in_sending_costs_no_worker_and_no_event(bench: Bench) -> None:
    bench.serve("a")
    bench.owe("a", 2)

    def fail(_: Request) -> Response:
        raise RecursionError("https://a/SECRET")

    bench.receivers.answers["a"] = fail
    bench.run()
    assert bench.watch.outcomes == [Outcome(Verdict.RETRY, FailureReason.INTERNAL, MISTAKE)]
    assert bench.dispatcher.busy == 0
    bench.receivers.answers.clear()
    bench.pass_time(10)
    assert bench.store.counters()[0].delivered == 2


@pytest.mark.parametrize("asked", ["due", "version"])
def test_a_webhook_keeps_its_turn_where_the_store_cannot_be_asked_what_is_due(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    bench.serve("a")
    bench.owe("a", 5)
    if asked == "version":  # asked for where something was taken ahead
        bench.dispatcher.step()
    answer = getattr(bench.store, asked)

    def locked(*_: object, **__: object) -> object:
        raise StoreError("locked")

    monkeypatch.setattr(bench.store, asked, locked)
    with pytest.raises(StoreError):
        bench.dispatcher.step()
    monkeypatch.setattr(bench.store, asked, answer)
    bench.run()
    assert bench.store.pending_counts() == {}


def test_a_result_is_kept_until_the_store_takes_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.serve("a")
    bench.owe("a")
    record_results, failures = bench.store.record_results, iter([StoreError("locked"), StoreError("locked")])

    def fail_twice(*arguments: Any) -> None:
        for failure in failures:
            raise failure
        record_results(*arguments)

    monkeypatch.setattr(bench.store, "record_results", fail_twice)
    monkeypatch.setattr("sew_agent.delivery.dispatcher._STORE_PAUSE", 0.0)
    bench.run()
    assert bench.receivers.count() == {"a": 1}
    assert [str(each) for each in bench.watch.errors] == ["locked"] * 2
    assert not bench.store.pending_counts()


def test_the_result_of_a_probe_is_kept_until_the_store_takes_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.serve("a")
    bench.owe("a")
    bench.receivers.answers["a"] = status(404)
    bench.run()
    bench.receivers.answers.clear()
    record_results, failures = bench.store.record_results, iter([StoreError("locked")])

    def fail_once(*arguments: Any) -> None:
        for failure in failures:
            raise failure
        record_results(*arguments)

    monkeypatch.setattr(bench.store, "record_results", fail_once)
    monkeypatch.setattr("sew_agent.delivery.dispatcher._STORE_PAUSE", 0.0)
    bench.pass_time(PROBE_EVERY + 1)
    assert bench.receivers.count() == {"a": 2}
    assert [str(each) for each in bench.watch.errors] == ["locked"]
    assert not bench.store.pending_counts()
    assert not bench.store.receivers()["a"].parked


def test_a_jira_search_that_fails_leaves_the_doubt(bench: Bench) -> None:
    bench.serve("a", consumer="Jira")
    bench.owe("a")

    def cut(_: Request) -> Response:
        raise SendError(FailureReason.NETWORK, "cut")

    bench.receivers.answers["a"] = cut
    bench.run()
    bench.receivers.answers["a"] = status(429, retry_after="5")
    bench.pass_time(10)
    bench.receivers.answers["a"] = lambda request: Response(200, {}, b'{"issues": [{"key": "P-1"}]}')
    bench.pass_time(10)
    assert [what for _, what in bench.receivers.got] == ["POST", "GET", "GET"]
    assert not bench.store.pending_counts()


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
        ([SendError(FailureReason.TIMEOUT, "late")], "GET", Outcome(Verdict.RETRY, FailureReason.TIMEOUT, "late")),
        (
            [SendError(FailureReason.PROXY_REFUSED, "busy", answer=Response(503, {"retry-after": IN_40_S}, b""))],
            "GET",
            Outcome(Verdict.WAIT, FailureReason.PROXY_REFUSED, "busy", retry_after=30.0),
        ),
    ],
)
def test_an_issue_of_unknown_fate_is_looked_for_and_created_only_where_jira_does_not_have_it(
    bench: Bench, answers: list[Response | SendError], methods: str, outcome: Outcome
) -> None:
    bench.serve("a", consumer="Jira")
    bench.owe("a")
    bench.receivers.answers["a"] = given([SendError(FailureReason.NETWORK, "cut")])
    bench.run()
    bench.receivers.got.clear()
    bench.receivers.answers["a"] = given(answers)
    bench.pass_time(10)
    assert " ".join(what for _, what in bench.receivers.got) == methods
    assert bench.watch.outcomes[1:] == [outcome]


def given(answers: Sequence[Response | SendError]) -> Callable[[Request], Response]:
    """One after the other."""
    remaining = iter(answers)

    def answer(_: Request) -> Response:
        found = next(remaining)
        if isinstance(found, SendError):
            raise found
        return found

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
def test_what_came_of_a_request_is_told_without_a_secret_and_by_the_clock(
    bench: Bench, answer: Response | SendError, outcome: Outcome
) -> None:
    given_route = route("a", "", "Generic")
    headers = f"X-Token: {TOKEN}"
    bench.dispatcher.serve({"a": replace(given_route, config={**given_route.config, "headers": headers})})
    bench.owe("a")
    (owed,) = bench.store.due("a", now=NOW, limit=1)
    bench.receivers.answers["a"] = given([answer])
    bench.run()
    assert bench.receivers.got == [("a", owed.delivery_id)]
    assert bench.watch.outcomes == [outcome]


def test_an_event_that_no_request_can_be_made_of_is_a_dead_letter_that_says_why(bench: Bench) -> None:
    made = route("a", "", "Generic")
    bench.dispatcher.serve({"a": replace(made, config={**made.config, "template": "{{ 1 | nothing }}"})})
    bench.owe("a")
    bench.run()
    assert bench.watch.outcomes == [Outcome(Verdict.REJECTED, FailureReason.RENDERING, "the template is not valid")]
    assert bench.receivers.got == []


def test_a_webhook_that_is_no_longer_served_gets_nothing(bench: Bench) -> None:
    bench.serve("a")
    bench.serve()
    bench.owe("a")
    bench.run()
    assert not bench.receivers.got
    bench.serve("a")
    bench.run()
    assert bench.receivers.count() == {"a": 1}


def test_what_is_in_flight_is_not_sent_again_when_its_webhook_was_away_for_a_moment(bench: Bench) -> None:
    bench.serve("a")
    bench.owe("a")

    def away(_: Request) -> Response:
        if len(bench.receivers.got) == 1:
            bench.serve()
            bench.serve("a")
            bench.dispatcher.step()
        return Response(204, {}, b"")

    bench.receivers.answers["a"] = away
    bench.run()
    assert bench.receivers.count() == {"a": 1}
    bench.owe("a", 2)
    bench.run()
    assert bench.receivers.count() == {"a": 2}
    assert bench.dispatcher.busy == 0


def test_a_replayed_dead_letter_is_noticed_within_two_seconds(bench: Bench) -> None:
    bench.serve("a")
    bench.owe("a")
    bench.receivers.answers["a"] = status(400)
    bench.run()
    bench.receivers.answers.clear()
    bench.store.replay(None)
    bench.pass_time(2)
    assert [code for host, code in bench.receivers.got] == [bench.receivers.got[0][1]] * 2
    assert not bench.store.pending_counts()


def test_the_store_is_not_asked_about_each_webhook_for_which_nothing_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.serve(*(f"w{number}" for number in range(100)))
    bench.run()
    asked: list[str] = []
    real = bench.store.due

    def due(webhook: str, **more: Any) -> Sequence[Delivery]:
        asked.append(webhook)
        return real(webhook, **more)

    monkeypatch.setattr(bench.store, "due", due)
    for _ in range(10):
        bench.pass_time(1)
    assert not asked
    bench.owe("w7")
    bench.run()
    assert set(asked) == {"w7"}


def test_receivers_that_hang_do_not_hold_up_the_others(bench: Bench) -> None:
    release = threading.Event()

    def hang(_: Request) -> Response:
        release.wait(PATIENCE)
        raise SendError(FailureReason.TIMEOUT, "no answer")

    hanging = [f"hanging-{number}" for number in range(8)]
    for name in hanging:
        bench.receivers.answers[name] = hang
        bench.owe(name, 20)
    bench.owe("fine", 1)
    bench.serve("fine")
    bench.run()
    bench.owe("fine", 100)
    bench.serve(*hanging, "fine")
    bench.start(4)
    until(lambda: bench.receivers.count()["fine"] == 100)
    until(lambda: bench.dispatcher.busy == 3)
    assert sum(bench.receivers.count().values()) == 103
    release.set()


def answering_within(bench: Bench, seconds: float, code: int = 204) -> Callable[[Request], Response]:
    def answer(_: Request) -> Response:
        bench.clock.now += seconds
        return Response(code, {}, b"")

    return answer


def quick_bench(folder: Path, owed: int, workers: int = 16, rate: float = 1e6) -> Bench:
    """One whose only receiver, `a`, is quick, and what is owed to it was delivered as far as the rate lets it."""
    bench = Bench(folder, workers, rate)
    bench.receivers.answers["a"] = answering_within(bench, SLOW / 2)
    bench.serve("a")
    bench.owe("a", owed)
    bench.run()
    return bench


def owe_more(bench: Bench, count: int) -> None:
    """Events that were not there before, for `a`."""
    before = bench.store.counters()[0].seen
    owed = [NewDelivery(Event("", f"a-{number}", {}), ("a",)) for number in range(before, before + count)]
    bench.store.enqueue(EnqueueBatch(owed, {}, bench.clock()))
    bench.dispatcher.notify({"a"})


def test_a_quick_receiver_gets_more_and_more_side_by_side(tmp_path: Path) -> None:
    bench = quick_bench(tmp_path, 31)
    assert bench.receivers.together == [1, 2, 4, 8, 8, 8]
    assert bench.receivers.got == [("a", each) for each in dict.fromkeys(name for _, name in bench.receivers.got)]
    assert bench.store.counters()[0].delivered == 31
    bench.store.close()


@pytest.mark.parametrize(("workers", "most"), [(1, 1), (4, 2), (16, 8)])
def test_what_goes_side_by_side_is_at_most_half_of_the_workers(tmp_path: Path, workers: int, most: int) -> None:
    bench = quick_bench(tmp_path, 30, workers=workers)
    assert max(bench.receivers.together) == most
    bench.store.close()


def test_a_receiver_that_becomes_slow_gets_one_at_a_time(tmp_path: Path) -> None:
    bench = quick_bench(tmp_path, 10)
    bench.receivers.answers["a"] = answering_within(bench, SLOW * 2)
    bench.receivers.together.clear()
    owe_more(bench, 12)
    bench.run()
    assert bench.receivers.together == [8, 1, 1, 1, 1]
    bench.store.close()


@pytest.mark.parametrize(("seconds", "code"), [(2 * STALLED, 204), (SLOW / 2, 503)])
def test_a_receiver_that_cannot_take_several_gets_one_at_a_time_for_a_while(
    tmp_path: Path, seconds: float, code: int
) -> None:
    bench = Bench(tmp_path, workers=16)
    quick = bench.receivers.answers["a"] = answering_within(bench, SLOW / 4)
    bench.serve("a")
    bench.owe("a", 1)
    bench.run()
    bench.receivers.answers["a"] = answering_within(bench, seconds, code)
    owe_more(bench, 2)
    bench.run()
    bench.receivers.answers["a"] = quick
    bench.pass_time(5.0)
    owe_more(bench, 20)
    bench.run()
    assert bench.receivers.together[:2] == [1, 2]
    assert set(bench.receivers.together[2:]) == {1}
    bench.clock.now += SINGLE_FOR
    bench.receivers.together.clear()
    owe_more(bench, 20)
    bench.run()
    assert bench.receivers.together == [1, 2, 4, 8, 5]
    assert not bench.store.pending_counts()
    bench.store.close()


def test_a_single_answer_that_stalls_says_nothing_of_several_side_by_side(tmp_path: Path) -> None:
    bench = Bench(tmp_path, workers=16)
    bench.serve("a")
    bench.owe("a", 16)
    stalls = iter([2 * STALLED])

    def answer(_: Request) -> Response:
        bench.clock.now += next(stalls, SLOW / 2)
        return Response(204, {}, b"")

    bench.receivers.answers["a"] = answer
    bench.run()
    assert bench.receivers.together == [1, 1, 2, 4, 8]
    bench.store.close()


def serve_at(bench: Bench, **rates: str) -> None:
    given = {name: route(name, rate, "Generic") for name, rate in rates.items()}
    routes = {name: replace(each, config={**each.config, "rate": rates[name]}) for name, each in given.items()}
    bench.dispatcher.serve(routes)


def test_each_webhook_has_its_own_rate_within_the_consumers(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rate=10.0)
    serve_at(bench, slow="1/s", quick="1000/s")
    for webhook in ("slow", "quick"):
        bench.owe(webhook, 40)
    bench.run()
    bench.pass_time(1.0)
    assert bench.receivers.count() == {"slow": 2, "quick": 20}
    bench.dispatcher.stop(PATIENCE)
    bench.store.close()


def test_a_changed_rate_holds_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rate=10.0)
    serve_at(bench, a="10/s")
    bench.owe("a", 40)
    bench.run()
    serve_at(bench, a="1/s")
    bench.run()
    bench.pass_time(3.0)
    assert bench.receivers.count()["a"] <= 10 + 1 + 3
    bench.dispatcher.stop(PATIENCE)
    bench.store.close()


def test_side_by_side_never_means_above_the_rate(tmp_path: Path) -> None:
    bench = quick_bench(tmp_path, 20, rate=5.0)
    assert sum(bench.receivers.together) == 5
    bench.store.close()


def test_of_several_side_by_side_each_is_told_with_the_seconds_that_all_took(tmp_path: Path) -> None:
    bench = quick_bench(tmp_path, 1)
    bench.receivers.answers["a"] = answering_within(bench, 0.5)
    owe_more(bench, 2)
    bench.run()
    assert bench.watch.ends[1:] == [("a", each, each, 1.0) for each in ("a-1", "a-2")]
    bench.store.close()


def test_of_several_side_by_side_each_gets_its_own_result(tmp_path: Path) -> None:
    bench = quick_bench(tmp_path, 3)
    codes = iter([204, 503, 400, 503, 503])
    quick = answering_within(bench, SLOW / 2)
    bench.receivers.answers["a"] = lambda asked: replace(quick(asked), status=next(codes))
    owe_more(bench, 5)
    bench.run()
    counters = bench.store.counters()[0]
    assert bench.receivers.together == [1, 2, 4, 1]
    assert (counters.delivered, counters.dead, counters.pending) == (4, 1, 3)
    assert bench.store.receivers()["a"].failures == 2, "of those that failed together, the pause is that of one failure"
    bench.receivers.answers["a"] = answering_within(bench, SLOW / 2)
    bench.pass_time(4.0)
    assert (bench.store.counters()[0].delivered, bench.receivers.together[4]) == (7, 1)
    bench.store.close()


def test_a_slow_receiver_gets_more_workers_but_leaves_some_to_others(tmp_path: Path) -> None:
    bench = Bench(tmp_path, workers=8)
    release = threading.Event()
    first = threading.Event()

    def slow(_: Request) -> Response:
        if first.is_set():
            release.wait(PATIENCE)
        first.set()
        return Response(204, {}, b"")

    bench.receivers.answers["slow"] = slow
    bench.owe("slow", 50)
    bench.serve("slow", "fine")
    bench.start(8)
    until(lambda: bench.dispatcher.busy >= 1 and first.is_set())

    def crowded() -> bool:
        bench.clock.now += 0.1
        return bench.dispatcher.busy == 6

    until(crowded)
    bench.owe("fine", 10)
    until(lambda: bench.receivers.count()["fine"] == 10)
    release.set()
    until(lambda: not bench.store.pending_counts())
    bench.dispatcher.stop(PATIENCE)
    bench.store.close()


def test_a_jira_attempt_is_on_disk_before_it_is_sent(bench: Bench, tmp_path: Path) -> None:
    bench.serve("a", consumer="Jira")
    bench.owe("a")
    seen = []

    def search(_: Request) -> Response:
        beside = open_store(tmp_path, exclusive=False)
        seen.append(beside.due("a", now=NOW, limit=1)[0].in_doubt)
        beside.close()
        return Response(201, {}, b'{"key": "P-1"}')

    bench.receivers.answers["a"] = search
    bench.run()
    assert seen == [True]


def test_stop_takes_nothing_new_and_waits_for_what_is_in_flight(bench: Bench) -> None:
    arrived, release = threading.Event(), threading.Event()

    def slow(_: Request) -> Response:
        arrived.set()
        release.wait(PATIENCE)
        return Response(204, {}, b"")

    bench.receivers.answers["a"] = slow
    bench.serve("a")
    bench.owe("a", 5)
    bench.start(4)
    assert arrived.wait(PATIENCE)
    assert not bench.dispatcher.stop(0.0)
    release.set()
    assert bench.dispatcher.stop(PATIENCE)
    assert bench.store.pending_counts() == {"a": 4}


def test_nothing_is_begun_while_it_may_not_be_sent(bench: Bench) -> None:
    bench.serve("w")
    bench.owe("w", 3)
    allowed = [False]
    bench.dispatcher.start([], lambda: allowed[0])
    assert 0 < bench.run() < 1
    assert bench.watch.outcomes == []
    allowed[0] = True
    bench.run()
    assert len(bench.watch.outcomes) == 3


@pytest.mark.parametrize("seconds", [-3 * 86_400.0, -1800.0, 1800.0, 3 * 86_400.0])
def test_a_receiver_is_waited_for_as_long_as_it_asked_however_the_clock_is_set(bench: Bench, seconds: float) -> None:
    bench.receivers.answers["a"] = lambda _: Response(429, {"retry-after": "3600"}, b"")
    bench.serve("a")
    bench.owe("a")
    bench.run()
    del bench.receivers.answers["a"]
    bench.clock.set(seconds)
    bench.pass_time(1800.0)
    bench.clock.set(-2 * seconds)
    bench.pass_time(1799.0)
    assert bench.receivers.count() == {"a": 1}
    bench.pass_time(2.0)
    assert bench.receivers.count() == {"a": 2}
