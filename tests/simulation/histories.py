"""Run random histories of receivers and answers through the real dispatcher, with a clock that only they move.

Each holds: nothing is lost or sent twice, also where an answer is lost, if the receiver can be searched; what can be
delivered is delivered within a bounded number of requests after the fault has ended; nothing starts before the end of a
Retry-After, of each peer; a receiver that fails meets one probe at a time; large events are in flight together only as
far as there is room for their bytes.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from kubectl_sew.consumers.base import (
    Config,
    Failed,
    FailureReason,
    Found,
    LookupResult,
    NotFound,
    Outcome,
    RenderError,
    Request,
    Response,
    Verdict,
)
from kubectl_sew.consumers.classification import with_retry_after
from kubectl_sew.event import Event
from sew_agent.delivery.attempt import Answer, Route
from sew_agent.delivery.dispatcher import Dispatcher
from sew_agent.delivery.http.errors import SendError
from sew_agent.delivery.in_flight import MOST_BYTES
from sew_agent.delivery.queue import Assignment
from sew_agent.delivery.queues import Queues
from sew_agent.delivery.retry import DOWN_AFTER, Policy
from tests.simulation.memory_store import MemoryStore

START = 1_800_000_000.0
STEPS = 10_000
"""Steps for each webhook, after which a history must be over: a parked one is tried once an hour, the others go on."""
LONGEST = 300.0
WORKERS = (1, 4, 16)
LATENCIES = (0.0, 0.01, 0.3, 4.0)
TROUBLES = ("500", "401", "400", "503 with Retry-After", "429 with Retry-After")
UNRENDERABLE = "no request is made"
EVENT = {"type": "waf", "description": "d", "severity": 50}
"""An event of Calico's: the log of deliveries reads those quickest."""
WAITS = (1, 20, 300)
NAMES = "abcd"
LIMIT = 3
"""Requests in `LIMITED_FOR` seconds that a limited receiver takes; it answers one more with 429 and a Retry-After."""
LIMITED_FOR = 2.0


@dataclass(slots=True)
class Peer:
    """One of the places to which a webhook's requests go, side by side; most webhooks have one."""

    latency: float
    trouble: str
    """Answer to all events for a while."""
    down: tuple[float, float]
    """Start and end of the failure."""
    wait: int
    """Seconds of its Retry-After."""
    limited: bool
    taken: list[float] = field(default_factory=list)
    """Times of the last requests that a limited one took."""
    held_until: float = 0.0

    def answer(self, bad: str, now: float) -> Response:
        """Answer a message; `bad` is what it answers to one that it does not take, "" where it is good."""
        status = self.trouble if self.is_down(now) else bad or self._taking(now)
        headers = {"retry-after": str(self.wait)} if "Retry-After" in status else {}
        return Response(int(status[:3]), headers, b"")

    def is_down(self, now: float) -> bool:
        return self.down[0] <= now < self.down[1]

    def _taking(self, now: float) -> str:
        """Take one more request, unless it is limited and has just taken many."""
        self.taken = [moment for moment in self.taken if moment > now - LIMITED_FOR]
        if self.limited and len(self.taken) >= LIMIT:
            return "429 with Retry-After"
        self.taken.append(now)
        return "204"


