"""Choice of the next delivery: one queue for each webhook, isolated from the others.

Not thread-safe; no clock, and no I/O but the store's.
"""

import heapq
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from kubectl_sew.consumers.base import Outcome
from kubectl_sew.consumers.rate import rate_of
from sew_agent.base.token_bucket import TokenBucket
from sew_agent.delivery.attempt import Route
from sew_agent.delivery.http.pool import STALLED
from sew_agent.delivery.retry import Decision, Policy, Since, changed, decide, failing, left, moved, on_the_clock
from sew_agent.store.contract import Store
from sew_agent.store.records import Delivery, DeliveryState, ReceiverState

SLOW = 0.02
"""Seconds of an answer below which one worker serves a receiver fastest: more would wait for each other."""
TOGETHER = 8
"""Deliveries that one worker sends side by side to such a receiver, so that both work at the same time."""
BUSY_PAUSE = 0.005
"""Seconds between two checks of queues that have all the workers they can use."""
APART = 30.0
"""Seconds of one request at a time after several failed or stalled: the receiver may serve only one connection."""
AHEAD = 32
"""Deliveries that a queue reads from the store at once."""
LOOK_AGAIN = 1.0
"""Seconds between two checks of the store for pending deliveries: another process may have replayed some."""
_MOST = 16
_UNTIL_LOOK = float("inf")
"""Seconds that a queue sleeps while nothing is pending."""


@dataclass(slots=True)
class Queue:
    """A served webhook: its receiver's state, which the store keeps, and what only this process knows."""

    route: Route
    receiver: ReceiverState
    bucket: TokenBucket
    ahead: list[Delivery] = field(default_factory=list)
    in_flight: set[int] = field(default_factory=set)
    settings: int = 0
    """Number of changes of the webhook's settings."""
    news: int = 0
    """Number of changes of what the receiver does."""
    empty: bool = False
    """True where the last read of the store returned nothing."""
    sleeps_until: float = 0.0
    window: int = 1
    """Workers it can use: one more each time that all of them wait for a slow receiver."""
    together: int = 1
    """Deliveries that one worker takes at once."""
    apart_until: float = 0.0
    """End of the time in which one delivery goes at once."""
    started: float = 0.0


@dataclass(frozen=True, slots=True)
class Assignment:
    """Deliveries for a worker, and what was known at their start. Each counts as a worker's."""

    queue: Queue
    route: Route
    deliveries: Sequence[Delivery]
    started: float
    settings: int
    news: int


@dataclass(frozen=True, slots=True)
class QueueChanges:
    """Changes by an assignment's outcomes, written together. `receiver`: None where its state is unchanged."""

    decisions: Sequence[Decision]
    receiver: ReceiverState | None
    shifts: Sequence[tuple[str, float]]
    revived: Sequence[int]


