"""Harness of the dispatcher: a real store, scripted receivers, and a clock that only the test moves."""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from kubectl_sew.consumers.base import Outcome, Request, Response
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import EVENT_MAPS, EventMaps
from sew_agent.delivery.attempt import Answer, Route
from sew_agent.delivery.dispatcher import Dispatcher, Tracing
from sew_agent.delivery.http.errors import SendError
from sew_agent.delivery.queue import Assignment
from sew_agent.delivery.queues import Queues
from sew_agent.delivery.retry import Decision, Policy
from sew_agent.store.records import Delivery, EnqueueBatch, NewDelivery, StoreError
from sew_agent.store.sqlite.store import SqliteStore, open_store

NOW = 1_800_000_000.0
PATIENCE = 10.0
TOKEN = "not-for-everybody"


class ScriptedReceivers:
    """Transport with answers by host, which keeps the delivery ids that arrived. A test may put in other answers.

    Answers come at once, or each from a thread of its own where they may take long.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[Request], Response]] = {}
        self.received: list[tuple[str, str]] = []
        self.threaded = False
        self.held: list[tuple[Sequence[Request], Callable[[Sequence[Answer]], None]]] | None = None
        """Requests that wait for their answers, while a test holds them."""
        self._ended: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def begin(self, requests: Sequence[Request], done: Callable[[Sequence[Answer]], None]) -> None:
        if self.held is not None:
            self.held.append((requests, done))
            return

        def send() -> None:
            answers = self.send(requests)
            self._ended.put(lambda: done(answers))

        if self.threaded:
            threading.Thread(target=send, daemon=True).start()
        else:
            send()

    def run(self, seconds: float) -> None:
        """Take what has ended; wait for it where answers come from threads."""
        with suppress(queue.Empty):
            self._ended.get(block=self.threaded and seconds > 0, timeout=min(seconds, 1.0))()
            while True:
                self._ended.get(block=False)()

    def wake(self) -> None:
        self._ended.put(lambda: None)

    def close(self) -> None:
        """Nothing is held."""

    def send(self, requests: Sequence[Request]) -> list[Response | SendError]:
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Response | SendError:
        try:
            return self._answer(request)
        except SendError as error:
            return error

    def _answer(self, request: Request) -> Response:
        host = request.url.split("/")[2]
        with self._lock:
            self.received.append((host, dict(request.headers).get("webhook-id", request.method)))
        return self.answers.get(host, lambda _: Response(204, {}, b""))(request)

    def count(self) -> Counter[str]:
        with self._lock:
            return Counter(host for host, _ in self.received)


class Clock:
    def __init__(self) -> None:
        self.now = NOW
        self.was_set = 0.0

    def __call__(self) -> float:
        return self.now

    def steady(self) -> float:
        """Return the time of another clock, that nobody sets."""
        return self.now - self.was_set

    def set(self, seconds: float) -> None:
        self.now += seconds
        self.was_set += seconds


class RecordingObserver:
    """Observer that keeps what the dispatcher reports."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.ends: list[tuple[str, str, str, float]] = []
        """Webhook, the event as it was sent and as it was evaluated, and seconds."""
        self.errors: list[StoreError] = []

    def attempted(self, route: Route, delivery: Delivery, outcome: Outcome, decision: Decision, seconds: float) -> None:
        self.outcomes.append(outcome)
        self.ends.append((route.webhook, delivery.event.id, decision.result.delivery.event.id, seconds))

    def store_failed(self, error: StoreError) -> None:
        self.errors.append(error)


class DispatcherHarness:
    """Dispatcher over a real store with scripted receivers."""

    def __init__(self, folder: Path, in_flight: int = 4, rate: float = 1e6) -> None:
        self.store: SqliteStore = open_store(folder)
        self.receivers, self.clock, self.observer = ScriptedReceivers(), Clock(), RecordingObserver()
        self.beats = threading.Event()
        self.tracing: Tracing | None = None
        self.in_flight, self.rates = in_flight, dict.fromkeys(CONSUMERS, rate)
        self.restart()

    def restart(self, worked: Callable[[], float] = lambda: 0.0, maps: EventMaps = EVENT_MAPS) -> None:
        """Make another dispatcher over the same store."""
        policy = Policy(2.0, 900.0, 72 * 3600.0, lambda: 1.0)
        queues = Queues(self.store, self.rates, self.in_flight, policy)
        self.dispatcher = Dispatcher(
            self.store,
            queues,
            self.receivers,
            self.observer,
            self.clock,
            self.clock.steady,
            worked=worked,
            maps=maps,
            tracing=self.tracing,
        )

    def enqueue(self, webhook: str, count: int = 1) -> None:
        deliveries = [NewDelivery(Event("", f"{webhook}-{number}", {}), (webhook,)) for number in range(count)]
        self.store.enqueue(EnqueueBatch(deliveries, {}, self.clock()))
        self.dispatcher.notify({webhook})

    def serve(self, *webhooks: str, digest: str = "", consumer: str = "Generic") -> None:
        self.dispatcher.serve({name: route(name, digest, consumer) for name in webhooks})

    def run(self) -> float:
        """Deliver what is due, in this thread; return the pause after it."""
        while not (pause := self.dispatcher.step()):
            pass
        return pause

    def begin(self) -> Callable[[], None]:
        """Begin the next assignment; return what has its request answered."""
        assignment = self.dispatcher.next_assignment()
        assert isinstance(assignment, Assignment)
        self.receivers.held = []
        self.dispatcher.begin(assignment)
        ((requests, done),), self.receivers.held = self.receivers.held, None

        def answer() -> None:
            done(self.receivers.send(requests))
            self.receivers.run(0.0)
            self.dispatcher.settle()

        return answer

    def deliver(self, assignment: Assignment) -> None:
        """Deliver an assignment that was taken before."""
        self.dispatcher.begin(assignment)
        self.receivers.run(0.0)
        self.dispatcher.settle()

    def start(self, may_send: Callable[[], bool] = lambda: True) -> None:
        self.receivers.threaded = True
        self.dispatcher.start(self.beats.set, may_send)

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.run()


def route(name: str, digest: str, consumer: str) -> Route:
    config = {"url": f"http://{name}/rest/api/2/issue", "project": "P", "issueType": "Bug", "apiToken": TOKEN}
    return Route(name, CONSUMERS[consumer], config, {}, digest, digest)


def until(condition: Callable[[], bool]) -> None:
    """Wait for other threads; fail when they take too long."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("it did not come about in time")


def status(code: int, **headers: str) -> Callable[[Request], Response]:
    return lambda _: Response(code, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


def answering_within(harness: DispatcherHarness, seconds: float, code: int = 204) -> Callable[[Request], Response]:
    def answer(_: Request) -> Response:
        harness.clock.now += seconds
        return Response(code, {}, b"")

    return answer


def enqueue_more(harness: DispatcherHarness, count: int) -> None:
    """Events that were not there before, for `a`."""
    before = harness.store.counters()[0].seen
    deliveries = [NewDelivery(Event("", f"a-{number}", {}), ("a",)) for number in range(before, before + count)]
    harness.store.enqueue(EnqueueBatch(deliveries, {}, harness.clock()))
    harness.dispatcher.notify({"a"})
