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

_CLOCK_STEP = 1.0
"""Seconds of difference from which a clock counts as set: time services correct less than that."""
_STORE_PAUSE = 1.0
_IDLE_PAUSE = 10.0
_STANDBY_PAUSE = 0.2


class DeliveryObserver(Protocol):
    """Observer of attempts; called from the workers' threads."""

    def attempted(self, route: Route, delivery: Delivery, outcome: Outcome, decision: Decision, seconds: float) -> None:
        """Report an attempt whose result is in the store. `seconds` includes the deliveries beside it."""

    def store_failed(self, error: StoreError) -> None:
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
        self._offset = clock() - steady()
        lock = threading.Lock()
        self._timer, self._idle = threading.Condition(lock), threading.Condition(lock)
        self._lock = lock
        self._commit = threading.Lock()
        self._results: deque[_Result] = deque()
        self._may_send: Callable[[], bool] = lambda: True
        self._stopping = False
        self._timer_taken = False
        """True while a worker watches the time for all that are idle."""
        self._notified = False
        """True where something may have become due since the last check."""
        self._idle_workers = 0
        self._heartbeats: list[Callable[[], None]] = []
        """Heartbeats of the workers that are not needed yet."""
        self._stop_requested, self._grace_over = threading.Event(), threading.Event()
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
            self._wake()

    def notify(self, webhooks: Collection[str]) -> None:
        """Wake a worker: the store has new deliveries of these webhooks."""
        with self._lock:
            self._queues.notify(webhooks)
            self._wake()

    def start(self, heartbeats: Sequence[Callable[[], None]], may_send: Callable[[], bool] = lambda: True) -> None:
        """Start to deliver, with at most one worker for each of `heartbeats`, started as needed.

        A worker calls its heartbeat between deliveries and while idle. Nothing is sent while `may_send` returns False.
        """
        self._may_send = may_send
        self._heartbeats = list(reversed(heartbeats))
        with self._lock:
            self._start_worker()

    def stop(self, grace: float) -> bool:
        """Start nothing new, finish what is in flight within `grace` seconds, and return whether all of it ended.

        A later result is written if the store takes it at once. Otherwise the delivery is sent again.
        """
        with self._lock:
            self._stopping = True
            self._stop_requested.set()
            self._timer.notify_all()
            self._idle.notify_all()
        ends = time.monotonic() + grace
        for thread in self._threads:
            thread.join(max(ends - time.monotonic(), 0.0))
        self._grace_over.set()
        return not any(thread.is_alive() for thread in self._threads)

    def step(self) -> float:
        """Deliver the next assignment, as a worker does over and over; return the seconds until there may be more."""
        assignment = self.next_assignment()
        if isinstance(assignment, float):
            return assignment
        self.deliver(assignment)
        return 0.0

    def next_assignment(self) -> Assignment | float:
        """Return the next assignment, or the seconds until there may be one."""
        if not self._may_send():
            return _STANDBY_PAUSE
        with self._lock:
            if self._stopping:
                return _IDLE_PAUSE
            self._notified = False
            assignment = self._queues.next(self._now())
            if isinstance(assignment, Assignment) and not self._timer_taken:
                if self._idle_workers:
                    self._idle.notify()
                else:
                    with suppress(NoThreadError):  # the workers that run go on
                        self._start_worker()
        return assignment

    def deliver(self, assignment: Assignment) -> None:
        """Send an assignment, write its results, and report them."""
        try:
            if assignment.route.finder:
                for delivery in assignment.deliveries:
                    self._store.begin_attempt(delivery)
            outcomes = attempt(assignment.route, assignment.deliveries, self._send, now=self._clock())
            decisions = self._evaluate(assignment, outcomes)
        finally:
            with self._lock:
                self._queues.release(assignment)
        seconds = self._clock() - assignment.started
        for delivery, outcome, decision in zip(assignment.deliveries, outcomes, decisions, strict=True):
            self._observer.attempted(assignment.route, delivery, outcome, decision, seconds)

    def _work(self, beat: Callable[[], None]) -> None:
        while not self._stopping:
            beat()
            try:
                pause = self.step()
            except StoreError as error:
                self._observer.store_failed(error)
                self._stop_requested.wait(_STORE_PAUSE)
                continue
            if pause > 0:
                self._wait(pause)

    def _wait(self, pause: float) -> None:
        """Sleep. One idle worker watches the time for all; when it has an assignment it wakes the next."""
        with self._lock:
            if self._stopping or self._notified:
                return
            if self._timer_taken:
                self._idle_workers += 1
                self._idle.wait(_IDLE_PAUSE)
                self._idle_workers -= 1
                return
            self._timer_taken = True
            self._timer.wait(pause)
            self._timer_taken = False

    def _wake(self) -> None:
        """Wake the worker that watches the time, so that it takes its part; without one any idle worker."""
        self._notified = True
        if self._timer_taken:
            self._timer.notify()
        else:
            self._idle.notify()

    def _now(self) -> float:
        """Return the time, and move all pauses with a clock that was set. The caller holds the lock."""
        now, steady = self._clock(), self._steady()
        if abs(was_set := now - steady - self._offset) >= _CLOCK_STEP:
            self._queues.clock_was_set(was_set)
            self._offset = now - steady
        return now

    def _start_worker(self) -> None:
        if not self._heartbeats:
            return
        name = f"worker-{len(self._threads)}"
        self._threads.append(start_thread(self._work, name, self._heartbeats[-1]))
        self._heartbeats.pop()

    def _evaluate(self, assignment: Assignment, outcomes: Sequence[Outcome]) -> Sequence[Decision]:
        with self._lock:
            changes = self._queues.evaluate(assignment, outcomes, self._now())
            result = _Result(changes)
            self._results.append(result)
        self._store_result(result)
        return changes.decisions

    def _store_result(self, result: _Result) -> None:
        """Write a result until the store takes it: the outcome of a request must not be lost."""
        while True:
            try:
                self._write(result)
                return
            except StoreError as error:
                if self._grace_over.is_set():
                    return
                self._observer.store_failed(error)
                self._grace_over.wait(_STORE_PAUSE)

    def _write(self, result: _Result) -> None:
        """Write all results that wait for the lock in one transaction, unless another worker has done so."""
        with self._commit:
            if not result.written:
                self._write_all()

    def _write_all(self) -> None:
        batch = list(self._results)
        if not batch:
            return
        written = [result.changes for result in batch]
        self._store.record_results(
            [decision.result for changes in written for decision in changes.decisions],
            [changes.receiver for changes in written if changes.receiver],
            [shift for changes in written for shift in changes.shifts],
            [seq for changes in written for seq in changes.revived],
        )
        for result in batch:
            result.written = True
            self._results.popleft()
