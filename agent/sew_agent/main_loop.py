"""The main loop: reconcile the webhooks, poll the source, tidy the store, report, and stop as it should."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from kubectl_sew.errors import SewError
from sew_agent.base.backoff import doubled
from sew_agent.base.health import MAIN, STALLED_AFTER
from sew_agent.base.metrics import PollFailure
from sew_agent.base.threads import Stop
from sew_agent.delivery.retry import is_probed
from sew_agent.housekeeping import Housekeeping
from sew_agent.ingest.poller import Polled
from sew_agent.ingest.source import SourceError, joined
from sew_agent.reading_turn import ReadingTurn
from sew_agent.reporter import Reporter, source_name
from sew_agent.run_once import (
    TIMED_OUT,
    filled_by_the_dead,
    nothing_checked,
    nothing_done,
    to_probe,
    unfinished,
    verdict,
)
from sew_agent.store.records import Counters, Ownership, StoreError, StoreFullError
from sew_agent.wiring import Runtime

RECONCILE_EVERY = 0.5
"""Seconds between two readings of the webhooks while there are no events to read."""
ONCE_EVERY = 0.02
"""Seconds between two turns of a run with `--once`, which ends soon after its work."""
_FIELDS_EVERY = 30.0
"""Seconds between two reads of the fields where another agent reads the events."""
_FAILED_PAUSE = 1.0
_LONGEST_PAUSE = 16.0
"""Seconds between two attempts to reach a source that fails: doubled from one second."""


def pause_after(failures: int) -> float:
    """Return the seconds until a source is tried again that failed so many times in a row before."""
    return doubled(_FAILED_PAUSE, failures, _LONGEST_PAUSE)


def _kind(error: SewError) -> PollFailure:
    if isinstance(error, StoreFullError):
        return PollFailure.STORE_FULL
    return PollFailure.STORE if isinstance(error, StoreError) else PollFailure.SOURCE


def _tried(part: Callable[[], None]) -> StoreError | None:
    """Do a part of a turn and return its error: on a full disk only reading waits, the other parts go on."""
    try:
        part()
    except StoreError as error:
        return error
    return None


class MainLoop:
    """Main loop of the agent, in the main thread."""

    def __init__(self, runtime: Runtime, stop: Stop, ends: float) -> None:
        """Take the agent's parts. `ends`: monotonic seconds at which the time of `--once` is over."""
        self._runtime = runtime
        self._stop = stop
        self._ends = ends
        self._reading = False
        """True from when this agent reads."""
        self._reading_turn = ReadingTurn(runtime.balancer.pass_reading_on if runtime.balancer else None)
        self._next_fields = 0.0
        self._done = False
        """True where the source has nothing more to read now."""
        self._grace = runtime.settings.request_timeout + _FAILED_PAUSE
        """Seconds in which requests in flight may end."""
        self._source_error = self._store_error = ""
        self._caveats: Sequence[str] = ()
        """What may be missing of what is read, as last logged."""
        self._failures = 0
        """Failures of the source in a row."""
        self._next_poll = 0.0
        self._housekeeping = Housekeeping(
            runtime.store,
            runtime.poller,
            runtime.log,
            dead_letters_for=runtime.settings.dead_letters_for,
            attempts_for=runtime.settings.attempts_for,
        )
        self._reporter = Reporter(runtime)
        self._dead_before = {counters.webhook: counters.dead for counters in runtime.store.counters()}
        self._heartbeat = runtime.health.heartbeat(MAIN, STALLED_AFTER)

    def run(self) -> int | None:
        """Run until all is done or its time is over, with `once`; return the exit code, None where `stop` ended it.

        Raises DispatcherError.
        """
        settings, health = self._runtime.settings, self._runtime.health
        health.probe("webhooks", self._webhooks_error)
        health.probe("events", lambda: self._source_error if self._failures else "")
        health.probe("store", lambda: self._store_error)
        if settings.once:
            self._runtime.store.record_results((), to_probe(self._runtime.store.receivers()))
        beat = health.heartbeat("dispatcher", STALLED_AFTER).beat
        self._runtime.dispatcher.start(beat, self._may_deliver)
        if self._runtime.balancer:
            self._runtime.balancer.start()
        while not self._stop.is_set():
            pause = self._turn()
            self._runtime.dispatcher.check()
            if settings.once and self._done:
                self._runtime.dispatcher.gather_no_longer()
            if settings.once and self._finished():
                return self._end_of_once()
            if time.monotonic() >= self._ends:
                self._grace = _FAILED_PAUSE
                return self._timed_out()
            self._stop.wait(min(pause, ONCE_EVERY) if settings.once else pause)
        return None

    def end(self) -> None:
        """Start nothing new, and let requests in flight finish: none lasts longer than its deadline.

        A run whose time is over does not wait for them: the next run sends again what has no result then.
        """
        runtime = self._runtime
        runtime.log.info("stopping", in_flight=runtime.dispatcher.busy)
        if runtime.balancer:
            runtime.balancer.leave()
            runtime.reading_parts.close()
            runtime.balancer.release_reading()
        whole = runtime.dispatcher.stop(self._grace)
        if not runtime.balancer:
            with suppress(StoreError):
                self._reporter.report_status(runtime.store.clock())
        self._reporter.close()
        runtime.log.info("stopped", all_finished=whole)

    def _turn(self) -> float:
        """Take one turn; return the seconds until the next."""
        self._heartbeat.beat()
        now, pace = self._runtime.store.clock(), time.monotonic()
        more, failed = False, _tried(self._begin_reading)
        if self._reading:
            failed = _tried(lambda: self._housekeeping.step(now, pace))
        try:
            more = self._read(now, pace) if self._reading else self._follow(pace)
        except StoreError as error:
            failed = error
        if failed:
            self._store_failed(failed)
        else:
            self._store_works()
        unreported = _tried(lambda: self._reporter.update(now, pace, self._store_error, reads=self._reading))
        if unreported:
            self._store_failed(unreported)
        if failed or more:
            return _FAILED_PAUSE if failed else 0.0
        return min(RECONCILE_EVERY, max(self._next_poll - pace, 0.0)) if self._reading else RECONCILE_EVERY

    def _begin_reading(self) -> None:
        """Read from now on where no other agent does. Raises StoreError."""
        sharing = self._runtime.store.sharing()
        if not self._reading and (sharing is None or sharing.reads):
            self._runtime.poller.resume()
            self._runtime.reconciler.resume()
            self._reading = True

    def _read(self, now: float, pace: float) -> bool:
        """Reconcile and poll; return whether there is more to read. Raises StoreError."""
        self._runtime.reconciler.reconcile(now)
        ready = self._runtime.reconciler.ready
        more = ready and self._poll(now, pace)
        if ready and not self._failures:
            self._reading_turn.works()
        elif not self._runtime.tester.busy and self._reading_turn.fails(pace):
            self._stop_reading()
        return more

    def _stop_reading(self) -> None:
        """Follow from now on: another agent is to read."""
        why = self._source_error or self._webhooks_error()
        self._runtime.log.error("reading_passed_on", message=f"another agent is to read, since this one cannot: {why}")
        self._runtime.status_sink.pause()
        self._reading = False
        self._failures, self._source_error, self._next_poll = 0, "", 0.0

    def _follow(self, pace: float) -> bool:
        """Follow the webhooks while another agent reads; return that there is nothing to read. Raises StoreError."""
        if pace >= self._next_fields:
            self._runtime.source.read_fields()
            self._next_fields = pace + _FIELDS_EVERY
        self._runtime.reconciler.follow()
        return False

    def _poll(self, now: float, pace: float) -> bool:
        """Poll if it is time; return whether there is more. `pace` is monotonic: the clock may be set."""
        if pace < self._next_poll:
            return False
        try:
            polled = self._polled(now)
        except SourceError as error:
            if self._runtime.settings.once:
                raise
            self._source_failed(str(error), pace)
            return False
        self._done = polled.done
        self._tell_caveats()
        problems = joined(self._runtime.poller.problems)
        if polled.failed:
            self._source_failed(problems, pace)
            return False
        self._partly_failed(problems)
        self._failures = 0
        if not polled.more:
            self._next_poll = pace + self._interval()
        return polled.more

    def _interval(self) -> float:
        """Return the seconds between two polls; with `once` the run ends soon, however seldom an agent polls."""
        settings = self._runtime.settings
        return min(settings.poll_interval, RECONCILE_EVERY) if settings.once else settings.poll_interval

    def _polled(self, now: float) -> Polled:
        """Poll, and count how long it took and how it failed."""
        started, failure = time.monotonic(), None
        try:
            polled = self._runtime.poller.poll(now)
            failure = PollFailure.SOURCE if polled.failed else None
            return polled
        except (SourceError, StoreError) as error:
            failure = _kind(error)
            raise
        finally:
            self._runtime.metrics.polled(time.monotonic() - started, failure)

    def _source_failed(self, error: str, pace: float) -> None:
        if error != self._source_error:
            self._runtime.log.error("source_failed", message=f"{error}; it is tried again")
        self._source_error = error
        pause = pause_after(self._failures)
        self._failures += 1
        self._next_poll = pace + max(self._runtime.settings.poll_interval, pause)

    def _partly_failed(self, error: str) -> None:
        if error and error != self._source_error:
            self._runtime.log.error("source_failed_in_part", message=f"{error}; it is tried again")
        if self._source_error and not error:
            self._runtime.log.info("source_recovered")
        self._source_error = error

    def _tell_caveats(self) -> None:
        caveats = self._runtime.source.caveats
        if caveats == self._caveats:
            return
        for caveat in caveats:
            self._runtime.log.warning("source_covered_in_part", message=caveat)
        if not caveats:
            self._runtime.log.info("source_covered")
        self._caveats = caveats

    def _store_failed(self, error: StoreError) -> None:
        if str(error) != self._store_error:
            self._runtime.log.error("store_failed", message=f"{error}; it is tried again")
        self._store_error = str(error)

    def _store_works(self) -> None:
        if self._store_error:
            self._runtime.log.info("store_recovered")
        self._store_error = ""

    def _webhooks_error(self) -> str:
        problems, snapshot = self._runtime.environment.problems(), self._runtime.reconciler.snapshot
        if problems:
            return "; ".join(problems)
        read = snapshot and (snapshot.complete or (snapshot.known and self._runtime.settings.webhooks is None))
        return "" if read else "they cannot be read: see the log"

    def _may_deliver(self) -> bool:
        """Return whether no other agent may be delivering."""
        return self._runtime.environment.may_deliver() and self._runtime.store.ownership() is Ownership.HELD

    def _finished(self) -> bool:
        runtime = self._runtime
        counters = runtime.store.counters()
        if runtime.tester.busy or runtime.dispatcher.busy or not (self._done or self._is_stuck(counters)):
            return False
        return not unfinished(counters, runtime.store.receivers(), runtime.reconciler.sending)

    def _is_stuck(self, counters: Sequence[Counters]) -> bool:
        """Return whether nothing more can be read: the webhooks without room can end nothing in this run."""
        runtime, without_room = self._runtime, self._runtime.reading.without_room
        parked = {name for name, receiver in runtime.dispatcher.receivers().items() if is_probed(receiver)}
        return bool(without_room) and without_room <= filled_by_the_dead(counters, runtime.store.room()).keys() | parked

    def _end_of_once(self) -> int:
        runtime = self._runtime
        refused = {name: webhook.message for name, webhook in runtime.reconciler.validated.invalid.items()}
        counters = runtime.store.counters()
        full = filled_by_the_dead(counters, runtime.store.room())
        snapshot = runtime.reconciler.snapshot
        whole = (snapshot.problems if snapshot else ()) or self._nothing_done()
        ended = verdict(counters, self._dead_before, runtime.reconciler.sending, refused | full, whole)
        for name, problem in ended.problems:
            runtime.log.error("once_trouble", **({"webhook": name} if name else {}), message=problem)
        webhooks, events = len(runtime.reconciler.validated.accepted), runtime.reading.events
        unchecked = nothing_checked(webhooks, source_name(runtime.settings), events=events)
        if unchecked and not ended.problems:
            runtime.log.warning("once_nothing_checked", message=unchecked)
        bad_lines = runtime.reading.bad_lines
        runtime.log.info("once_ended", code=ended.code, webhooks=webhooks, events=events, bad_lines=bad_lines)
        return ended.code

    def _nothing_done(self) -> list[str]:
        """Return the problems of a run that did nothing: no webhooks or no events are likely a mistake."""
        runtime, settings = self._runtime, self._runtime.settings
        validated, reading = runtime.reconciler.validated, runtime.reading
        without = "" if validated.accepted or validated.invalid else str(settings.webhooks or "")
        return nothing_done(without, source_name(runtime.settings), bad_lines=reading.bad_lines, events=reading.events)

    def _timed_out(self) -> int:
        waiting = dict(self._runtime.store.pending_counts())
        self._runtime.log.error("once_timeout", waiting=waiting, message="what waits is kept for the next run")
        return TIMED_OUT
