"""Run random histories of receivers and answers through the real dispatcher, with a clock that only they move.

Each holds: nothing is lost or sent twice; what can be delivered is delivered within a bounded number of requests after
the fault has ended; nothing starts before the end of a Retry-After; a receiver that fails meets one probe at a time.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kubectl_sew.consumers.base import Config, Outcome, Request, Response, Verdict
from sew_agent.delivery.attempt import Route
from sew_agent.delivery.dispatcher import Dispatcher
from sew_agent.delivery.queue import Assignment
from sew_agent.delivery.queues import Queues
from sew_agent.delivery.retry import DOWN_AFTER, Policy
from tests.simulation.memory_store import MemoryStore

START = 1_800_000_000.0
STEPS = 5_000
"""Steps after which a history must be over."""
LONGEST = 300.0
WORKERS = (1, 4, 16)
LATENCIES = (0.01, 0.3, 4.0)
TROUBLES = ("500", "401", "400", "503 with Retry-After", "429 with Retry-After")
WAITS = (1, 20, 300)


@dataclass(slots=True)
class SimulatedReceiver:
    """A webhook's receiver: what it does, and what was seen of it."""

    name: str
    latency: float
    bad: str
    """Answer to bad events; "" where there are none."""
    share: float
    """Share of bad events."""
    trouble: str
    """Answer to all events for a while."""
    down: tuple[float, float]
    """Start and end of the failure. Its end also changes the webhook's settings, where `reconfigured`."""
    reconfigured: bool
    wait: int
    digest: bool = False
    """True where its webhook has digests."""
    deliveries: dict[str, bool] = field(default_factory=dict)
    """True for each delivery of a bad event."""
    accepted: Counter[str] = field(default_factory=Counter)
    settings: int = 0
    endpoint: int = 0
    held_until: float = 0.0
    in_flight: int = 0
    failed: bool = False
    """True where the last result was a failure of an event that had not failed before."""
    succeeded_at: float = 0.0
    """Time of the last success."""
    waiting: set[str] = field(default_factory=set)
    """Good events that it has not accepted."""
    requests: int = 0
    """Requests since the failure ended, while good events waited."""

    def answer(self, names: Sequence[str], now: float) -> Response:
        """Answer a message with these events: one that is bad spoils all of it."""
        status = self._status(names, now)
        if status == "204":
            self.accepted.update(names)
            self.waiting.difference_update(names)
            return Response(204, {}, b"")
        headers = {"retry-after": str(self.wait)} if "Retry-After" in status else {}
        return Response(int(status[:3]), headers, b"")

    def _status(self, names: Sequence[str], now: float) -> str:
        if self.down[0] <= now < self.down[1]:
            return self.trouble
        return self.bad if any(map(self.deliveries.__getitem__, names)) else "204"


class PlainConsumer:
    """A cheap consumer whose receiver's answers mean what they usually do."""

    name, variables = "Plain", ()

    def render(self, *_: object, delivery_id: str, **__: object) -> tuple[Request, ...]:
        return (Request("POST", "", (("webhook-id", delivery_id),), b""),)

    render_digest = render

    def classify(self, response: Response, _: Config) -> Outcome:
        if response.status == 204:
            return Outcome(Verdict.DELIVERED)
        return Outcome({400: Verdict.REJECTED, 401: Verdict.PARKED}.get(response.status, Verdict.RETRY))


PLAIN = PlainConsumer()


@dataclass(frozen=True, slots=True)
class Flight:
    """A request in flight: when and how it ends."""

    ends: float
    assignment: Assignment
    answer: Response
    done: Callable[[Sequence[Response]], None]


class BrokenError(AssertionError):
    """A promise that a history does not keep."""


