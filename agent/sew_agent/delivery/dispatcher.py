"""Dispatcher: one thread that delivers what is due, with many requests in flight.

A delivery counts as in flight until its result is on disk, so a kill leaves at most so many whose fate is unknown.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from kubectl_sew.consumers.base import FailureReason, Outcome, Request
from kubectl_sew.errors import SewError
from kubectl_sew.event_maps.readable import EVENT_MAPS, EventMaps
from sew_agent.base.clocks import ProcessorTime
from sew_agent.base.log import locate
from sew_agent.base.threads import start_thread
from sew_agent.delivery.attempt import Answer, Route, Steps, internal_error, steps_of
from sew_agent.delivery.delivery_log import NOTHING, Sent, logged, sent
from sew_agent.delivery.http.errors import SendError
from sew_agent.delivery.queue import Assignment, QueueChanges
from sew_agent.delivery.queues import Queues
from sew_agent.delivery.retry import Decision
from sew_agent.store.contract import Store
from sew_agent.store.records import Delivery, LoggedAttempt, ReceiverState, StoreError

_CLOCK_STEP = 1.0
"""Seconds of difference from which a clock counts as set: time services correct less than that."""
_STORE_PAUSE = 1.0
_IDLE_PAUSE = 10.0
_STANDBY_PAUSE = 0.2
_STARTS = 32
"""Deliveries that start before answers are read again: else those would look slow."""
_LONG = 0.05
"""Seconds of the processor from which an attempt's own work, such as its template, counts as long: all others wait."""


class DispatcherError(SewError):
    """End of the dispatcher's thread by a mistake of this program."""


class DeliveryObserver(Protocol):
    """Observer of attempts; called from the dispatcher's thread."""

    def attempted(self, route: Route, delivery: Delivery, outcome: Outcome, decision: Decision, seconds: float) -> None:
        """Report an attempt whose result is in the store."""

    def store_failed(self, error: StoreError) -> None:
        """Report that the store cannot be used now; writing is tried again."""


class Tracing(Protocol):
    """Maker of traces; called from the dispatcher's thread, and raises nothing."""

    def mark(self, assignment: Assignment, requests: Sequence[Request]) -> Sequence[Request]:
        """Return the requests of an attempt as they are sent: with its place in the trace, where they carry one."""

    def attempted(self, assignment: Assignment, outcome: Outcome, went: Sent, changes: QueueChanges) -> None:
        """Trace an attempt whose result is in the store."""


class Transport(Protocol):
    """Sender of requests. All but `wake` is called from one thread."""

    def begin(self, requests: Sequence[Request], done: Callable[[Sequence[Answer]], None]) -> None:
        """Begin requests side by side. `done` gets their answers in order, at once or in `run`."""

    def run(self, seconds: float) -> None:
        """Wait at most so long until something goes on, and let it go on."""

    def wake(self) -> None:
        """End the wait. Thread-safe."""

    def close(self) -> None:
        """Let go of what it holds; nothing is in flight any more."""


class _Result(NamedTuple):
    """An attempt that has ended, and the changes by it."""

    assignment: Assignment
    outcome: Outcome
    went: Sent
    changes: QueueChanges

    def entries(self, maps: EventMaps) -> Iterator[LoggedAttempt]:
        """Yield what the log says of it: a line for each event."""
        made, receiver = self.assignment, self.changes.decision.receiver
        for result in self.changes.results:
            entry = logged(result, receiver, made.started, self.outcome, self.went, maps)
            yield entry._replace(digest=made.delivery.delivery_id) if made.bundle else entry


