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
from sew_agent.delivery.retry import (
    Decision,
    Policy,
    Staleness,
    decide,
    is_failing,
    remaining,
    shifted,
    with_settings,
    within_clock,
)
from sew_agent.store.contract import Store
from sew_agent.store.records import Delivery, DeliveryState, ReceiverState

SLOW = 0.02
"""Seconds of an answer below which one worker serves a receiver fastest: more would wait for each other."""
MAX_BATCH = 8
"""Deliveries that one worker sends side by side to such a receiver, so that both work at the same time."""
BUSY_PAUSE = 0.005
"""Seconds between two checks of queues that have all the workers they can use."""
SINGLE_FOR = 30.0
"""Seconds of one request at a time after several failed or stalled: the receiver may serve only one connection."""
PREFETCH = 32
"""Deliveries that a queue reads from the store at once."""
CHECK_EVERY = 1.0
"""Seconds between two checks of the store for pending deliveries: another process may have replayed some."""
_MAX_WORKERS = 16
_UNTIL_NOTIFIED = float("inf")
"""Seconds that a queue sleeps while nothing is pending."""


@dataclass(slots=True)
class Queue:
    """A served webhook: its receiver's state, which the store keeps, and what only this process knows."""

    route: Route
    receiver: ReceiverState
    bucket: TokenBucket
    prefetched: list[Delivery] = field(default_factory=list)
    in_flight: set[int] = field(default_factory=set)
    settings_version: int = 0
    """Number of changes of the webhook's settings."""
    receiver_version: int = 0
    """Number of changes of what the receiver does."""
    empty: bool = False
    """True where the last read of the store returned nothing."""
    sleeps_until: float = 0.0
    worker_limit: int = 1
    """Workers it can use: one more each time that all of them wait for a slow receiver."""
    batch_size: int = 1
    """Deliveries that one worker takes at once."""
    single_until: float = 0.0
    """End of the time in which one delivery goes at once."""
    started: float = 0.0


