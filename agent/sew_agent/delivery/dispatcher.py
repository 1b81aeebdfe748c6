"""Workers that deliver what is due. A worker's result is on disk before it takes anything else."""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from kubectl_sew.consumers.base import Outcome
from sew_agent.base.threads import NoThreadError, start_thread
from sew_agent.delivery.attempt import Route, Send, attempt
from sew_agent.delivery.queues import Assignment, QueueChanges, Queues
from sew_agent.delivery.retry import Decision
from sew_agent.store.records import Delivery, ReceiverState, Store, StoreError

_SET = 1.0
"""Seconds by which two clocks part when one of them is set: less is what a service that keeps it right corrects."""
_STORE_PAUSE = 1.0
_IDLE_PAUSE = 10.0
_HELD_PAUSE = 0.2


class DeliveryObserver(Protocol):
    """Is told what happened; called from the workers' threads."""

    def ended(self, route: Route, delivery: Delivery, outcome: Outcome, decision: Decision, seconds: float) -> None:
        """An attempt that took so many seconds with those beside it, and what it changed; in the store already."""

    def failed(self, error: StoreError) -> None:
        """The store cannot be used now; what was to be written is tried again."""


@dataclass(slots=True)
class _Result:
    """Written by whichever worker comes first, with all that wait."""

    changes: QueueChanges
    written: bool = field(default=False)


