"""Choice of the next delivery: one queue for each webhook, isolated from the others.

Not thread-safe; no clock, and no I/O but the store's.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Collection, Mapping, Sequence

from kubectl_sew.consumers.base import Outcome
from kubectl_sew.consumers.digest import SendsDigests
from kubectl_sew.consumers.digest_settings import digest_settings
from kubectl_sew.consumers.rate import rate_of
from kubectl_sew.event_maps.readable import EVENT_MAPS, EventMaps
from sew_agent.base.token_bucket import TokenBucket
from sew_agent.delivery.attempt import Route
from sew_agent.delivery.concurrency_limit import ConcurrencyLimit
from sew_agent.delivery.gathered import SCAN_PAUSE, judge, look_ahead, take_next
from sew_agent.delivery.gathering import Gathering
from sew_agent.delivery.in_flight import InFlight
from sew_agent.delivery.pace import Pace
from sew_agent.delivery.queue import Assignment, Queue, QueueChanges, has_its_settings, learn, staleness_of
from sew_agent.delivery.retry import (
    Decision,
    Policy,
    lengthened,
    remaining,
    shifted,
    with_settings,
    within_clock,
)
from sew_agent.store.contract import Store
from sew_agent.store.records import PAGE_BYTES, Delivery, DeliveryResult, DeliveryState, ReceiverState

PREFETCH = 8
"""Deliveries that a queue reads from the store at once, at least; where more are in flight, as many as those."""
READ_AHEAD = PAGE_BYTES
"""Bytes of the payloads that all queues together have read ahead, about: each that has any reads an even part."""
CHECK_EVERY = 1.0
"""Seconds between two checks of the store for pending deliveries: another process may have replayed some."""
SHARED_EVERY = 0.2
"""As CHECK_EVERY, where several agents share the store: one of them reads for all."""
CLOCKS_DIFFER = 0.1
"""Seconds by which a pause that another agent has written is kept for longer: their clocks differ by less."""
_TRIED_ANEW = 32
"""Queues with large events that are read anew once a second, though none has ended: what waits may have changed."""
_UNTIL_NOTIFIED = float("inf")
"""Seconds that a queue sleeps while nothing is pending."""
_RESTS = 4.0
"""Times as long as a page took that was read ahead, its webhook rests, for each one that reads."""
_RESTS_FOR_WORK = 10.0
"""Times as long as an attempt's own work took, such as its template, its webhook rests, for each one that rests so."""