class Dispatcher:
    """Deliveries of all queues. `clock` gives seconds since the epoch, `steady` seconds of a clock that nobody sets."""

    def __init__(  # noqa: PLR0913 - its edges, one for each
        self,
        store: Store,
        queues: Queues,
        transport: Transport,
        observer: DeliveryObserver,
        clock: Callable[[], float],
        steady: Callable[[], float],
        *,
        worked: Callable[[], float] | None = None,
        maps: EventMaps = EVENT_MAPS,
        tracing: Tracing | None = None,
    ) -> None:
        """`worked`: seconds of the processor for the thread that delivers. `maps`: how the log reads an event."""
        self._maps = maps
        self._tracing = tracing
        self._store = store
        self._queues = queues
        self._transport = transport
        self._observer = observer
        self._clock = clock
        self._steady = steady
        self._worked = worked or ProcessorTime()
        self._offset = clock() - steady()
        self._lock = threading.Lock()
        self._ended: deque[tuple[Assignment, Outcome, Sent]] = deque()
        """Attempts that have ended, and were not evaluated; of the dispatcher's thread alone."""
        self._marked: deque[Assignment] = deque()
        """Assignments that are in doubt on disk, and begin next; of the dispatcher's thread alone."""
        self._unwritten: list[_Result] = []
        self._written: list[_Result] = []
        """Results that are in the store, and whose deliveries still count as in flight."""
        self._may_send: Callable[[], bool] = lambda: True
        self._stopping = self._grace_over = False
        self._thread: threading.Thread | None = None
        self._mistake: Exception | None = None

    @property
    def busy(self) -> int:
        """Deliveries that are in flight now."""
        return self._queues.busy

    def receivers(self) -> Mapping[str, ReceiverState]:
        """Return the present state of every served webhook's receiver."""
        with self._lock:
            return self._queues.all

    def serve(self, routes: Mapping[str, Route], moving: Collection[str] = ()) -> None:
        """Deliver for these webhooks and no others from now on. Raises StoreError.

        `moving`: those of the others that another agent will serve.
        """
        with self._lock:
            self._write()  # results under the old settings are not written over the new ones
            self._queues.serve(routes, self._now(), moving)
        self._transport.wake()

    def in_flight(self, webhooks: Collection[str]) -> Collection[str]:
        """Return those of the webhooks that have requests in flight, or results that are not in the store."""
        with self._lock:
            return self._queues.in_flight(webhooks)

    def notify(self, webhooks: Collection[str]) -> None:
        """Say that the store has new deliveries of these webhooks."""
        with self._lock:
            self._queues.notify(webhooks)
        self._transport.wake()

    def gather_no_longer(self) -> None:
        """Say that no event follows in this run: what is gathered goes as soon as it may."""
        with self._lock:
            self._queues.gather_no_longer()
        self._transport.wake()

    def start(self, beat: Callable[[], None], may_send: Callable[[], bool] = lambda: True) -> None:
        """Start to deliver, in a thread that calls `beat` at every turn. Nothing is sent while `may_send` is False.

        Raises NoThreadError.
        """
        self._may_send = may_send
        self._thread = start_thread(self._work, "dispatcher", beat)

    def check(self) -> None:
        """Raise DispatcherError where the thread has ended, and nothing is delivered any more."""
        if self._mistake:
            raise DispatcherError(
                f"delivery has ended by a mistake of this program, please report it: {locate(self._mistake)}; "
                "what was not delivered is kept, and sent when the agent is started again"
            )

    def stop(self, grace: float) -> bool:
        """Start nothing new, finish what is in flight within `grace` seconds, and return whether all of it ended.

        A later result is written if the store takes it at once. Otherwise the delivery is sent again.
        """
        self._stopping = True
        self._transport.wake()
        if self._thread:
            self._thread.join(grace)
        self._grace_over = True
        if self._thread and self._thread.is_alive():
            return False
        self._transport.close()
        return True

    def step(self) -> float:
        """Deliver what is due next, and return the seconds until there may be more."""
        self._discard_stale()
        assignment = self.next_assignment()
        if isinstance(assignment, Assignment):
            self.begin(assignment)
        self._transport.run(0.0)
        self.settle()
        return assignment if isinstance(assignment, float) else 0.0

    def next_assignment(self) -> Assignment | float:
        """Return the next assignment, or the seconds until there may be one."""
        if not self._may_send():
            return _STANDBY_PAUSE
        with self._lock:
            if self._stopping:
                return _IDLE_PAUSE
            if self._unwritten:
                return _STORE_PAUSE
            began, now = self._worked(), self._now()
            found = self._queues.next(now)
            self._queues.rest_reader(now, self._worked() - began)
            return found

    def begin(self, assignment: Assignment) -> None:
        """Begin to deliver an assignment, or let go of it where it may not be sent any more.

        Raises StoreError, and lets go of it then.
        """
        if assignment.marked_first:
            self._mark([assignment])
        self._send(assignment)

    def settle(self) -> None:
        """Write the results of all attempts that have ended, in one transaction, and report them."""
        with self._lock:
            now = self._now()
            while self._ended:
                assignment, outcome, went = self._ended.popleft()
                changes = self._queues.evaluate(assignment, outcome, now)
                self._unwritten.append(_Result(assignment, outcome, went, changes))
            failure = self._try_to_write()
            written, self._written = self._written, []
            for result in written:
                self._queues.release(result.assignment)
        if failure:
            self._observer.store_failed(failure)
        now = self._clock()
        for result in written:
            made, seconds = result.assignment, now - result.assignment.started
            self._observer.attempted(made.route, made.delivery, result.outcome, result.changes.decision, seconds)
            if self._tracing:
                self._tracing.attempted(made, result.outcome, result.went, result.changes)

    def _work(self, beat: Callable[[], None]) -> None:
        try:
            self._take_turns(beat)
        except Exception as error:  # noqa: BLE001 - whatever it is, the agent must end by it instead of standing still
            self._mistake = error

    def _take_turns(self, beat: Callable[[], None]) -> None:
        while not self._stopping or (self.busy and not (self._grace_over and self._unwritten)):
            beat()
            pause = self._start_some()
            self._transport.run(0.0 if self._ended else pause)  # an attempt that makes no request ends at once
            self.settle()

    def _start_some(self) -> float:
        """Start what is due, but not too much at once; return the seconds until there may be more."""
        began = self._worked()
        try:
            pause = self._start_unmarked(began)
        except StoreError as error:
            self._observer.store_failed(error)
            pause = _STORE_PAUSE
        while self._marked:
            self._send(self._marked.popleft())
            pause = 0.0
            if self._worked() - began >= _LONG:
                break
        return pause

    def _start_unmarked(self, began: float) -> float:
        """Start what needs no mark, and mark the rest in one transaction: each of them waits for the disk.

        Raises StoreError.
        """
        pause, rest = 0.0, list[Assignment]()
        try:
            self._discard_stale()
            for _ in range(_STARTS):
                assignment = self.next_assignment()
                if isinstance(assignment, float):
                    pause = assignment
                    break
                if assignment.marked_first:
                    rest.append(assignment)
                else:
                    self._send(assignment)
                if self._worked() - began >= _LONG:
                    break
        finally:
            if rest:
                self._mark(rest)
                self._marked += rest
        return pause

    def _mark(self, assignments: Sequence[Assignment]) -> None:
        """Mark assignments as in doubt, on disk. Raises StoreError, and lets go of all of them then."""
        try:
            self._store.begin_attempts([one for assignment in assignments for one in assignment.deliveries])
        except StoreError:
            for assignment in assignments:
                self._let_go(assignment)
            raise

    def _send(self, assignment: Assignment) -> None:
        """Begin an attempt, unless it may not be sent any more: the store may have taken long."""
        if self._stopping or not self._may_go_on(assignment):
            self._let_go(assignment)
            return
        digest = assignment.bundle.digest if assignment.bundle else None
        steps = steps_of(assignment.route, assignment.delivery, self._moment, digest, assignment.group)
        self._advance(assignment, steps, NOTHING, None)

    def _may_go_on(self, assignment: Assignment) -> bool:
        if not self._may_send():
            return False
        with self._lock:
            return self._queues.may_go_on(assignment, self._now())

    def _discard_stale(self) -> None:
        with self._lock:
            self._queues.discard_stale()

    def _let_go(self, assignment: Assignment) -> None:
        with self._lock:
            self._queues.let_go(assignment)

    def _advance(self, assignment: Assignment, steps: Steps, went: Sent, answers: Sequence[Answer] | None) -> None:
        """Let an attempt go on with the answers to its requests, of which `went` is known; None begins it."""
        began = self._worked()
        try:
            requests = steps.send(answers)  # type: ignore[arg-type]
        except StopIteration as ended:
            self._ended.append((assignment, ended.value, went))
            return
        finally:
            if (seconds := self._worked() - began) >= _LONG:
                with self._lock:
                    self._queues.rest(assignment, self._now(), seconds)
        if answers is not None and not self._may_go_on(assignment):  # what it asked before has delivered nothing
            self._let_go(assignment)
            return
        if self._tracing:
            requests = self._tracing.mark(assignment, requests)
        done = partial(self._advance, assignment, steps, sent(requests))
        try:
            self._transport.begin(requests, done)
        except Exception as error:  # noqa: BLE001 - a mistake of ours costs one event, which is kept; it may have arrived
            done([SendError(FailureReason.INTERNAL, internal_error(error))] * len(requests))

    def _moment(self) -> float:
        """Return the time by a clock of which all pauses know how it was set."""
        with self._lock:
            return self._now()

    def _now(self) -> float:
        """Return the time, and move all pauses with a clock that was set. The caller holds the lock."""
        now, steady = self._clock(), self._steady()
        if abs(was_set := now - steady - self._offset) >= _CLOCK_STEP:
            self._queues.clock_was_set(was_set)
            self._offset = now - steady
        return now

    def _try_to_write(self) -> StoreError | None:
        try:
            self._write()
        except StoreError as error:
            return error
        return None

    def _write(self) -> None:
        """Write all results that wait, in one transaction. The caller holds the lock."""
        if not self._unwritten:
            return
        changes = [result.changes for result in self._unwritten]
        self._store.record_results(
            [result for made in changes for result in made.results],
            [made.receiver for made in changes if made.receiver],
            [shift for made in changes for shift in made.shifts],
            [seq for made in changes for seq in made.decision.revived],
            [entry for result in self._unwritten for entry in result.entries(self._maps)],
        )
        self._written += self._unwritten
        self._unwritten = []