class Dispatcher:
    """`clock` gives seconds since the epoch, `steady` seconds of a clock that nobody sets."""

    def __init__(
        self,
        store: Store,
        queues: Queues,
        send: Send,
        observer: DeliveryObserver,
        clock: Callable[[], float],
        steady: Callable[[], float],
    ) -> None:
        self._store = store
        self._queues = queues
        self._send = send
        self._observer = observer
        self._clock = clock
        self._steady = steady
        self._apart = clock() - steady()
        lock = threading.Lock()
        self._watch, self._rest = threading.Condition(lock), threading.Condition(lock)
        self._lock = lock
        self._commit = threading.Lock()
        self._results: deque[_Result] = deque()
        self._may_send: Callable[[], bool] = lambda: True
        self._stopping = False
        self._watched = False
        """A worker watches the time for all that are idle."""
        self._stirred = False
        """There may be something to do since a worker looked last."""
        self._resting = 0
        self._beats: list[Callable[[], None]] = []
        """Of workers that are not needed yet."""
        self._pause, self._over = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def busy(self) -> int:
        """Deliveries that are with a worker now."""
        return self._queues.busy

    def receivers(self) -> Mapping[str, ReceiverState]:
        """Of every webhook that is served, as it is now."""
        with self._lock:
            return self._queues.all

    def serve(self, routes: Mapping[str, Route]) -> None:
        """From now on deliver for these webhooks and no others. Raises StoreError."""
        with self._lock:
            with self._commit:  # what was judged by the old settings is not written over the new ones
                self._write_all()
            self._queues.serve(routes, self._now())
            self._call()

    def look(self, webhooks: Collection[str]) -> None:
        """Something new is in the store for these webhooks."""
        with self._lock:
            self._queues.look(webhooks)
            self._call()

    def start(self, beats: Sequence[Callable[[], None]], may_send: Callable[[], bool] = lambda: True) -> None:
        """Begin to deliver, with a worker for each of `beats` at most, as they are needed: its sign of life, between
        deliveries and when idle. Nothing is begun while `may_send` says no."""
        self._may_send = may_send
        self._beats = list(reversed(beats))
        with self._lock:
            self._hire()

    def stop(self, grace: float) -> bool:
        """Take nothing new, and finish what is in flight within `grace` seconds; whether all of it did.

        What ends later is written if the store takes it at once, and else not at all: it is sent again.
        """
        with self._lock:
            self._stopping = True
            self._pause.set()
            self._watch.notify_all()
            self._rest.notify_all()
        ends = time.monotonic() + grace
        for thread in self._threads:
            thread.join(max(ends - time.monotonic(), 0.0))
        self._over.set()
        return not any(thread.is_alive() for thread in self._threads)

    def step(self) -> float:
        """Deliver what is due and goes together; seconds until there may be more. What a worker does over and over."""
        found = self.take()
        if isinstance(found, float):
            return found
        self.deliver(found)
        return 0.0

    def take(self) -> Assignment | float:
        """What is due and goes together, to be delivered now, or the seconds until there may be something."""
        if not self._may_send():
            return _HELD_PAUSE
        with self._lock:
            if self._stopping:
                return _IDLE_PAUSE
            self._stirred = False
            found = self._queues.next(self._now())
            if isinstance(found, Assignment) and not self._watched:
                if self._resting:
                    self._rest.notify()
                else:
                    with suppress(NoThreadError):  # those that are there go on
                        self._hire()
        return found

    def deliver(self, assignment: Assignment) -> None:
        """Send it, write what came of it, and tell."""
        try:
            if assignment.route.finder:
                for delivery in assignment.deliveries:
                    self._store.begin(delivery)
            outcomes = attempt(assignment.route, assignment.deliveries, self._send, now=self._clock())
            decisions = self._judge(assignment, outcomes)
        finally:
            with self._lock:
                self._queues.end(assignment)
        seconds = self._clock() - assignment.started
        for delivery, outcome, decision in zip(assignment.deliveries, outcomes, decisions, strict=True):
            self._observer.ended(assignment.route, delivery, outcome, decision, seconds)

    def _work(self, beat: Callable[[], None]) -> None:
        while not self._stopping:
            beat()
            try:
                pause = self.step()
            except StoreError as error:
                self._observer.failed(error)
                self._pause.wait(_STORE_PAUSE)
                continue
            if pause > 0:
                self._wait(pause)

    def _wait(self, pause: float) -> None:
        """One idle worker watches the time for all: the others sleep until it has found work and calls the next."""
        with self._lock:
            if self._stopping or self._stirred:
                return
            if self._watched:
                self._resting += 1
                self._rest.wait(_IDLE_PAUSE)
                self._resting -= 1
                return
            self._watched = True
            self._watch.wait(pause)
            self._watched = False

    def _call(self) -> None:
        """Wake a worker: the one that watches, or else it would sleep on while others find more than they can do."""
        self._stirred = True
        if self._watched:
            self._watch.notify()
        else:
            self._rest.notify()

    def _now(self) -> float:
        """With the lock. Where the clock was set, pauses move with it: only over a restart it is what they go by."""
        now, steady = self._clock(), self._steady()
        if abs(was_set := now - steady - self._apart) >= _SET:
            self._queues.clock_was_set(was_set)
            self._apart = now - steady
        return now

    def _hire(self) -> None:
        if not self._beats:
            return
        name = f"worker-{len(self._threads)}"
        self._threads.append(start_thread(self._work, name, self._beats[-1]))
        self._beats.pop()

    def _judge(self, assignment: Assignment, outcomes: Sequence[Outcome]) -> Sequence[Decision]:
        with self._lock:
            changes = self._queues.evaluate(assignment, outcomes, self._now())
            result = _Result(changes)
            self._results.append(result)
        self._insist(result)
        return changes.decisions

    def _insist(self, result: _Result) -> None:
        """Until the store takes it: what came of something sent must be kept, and nothing else makes sense here."""
        while True:
            try:
                self._write(result)
                return
            except StoreError as error:
                if self._over.is_set():
                    return
                self._observer.failed(error)
                self._over.wait(_STORE_PAUSE)

    def _write(self, result: _Result) -> None:
        """One transaction for all results that wait for the lock; each worker goes on when its own is written."""
        with self._commit:
            if not result.written:
                self._write_all()

    def _write_all(self) -> None:
        batch = list(self._results)
        if not batch:
            return
        made = [each.changes for each in batch]
        self._store.record_results(
            [decision.result for each in made for decision in each.decisions],
            [each.receiver for each in made if each.receiver],
            [shift for each in made for shift in each.shifts],
            [seq for each in made for seq in each.revived],
        )
        for each in batch:
            each.written = True
            self._results.popleft()
