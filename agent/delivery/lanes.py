"""Which delivery goes next: one lane for each webhook, kept apart from the others. Not thread-safe, no clock, no I/O
but the store's."""

import heapq
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from agent.delivery.attempt import Route
from agent.delivery.kept import STALLED
from agent.delivery.rate_limit import Bucket
from agent.delivery.retry import changed, left
from agent.store.base import Delivery, Lane, Store

SLOW = 0.02
"""Seconds: a receiver that answers faster than this is served fastest by one worker; more would wait for each other."""
TOGETHER = 8
"""Deliveries that one worker sends such a receiver side by side: it works while the worker does, not by turns."""
BUSY_PAUSE = 0.005
"""Seconds between two looks at lanes that have all the workers that they can use."""
APART = 30.0
"""Seconds of one at a time for a receiver that failed or stalled over several: it may not serve as many connections."""
AHEAD = 32
"""Deliveries that a lane takes from the store at once."""
LOOK_AGAIN = 1.0
"""Seconds between two looks at whom something waits for: a person may have replayed something beside this process."""
_UNTIL_LOOK = float("inf")
"""Seconds that a lane sleeps for which nothing is pending."""


@dataclass(slots=True)
class Running:
    """A webhook that is served: what the store remembers of its lane, and what only this process knows."""

    route: Route
    lane: Lane
    bucket: Bucket
    ahead: list[Delivery] = field(default_factory=list)
    in_flight: set[int] = field(default_factory=set)
    empty: bool = False
    """Nothing was due in the store at the last look."""
    sleeps_until: float = 0.0
    window: int = 1
    """Workers that it can use: one more each time that all of them have waited for a slow receiver."""
    together: int = 1
    """Deliveries that one worker takes at once."""
    apart_until: float = 0.0
    """No more than one before."""
    started: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """Deliveries for a worker, with the lane that they belong to. Each counts as a worker's."""

    running: Running
    deliveries: Sequence[Delivery]
    started: float