@dataclass(frozen=True, slots=True)
class Assignment:
    """Deliveries for a worker, and what was known at their start. Each counts as a worker's."""

    queue: Queue
    route: Route
    deliveries: Sequence[Delivery]
    started: float
    settings_version: int
    receiver_version: int


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
        self._max_workers = max(_MAX_WORKERS, workers // 8)
        self._queues: dict[str, Queue] = {}
        self._ready: deque[Queue] = deque()
        self._asleep: list[tuple[float, int, Queue]] = []
        self._in_flight: dict[str, set[int]] = {}
        """Webhook -> its deliveries that are with a worker, where there are any."""
        self._busy = 0
        self._unproven_room: dict[bool, bool] = {}
        """Failing or not -> whether one more unproven queue may have a worker: counted once in each round."""
        self._version = store.version()
        self._now = 0.0
        self._next_check = 0.0

    @property
    def busy(self) -> int:
        """Deliveries that are with a worker now."""
        return self._busy

    @property
    def all(self) -> Mapping[str, ReceiverState]:
        """Return the receivers' states by webhook."""
        return {name: queue.receiver for name, queue in self._queues.items()}

    def serve(self, routes: Mapping[str, Route], now: float) -> None:
        """Serve these webhooks and no others from now on. Raises StoreError, and changes nothing then."""
        kept = self._store.receivers()
        before = {
            name: self._queues[name].receiver if name in self._queues else kept.get(name) or ReceiverState(name)
            for name in routes.keys() | self._queues.keys()
        }
        after = {name: _under_settings(receiver, routes.get(name)) for name, receiver in before.items()}
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

    def notify(self, webhooks: Collection[str]) -> None:
        """Read the store at these webhooks' next turn: something of theirs may be due."""
        for name in webhooks:
            queue = self._queues.get(name)
            if queue is None:
                continue
            if queue.prefetched and queue.prefetched[0].attempts:
                queue.prefetched.clear()  # new deliveries go before retries
            if queue.empty:
                queue.empty = False
                if queue.sleeps_until:
                    self._wake(queue)

    def next(self, now: float) -> Assignment | float:
        """Return an assignment, or the seconds until there may be one. Raises StoreError."""
        self._advance(now)
        if self._busy >= self._workers:
            return BUSY_PAUSE
        self._unproven_room.clear()
        for _ in range(len(self._ready)):
            queue = self._ready[0]
            admitted = self._admits(queue, now)
            wait = self._delay(queue, now) if admitted else 0.0
            self._ready.popleft()  # not before: a queue keeps its turn where the store raises
            if wait > 0:
                self._sleep(queue, now + wait)
                continue
            self._ready.append(queue)
            if admitted:
                return self._assign(queue, now)
        soonest = self._asleep[0][0] - now if self._asleep else CHECK_EVERY
        return min(max(soonest, 0.0), BUSY_PAUSE if self._ready else CHECK_EVERY)

    def clock_was_set(self, seconds: float) -> None:
        """Move all pauses with the clock: they last as long as they were to."""
        for queue in self._queues.values():
            if queue.receiver.held_at:
                queue.receiver = shifted(queue.receiver, seconds)
        self._wake_all()
        self._now += seconds
        self._next_check += seconds

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
            failed = sum(1 for decision in decisions if decision.result.state is DeliveryState.PENDING)
            self._adjust(assignment, failed, now)
        if receiver.failures > before.failures or before.parked:
            queue.prefetched.clear()
        shifts = [(receiver.webhook, now - before.since)] if before.parked and not receiver.parked else []
        revived = [seq for decision in decisions for seq in decision.revived]
        return QueueChanges(decisions, receiver if receiver != before else None, shifts, revived)

    def release(self, assignment: Assignment) -> None:
        """Release the deliveries: their results are in the store."""
        in_flight = assignment.queue.in_flight
        in_flight.difference_update(delivery.seq for delivery in assignment.deliveries)
        self._busy -= len(assignment.deliveries)
        if not in_flight:
            del self._in_flight[assignment.route.webhook]

    def _advance(self, now: float) -> None:
        """Wake the queues whose sleep is over, and check the store for pending deliveries."""
        if now < self._now:  # the clock was set back: queues would sleep for too long
            self._wake_all()
            self._next_check = now
        self._now = now
        if now >= self._next_check:
            self._next_check = now + CHECK_EVERY
            self.notify(self._store.pending_counts())
        while self._asleep and self._asleep[0][0] <= now:
            until, _, queue = heapq.heappop(self._asleep)
            if queue.sleeps_until == until and queue is self._queues.get(queue.route.webhook):
                self._wake(queue)

    def _decide(
        self, assignment: Assignment, queue: Queue, outcome: Outcome, delivery: Delivery, now: float
    ) -> Decision:
        before = queue.receiver
        made = decide(outcome, delivery, before, self._policy, now=now, staleness=_staleness(assignment, queue))
        if _behaviour(made.receiver) != _behaviour(before):
            queue.receiver_version += 1
        queue.receiver = made.receiver
        return made

    def _adjust(self, assignment: Assignment, failed: int, now: float) -> None:
        """Set how many deliveries go at once, by how long the last ones took."""
        queue, many = assignment.queue, len(assignment.deliveries) > 1
        quick = 0 < (now - assignment.started) / len(assignment.deliveries) < SLOW
        if failed or now - assignment.started < SLOW:
            queue.worker_limit = max(queue.worker_limit - 1, 1)
        if many and (failed > 1 or now - assignment.started >= STALLED):
            queue.single_until = now + SINGLE_FOR
        may_batch = quick and queue.receiver.proven and not remaining(queue.single_until, SINGLE_FOR, now)
        queue.batch_size = min(queue.batch_size * 2, MAX_BATCH) if may_batch else 1

    def _queue(self, route: Route, receiver: ReceiverState) -> Queue:
        before = self._queues.get(route.webhook)
        rate = rate_of(route.config, self._rates[route.consumer.name])
        if before is None:
            in_flight = self._in_flight.get(route.webhook, set())
            return Queue(route, receiver, TokenBucket(rate), in_flight=in_flight)
        if before.bucket.rate != rate:
            before.bucket = TokenBucket(rate)
        if before.receiver != receiver:
            before.settings_version += 1
            before.prefetched.clear()
            before.worker_limit = before.batch_size = 1
        before.route, before.receiver, before.empty = route, receiver, False
        return before

    def _admits(self, queue: Queue, now: float) -> bool:
        held = len(queue.in_flight)
        if not held:
            return queue.receiver.proven or self._may_try_unproven(queue)
        if not queue.receiver.proven or self._workers - self._busy <= self._workers // 4:
            return False
        if held >= queue.worker_limit and now - queue.started >= SLOW:
            queue.worker_limit = held + 1
        return held < min(queue.worker_limit, self._share())

    def _share(self) -> int:
        return min(self._max_workers, max((self._workers - self._workers // 4) // max(len(self._in_flight), 1), 1))

    def _may_try_unproven(self, queue: Queue) -> bool:
        failed = is_failing(queue.receiver)
        if failed not in self._unproven_room:
            most = max(self._workers // 2, 1) if failed else self._workers - self._workers // 4
            self._unproven_room[failed] = self._unproven_workers(failed=failed) < most
        return self._unproven_room[failed]

    def _unproven_workers(self, *, failed: bool) -> int:
        """Return the workers that unproven queues hold; with `failed` only those of failing ones."""
        queues = {name: self._queues[name].receiver for name in self._in_flight if name in self._queues}
        unproven = {name: receiver for name, receiver in queues.items() if not receiver.proven}
        return sum(
            len(self._in_flight[name]) for name, receiver in unproven.items() if is_failing(receiver) or not failed
        )

    def _delay(self, queue: Queue, now: float) -> float:
        """Return the seconds until the queue's next delivery can go; 0.0 for now, with a token taken."""
        if remaining(queue.receiver.held_until, self._policy.furthest, now):
            queue.receiver = within_clock(queue.receiver, now)
        if held := remaining(queue.receiver.held_until, self._policy.furthest, now):
            return held
        if queue.prefetched:
            self._discard_stale()
        if not queue.prefetched and (pause := self._fill(queue, now)):
            return pause
        return queue.bucket.take(now)

    def _discard_stale(self) -> None:
        """Discard all that was read ahead where another process has changed the store since."""
        version = self._store.version()
        if version != self._version:
            self._version = version
            for queue in self._queues.values():
                queue.prefetched.clear()

    def _fill(self, queue: Queue, now: float) -> float:
        """Read due deliveries from the store; return the seconds until the next read where there are none."""
        if remaining(queue.receiver.retry_until, self._policy.furthest, now):
            queue.receiver = within_clock(queue.receiver, now)
        name, pause = queue.route.webhook, remaining(queue.receiver.retry_until, self._policy.furthest, now)
        longest = self._policy.longest
        deliveries = self._store.due(
            name, now=now, limit=PREFETCH, skip=queue.in_flight, retries=not pause, longest=longest
        )
        queue.prefetched.extend(deliveries)
        queue.empty = not deliveries
        if deliveries:
            return 0.0
        due = self._store.next_due(name)
        if due is None:
            return _UNTIL_NOTIFIED
        return min(max(due - now, pause, 0.0) or CHECK_EVERY, CHECK_EVERY)

    def _assign(self, queue: Queue, now: float) -> Assignment:
        most = min(queue.batch_size, self._workers // 2 - self._busy, self._share() - len(queue.in_flight))
        deliveries = [queue.prefetched.pop(0)]
        while len(deliveries) < most and queue.prefetched and not queue.bucket.take(now):
            deliveries.append(queue.prefetched.pop(0))
        queue.in_flight.update(delivery.seq for delivery in deliveries)
        self._in_flight[queue.route.webhook] = queue.in_flight
        self._busy += len(deliveries)
        queue.started = now
        return Assignment(queue, queue.route, deliveries, now, queue.settings_version, queue.receiver_version)

    def _sleep(self, queue: Queue, until: float) -> None:
        queue.sleeps_until = until
        if until < _UNTIL_NOTIFIED:
            heapq.heappush(self._asleep, (until, id(queue), queue))

    def _wake_all(self) -> None:
        for queue in self._queues.values():
            queue.sleeps_until = 0.0
        self._ready, self._asleep = deque(self._queues.values()), []

    def _wake(self, queue: Queue) -> None:
        queue.sleeps_until = 0.0
        self._ready.append(queue)


def _under_settings(receiver: ReceiverState, route: Route | None) -> ReceiverState:
    """Return the state under the settings that hold from now on; no longer served counts as changed."""
    return (
        with_settings(receiver, route.settings_digest, route.endpoint_digest)
        if route
        else with_settings(receiver, "", receiver.endpoint_digest)
    )


def _staleness(assignment: Assignment, queue: Queue) -> Staleness:
    if queue is not assignment.queue or queue.settings_version != assignment.settings_version:
        same = queue.route.endpoint_digest == assignment.route.endpoint_digest
        return Staleness.SETTINGS if same else Staleness.ENDPOINT
    return Staleness.NOTHING if queue.receiver_version == assignment.receiver_version else Staleness.RECEIVER


def _behaviour(receiver: ReceiverState) -> tuple[object, ...]:
    return receiver.proven, receiver.parked, receiver.held_until