class Queues:
    """Queues of all webhooks, served in turns; how much each may have in flight says `InFlight`."""

    def __init__(
        self, store: Store, rates: Mapping[str, float], most: int, policy: Policy, maps: EventMaps = EVENT_MAPS
    ) -> None:
        """`rates`: consumer -> requests a second for each of its webhooks, unless its own is lower.

        `most`: requests in flight. `maps`: how the events of digests are read.
        """
        self._maps = maps
        self._gatherings: dict[str, Gathering] = {}
        """Webhook with digests -> what gathers its events, also while it is not served and some are in flight."""
        self._store = store
        self._rates = rates
        self._in_flight = InFlight(most)
        self._policy = policy
        self._queues: dict[str, Queue] = {}
        self._ready: deque[Queue] = deque()
        self._asleep: list[tuple[float, int, Queue]] = []
        self._sleeps = itertools.count()
        """Of two that sleep until the same moment, the one that fell asleep first wakes first."""
        self._reader: Queue | None = None
        """Of which a full page was read ahead in this turn."""
        self._crowded: list[Queue] = []
        """Queues whose receivers are not proven, and for which there is no room: the end of another one wakes them."""
        self._large: deque[Queue] = deque()
        """Queues whose next events are large, and wait for room."""
        self._version = store.version()
        self._check_every = SHARED_EVERY if store.sharing() else CHECK_EVERY
        self._now = 0.0
        self._next_check = 0.0
        self._clock_set_at = 0.0
        """Since when the clock is as it is: how long something took that began before is not known."""

    @property
    def busy(self) -> int:
        """Deliveries that are in flight now."""
        return self._in_flight.count

    @property
    def all(self) -> Mapping[str, ReceiverState]:
        """Return the receivers' states by webhook."""
        return {name: queue.receiver for name, queue in self._queues.items()}

    def serve(self, routes: Mapping[str, Route], now: float, moving: Collection[str] = ()) -> None:
        """Serve these webhooks and no others from now on. Raises StoreError, and changes nothing then.

        `moving`: those of the others that another agent will serve, with their receivers as they are.
        """
        kept = self._store.receivers()
        before = {
            name: self._queues[name].receiver if name in self._queues else kept.get(name) or ReceiverState(name)
            for name in routes.keys() | self._queues.keys()
        }
        after = {
            name: receiver if name in moving else _under_settings(receiver, routes.get(name))
            for name, receiver in before.items()
        }
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
        self._queues = {name: self._queue(route, after[name], now) for name, route in routes.items()}
        self._gatherings = {name: one for name, one in self._gatherings.items() if name in routes or one.in_flight}
        self._wake_all()

    def in_flight(self, webhooks: Collection[str]) -> Collection[str]:
        """Return those of the webhooks that have requests in flight, or results that are not in the store."""
        return self._in_flight.among(webhooks)

    def notify(self, webhooks: Collection[str]) -> None:
        """Read the store at these webhooks' next turn: something of theirs may be due."""
        for name in webhooks:
            queue = self._queues.get(name)
            if queue is None:
                continue
            if queue.prefetched and self._yields(queue.prefetched[0]):
                queue.prefetched.clear()
            if queue.empty:
                queue.empty = False
                if queue.sleeps_until:
                    self._wake(queue)

    def discard_stale(self) -> None:
        """Discard all that was read ahead where another process has changed the store since. Raises StoreError."""
        version = self._store.version()
        if version != self._version:
            self._version = version
            for queue in self._queues.values():
                queue.prefetched.clear()
                if queue.gathering:
                    queue.gathering.reset()
                    self.notify({queue.route.webhook})

    def next(self, now: float) -> Assignment | float:
        """Return an assignment, or the seconds until there may be one if none ends before. Raises StoreError."""
        self._advance(now)
        self._reader = None
        while self._ready and not self._in_flight.is_full:
            queue = self._ready[0]
            if not self._in_flight.admits(queue, self._queues):
                self._ready.popleft()
                self._set_aside(queue)
                continue
            wait = 0.0 if self._lacks_room(queue) else self._delay(queue, now)
            self._ready.popleft()  # not before: a queue keeps its turn where the store raises
            if wait > 0:
                self._sleep(queue, now + wait)
                continue
            if self._lacks_room(queue):
                self._wait_for_room(queue)
                continue
            queue.bucket.take(now)
            self._ready.append(queue)
            if assignment := self._assign(queue, now):
                return assignment
        soonest = self._asleep[0][0] - now if self._asleep else self._check_every
        return min(max(soonest, 0.0), self._check_every)

    def may_go_on(self, assignment: Assignment, now: float) -> bool:
        """Return whether an assignment may make a request: its settings still hold, and its receiver may be asked.

        Another one's answer may have come since it was assigned, or since it searched its receiver.
        """
        queue = self._queues.get(assignment.route.webhook)
        if not has_its_settings(assignment, queue):
            return False
        return not remaining(assignment.queue.receiver.held_until, self._policy.furthest, now)

    def gather_no_longer(self) -> None:
        """Let digests wait for nothing more: no event follows in this run."""
        for queue in self._queues.values():
            if queue.gathering:
                queue.gathering.wait_no_longer()
                if queue.sleeps_until:
                    self._wake(queue)

    def clock_was_set(self, seconds: float) -> None:
        """Move all pauses with the clock: they last as long as they were to."""
        for queue in self._queues.values():
            queue.rests_until += seconds
            queue.pace.shift(seconds)
            queue.limit.shift(seconds)
            queue.route.peers.shift(seconds)
            if queue.gathering:
                queue.gathering.shift(seconds)
            if queue.receiver.held_at:
                queue.receiver = shifted(queue.receiver, seconds)
        self._wake_all()
        self._now += seconds
        self._next_check += seconds
        self._clock_set_at = self._now

    def evaluate(self, assignment: Assignment, outcome: Outcome, now: float) -> QueueChanges:
        """Return the changes by an assignment's outcome."""
        queue = self._queues.get(assignment.route.webhook, assignment.queue)
        before = queue.receiver
        decision, results = self._decide(assignment, queue, outcome, now)
        receiver = queue.receiver
        if queue is assignment.queue and assignment.started >= self._clock_set_at:
            learn(assignment, outcome, now)
        if receiver.failures > before.failures or before.parked:
            queue.prefetched.clear()
        shifts = [(receiver.webhook, now - before.since)] if before.parked and not receiver.parked else []
        if queue.gathering and queue.gathering is assignment.gathering:
            pending = [result.delivery.seq for result in results if result.state is DeliveryState.PENDING]
            queue.gathering.read_again([*pending, *decision.revived])
        changed = receiver is not before and receiver != before
        return QueueChanges(decision, receiver if changed else None, shifts, results)

    def rest(self, assignment: Assignment, now: float, seconds: float) -> None:
        """Let an assignment's webhook rest for its own work, so that all that cost much have little of the time.

        `seconds`: of the processor, for the work.
        """
        resting = sum(queue.rests_until > now for queue in self._queues.values() if queue is not assignment.queue)
        assignment.queue.rests_until = now + _RESTS_FOR_WORK * seconds * (resting + 1)

    def rest_reader(self, now: float, seconds: float) -> None:
        """Let the webhook of which a full page was read rest for it, so that all who read have little of the time.

        `seconds`: of the processor, for the page.
        """
        if self._reader:
            reading = sum(queue.reads_ahead for queue in self._queues.values())
            self._reader.rests_until, self._reader = now + _RESTS * seconds * max(reading, 1), None

    def let_go(self, assignment: Assignment) -> None:
        """Release a delivery that was not sent."""
        if assignment.gathering:
            assignment.gathering.read_again([one.seq for one in assignment.deliveries])
        self.release(assignment)

    def release(self, assignment: Assignment) -> None:
        """Release a delivery: its result is in the store."""
        name = assignment.route.webhook
        self._in_flight.remove(assignment)
        queue = self._queues.get(name)
        if assignment.gathering and assignment.message:
            assignment.gathering.end(assignment.message, [one.seq for one in assignment.deliveries], self._now)
        if queue and queue.gathering and queue.gathering is not assignment.gathering:
            queue.gathering.reset()  # it has passed over what was in flight
            self.notify({name})
        if queue and (queue.rests or (assignment.gathering and queue.sleeps_until)):  # its group may go on
            self._wake(queue)
        if not (assignment.proven and queue and queue.receiver.proven):  # it may have failed since its start
            self._ready.extend(self._crowded)
            self._crowded.clear()
        if self._large and self._in_flight.is_large(assignment.size):
            self._ready.append(self._large.popleft())

    def _yields(self, delivery: Delivery) -> bool:
        """Return whether a delivery lets new ones go first: a retry, unless it is due for long."""
        return delivery.attempts > 0 and delivery.due > self._now - self._policy.longest

    def _advance(self, now: float) -> None:
        """Wake the queues whose sleep is over, and check the store for pending deliveries."""
        if now < self._now:  # the clock was set back: queues would sleep for too long
            self._wake_all()
            self._next_check = now
        self._now = now
        if now >= self._next_check:
            self._next_check = now + self._check_every
            self.notify(self._store.pending_counts())
            for _ in range(min(len(self._large), _TRIED_ANEW)):
                self._large[0].size = 0
                self._ready.append(self._large.popleft())
        while self._asleep and self._asleep[0][0] <= now:
            until, _, queue = heapq.heappop(self._asleep)
            if queue.sleeps_until == until and queue is self._queues.get(queue.route.webhook):
                self._wake(queue)

    def _decide(
        self, assignment: Assignment, queue: Queue, outcome: Outcome, now: float
    ) -> tuple[Decision, Sequence[DeliveryResult]]:
        before = queue.receiver
        made, results = judge(assignment, before, outcome, self._policy, now, staleness_of(assignment, queue))
        if _behaviour(made.receiver) != _behaviour(before):
            queue.receiver_version += 1
        queue.receiver = made.receiver
        return made, results

    def _queue(self, route: Route, receiver: ReceiverState, now: float) -> Queue:
        before = self._queues.get(route.webhook)
        rate = rate_of(route.config, self._rates[route.consumer.name])
        if before is None:
            bucket = TokenBucket(rate)
            if self._store.sharing():
                bucket.at = now  # without a token: another agent may have taken all of them just now
                receiver = lengthened(receiver, CLOCKS_DIFFER) if receiver.held_at else receiver
            made = Queue(route, receiver, bucket, in_flight=self._in_flight.of(route.webhook))
            made.gathering = self._gathering(route, None)
            return made
        if before.bucket.rate != rate:
            before.bucket = TokenBucket(rate)
        if before.receiver != receiver:
            before.settings_version += 1
            before.prefetched.clear()
            before.limit, before.pace, before.rests_until = ConcurrencyLimit(), Pace(), 0.0
        before.route, before.receiver, before.empty = route, receiver, False
        before.gathering = self._gathering(route, before.gathering)
        if before.gathering:
            before.prefetched.clear()
        return before

    def _gathering(self, route: Route, before: Gathering | None) -> Gathering | None:
        """Return what gathers a webhook's events; `before` where its settings are the same.

        So it is for one that was not served for a moment, while something of it is in flight: its groups wait for that.
        """
        asked = digest_settings(route.config) if isinstance(route.consumer, SendsDigests) else None
        if asked is None or (before and before.settings == asked):
            return before if asked else None
        last = self._gatherings.get(route.webhook)
        if last and last.in_flight and last.settings == asked:
            last.reset()
            return last
        made = self._gatherings[route.webhook] = Gathering(asked, self._maps, last.in_flight if last else set())
        return made

    def _set_aside(self, queue: Queue) -> None:
        """Set a queue aside until the end of one of its requests, or of another unproven one, makes room."""
        if queue.in_flight:
            queue.rests = True
        else:
            self._crowded.append(queue)

    def _lacks_room(self, queue: Queue) -> bool:
        """Return whether the queue's next event is a large one for which there is no room now; digests are small."""
        if queue.gathering:
            return False
        size = queue.prefetched[0].size if queue.prefetched else queue.size
        return self._in_flight.is_large(size) and not self._in_flight.admits_large(queue, self._queues)

    def _wait_for_room(self, queue: Queue) -> None:
        """Set a queue with a large event aside until the end of one of its requests, or of another large one."""
        if queue.prefetched:
            queue.size = queue.prefetched[0].size
        queue.prefetched.clear()  # else what waits would take the memory that there is no room for
        if queue.in_flight:
            queue.rests = True
        else:
            self._large.append(queue)

    def _delay(self, queue: Queue, now: float) -> float:
        """Return the seconds until the queue's next delivery can go."""
        if remaining(queue.receiver.held_until, self._policy.furthest, now):
            queue.receiver = within_clock(queue.receiver, now)
        if held := remaining(queue.receiver.held_until, self._policy.furthest, now):
            return held
        if queue.rests_until > now:
            return queue.rests_until - now
        pause = queue.pace.delay(now) or queue.bucket.delay(now)
        if queue.gathering:
            pause = self._look_ahead(queue, queue.gathering, now) or pause
        elif not pause and not queue.prefetched:  # a page may be one large delivery, which is not kept for later
            pause = self._fill(queue, now)
        return pause

    def _fill(self, queue: Queue, now: float) -> float:
        """Read due deliveries from the store; return the seconds until the next read where there are none."""
        name, pause, longest = queue.route.webhook, self._retry_pause(queue, now), self._policy.longest
        limit = max(PREFETCH, len(queue.in_flight))
        skip = queue.in_flight | (self._gatherings[name].in_flight if name in self._gatherings else set())
        deliveries = self._store.due(
            name, now=now, limit=limit, skip=skip, retries=not pause, longest=longest, most_bytes=self._most_ahead
        )
        queue.prefetched.extend(deliveries)
        queue.empty = not deliveries
        if deliveries:
            return 0.0
        due = self._store.next_due(name)
        if due is None:
            return _UNTIL_NOTIFIED
        return min(max(due - now, pause, 0.0) or CHECK_EVERY, CHECK_EVERY)

    def _retry_pause(self, queue: Queue, now: float) -> float:
        """Return the seconds until what was tried may go again."""
        if remaining(queue.receiver.retry_until, self._policy.furthest, now):
            queue.receiver = within_clock(queue.receiver, now)
        return remaining(queue.receiver.retry_until, self._policy.furthest, now)

    def _look_ahead(self, queue: Queue, gathering: Gathering, now: float) -> float:
        """Return the seconds until something of what is gathered may go."""
        if self._reader:  # what its page takes is measured alone
            return SCAN_PAUSE
        longest, retries, pages = self._policy.longest, not self._retry_pause(queue, now), gathering.pages
        pause = look_ahead(self._store, queue, gathering, now, longest, retries=retries)
        if gathering.pages > pages:
            self._reader = queue
        return _UNTIL_NOTIFIED if pause is None else min(pause, CHECK_EVERY)

    def _assign(self, queue: Queue, now: float) -> Assignment | None:
        """Return what begins now; None where all of it has ended meanwhile."""
        if queue.gathering is None:
            delivery = queue.prefetched.pop(0)
            queue.size = delivery.size
            return self._started(_assignment(queue, delivery, now))
        longest, retries = self._policy.longest, not self._retry_pause(queue, now)
        taken = take_next(self._store, queue, queue.gathering, now, longest, retries=retries)
        if taken is None:
            return None
        lead, message, together = taken
        made = _assignment(queue, lead, now)
        return self._started(made._replace(gathering=queue.gathering, message=message, bundle=together))

    def _started(self, assignment: Assignment) -> Assignment:
        self._in_flight.add(assignment)
        assignment.queue.pace.start(assignment.started)
        return assignment

    @property
    def _most_ahead(self) -> int:
        return READ_AHEAD // max(sum(not queue.empty for queue in self._queues.values()), 1)

    def _sleep(self, queue: Queue, until: float) -> None:
        queue.sleeps_until = until
        if until < _UNTIL_NOTIFIED:
            heapq.heappush(self._asleep, (until, next(self._sleeps), queue))

    def _wake_all(self) -> None:
        for queue in self._queues.values():
            queue.sleeps_until, queue.rests = 0.0, False
        self._ready, self._asleep, self._crowded = deque(self._queues.values()), [], []
        self._large.clear()

    def _wake(self, queue: Queue) -> None:
        queue.sleeps_until, queue.rests = 0.0, False
        self._ready.append(queue)


def _under_settings(receiver: ReceiverState, route: Route | None) -> ReceiverState:
    """Return the state under the settings that hold from now on; no longer served counts as changed."""
    return (
        with_settings(receiver, route.settings_digest, route.endpoint_digest)
        if route
        else with_settings(receiver, "", receiver.endpoint_digest)
    )


def _assignment(queue: Queue, delivery: Delivery, now: float) -> Assignment:
    versions = queue.settings_version, queue.receiver_version
    return Assignment(queue, queue.route, delivery, now, *versions, queue.receiver.proven)


def _behaviour(receiver: ReceiverState) -> tuple[object, ...]:
    return receiver.proven, receiver.parked, receiver.held_until
