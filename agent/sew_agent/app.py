"""The agent's main loop: look at the webhooks, read a page, tell how it stands, and stop as it should."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

from kubectl_sew.errors import SewError
from kubectl_sew.resource.conditions import FetchedReason
from sew_agent.base.backoff import doubled
from sew_agent.base.health import MAIN, STALLED_AFTER
from sew_agent.base.log import Log, redact
from sew_agent.base.metrics import PollFailure
from sew_agent.base.settings import Settings
from sew_agent.delivery.attempt import MOST_REQUESTS
from sew_agent.delivery.retry import probed
from sew_agent.housekeeping import Housekeeping
from sew_agent.ingest.poller import Polled
from sew_agent.ingest.progress import Progress
from sew_agent.ingest.source import SourceError, in_words
from sew_agent.run_once import TIMED_OUT, filled_by_the_dead, nothing_done, to_probe, unfinished, verdict
from sew_agent.status.report import TIGHT, Observations, Report, ReportFile, room_words, tell
from sew_agent.store.records import Counters, StoreError, StoreFullError
from sew_agent.webhooks.validator import ValidationResult
from sew_agent.wiring import Runtime, assemble, enter_cluster

if TYPE_CHECKING:
    from sew_agent.kubernetes.environment import KubernetesEnvironment

LOOK_EVERY = 0.5
"""Seconds between two looks at the webhooks, when there is nothing to read."""
ONCE_EVERY = 0.02
_FAILED_PAUSE = 1.0
_LONGEST_PAUSE = 16.0
"""Seconds between two attempts to reach a source that fails: doubled from one second."""
_TELL_EVERY = 2.0
"""Seconds between two looks at how each webhook stands; a new judgement is told at once."""


class Stop(Protocol):
    """What asks the main loop to end."""

    def is_set(self) -> bool:
        """Whether it asks."""

    def wait(self, timeout: float) -> bool:
        """Until it asks, at most so many seconds."""


def run(settings: Settings, warnings: Sequence[str]) -> int:
    """Runs until it is told to stop, or with `once` until all is done; the exit code. Raises SewError."""
    log = Log(sys.stderr, time.time)
    for warning in warnings:
        log.warning("setting_unknown", message=warning)
    stop = threading.Event()
    _stop_on_signals(stop)
    ends = time.monotonic() + (settings.timeout if settings.once and settings.timeout else float("inf"))
    with ExitStack() as stack:
        cluster = enter_cluster(settings, log, stack)
        if cluster is None:
            return _deliver(settings, None, log, stop, ends)
        return _take_turns(settings, cluster, log, stop, ends)


class _Until:
    """Asks to end where `stop` does, and when the time of `--once` is over."""

    def __init__(self, stop: threading.Event, ends: float) -> None:
        self._stop = stop
        self._ends = ends

    def is_set(self) -> bool:
        return self._stop.is_set() or time.monotonic() >= self._ends


def _take_turns(
    settings: Settings, cluster: "KubernetesEnvironment", log: Log, stop: threading.Event, ends: float
) -> int:
    """Deliver while this agent holds the Lease, and stand by while another one does."""
    from sew_agent.kubernetes.standby import Leadership, stand_by  # noqa: PLC0415 - without a cluster there is none to wait for

    cluster.lease.start()
    while stand_by(cluster, settings, log, _Until(stop, ends)):
        turn = Leadership(cluster.lease, stop)
        code = _deliver(settings, cluster, log, turn, ends)
        if not turn.lost:
            return code
    if stop.is_set():
        return 0
    holder = cluster.lease.holder
    why = f"{holder} holds the Lease" if holder else "; ".join(cluster.problems.all) or "the Lease was not had"
    log.error("once_timeout", message=f"nothing was read or sent: {why}")
    return TIMED_OUT


def _deliver(settings: Settings, cluster: "KubernetesEnvironment | None", log: Log, stop: Stop, ends: float) -> int:
    with ExitStack() as stack:
        agent = assemble(settings, cluster, log, stack)
        loop = MainLoop(agent, stop, ends)
        stack.callback(loop.end)
        log.info("started", version=version("kubectl-sew"), pid=os.getpid(), state=str(settings.state))
        return loop.run()


def _stop_on_signals(stop: threading.Event) -> None:
    """The first SIGTERM or SIGINT asks to stop; a second one ends the process as if nobody had asked."""

    def asked(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    signal.signal(signal.SIGTERM, asked)
    signal.signal(signal.SIGINT, asked)


def pause_after(failures: int) -> float:
    """Seconds until a source is tried again that has failed so many times in a row before."""
    return doubled(_FAILED_PAUSE, failures, _LONGEST_PAUSE)


def _kind(error: SewError) -> PollFailure:
    if isinstance(error, StoreFullError):
        return PollFailure.STORE_FULL
    return PollFailure.STORE if isinstance(error, StoreError) else PollFailure.SOURCE


def _tried(part: Callable[[], None]) -> StoreError | None:
    """What failed is told, and what comes after it is done all the same: on a full disk only the intake waits."""
    try:
        part()
    except StoreError as error:
        return error
    return None


class MainLoop:
    """All that happens in the main thread."""

    def __init__(self, agent: Runtime, stop: Stop, ends: float) -> None:
        """`ends`: monotonic seconds at which the time of `--once` is over."""
        self._agent = agent
        self._stop = stop
        self._ends = ends
        self._done = False
        """The source has nothing more to read now."""
        self._grace = agent.settings.request_timeout + _FAILED_PAUSE
        """Seconds in which what is in flight may end."""
        self._room: Mapping[str, float] = {}
        self._source_error = self._store_error = ""
        self._failures = 0
        """Of the source in a row."""
        self._told: ValidationResult | None = None
        self._next_tell = 0.0
        self._next_poll = 0.0
        self._housekeeping = Housekeeping(
            agent.store, agent.poller, agent.log, dead_letters_for=agent.settings.dead_letters_for
        )
        self._report = ReportFile(agent.state)
        self._started = time.time()
        self._dead_before = {each.webhook: each.dead for each in agent.store.counters()}
        self._heartbeat = agent.health.heartbeat(MAIN, STALLED_AFTER)
        agent.health.probe("webhooks", self._webhooks_error)
        agent.health.probe("events", lambda: self._source_error if self._failures else "")
        agent.health.probe("store", lambda: self._store_error)

    def run(self) -> int:
        """Until `stop` is set, or with `once` until everything has ended or its time is over."""
        settings = self._agent.settings
        if settings.once:
            self._agent.store.record_results((), to_probe(self._agent.store.receivers()))
        workers = [self._worker(number) for number in range(settings.workers)]
        self._agent.dispatcher.start(workers, self._agent.may_send)
        while not self._stop.is_set():
            pause = self._turn()
            if settings.once and self._finished():
                return self._verdict()
            if time.monotonic() >= self._ends:
                self._grace = _FAILED_PAUSE
                return self._timed_out()
            self._stop.wait(min(pause, ONCE_EVERY) if settings.once else pause)
        return 0

    def end(self) -> None:
        """Take nothing new, and let what is in flight finish: no request lasts longer than its deadline.

        A run whose time is over does not wait for that: what has no result then is sent again by the next one.
        """
        agent = self._agent
        agent.log.info("stopping", in_flight=agent.dispatcher.busy)
        whole = agent.dispatcher.stop(self._grace)
        with suppress(StoreError):
            agent.tell(agent.poller.progress(time.time()), time.time())
        self._report.remove()
        agent.log.info("stopped", all_finished=whole)

    def _turn(self) -> float:
        """One look at everything; the seconds until the next."""
        self._heartbeat.beat()
        now, pace = time.time(), time.monotonic()
        more, failed = False, _tried(lambda: self._housekeeping.step(now, pace))
        try:
            self._agent.reconciler.reconcile(now)
            more = self._agent.reconciler.ready and self._poll(now, pace)
        except StoreError as error:
            failed = error
        if failed:
            self._store_failed(failed)
        else:
            self._store_works()
        untold = _tried(lambda: self._tell(now, pace))
        if untold:
            self._store_failed(untold)
        if failed or more:
            return _FAILED_PAUSE if failed else 0.0
        return min(LOOK_EVERY, max(self._next_poll - pace, 0.0))

    def _poll(self, now: float, pace: float) -> bool:
        """Whether there is more to read at once. `pace` is monotonic: the clock may be set."""
        if pace < self._next_poll:
            return False
        try:
            polled = self._polled(now)
        except SourceError as error:
            if self._agent.settings.once:
                raise
            self._source_failed(str(error), pace)
            return False
        self._done = polled.done
        problems = in_words(self._agent.poller.problems)
        if polled.failed:
            self._source_failed(problems, pace)
            return False
        self._partly_failed(problems)
        self._failures = 0
        if not polled.more:
            self._next_poll = pace + self._interval()
        return polled.more

    def _interval(self) -> float:
        """With `once` it is not for long that there may be more, however seldom one looks otherwise."""
        settings = self._agent.settings
        return min(settings.poll_interval, LOOK_EVERY) if settings.once else settings.poll_interval

    def _polled(self, now: float) -> Polled:
        """A poll, counted."""
        started, failure = time.monotonic(), None
        try:
            polled = self._agent.poller.poll(now)
            failure = PollFailure.SOURCE if polled.failed else None
            return polled
        except (SourceError, StoreError) as error:
            failure = _kind(error)
            raise
        finally:
            self._agent.metrics.polled(time.monotonic() - started, failure)

    def _source_failed(self, error: str, pace: float) -> None:
        if error != self._source_error:
            self._agent.log.error("source_failed", message=f"{error}; it is tried again")
        self._source_error = error
        pause = pause_after(self._failures)
        self._failures += 1
        self._next_poll = pace + max(self._agent.settings.poll_interval, pause)

    def _partly_failed(self, error: str) -> None:
        if error and error != self._source_error:
            self._agent.log.error("source_failed_in_part", message=f"{error}; it is tried again")
        if self._source_error and not error:
            self._agent.log.info("source_recovered")
        self._source_error = error

    def _store_failed(self, error: StoreError) -> None:
        if str(error) != self._store_error:
            self._agent.log.error("store_failed", message=f"{error}; it is tried again")
        self._store_error = str(error)

    def _store_works(self) -> None:
        if self._store_error:
            self._agent.log.info("store_recovered")
        self._store_error = ""

    def _webhooks_error(self) -> str:
        problems, snapshot = self._agent.problems(), self._agent.reconciler.snapshot
        if problems:
            return "; ".join(problems)
        read = snapshot and (snapshot.complete or (snapshot.known and self._agent.settings.webhooks is None))
        return "" if read else "they cannot be read: see the log"

    def _worker(self, number: int) -> Callable[[], None]:
        """Its sign of life: looked for from the first one on, since workers start as they are needed."""
        limit = STALLED_AFTER + MOST_REQUESTS * self._agent.settings.request_timeout
        begun = cache(lambda: self._agent.health.heartbeat(f"worker-{number}", limit))
        return lambda: begun().beat()

    def _tell(self, now: float, pace: float) -> None:
        """How each webhook stands, to the cluster and in the report."""
        validated = self._agent.reconciler.validated
        if validated is self._told and pace < self._next_tell:
            return
        progress = self._progress(now)
        self._look_at_room()
        self._measure(validated, progress)
        self._agent.tell(progress, now)
        self._report.write(self._found(progress, now))
        self._told, self._next_tell = validated, pace + _TELL_EVERY

    def _progress(self, now: float) -> Mapping[str, Progress]:
        """How far is read. Nothing is read that cannot be kept."""
        progress = self._agent.poller.progress(now)
        if not self._store_error:
            return progress
        why = self._store_error
        return {
            name: replace(each, status="False", reason=FetchedReason.STORE, what=why) for name, each in progress.items()
        }

    def _measure(self, validated: ValidationResult, progress: Mapping[str, Progress]) -> None:
        unanswerable = {name for name, each in progress.items() if each.reason is FetchedReason.UNANSWERABLE}
        accepted = {name: name not in unanswerable for name in validated.accepted}
        read_to = {name: each.reading for name, each in progress.items() if each.reading is not None}
        self._agent.metrics.stands(accepted | dict.fromkeys(validated.invalid, False), read_to)

    def _look_at_room(self) -> None:
        before, self._room = self._room, self._agent.store.room()
        for name, filled in self._room.items():
            if filled >= TIGHT > before.get(name, 0.0):
                self._agent.log.warning("webhook_room_low", webhook=name, message=room_words(filled))

    def _finished(self) -> bool:
        agent = self._agent
        counters = agent.store.counters()
        if agent.tester.busy or agent.dispatcher.busy or not (self._done or self._is_stuck(counters)):
            return False
        return not unfinished(counters, agent.store.receivers(), agent.reconciler.sending)

    def _is_stuck(self, counters: Sequence[Counters]) -> bool:
        """Nothing more can be read for those that have no room, since nothing of theirs can end in this run."""
        agent, without_room = self._agent, self._agent.reading.without_room
        parked = {name for name, receiver in agent.dispatcher.receivers().items() if probed(receiver)}
        return bool(without_room) and without_room <= filled_by_the_dead(counters, agent.store.room()).keys() | parked

    def _verdict(self) -> int:
        agent = self._agent
        refused = {name: each.message for name, each in agent.reconciler.validated.invalid.items()}
        counters = agent.store.counters()
        full = filled_by_the_dead(counters, agent.store.room())
        snapshot = agent.reconciler.snapshot
        whole = (snapshot.problems if snapshot else ()) or self._nothing_done()
        ended = verdict(counters, self._dead_before, agent.reconciler.sending, refused | full, whole)
        for name, trouble in ended.problems:
            agent.log.error("once_trouble", **({"webhook": name} if name else {}), message=trouble)
        agent.log.info("once_ended", code=ended.code, bad_lines=agent.reading.bad_lines)
        return ended.code

    def _nothing_done(self) -> list[str]:
        """A folder without webhooks and a file without events are more likely a mistake than what is meant."""
        agent, settings = self._agent, self._agent.settings
        validated, reading = agent.reconciler.validated, agent.reading
        without = "" if validated.accepted or validated.invalid else str(settings.webhooks or "")
        return nothing_done(without, self._source_name(), bad_lines=reading.bad_lines, events=reading.events)

    def _source_name(self) -> str:
        settings = self._agent.settings
        return settings.events or f"{settings.index} at {redact(', '.join(settings.elasticsearch))}"

    def _timed_out(self) -> int:
        waiting = dict(self._agent.store.waiting())
        self._agent.log.error("once_timeout", waiting=waiting, message="what waits is kept for the next run")
        return TIMED_OUT

    def _found(self, progress: Mapping[str, Progress], now: float) -> Report:
        agent = self._agent
        snapshot = agent.reconciler.snapshot
        counters = {each.webhook: each for each in agent.store.counters()}
        receivers, peers = agent.dispatcher.receivers(), agent.routes.failing_peers()
        known = Observations(self._room, progress, receivers, counters, agent.settings.rates, peers)
        store = (f"store: {self._store_error}",) if self._store_error else ()
        return Report(
            version("kubectl-sew"),
            os.getpid(),
            now,
            tell(agent.reconciler.validated, known, now),
            problems=(*(snapshot.problems if snapshot else ()), *agent.problems(), *store),
            source=self._source_name(),
            source_troubles=agent.poller.problems,
            events_read=agent.reading.events,
            started=self._started,
        )