class History:
    """A random history, made of a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.digests = random.Random(f"digests {seed}")
        self.now = START
        self.store = MemoryStore()
        self.receivers = {name: self._receiver(name) for name in "ab"[: self.chance.randint(1, 2)]}
        self.workers = self.chance.choice(WORKERS)
        self.flying: list[Flight] = []
        self.begun: list[Callable[[Sequence[Response]], None]] = []
        self.lost: set[str] = set()
        """Deliveries that were sent, and whose results were lost with a kill."""
        self.changes = self._changes()
        self._restart()

    def run(self) -> None:
        """Run the history. Raises BrokenError."""
        self._serve()
        for _ in range(STEPS):
            self._begin_all()
            if not self.flying and not self.changes and self._is_over():
                break
            self._advance()
        self._check()

    def _receiver(self, name: str) -> SimulatedReceiver:
        chance = self.chance
        begins = chance.choice((0.0, 0.0, 5.0, 30.0))
        lasts = chance.choice((0.0, 0.0, 3.0, 40.0, 400.0))
        return SimulatedReceiver(
            name,
            latency=chance.choice(LATENCIES),
            bad=chance.choice(("", *TROUBLES)),
            share=chance.choice((0.1, 0.4)),
            trouble=chance.choice(TROUBLES),
            down=(START + begins, START + begins + lasts),
            reconfigured=chance.random() < 0.5,
            wait=chance.choice(WAITS),
            digest=self.digests.random() < 0.3,
        )

    def _changes(self) -> list[tuple[float, str, str]]:
        """Return what happens when, and to whom; the last comes first."""
        changes = []
        for name, receiver in self.receivers.items():
            moments = self.chance.choices((0.0, 0.0, 1.0, 10.0, 40.0), k=self.chance.randint(1, 4))
            changes += [(START + moment, "events", name) for moment in moments]
            changes.append((receiver.down[1], "reconfigured" if receiver.reconfigured else "up", name))
            if self.chance.random() < 0.3:
                changes.append((START + self.chance.uniform(0, 60), self.chance.choice(("settings", "moved")), name))
        if self.chance.random() < 0.2:
            changes.append((START + self.chance.uniform(0, 60), "kill", ""))
        return sorted(changes, reverse=True)

    def _restart(self) -> None:
        policy = Policy(2.0, LONGEST, 1e9, self.chance.random)
        queues = Queues(self.store, {"Plain": 100.0}, self.workers, policy)  # type: ignore[arg-type]
        self.dispatcher = Dispatcher(self.store, queues, self, self, self._clock, self._clock)  # type: ignore[arg-type]

    def begin(self, requests: Sequence[Request], done: Callable[[Sequence[Response]], None]) -> None:
        """Keep what the dispatcher begins, as its transport."""
        self.begun.append(done)

    def attempted(self, *_: object) -> None:
        """Do nothing: what the dispatcher reports is seen in the store."""

    store_failed = wake = attempted

    def _serve(self) -> None:
        self.dispatcher.serve(
            {
                name: Route(
                    name,
                    PLAIN,
                    {"digest": "5s"} if receiver.digest else {},
                    {},
                    str(receiver.settings),
                    str(receiver.endpoint),
                )
                for name, receiver in self.receivers.items()
            }
        )

    def _begin_all(self) -> None:
        while isinstance(assignment := self.dispatcher.next_assignment(), Assignment):
            receiver = self.receivers[assignment.route.webhook]
            names = [one.delivery_id for one in assignment.deliveries]
            self._check_start(receiver)
            receiver.in_flight += 1
            receiver.requests += 1 if receiver.waiting else 0
            answer = receiver.answer(names, self.now)
            self.dispatcher.begin(assignment)
            ends = self.now + receiver.latency * self.chance.uniform(0.1, 2.0)
            self.flying.append(Flight(ends, assignment, answer, self.begun.pop()))
        self.pause = assignment

    def _check_start(self, receiver: SimulatedReceiver) -> None:
        if self.now < receiver.held_until - 1e-6:
            raise BrokenError(
                f"{receiver.name}: a request {receiver.held_until - self.now:.3f} s before Retry-After's end"
            )
        if receiver.failed and receiver.in_flight:
            raise BrokenError(f"{receiver.name}: {receiver.in_flight + 1} requests at once while it fails")

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
        assignment, answer = flight.assignment, flight.answer
        receiver = self.receivers[assignment.route.webhook]
        receiver.in_flight -= 1
        flight.done([answer])
        self.dispatcher.settle()
        if answer.status == 204:
            receiver.failed, receiver.succeeded_at = False, self.now
        elif (
            answer.status in (500, 401, 503, 429)
            and not assignment.delivery.attempts
            and receiver.succeeded_at <= assignment.started
        ):
            receiver.failed = assignment.route.settings_digest == str(receiver.settings)
        if "retry-after" in answer.headers and assignment.route.endpoint_digest == str(receiver.endpoint):
            receiver.held_until = max(receiver.held_until, self.now + float(answer.headers["retry-after"]))

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
            receiver.held_until = 0.0
        self._serve()

    def _enqueue(self, receiver: SimulatedReceiver) -> None:
        for _ in range(self.chance.randint(1, 4)):
            seq = self.store.enqueue(receiver.name, self.now)
            bad = receiver.deliveries[str(seq)] = bool(receiver.bad) and self.chance.random() < receiver.share
            if not bad:
                receiver.waiting.add(str(seq))
        self.dispatcher.notify({receiver.name})

    def _kill(self) -> None:
        """Kill the dispatcher. The next one has what is in the store; what was in flight is sent again."""
        for flight in self.flying:
            if flight.answer.status == 204:
                self.lost.update(str(one.seq) for one in flight.assignment.deliveries)
            self.receivers[flight.assignment.route.webhook].in_flight = 0
        self.flying.clear()
        for receiver in self.receivers.values():
            receiver.failed = False
        self._restart()
        self._serve()

    def _is_over(self) -> bool:
        """Return whether nothing waits but bad events."""
        return all(
            self.receivers[delivery.webhook].deliveries[str(delivery.seq)] for delivery in self.store.pending.values()
        )

    def _check(self) -> None:
        for receiver in self.receivers.values():
            self._check_receiver(receiver)

    def _check_receiver(self, receiver: SimulatedReceiver) -> None:
        good = {name for name, bad in receiver.deliveries.items() if not bad}
        waiting = {name for name in good if int(name) in self.store.pending}
        if waiting:
            raise BrokenError(f"{receiver.name}: {len(waiting)} good events were never delivered")
        gone = {name for name in good if int(name) in self.store.dead}
        refuses = receiver.trouble in ("400", "401")
        if len(gone) >= (DOWN_AFTER * (3 + receiver.settings) if refuses else 1):  # a late success begins a new row
            raise BrokenError(f"{receiver.name}: {len(gone)} good events are dead letters")
        here = self.store.pending.keys() | self.store.dead.keys() | self.store.delivered.keys()
        if receiver.deliveries.keys() - {str(seq) for seq in here}:
            raise BrokenError(f"{receiver.name}: events are lost")
        twice = {name for name, count in receiver.accepted.items() if count > 1} - self.lost
        if twice or good - gone - receiver.accepted.keys():
            raise BrokenError(f"{receiver.name}: {len(twice)} were sent twice, or good ones not at all")
        bad = len(receiver.deliveries) - len(good)
        most = len(good) + 4 * DOWN_AFTER * bad + 2 * DOWN_AFTER
        if receiver.requests > most:
            raise BrokenError(
                f"{receiver.name}: {receiver.requests} requests after its trouble, at most {most} should do"
            )


def run(count: int, seed: int) -> None:
    """Run `count` histories from a seed on. Raises BrokenError with the seed of one that breaks a promise."""
    for number in range(seed, seed + count):
        try:
            History(number).run()
        except BrokenError as error:
            raise BrokenError(f"{error}: `make simulate N=1 SEED={number}` shows it") from None