class Lanes:
    """All lanes, in turns.

    A lane that is not proven has at most one worker, all failing ones together at most half of them: a receiver that
    hangs holds up nobody. Any other leaves a quarter of the workers to those that are proven. There are never more
    deliveries in flight than workers, and of those that go together never more than half as many.
    """

    def __init__(self, store: Store, rates: Mapping[str, float], workers: int, furthest: float) -> None:
        """`rates`: consumer -> requests a second for each of its webhooks. `furthest`: as in a Policy."""
        self._store = store
        self._rates = rates
        self._workers = workers
        self._furthest = furthest
        self._lanes: dict[str, Running] = {}
        self._ready: deque[Running] = deque()
        self._asleep: list[tuple[float, int, Running]] = []
        self._flying: list[Running] = []
        self._now = 0.0
        self._next_look = 0.0

    @property
    def busy(self) -> int:
        """Deliveries that are with a worker now."""
        return len(self._flying)

    @property
    def all(self) -> Mapping[str, Lane]:
        """By webhook."""
        return {name: each.lane for name, each in self._lanes.items()}

    def serve(self, routes: Mapping[str, Route], now: float) -> None:
        """From now on these and no others. Raises StoreError."""
        kept = self._store.lanes()
        gone = {name: self._left(each, now) for name, each in self._lanes.items() if name not in routes}
        lanes = {name: self._running(route, kept.get(name), now) for name, route in routes.items()}
        current = gone | {name: each.lane for name, each in lanes.items()}
        self._store.settle((), [lane for name, lane in current.items() if lane != kept.get(name)])
        self._lanes = lanes
        self._wake_all()

    def look(self, webhooks: Collection[str]) -> None:
        """Something of these webhooks may be due: look into the store at their next turn."""
        for name in webhooks:
            running = self._lanes.get(name)
            if running and running.empty:
                running.empty = False
                if running.sleeps_until:
                    self._wake(running)

    def next(self, now: float) -> Job | float:
        """A job, or the seconds until there may be one. Raises StoreError."""
        if now < self._now:  # the clock was set back: what sleeps would sleep for too long
            self._wake_all()
            self._next_look = now
        self._now = now
        if now >= self._next_look:
            self._next_look = now + LOOK_AGAIN
            self.look(self._store.waiting())
        while self._asleep and self._asleep[0][0] <= now:
            until, _, running = heapq.heappop(self._asleep)
            if running.sleeps_until == until and running is self._lanes.get(running.route.webhook):
                self._wake(running)
        for _ in range(len(self._ready)):
            running = self._ready.popleft()
            admitted = self._admits(running, now)
            wait = self._wait(running, now) if admitted else 0.0
            if wait > 0:
                self._sleep(running, now + wait)
                continue
            self._ready.append(running)
            if admitted:
                return self._start(running, now)
        soonest = self._asleep[0][0] - now if self._asleep else LOOK_AGAIN
        return min(max(soonest, 0.0), BUSY_PAUSE if self._ready else LOOK_AGAIN)

    def judge(self, job: Job, lane: Lane, now: float) -> bool:
        """Keep what the outcomes made of the lane; whether the store must know."""
        running = job.running
        notable = lane != running.lane
        running.lane = lane
        quick = 0 < (now - job.started) / len(job.deliveries) < SLOW
        if lane.failures or now - job.started < SLOW:
            running.window = max(running.window - 1, 1)
        if len(job.deliveries) > 1 and (lane.failures or now - job.started >= STALLED):
            running.apart_until = now + APART
        together = quick and lane.proven and not left(running.apart_until, APART, now)
        running.together = min(running.together * 2, TOGETHER) if together else 1
        if lane.failures:
            running.ahead.clear()
        return notable

    def end(self, job: Job) -> None:
        """The deliveries' results are in the store."""
        for delivery in job.deliveries:
            job.running.in_flight.discard(delivery.seq)
            self._flying.remove(job.running)

    def _running(self, route: Route, kept: Lane | None, now: float) -> Running:
        before = self._lanes.get(route.webhook)
        old = before.lane if before else kept or Lane(route.webhook)
        lane = self._changed(old, route.settings_digest, route.endpoint_digest, now)
        if before is None:
            still = next((each.in_flight for each in self._flying if each.route.webhook == route.webhook), set[int]())
            return Running(route, lane, Bucket(self._rates[route.consumer.name]), in_flight=still)
        before.route, before.lane, before.empty = route, lane, False
        return before

    def _left(self, running: Running, now: float) -> Lane:
        """One that is no longer served: its settings count as changed when it comes back."""
        return self._changed(running.lane, "", running.lane.endpoint_digest, now)

    def _changed(self, old: Lane, settings_digest: str, endpoint_digest: str, now: float) -> Lane:
        """Time parked does not count against the retry horizon."""
        lane = changed(old, settings_digest, endpoint_digest)
        if old.parked and not lane.parked:
            self._store.settle((), (), [(old.webhook, now - old.since)])
        return lane

    def _admits(self, running: Running, now: float) -> bool:
        if len(self._flying) >= self._workers:
            return False
        if not running.in_flight:
            return running.lane.proven or self._gives_a_chance(running)
        if not running.lane.proven or self._workers - len(self._flying) <= self._workers // 4:
            return False
        if len(running.in_flight) >= running.window and now - running.started >= SLOW:
            running.window = len(running.in_flight) + 1
        return len(running.in_flight) < running.window

    def _gives_a_chance(self, running: Running) -> bool:
        if running.lane.failures:
            return sum(1 for each in self._flying if each.lane.failures) < max(self._workers // 2, 1)
        return sum(1 for each in self._flying if not each.lane.proven) < self._workers - self._workers // 4

    def _wait(self, running: Running, now: float) -> float:
        """Seconds until the lane's next delivery can go; 0.0 now, with a token taken."""
        if held := left(running.lane.held_until, self._furthest, now):
            return held
        if not running.ahead and (pause := self._fill(running, now)):
            return pause
        return running.bucket.take(now)

    def _fill(self, running: Running, now: float) -> float:
        """Take what is due from the store; the seconds until the next look where that is nothing."""
        longest = self._furthest
        found = self._store.due(running.route.webhook, now=now, limit=AHEAD, skip=running.in_flight, longest=longest)
        running.ahead.extend(found)
        running.empty = not found
        if found:
            return 0.0
        due = self._store.next_due(running.route.webhook)
        if due is None:
            return _UNTIL_LOOK
        return LOOK_AGAIN if due <= now else min(due - now, LOOK_AGAIN)

    def _start(self, running: Running, now: float) -> Job:
        most = min(running.together, self._workers // 2 - len(self._flying))
        deliveries = [running.ahead.pop(0)]
        while len(deliveries) < most and running.ahead and not running.bucket.take(now):
            deliveries.append(running.ahead.pop(0))
        running.in_flight.update(each.seq for each in deliveries)
        self._flying.extend([running] * len(deliveries))
        running.started = now
        return Job(running, deliveries, now)

    def _sleep(self, running: Running, until: float) -> None:
        running.sleeps_until = until
        if until < _UNTIL_LOOK:
            heapq.heappush(self._asleep, (until, id(running), running))

    def _wake_all(self) -> None:
        for running in self._lanes.values():
            running.sleeps_until = 0.0
        self._ready, self._asleep = deque(self._lanes.values()), []

    def _wake(self, running: Running) -> None:
        running.sleeps_until = 0.0
        self._ready.append(running)