class Queues:
    """Queues of all webhooks, served in turns.

    A queue whose receiver is not proven has at most one worker; all failing ones together have at most half of them.
    A proven one has an even part of three quarters, and at most sixteen (or an eighth of many): a queue that holds
    workers for long, failing or not, takes no other's share. There are never more deliveries in flight than workers,
    and those that go together are never more than half as many.
    """

    def __init__(self, store: Store, rates: Mapping[str, float], workers: int, policy: Policy) -> None:
        """`rates`: consumer -> requests a second for each of its webhooks, unless its own is lower."""
        self._store = store
        self._rates = rates
        self._workers = workers
        self._policy = policy
        self._most = max(_MOST, workers // 8)
        self._queues: dict[str, Queue] = {}
        self._ready: deque[Queue] = deque()
        self._asleep: list[tuple[float, int, Queue]] = []
        self._flying: dict[str, set[int]] = {}
        """Webhook -> its deliveries that are with a worker, where there are any."""
        self._busy = 0
        self._chances: dict[bool, bool] = {}
        """Failing or not -> whether one more unproven queue may have a worker: counted once in each round."""
        self._version = store.version()
        self._now = 0.0
        self._next_look = 0.0

    @property
    def busy(self) -> int:
        """Deliveries that are with a worker now."""
        return self._busy

    @property
    def all(self) -> Mapping[str, ReceiverState]:
        """Return the receivers' states by webhook."""
        return {name: each.receiver for name, each in self._queues.items()}

    def serve(self, routes: Mapping[str, Route], now: float) -> None:
        """Serve these webhooks and no others from now on. Raises StoreError, and changes nothing then."""
        kept = self._store.receivers()
        before = {
            name: self._queues[name].receiver if name in self._queues else kept.get(name) or ReceiverState(name)
            for name in routes.keys() | self._queues.keys()
        }
        after = {name: _served(receiver, routes.get(name)) for name, receiver in before.items()}
        shifts = [
            (name, now - receiver.since)
            for name, receiver in before.items()
            if receiver.parked and not after[name].parked
        ]
        self._store.record_results(
            (), [receiver for name, receiver in after.items() if receiver != kept.get(name)], shifts
        )
        for name in self._queues.keys() - routes.keys():
            self._queues[name].receiver = after[name]
        self._queues = {name: self._queue(route, after[name]) for name, route in routes.items()}
        self._wake_all()

    def look(self, webhooks: Collection[str]) -> None:
        """Read the store at these webhooks' next turn: something of theirs may be due."""
        for name in webhooks:
            queue = self._queues.get(name)
            if queue is None:
                continue
            if queue.ahead and queue.ahead[0].attempts:
                queue.ahead.clear()  # new deliveries go before retries
            if queue.empty:
                queue.empty = False
                if queue.sleeps_until:
                    self._wake(queue)

    def next(self, now: float) -> Assignment | float:
        """Return an assignment, or the seconds until there may be one. Raises StoreError."""
        self._keep_up(now)
        if self._busy >= self._workers:
            return BUSY_PAUSE
        self._chances.clear()
        for _ in range(len(self._ready)):
            queue = self._ready[0]
            admitted = self._admits(queue, now)
            wait = self._wait(queue, now) if admitted else 0.0
            self._ready.popleft()  # not before: a queue keeps its turn where the store raises
            if wait > 0:
                self._sleep(queue, now + wait)
                continue
            self._ready.append(queue)
            if admitted:
                return self._start(queue, now)
        soonest = self._asleep[0][0] - now if self._asleep else LOOK_AGAIN
        return min(max(soonest, 0.0), BUSY_PAUSE if self._ready else LOOK_AGAIN)

    def clock_was_set(self, seconds: float) -> None:
        """Move all pauses with the clock: they last as long as they were to."""
        for queue in self._queues.values():
            if queue.receiver.held_at:
                queue.receiver = moved(queue.receiver, seconds)
        self._wake_all()
        self._now += seconds
        self._next_look += seconds

    def evaluate(self, assignment: Assignment, outcomes: Sequence[Outcome], now: float) -> QueueChanges:
        """Return the changes by an assignment's outcomes, one after the other."""
        queue = self._queues.get(assignment.route.webhook, assignment.queue)
        before = queue.receiver
        decisions = [
            self._decide(assignment, queue, outcome, delivery, now)
            for delivery, outcome in zip(assignment.deliveries, outcomes, strict=True)
        ]
        receiver = queue.receiver
        if queue is assignment.queue:
            failed = sum(1 for each in decisions if each.result.state is DeliveryState.PENDING)
            self._pace(assignment, failed, now)
        if receiver.failures > before.failures or before.parked:
            queue.ahead.clear()
        shifts = [(receiver.webhook, now - before.since)] if before.parked and not receiver.parked else []
        revived = [seq for each in decisions for seq in each.revived]
        return QueueChanges(decisions, receiver if receiver != before else None, shifts, revived)

    def end(self, assignment: Assignment) -> None:
        """Release the deliveries: their results are in the store."""
        flying = assignment.queue.in_flight
        flying.difference_update(each.seq for each in assignment.deliveries)
        self._busy -= len(assignment.deliveries)
        if not flying:
            del self._flying[assignment.route.webhook]

    def _keep_up(self, now: float) -> None:
        """Wake the queues whose sleep is over, and check the store for pending deliveries."""
        if now < self._now:  # the clock was set back: queues would sleep for too long
            self._wake_all()
            self._next_look = now
        self._now = now
        if now >= self._next_look:
            self._next_look = now + LOOK_AGAIN
            self.look(self._store.pending_counts())
        while self._asleep and self._asleep[0][0] <= now:
            until, _, queue = heapq.heappop(self._asleep)
            if queue.sleeps_until == until and queue is self._queues.get(queue.route.webhook):
                self._wake(queue)

    def _decide(
        self, assignment: Assignment, queue: Queue, outcome: Outcome, delivery: Delivery, now: float
    ) -> Decision:
        before = queue.receiver
        made = decide(outcome, delivery, before, self._policy, now=now, since=_since(assignment, queue))
        if _shown(made.receiver) != _shown(before):
            queue.news += 1
        queue.receiver = made.receiver
        return made

    def _pace(self, assignment: Assignment, failed: int, now: float) -> None:
        """Set how many deliveries go at once, by how long the last ones took."""
        queue, many = assignment.queue, len(assignment.deliveries) > 1
        quick = 0 < (now - assignment.started) / len(assignment.deliveries) < SLOW
        if failed or now - assignment.started < SLOW:
            queue.window = max(queue.window - 1, 1)
        if many and (failed > 1 or now - assignment.started >= STALLED):
            queue.apart_until = now + APART
        together = quick and queue.receiver.proven and not left(queue.apart_until, APART, now)
        queue.together = min(queue.together * 2, TOGETHER) if together else 1

    def _queue(self, route: Route, receiver: ReceiverState) -> Queue:
        before = self._queues.get(route.webhook)
        rate = rate_of(route.config, self._rates[route.consumer.name])
        if before is None:
            flying = self._flying.get(route.webhook, set())
            return Queue(route, receiver, TokenBucket(rate), in_flight=flying)
        if before.bucket.rate != rate:
            before.bucket = TokenBucket(rate)
        if before.receiver != receiver:
            before.settings += 1
            before.ahead.clear()
            before.window = before.together = 1
        before.route, before.receiver, before.empty = route, receiver, False
        return before

    def _admits(self, queue: Queue, now: float) -> bool:
        held = len(queue.in_flight)
        if not held:
            return queue.receiver.proven or self._gives_a_chance(queue)
        if not queue.receiver.proven or self._workers - self._busy <= self._workers // 4:
            return False
        if held >= queue.window and now - queue.started >= SLOW:
            queue.window = held + 1
        return held < min(queue.window, self._share())

    def _share(self) -> int:
        return min(self._most, max((self._workers - self._workers // 4) // max(len(self._flying), 1), 1))

    def _gives_a_chance(self, queue: Queue) -> bool:
        failed = failing(queue.receiver)
        if failed not in self._chances:
            most = max(self._workers // 2, 1) if failed else self._workers - self._workers // 4
            self._chances[failed] = self._held_by(failed=failed) < most
        return self._chances[failed]

    def _held_by(self, *, failed: bool) -> int:
        """Return the workers that unproven queues hold; with `failed` only those of failing ones."""
        queues = {name: self._queues[name].receiver for name in self._flying if name in self._queues}
        unproven = {name: receiver for name, receiver in queues.items() if not receiver.proven}
        return sum(len(self._flying[name]) for name, receiver in unproven.items() if failing(receiver) or not failed)

    def _wait(self, queue: Queue, now: float) -> float:
        """Return the seconds until the queue's next delivery can go; 0.0 for now, with a token taken."""
        if left(queue.receiver.held_until, self._policy.furthest, now):
            queue.receiver = on_the_clock(queue.receiver, now)
        if held := left(queue.receiver.held_until, self._policy.furthest, now):
            return held
        if queue.ahead:
            self._heed_others()
        if not queue.ahead and (pause := self._fill(queue, now)):
            return pause
        return queue.bucket.take(now)

    def _heed_others(self) -> None:
        """Discard all that was read ahead where another process has changed the store since."""
        version = self._store.version()
        if version != self._version:
            self._version = version
            for queue in self._queues.values():
                queue.ahead.clear()

    def _fill(self, queue: Queue, now: float) -> float:
        """Read due deliveries from the store; return the seconds until the next read where there are none."""
        if left(queue.receiver.retry_until, self._policy.furthest, now):
            queue.receiver = on_the_clock(queue.receiver, now)
        name, pause = queue.route.webhook, left(queue.receiver.retry_until, self._policy.furthest, now)
        longest = self._policy.longest
        found = self._store.due(name, now=now, limit=AHEAD, skip=queue.in_flight, retries=not pause, longest=longest)
        queue.ahead.extend(found)
        queue.empty = not found
        if found:
            return 0.0
        due = self._store.next_due(name)
        if due is None:
            return _UNTIL_LOOK
        return min(max(due - now, pause, 0.0) or LOOK_AGAIN, LOOK_AGAIN)

    def _start(self, queue: Queue, now: float) -> Assignment:
        most = min(queue.together, self._workers // 2 - self._busy, self._share() - len(queue.in_flight))
        deliveries = [queue.ahead.pop(0)]
        while len(deliveries) < most and queue.ahead and not queue.bucket.take(now):
            deliveries.append(queue.ahead.pop(0))
        queue.in_flight.update(each.seq for each in deliveries)
        self._flying[queue.route.webhook] = queue.in_flight
        self._busy += len(deliveries)
        queue.started = now
        return Assignment(queue, queue.route, deliveries, now, queue.settings, queue.news)

    def _sleep(self, queue: Queue, until: float) -> None:
        queue.sleeps_until = until
        if until < _UNTIL_LOOK:
            heapq.heappush(self._asleep, (until, id(queue), queue))

    def _wake_all(self) -> None:
        for queue in self._queues.values():
            queue.sleeps_until = 0.0
        self._ready, self._asleep = deque(self._queues.values()), []

    def _wake(self, queue: Queue) -> None:
        queue.sleeps_until = 0.0
        self._ready.append(queue)


def _served(receiver: ReceiverState, route: Route | None) -> ReceiverState:
    """Return the state under the settings that hold from now on; no longer served counts as changed."""
    return (
        changed(receiver, route.settings_digest, route.endpoint_digest)
        if route
        else changed(receiver, "", receiver.endpoint_digest)
    )


def _since(assignment: Assignment, queue: Queue) -> Since:
    if queue is not assignment.queue or queue.settings != assignment.settings:
        same = queue.route.endpoint_digest == assignment.route.endpoint_digest
        return Since.SETTINGS if same else Since.ENDPOINT
    return Since.NOTHING if queue.news == assignment.news else Since.NEWS


def _shown(receiver: ReceiverState) -> tuple[object, ...]:
    return receiver.proven, receiver.parked, receiver.held_until
