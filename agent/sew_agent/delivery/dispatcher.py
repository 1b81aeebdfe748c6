"""Workers that deliver what is due. A worker's results are on disk before it takes more deliveries."""

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
from sew_agent.store.contract import Store
from sew_agent.store.records import Delivery, ReceiverState, StoreError

_SET = 1.0
"""Seconds of difference from which a clock counts as set: time services correct less than that."""
_STORE_PAUSE = 1.0
_IDLE_PAUSE = 10.0
_HELD_PAUSE = 0.2


class DeliveryObserver(Protocol):
    """Observer of attempts; called from the workers' threads."""

    def ended(self, route: Route, delivery: Delivery, outcome: Outcome, decision: Decision, seconds: float) -> None:
        """Report an attempt whose result is in the store. `seconds` includes the deliveries beside it."""

    def failed(self, error: StoreError) -> None:
        """Report that the store cannot be used now; writing is tried again."""


@dataclass(slots=True)
class _Result:
    """Changes of one assignment. The first worker that comes writes all that wait."""

    changes: QueueChanges
    written: bool = field(default=False)


class Dispatcher:
    """Workers over all queues. `clock` gives seconds since the epoch, `steady` seconds of a clock that nobody sets."""

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
        """True while a worker watches the time for all that are idle."""
        self._stirred = False
        """True where something may have become due since the last check."""
        self._resting = 0
        self._beats: list[Callable[[], None]] = []
        """Heartbeats of the workers that are not needed yet."""
        self._pause, self._over = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def busy(self) -> int:
        """Deliveries that are with a worker now."""
        return self._queues.busy

    def receivers(self) -> Mapping[str, ReceiverState]:
        """Return the present state of every served webhook's receiver."""
        with self._lock:
            return self._queues.all

    def serve(self, routes: Mapping[str, Route]) -> None:
        """Deliver for these webhooks and no others from now on. Raises StoreError."""
        with self._lock:
            with self._commit:  # results under the old settings are not written over the new ones
                self._write_all()
            self._queues.serve(routes, self._now())
            self._call()

    def look(self, webhooks: Collection[str]) -> None:
        """Wake a worker: the store has new deliveries of these webhooks."""
        with self._lock:
            self._queues.look(webhooks)
            self._call()

    def start(self, beats: Sequence[Callable[[], None]], may_send: Callable[[], bool] = lambda: True) -> None:
        """Start to deliver, with at most one worker for each of `beats`, started as needed.

        A worker calls its beat between deliveries and while idle. Nothing is sent while `may_send` returns False.
        """
        self._may_send = may_send
        self._beats = list(reversed(beats))
        with self._lock:
            self._hire()

    def stop(self, grace: float) -> bool:
        """Start nothing new, finish what is in flight within `grace` seconds, and return whether all of it ended.

        A later result is written if the store takes it at once. Otherwise the delivery is sent again.
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
        """Deliver the next assignment, as a worker does over and over; return the seconds until there may be more."""
        found = self.take()
        if isinstance(found, float):
            return found
        self.deliver(found)
        return 0.0

    def take(self) -> Assignment | float:
        """Return the next assignment, or the seconds until there may be one."""
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
                    with suppress(NoThreadError):  # the workers that run go on
                        self._hire()
        return found

    def deliver(self, assignment: Assignment) -> None:
        """Send an assignment, write its results, and report them."""
        try:
            if assignment.route.finder:
                for delivery in assignment.deliveries:
                    self._store.begin_attempt(delivery)
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
        """Sleep. One idle worker watches the time for all; when it has an assignment it wakes the next."""
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
        """Wake the worker that watches the time, so that it takes its part; without one any idle worker."""
        self._stirred = True
        if self._watched:
            self._watch.notify()
        else:
            self._rest.notify()

    def _now(self) -> float:
        """Return the time, and move all pauses with a clock that was set. The caller holds the lock."""
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
        """Write a result until the store takes it: the outcome of a request must not be lost."""
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
        """Write all results that wait for the lock in one transaction, unless another worker has done so."""
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