@dataclass(slots=True)
class SimulatedReceiver:
    """A webhook's receiver: what it does, and what was seen of it."""

    name: str
    peers: Sequence[Peer]
    bad: Sequence[str]
    """Answers to bad events, of which each has one; empty where there are none."""
    share: float
    """Share of bad events."""
    reconfigured: bool
    """True where the end of the first peer's failure also changes the webhook's settings."""
    digest: bool = False
    """True where its webhook has digests."""
    searched: bool = False
    """True where it can be asked whether it has a delivery."""
    size: int = 0
    """Bytes of its events."""
    answers_lost: float = 0.0
    """Share of the answers to what it takes that do not arrive."""
    has: set[str] = field(default_factory=set)
    """Ids of the messages that it took."""
    deliveries: dict[str, str] = field(default_factory=dict)
    """Answer to each delivery of a bad event; "" for a good one."""
    accepted: Counter[str] = field(default_factory=Counter)
    settings: int = 0
    endpoint: int = 0
    in_flight: int = 0
    failed: bool = False
    """True where the last result was a failure of an event that had not failed before."""
    shown_at: float = 0.0
    """Time of its last success, refusal of an event, or Retry-After: what a request that began before comes to says
    nothing of it any more."""
    waiting: set[str] = field(default_factory=set)
    """Good events that it has not accepted."""
    requests: int = 0
    """Requests since the failure ended, while good events waited."""

    @property
    def finds_each(self) -> bool:
        """Return whether it gets nothing twice: halves of a digest that failed five times cannot be found."""
        return self.searched and not self.digest

    def search(self, request: Request, now: float) -> Response:
        """Say whether it has a message, unless it is down."""
        (peer,) = self.peers
        if peer.is_down(now):
            return peer.answer("", now)
        return Response(200 if dict(request.headers)["webhook-id"] in self.has else 404, {}, b"")

    def answer(self, names: Sequence[str], identity: str, asked: Sequence[Peer], now: float) -> list[Response]:
        """Answer a message with these events: one that is bad spoils all of it. One peer that takes it is enough."""
        bad = next((answer for name in names if (answer := self.deliveries[name])), "")
        answers = [peer.answer("400" if bad == UNRENDERABLE else bad, now) for peer in asked]
        if any(answer.status == 204 for answer in answers):
            self.accepted.update(names)
            self.has.add(identity)
            self.waiting.difference_update(names)
        return answers


class PlainConsumer:
    """A cheap consumer whose receivers' answers mean what they usually do. One request goes to each peer."""

    name, variables = "Plain", ()

    def render(self, event: Event, _: object, config: Config, *, now: float, delivery_id: str) -> tuple[Request, ...]:
        if UNRENDERABLE in event.document:
            raise RenderError("it has no severity")
        return self.render_digest(event, _, config, now=now, delivery_id=delivery_id)

    def render_digest(
        self, _: object, __: object, config: Config, *, now: float, delivery_id: str
    ) -> tuple[Request, ...]:
        headers = (("webhook-id", delivery_id),)
        return tuple(Request("POST", url, headers, b"") for url in config["urls"].split())

    def classify(self, response: Response, _: Config) -> Outcome:
        if response.status == 204:
            return Outcome(Verdict.DELIVERED)
        return Outcome({400: Verdict.REJECTED, 401: Verdict.PARKED}.get(response.status, Verdict.RETRY))


class SearchedConsumer(PlainConsumer):
    """One whose receiver is asked whether it has a delivery before that is sent again."""

    def lookup(self, config: Config, *, delivery_id: str) -> tuple[Request, ...]:
        return (Request("GET", config["urls"], (("webhook-id", delivery_id),), b""),)

    def read_lookup(self, response: Response, *, now: float) -> LookupResult:
        if response.status in (200, 404):
            return Found("") if response.status == 200 else NotFound()
        outcome = Outcome(Verdict.PARKED if response.status == 401 else Verdict.RETRY)
        return Failed(with_retry_after(outcome, response, now))


PLAIN, SEARCHED = PlainConsumer(), SearchedConsumer()


Done = Callable[[Sequence[Answer]], None]


@dataclass(frozen=True, slots=True)
class Flight:
    """A request in flight: when and how it ends."""

    ends: float
    assignment: Assignment
    asked: Sequence[Peer]
    answers: Sequence[Answer]
    done: Done


class BrokenError(AssertionError):
    """A promise that a history does not keep."""


