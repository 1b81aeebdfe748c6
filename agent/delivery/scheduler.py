"""Workers that deliver what is due. A worker's result is on disk before it takes anything else."""

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agent.delivery.attempt import Route, Send, attempt
from agent.delivery.lanes import Job, Lanes
from agent.delivery.retry import Decision, Policy, decide, joint
from agent.store.base import Delivery, Lane, Settlement, Store, StoreError
from kubectl_sew.consumers.base import Outcome

_STORE_PAUSE = 1.0
_IDLE_PAUSE = 10.0


class Observer(Protocol):
    """Is told what happened; called from the workers' threads."""

    def ended(self, route: Route, delivery: Delivery, outcome: Outcome, decision: Decision, seconds: float) -> None:
        """An attempt that took so many seconds with those beside it, and what it changed; in the store already."""

    def failed(self, error: StoreError) -> None:
        """The store cannot be used now; what was to be written is tried again."""


@dataclass(slots=True)
class _Result:
    """Written by whichever worker comes first, with all that wait."""

    settlements: Sequence[Settlement]
    lane: Lane | None
    written: bool = field(default=False)


class Scheduler:
    """`clock` gives seconds since the epoch."""

    def __init__(
        self,
        store: Store,
        lanes: Lanes,
        send: Send,
        policy: Policy,
        observer: Observer,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._send = send
        self._policy = policy
        self._observer = observer
        self._clock = clock
        self._changed = threading.Condition()
        self._commit = threading.Lock()
        self._results: deque[_Result] = deque()
        self._stopping = False
        self._watched = False
        self._pause = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def busy(self) -> int:
        """Deliveries that are with a worker now."""
        return self._lanes.busy

    def lanes(self) -> Mapping[str, Lane]:
        """Of every webhook that is served, as it is now."""
        with self._changed:
            return self._lanes.all

    def serve(self, routes: Mapping[str, Route]) -> None:
        """From now on deliver for these webhooks and no others. Raises StoreError."""
        with self._changed:
            self._lanes.serve(routes, self._clock())
            self._changed.notify_all()

    def look(self, webhooks: Collection[str]) -> None:
        """Something new is in the store for these webhooks."""
        with self._changed:
            self._lanes.look(webhooks)
            self._changed.notify()

    def start(self, beats: Sequence[Callable[[], None]]) -> None:
        """Begin to deliver, with one worker for each of `beats`: its sign of life, between deliveries and when idle."""
        self._threads = [
            threading.Thread(target=self._work, args=(beat,), name=f"worker-{number}", daemon=True)
            for number, beat in enumerate(beats)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, grace: float) -> bool:
        """Take nothing new, and finish what is in flight within `grace` seconds; whether all of it did."""
        with self._changed:
            self._stopping = True
            self._pause.set()
            self._changed.notify_all()
        ends = self._clock() + grace
        for thread in self._threads:
            thread.join(max(ends - self._clock(), 0.0))
        return not any(thread.is_alive() for thread in self._threads)

    def step(self) -> float:
        """Deliver what is due and goes together; seconds until there may be more. What a worker does over and over."""
        with self._changed:
            if self._stopping:
                return _IDLE_PAUSE
            found = self._lanes.next(self._clock())
            if isinstance(found, Job) and not self._watched:
                self._changed.notify()
        if isinstance(found, float):
            return found
        self._deliver(found)
        return 0.0

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
        with self._changed:
            if self._stopping:
                return
            if self._watched:
                self._changed.wait(_IDLE_PAUSE)
                return
            self._watched = True
            self._changed.wait(pause)
            self._watched = False

    def _deliver(self, job: Job) -> None:
        route, started = job.running.route, self._clock()
        try:
            if route.finder:
                for delivery in job.deliveries:
                    self._store.begin(delivery)
            outcomes = attempt(route, job.deliveries, self._send, now=started)
            decisions = self._decide(job, outcomes)
        except BaseException:
            self._release(job)
            raise
        seconds = self._clock() - started
        for delivery, outcome, decision in zip(job.deliveries, outcomes, decisions, strict=True):
            self._observer.ended(route, delivery, outcome, decision, seconds)

    def _decide(self, job: Job, outcomes: Sequence[Outcome]) -> list[Decision]:
        now = self._clock()
        with self._changed:
            before = job.running.lane
            decisions = joint(
                [
                    decide(outcome, delivery, before, self._policy, now=now)
                    for delivery, outcome in zip(job.deliveries, outcomes, strict=True)
                ]
            )
            lane = decisions[0].lane
            notable = self._lanes.judge(job, lane, now)
        if before.parked and not lane.parked:
            self._insist(lambda: self._store.settle((), (), [(lane.webhook, now - before.since)]))
        result = _Result([each.settlement for each in decisions], lane if notable else None)
        self._results.append(result)
        self._insist(lambda: self._write(result))
        self._release(job)
        return decisions

    def _release(self, job: Job) -> None:
        with self._changed:
            self._lanes.end(job)

    def _insist(self, write: Callable[[], None]) -> None:
        """Until the store takes it: what came of something sent must be kept, and nothing else makes sense here."""
        while True:
            try:
                write()
                return
            except StoreError as error:
                self._observer.failed(error)
                self._pause.wait(_STORE_PAUSE)

    def _write(self, result: _Result) -> None:
        """One transaction for all results that wait for the lock; each worker goes on when its own is written."""
        with self._commit:
            if not result.written:
                self._write_all()

    def _write_all(self) -> None:
        batch = list(self._results)
        settlements = [settlement for each in batch for settlement in each.settlements]
        self._store.settle(settlements, [each.lane for each in batch if each.lane])
        for each in batch:
            each.written = True
            self._results.remove(each)
