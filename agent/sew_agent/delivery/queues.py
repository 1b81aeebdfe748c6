"""Which delivery goes next: one lane for each webhook, kept apart from the others. Not thread-safe, no clock, no I/O
but the store's."""

import heapq
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from kubectl_sew.consumers.base import Outcome
from kubectl_sew.consumers.rate import rate_of
from sew_agent.delivery.attempt import Route
from sew_agent.delivery.http.pool import STALLED
from sew_agent.delivery.rate_limit import Bucket
from sew_agent.delivery.retry import Decision, Policy, Since, changed, decide, failing, left, on_the_clock
from sew_agent.store.records import Delivery, Lane, State, Store

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
_MOST = 16
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
    settings: int = 0
    """Rises when its settings change."""
    news: int = 0
    """Rises when the receiver shows something else than before."""
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
    """Deliveries for a worker, with what was known when they began. Each counts as a worker's."""

    running: Running
    route: Route
    deliveries: Sequence[Delivery]
    started: float
    settings: int
    news: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a job's outcomes change, to be written together. `lane`: None where the store knows it as it is."""

    decisions: Sequence[Decision]
    lane: Lane | None
    shifts: Sequence[tuple[str, float]]
    revived: Sequence[int]


class Lanes:
    """All lanes, in turns.

    A lane that is not proven has at most one worker, all failing ones together at most half of them. A proven one has
    an even part of three quarters, and never more than some sixteen (an eighth of many): whoever holds workers for
    long, failing or not, takes no other's share. There are never more deliveries in flight than workers, and of those
    that go together never more than half as many.
    """

    def __init__(self, store: Store, rates: Mapping[str, float], workers: int, policy: Policy) -> None:
        """`rates`: consumer -> requests a second for each of its webhooks, unless its own is lower."""
        self._store = store
        self._rates = rates
        self._workers = workers
        self._policy = policy
        self._most = max(min(_MOST, workers - workers // 4), workers // 8)
        self._lanes: dict[str, Running] = {}
        self._ready: deque[Running] = deque()
        self._asleep: list[tuple[float, int, Running]] = []
        self._flying: dict[str, set[int]] = {}
        """Webhook -> its deliveries that are with a worker, where there are any."""
        self._busy = 0
        self._chances: dict[bool, bool] = {}
        """Whether there is a worker for one more lane that fails, or that is not proven: counted once at each look."""
        self._version = store.version()
        self._now = 0.0
        self._next_look = 0.0

    @property
    def busy(self) -> int:
        """Deliveries that are with a worker now."""
        return self._busy

    @property
    def all(self) -> Mapping[str, Lane]:
        """By webhook."""
        return {name: each.lane for name, each in self._lanes.items()}

    def serve(self, routes: Mapping[str, Route], now: float) -> None:
        """From now on these and no others. Raises StoreError, and nothing is changed then."""
        kept = self._store.lanes()
        before = {
            name: self._lanes[name].lane if name in self._lanes else kept.get(name) or Lane(name)
            for name in routes.keys() | self._lanes.keys()
        }
        after = {name: _served(lane, routes.get(name)) for name, lane in before.items()}
        shifts = [(name, now - lane.since) for name, lane in before.items() if lane.parked and not after[name].parked]
        self._store.settle((), [lane for name, lane in after.items() if lane != kept.get(name)], shifts)
        for name in self._lanes.keys() - routes.keys():
            self._lanes[name].lane = after[name]
        self._lanes = {name: self._running(route, after[name]) for name, route in routes.items()}
        self._wake_all()

    def look(self, webhooks: Collection[str]) -> None:
        """Something of these webhooks may be due: look into the store at their next turn."""
        for name in webhooks:
            running = self._lanes.get(name)
            if running is None:
                continue
            if running.ahead and running.ahead[0].attempts:
                running.ahead.clear()  # what was never tried goes first
            if running.empty:
                running.empty = False
                if running.sleeps_until:
                    self._wake(running)

    def next(self, now: float) -> Job | float:
        """A job, or the seconds until there may be one. Raises StoreError."""
        self._keep_up(now)
        if self._busy >= self._workers:
            return BUSY_PAUSE
        self._chances.clear()
        for _ in range(len(self._ready)):
            running = self._ready[0]
            admitted = self._admits(running, now)
            wait = self._wait(running, now) if admitted else 0.0
            self._ready.popleft()  # not before: one that the store has no answer for keeps its turn
            if wait > 0:
                self._sleep(running, now + wait)
                continue
            self._ready.append(running)
            if admitted:
                return self._start(running, now)
        soonest = self._asleep[0][0] - now if self._asleep else LOOK_AGAIN
        return min(max(soonest, 0.0), BUSY_PAUSE if self._ready else LOOK_AGAIN)

    def judge(self, job: Job, outcomes: Sequence[Outcome], now: float) -> Judgement:
        """What the outcomes mean, one after the other: what failed beside others failed with them."""
        running = self._lanes.get(job.route.webhook, job.running)
        before = running.lane
        decisions = [
            self._decide(job, running, outcome, delivery, now)
            for delivery, outcome in zip(job.deliveries, outcomes, strict=True)
        ]
        lane = running.lane
        if running is job.running:
            failed = sum(1 for each in decisions if each.settlement.state is State.PENDING)
            self._pace(job, failed, now)
        if lane.failures > before.failures or before.parked:
            running.ahead.clear()
        shifts = [(lane.webhook, now - before.since)] if before.parked and not lane.parked else []
        revived = [seq for each in decisions for seq in each.revived]
        return Judgement(decisions, lane if lane != before else None, shifts, revived)

    def end(self, job: Job) -> None:
        """The deliveries' results are in the store."""
        flying = job.running.in_flight
        flying.difference_update(each.seq for each in job.deliveries)
        self._busy -= len(job.deliveries)
        if not flying:
            self._flying.pop(job.route.webhook, None)

    def _keep_up(self, now: float) -> None:
        """With the clock: wake whoever has slept enough, and look at whom something waits for."""
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

    def _decide(self, job: Job, running: Running, outcome: Outcome, delivery: Delivery, now: float) -> Decision:
        before = running.lane
        made = decide(outcome, delivery, before, self._policy, now=now, since=_since(job, running))
        if _shown(made.lane) != _shown(before):
            running.news += 1
        running.lane = made.lane
        return made

    def _pace(self, job: Job, failed: int, now: float) -> None:
        """How many at once, by how long they took."""
        running, many = job.running, len(job.deliveries) > 1
        quick = 0 < (now - job.started) / len(job.deliveries) < SLOW
        if failed or now - job.started < SLOW:
            running.window = max(running.window - 1, 1)
        if many and (failed > 1 or now - job.started >= STALLED):
            running.apart_until = now + APART
        together = quick and running.lane.proven and not left(running.apart_until, APART, now)
        running.together = min(running.together * 2, TOGETHER) if together else 1

    def _running(self, route: Route, lane: Lane) -> Running:
        before = self._lanes.get(route.webhook)
        rate = rate_of(route.config, self._rates[route.consumer.name])
        if before is None:
            flying = self._flying.get(route.webhook, set())
            return Running(route, lane, Bucket(rate), in_flight=flying)
        if before.bucket.rate != rate:
            before.bucket = Bucket(rate)
        if before.lane != lane:
            before.settings += 1
            before.ahead.clear()
            before.window = before.together = 1
        before.route, before.lane, before.empty = route, lane, False
        return before

    def _admits(self, running: Running, now: float) -> bool:
        held = len(running.in_flight)
        if not held:
            return running.lane.proven or self._gives_a_chance(running)
        if not running.lane.proven or self._workers - self._busy <= self._workers // 4:
            return False
        if held >= running.window and now - running.started >= SLOW:
            running.window = held + 1
        return held < min(running.window, self._share())

    def _share(self) -> int:
        return min(self._most, max((self._workers - self._workers // 4) // max(len(self._flying), 1), 1))

    def _gives_a_chance(self, running: Running) -> bool:
        failed = failing(running.lane)
        if failed not in self._chances:
            most = max(self._workers // 2, 1) if failed else self._workers - self._workers // 4
            self._chances[failed] = self._held_by(failed=failed) < most
        return self._chances[failed]

    def _held_by(self, *, failed: bool) -> int:
        """Workers that lanes hold which are not proven, or of them those that failed."""
        lanes = {name: self._lanes[name].lane for name in self._flying if name in self._lanes}
        unproven = {name: lane for name, lane in lanes.items() if not lane.proven}
        return sum(len(self._flying[name]) for name, lane in unproven.items() if failing(lane) or not failed)

    def _wait(self, running: Running, now: float) -> float:
        """Seconds until the lane's next delivery can go; 0.0 now, with a token taken."""
        if left(running.lane.held_until, self._policy.furthest, now):
            running.lane = on_the_clock(running.lane, now)
        if held := left(running.lane.held_until, self._policy.furthest, now):
            return held
        if running.ahead:
            self._heed_others()
        if not running.ahead and (pause := self._fill(running, now)):
            return pause
        return running.bucket.take(now)

    def _heed_others(self) -> None:
        """Give up all that was taken ahead before another process changed the store: it may be there no more."""
        version = self._store.version()
        if version != self._version:
            self._version = version
            for running in self._lanes.values():
                running.ahead.clear()

    def _fill(self, running: Running, now: float) -> float:
        """Take what is due from the store; the seconds until the next look where that is nothing."""
        if left(running.lane.retry_until, self._policy.furthest, now):
            running.lane = on_the_clock(running.lane, now)
        name, pause = running.route.webhook, left(running.lane.retry_until, self._policy.furthest, now)
        longest = self._policy.longest
        found = self._store.due(name, now=now, limit=AHEAD, skip=running.in_flight, retries=not pause, longest=longest)
        running.ahead.extend(found)
        running.empty = not found
        if found:
            return 0.0
        due = self._store.next_due(name)
        if due is None:
            return _UNTIL_LOOK
        return min(max(due - now, pause, 0.0) or LOOK_AGAIN, LOOK_AGAIN)

    def _start(self, running: Running, now: float) -> Job:
        most = min(running.together, self._workers // 2 - self._busy, self._share() - len(running.in_flight))
        deliveries = [running.ahead.pop(0)]
        while len(deliveries) < most and running.ahead and not running.bucket.take(now):
            deliveries.append(running.ahead.pop(0))
        running.in_flight.update(each.seq for each in deliveries)
        self._flying[running.route.webhook] = running.in_flight
        self._busy += len(deliveries)
        running.started = now
        return Job(running, running.route, deliveries, now, running.settings, running.news)

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


def _served(lane: Lane, route: Route | None) -> Lane:
    """The lane with the settings that hold from now on; those of one that is no longer served count as changed."""
    return (
        changed(lane, route.settings_digest, route.endpoint_digest)
        if route
        else changed(lane, "", lane.endpoint_digest)
    )


def _since(job: Job, running: Running) -> Since:
    if running is not job.running or running.settings != job.settings:
        same = running.route.endpoint_digest == job.route.endpoint_digest
        return Since.SETTINGS if same else Since.ENDPOINT
    return Since.NOTHING if running.news == job.news else Since.NEWS


def _shown(lane: Lane) -> tuple[object, ...]:
    return lane.proven, lane.parked, lane.held_until