class History:
    """A random history, made of a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.digests = random.Random(f"digests {seed}")
        self.sizes = random.Random(f"sizes {seed}")
        self.now = START
        self.store = MemoryStore()
        self.receivers = {name: self._receiver(name) for name in NAMES[: self.chance.choice((1, 2, 2, 4))]}
        self.workers = self.chance.choice(WORKERS)
        self.flying: list[Flight] = []
        self.begun: list[tuple[Sequence[Request], Done]] = []
        self.requests = 0
        self.lost: set[str] = set()
        """Deliveries that were sent, and whose results were lost with a kill."""
        self.changes = self._changes()
        self._restart()

    def run(self) -> None:
        """Run the history. Raises BrokenError."""
        self._serve()
        for _ in range(STEPS * len(self.receivers)):
            self._begin_all()
            if not self.flying and not self.changes and self._is_over():
                break
            self._advance()
        self._check()

    def _receiver(self, name: str) -> SimulatedReceiver:
        chance = self.chance
        bad = (*TROUBLES, UNRENDERABLE)
        peers = [self._peer() for _ in range(chance.choice((1, 1, 2, 3)))]
        return SimulatedReceiver(
            name,
            peers,
            bad=chance.choice(((), bad, *((answer,) for answer in bad))),
            share=chance.choice((0.1, 0.4)),
            reconfigured=chance.random() < 0.5,
            digest=self.digests.random() < 0.3,
            searched=len(peers) == 1 and chance.random() < 0.4,
            answers_lost=chance.choice((0.0, 0.0, 0.2)),
            size=self.sizes.choice((0, 0, 100_000, 9_000_000)),
        )

    def _peer(self) -> Peer:
        chance = self.chance
        begins = chance.choice((0.0, 0.0, 5.0, 30.0))
        lasts = chance.choice((0.0, 0.0, 3.0, 40.0, 400.0))
        return Peer(
            latency=chance.choice(LATENCIES),
            trouble=chance.choice(TROUBLES),
            down=(START + begins, START + begins + lasts),
            wait=chance.choice(WAITS),
            limited=chance.random() < 0.2,
        )

    def _changes(self) -> list[tuple[float, str, str]]:
        """Return what happens when, and to whom; the last comes first."""
        changes = []
        for name, receiver in self.receivers.items():
            moments = self.chance.choices((0.0, 0.0, 1.0, 10.0, 40.0), k=self.chance.randint(1, 4))
            changes += [(START + moment, "events", name) for moment in moments]
            changes += [(peer.down[1], "up", name) for peer in receiver.peers]
            if receiver.reconfigured:
                changes.append((receiver.peers[0].down[1], "settings", name))
            if self.chance.random() < 0.3:
                changes.append((START + self.chance.uniform(0, 60), self.chance.choice(("settings", "moved")), name))
        if self.chance.random() < 0.2:
            changes.append((START + self.chance.uniform(0, 60), "kill", ""))
        return sorted(changes, reverse=True)

    def _restart(self) -> None:
        policy = Policy(2.0, LONGEST, 1e9, self.chance.random)
        self.routes: dict[str, Route] = {}
        queues = Queues(self.store, {"Plain": 100.0}, self.workers, policy)  # type: ignore[arg-type]
        store, no_work = self.store, lambda: 0.0  # what it takes on this machine is to change nothing
        self.dispatcher = Dispatcher(store, queues, self, self, self._clock, self._clock, worked=no_work)  # type: ignore[arg-type]

    def begin(self, requests: Sequence[Request], done: Done) -> None:
        """Keep what the dispatcher begins, as its transport."""
        self.begun.append((requests, done))

    def attempted(self, *_: object) -> None:
        """Do nothing: what the dispatcher reports is seen in the store."""

    store_failed = wake = attempted

    def _serve(self) -> None:
        self.routes = {name: self._route(receiver) for name, receiver in self.receivers.items()}
        self.dispatcher.serve(self.routes)

    def _route(self, receiver: SimulatedReceiver) -> Route:
        urls = " ".join(f"http://{receiver.endpoint}.example/{number}" for number in range(len(receiver.peers)))
        config = {"urls": urls} | ({"digest": "5s"} if receiver.digest else {})
        consumer = SEARCHED if receiver.searched else PLAIN
        route = Route(receiver.name, consumer, config, {}, str(receiver.settings), str(receiver.endpoint))
        before = self.routes.get(receiver.name)
        if before is None:
            return route
        same = before.settings_digest == route.settings_digest
        return replace(route, peers=before.peers if same else before.peers.held())

    def _begin_all(self) -> None:
        while isinstance(assignment := self.dispatcher.next_assignment(), Assignment):
            receiver = self.receivers[assignment.route.webhook]
            self.dispatcher.begin(assignment)
            if not self.begun:  # it has ended at once, without a request
                self.dispatcher.settle()
                continue
            bytes_in_flight = sum(flight.assignment.size for flight in self.flying)
            if bytes_in_flight >= MOST_BYTES and assignment.size > 1_000_000 and not receiver.digest:
                raise BrokenError(f"{receiver.name}: one more large event beside {bytes_in_flight} bytes in flight")
            receiver.in_flight += 1
            receiver.requests += any(int(name) in self.store.pending for name in receiver.waiting)
            self._fly(assignment)
        self.pause = assignment

    def _fly(self, assignment: Assignment) -> None:
        """Have the receiver answer the requests that the dispatcher has just begun."""
        receiver = self.receivers[assignment.route.webhook]
        requests, done = self.begun.pop()
        self.requests += len(requests)
        asked = [receiver.peers[int(request.url.rpartition("/")[2])] for request in requests]
        self._check_start(receiver, asked, assignment.route)
        ends = self.now + max(peer.latency for peer in asked) * self.chance.uniform(0.1, 2.0)
        self.flying.append(Flight(ends, assignment, asked, self._answers(receiver, assignment, requests, asked), done))

    def _answers(
        self, receiver: SimulatedReceiver, assignment: Assignment, requests: Sequence[Request], asked: Sequence[Peer]
    ) -> Sequence[Answer]:
        if requests[0].method == "GET":
            return [receiver.search(requests[0], self.now)]
        names = [one.delivery_id for one in assignment.deliveries]
        answers = receiver.answer(names, dict(requests[0].headers)["webhook-id"], asked, self.now)
        if any(answer.status == 204 for answer in answers) and self.chance.random() < receiver.answers_lost:
            self.lost.update(() if receiver.finds_each else names)
            return [SendError(FailureReason.TIMEOUT, "no answer")] * len(answers)
        return answers

    def _check_start(self, receiver: SimulatedReceiver, asked: Sequence[Peer], route: Route) -> None:
        if route.settings_digest != str(receiver.settings):
            raise BrokenError(f"{receiver.name}: a request under settings that had been replaced")
        early = max(peer.held_until for peer in asked) - self.now
        if early > 1e-6:
            raise BrokenError(f"{receiver.name}: a request {early:.3f} s before Retry-After's end")
        if receiver.failed and receiver.in_flight > 1:
            raise BrokenError(f"{receiver.name}: {receiver.in_flight} requests at once while it fails")

    def _clock(self) -> float:
        return self.now

    def _advance(self) -> None:
        """Move the clock to whatever comes first."""
        ends = min(self.flying, key=lambda flight: flight.ends) if self.flying else None
        change = self.changes[-1][0] if self.changes else float("inf")
        idle = self.now + max(self.pause, 0.5) if ends or self.pause < 0.5 else self._next_moment()
        self.now = max(self.now, min(ends.ends if ends else float("inf"), change, idle))
        if ends and ends.ends <= self.now:
            self.flying.remove(ends)
            self._end(ends)
        elif change <= self.now:
            self._change(*self.changes.pop()[1:])

    def _next_moment(self) -> float:
        """Return when something may be due: an idle dispatcher checks every second, which takes long."""
        queues = self.dispatcher.receivers().values()
        moments = [moment for receiver in queues for moment in (receiver.held_until, receiver.retry_until)]
        moments += [delivery.due for delivery in self.store.pending.values()]
        return max(min((moment for moment in moments if moment > self.now), default=self.now + 1.0), self.now + 0.001)

    def _end(self, flight: Flight) -> None:
        assignment = flight.assignment
        receiver = self.receivers[assignment.route.webhook]
        flight.done(flight.answers)
        if self.begun:  # it has searched, and goes on
            self._fly(assignment)
            return
        receiver.in_flight -= 1
        self.dispatcher.settle()
        statuses = {answer.status if isinstance(answer, Response) else 500 for answer in flight.answers}
        if statuses & {200, 204}:
            receiver.failed, receiver.shown_at = False, self.now
        elif 400 in statuses and not statuses & {500, 503, 429}:
            receiver.shown_at = self.now
        elif not assignment.delivery.attempts and receiver.shown_at < assignment.started:
            receiver.failed = assignment.route.settings_digest == str(receiver.settings)
        for peer, answer in zip(flight.asked, flight.answers, strict=True):
            if (
                isinstance(answer, Response)
                and "retry-after" in answer.headers
                and assignment.route.endpoint_digest == str(receiver.endpoint)
            ):
                peer.held_until = max(peer.held_until, self.now + float(answer.headers["retry-after"]))
                receiver.shown_at = self.now

    def _change(self, what: str, name: str) -> None:
        if what == "kill":
            self._kill()
            return
        receiver = self.receivers[name]
        if what == "events":
            self._enqueue(receiver)
            return
        receiver.requests = 0
        if what != "up":
            receiver.settings += 1
            receiver.failed = False
        if what == "moved":
            receiver.endpoint += 1
            self._let_go_of_waits(receiver)
        self._serve()

    def _enqueue(self, receiver: SimulatedReceiver) -> None:
        for _ in range(self.chance.randint(1, 4)):
            bad = self.chance.choice(receiver.bad) if receiver.bad and self.chance.random() < receiver.share else ""
            seq = self.store.enqueue(
                receiver.name, self.now, EVENT | ({UNRENDERABLE: True} if bad == UNRENDERABLE else {}), receiver.size
            )
            receiver.deliveries[str(seq)] = bad
            if not bad:
                receiver.waiting.add(str(seq))
        self.dispatcher.notify({receiver.name})

    def _kill(self) -> None:
        """Kill the dispatcher. The next one has what is in the store; what was in flight is sent again."""
        for flight in self.flying:
            taken = any(isinstance(answer, Response) and answer.status == 204 for answer in flight.answers)
            if taken and not self.receivers[flight.assignment.route.webhook].finds_each:
                self.lost.update(str(one.seq) for one in flight.assignment.deliveries)
            self.receivers[flight.assignment.route.webhook].in_flight = 0
        self.flying.clear()
        for receiver in self.receivers.values():
            receiver.failed = False
            if len(receiver.peers) > 1:  # what one of several peers asked for is known in memory alone
                self._let_go_of_waits(receiver)
        self._restart()
        self._serve()

    def _is_over(self) -> bool:
        """Return whether nothing waits but bad events."""
        return all(
            self.receivers[delivery.webhook].deliveries[str(delivery.seq)] for delivery in self.store.pending.values()
        )

    def _let_go_of_waits(self, receiver: SimulatedReceiver) -> None:
        for peer in receiver.peers:
            peer.held_until = 0.0

    def _check(self) -> None:
        for receiver in self.receivers.values():
            self._check_receiver(receiver)

    def _check_receiver(self, receiver: SimulatedReceiver) -> None:
        good = {name for name, bad in receiver.deliveries.items() if not bad}
        waiting = {name for name in good if int(name) in self.store.pending}
        if waiting:
            raise BrokenError(f"{receiver.name}: {len(waiting)} good events were never delivered")
        gone = {name for name in good if int(name) in self.store.dead}
        refuses = any(peer.trouble in ("400", "401") for peer in receiver.peers)
        if len(gone) >= (DOWN_AFTER * (3 + receiver.settings) if refuses else 1):  # a late success begins a new row
            raise BrokenError(f"{receiver.name}: {len(gone)} good events are dead letters")
        here = self.store.pending.keys() | self.store.dead.keys() | self.store.delivered.keys()
        if receiver.deliveries.keys() - {str(seq) for seq in here}:
            raise BrokenError(f"{receiver.name}: events are lost")
        twice = {name for name, count in receiver.accepted.items() if count > 1} - self.lost
        if twice or good - gone - receiver.accepted.keys():
            raise BrokenError(f"{receiver.name}: {len(twice)} were sent twice, or good ones not at all")
        bad = len(receiver.deliveries) - len(good)
        again = any(peer.limited for peer in receiver.peers) + bool(receiver.answers_lost)
        most = (1 + again) * len(good) + 4 * DOWN_AFTER * bad + 2 * DOWN_AFTER
        if receiver.requests > most:
            raise BrokenError(
                f"{receiver.name}: {receiver.requests} requests after its trouble, at most {most} should do"
            )


def run(count: int, seed: int) -> int:
    """Run `count` histories from a seed on, and return how many requests they made.

    Raises BrokenError with the seed of one that breaks a promise.
    """
    requests = 0
    for number in range(seed, seed + count):
        history = History(number)
        try:
            history.run()
        except BrokenError as error:
            raise BrokenError(f"{error}: `make simulate N=1 SEED={number}` shows it") from None
        requests += history.requests
    return requests
