"""Reads from the source into the store, one page for each reader (sew_agent.ingest.readers) in each poll."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import log2
from time import monotonic
from typing import Protocol

from kubectl_sew.exceptions import NO_EXCEPTIONS, ValidatedExceptions
from sew_agent.ingest.progress import Progress, ReaderState, progress_of
from sew_agent.ingest.readers import (
    SHARED,
    Cursors,
    Reader,
    dedicated_cursor,
    until_cursor,
    webhook_of,
)
from sew_agent.ingest.recent_warnings import RecentWarnings
from sew_agent.ingest.replays import ReplayObserver, Replays, Serving
from sew_agent.ingest.source import (
    Arrival,
    Batch,
    EventSource,
    SourceError,
    SourceProblem,
    SourceWarning,
    Subscription,
    Suppression,
    joined,
)
from sew_agent.ingest.turns import Turns
from sew_agent.store.contract import Store
from sew_agent.store.records import EnqueueBatch, NewDelivery

_NEVER = float("-inf")


class PollObserver(ReplayObserver, Protocol):
    """Receives what happened in a poll, after it is in the store."""

    def warned(self, warnings: Sequence[SourceWarning]) -> None:
        """Report input that is not delivered."""

    def store_full(self, webhooks: Collection[str]) -> None:
        """Report webhooks whose share of the store is full: they wait, and lose nothing."""

    def scanned(self, events: int) -> None:
        """Report how many events were read, selected by a query or not."""


@dataclass(frozen=True, slots=True)
class Polled:
    """`done`: every reader is at the end of what can be read now. `more`: there is something to read at once.

    `failed`: the shared reader could read nothing of what there is.
    """

    done: bool
    more: bool
    failed: bool = False


_HELD = Polled(done=False, more=False)


class Poller:
    """Reads for webhooks. Not thread-safe."""

    def __init__(  # noqa: PLR0913 - a reader's parts, and its edges
        self,
        source: EventSource,
        store: Store,
        observer: PollObserver,
        *,
        page_size: int,
        pause: float,
        known_for: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`pause`: seconds until a reader that could not go on is tried again. `clock` is monotonic, in seconds.

        `known_for`: seconds for which the store remembers an event.
        """
        self._source = source
        self._store = store
        self._observer = observer
        self._page_size = page_size
        self._clock = clock
        self._cursors = Cursors(store)
        self._turns = Turns(pause, clock)
        self._replays = Replays(
            source, store, observer, page_size=page_size, pause=pause, known_for=known_for, clock=clock
        )
        self._subscriptions: Mapping[str, Subscription] = {}
        self._debug: Collection[str] = frozenset()
        self._exceptions = NO_EXCEPTIONS
        self._unanswered: Mapping[str, str] = {}
        """Exception -> why the source cannot answer its selector."""
        self._full: set[str] = set()
        """Cursors of webhooks without room in the store."""
        self._refused: dict[str, str] = {}
        """Cursor -> why the source cannot answer the query."""
        self._problems: dict[str, tuple[SourceProblem, ...]] = {}
        self._begun = False
        self._warnings = RecentWarnings()

    @property
    def positions(self) -> Mapping[str, str]:
        """Cursor -> position, as stored."""
        return self._cursors.positions

    @property
    def problems(self) -> tuple[SourceProblem, ...]:
        """Problems with reading now; none where all is well."""
        return tuple(dict.fromkeys(chain.from_iterable(self._problems.values())))

    @property
    def broken_exceptions(self) -> Mapping[str, str]:
        """Exception -> why it suppresses nothing, whenever it is in force."""
        return {**self._unanswered, **self._exceptions.broken}

    def serve(
        self,
        subscriptions: Mapping[str, Subscription],
        debug: Collection[str],
        exceptions: ValidatedExceptions = NO_EXCEPTIONS,
    ) -> None:
        """Read for these webhooks from now on; events of those in `debug` are counted and not delivered.

        So are events that an exception selects which is in force when they are read.
        """
        self._subscriptions = subscriptions
        self._debug = debug
        self._exceptions = exceptions
        self._source.keep(subscriptions.keys(), {accepted.name for accepted in exceptions.accepted})

    def begin(self, starts: Mapping[str, float], now: float) -> None:
        """Begin new webhooks at their starts (epoch seconds); those that begin together share a reader."""
        unended = self._cursors.unended
        for start, names in _together(starts, now):
            origin = self._source.origin(start)
            if origin.beside:
                backfills = (unended.get(name) or self._cursors.free_backfill(name) for name in names)
                self._cursors.move(dict.fromkeys(backfills, origin.position))
            elif SHARED in self.positions and self._source.seekable:
                self._cursors.move({dedicated_cursor(name): origin.position for name in names})

    def leave(self, webhooks: Collection[str]) -> None:
        """Keep the position of these webhooks, for when they come back."""
        self._dedicate(webhooks, self._cursors.at(SHARED))

    def detach(self, starts: Mapping[str, float | None], now: float) -> None:
        """Let these webhooks go on where the source stands when they come back.

        Events from their starts (epoch seconds; None: not known) until now stay theirs if they were not read for them
        yet.
        """
        read_to = self._read_to(self._cursors.at(SHARED))
        end = now if read_to is None else max(now, read_to)  # a clock that was set back
        self.end_backfills({name: (start, end) for name, start in starts.items()})
        if SHARED in self.positions:
            self._cursors.end_dedicated(starts)
        self._drop(map(dedicated_cursor, starts))

    def end_backfills(self, windows: Mapping[str, tuple[float | None, float]]) -> None:
        """Read the old events of these webhooks between two moments (epoch seconds; None: from where they begin)."""
        unended = self._cursors.unended
        backfills = {unended[name]: window for name, window in windows.items() if name in unended}
        at = self._cursors.at
        self._cursors.end_early(
            {cursor: self._source.narrowed(at(cursor), *window) for cursor, window in backfills.items()}
        )

    def forget(self, webhooks: Collection[str]) -> None:
        """Drop the positions of these webhooks."""
        self._drop([cursor for cursor in self.positions if webhook_of(cursor) in webhooks])
        self._replays.forget(webhooks)

    def resume(self) -> None:
        """Go on where another agent has read to, and forget what stood in this one's way. Raises StoreError."""
        self._cursors = Cursors(self._store)
        self._full.clear()
        self._refused.clear()
        self._problems.clear()
        self._source.resume()
        self._replays.resume()

    def poll(self, now: float) -> Polled:
        """Read one page for each reader. Raises SourceError, StoreError."""
        shared = self._cursors.shared_reader(self._subscriptions)
        results = [_HELD if self._turns.is_held(SHARED, now) else self._poll(shared, now)]
        self._begun = True
        if SHARED in self.positions:
            results += self._poll_others(now)
        if not any(result.more for result in results) and not results[0].failed and SHARED in self.positions:
            results.append(self._replay(now))
        return Polled(all(result.done for result in results), any(result.more for result in results), results[0].failed)

    def progress(self, now: float) -> Mapping[str, Progress]:
        """Return the progress of each webhook that is read for. Raises StoreError."""
        oldest = self._store.oldest_times()
        moments = {position: self._read_to(position) for position in {"", *self.positions.values()}}
        return {
            name: progress_of(self._reader_state(name, cursors, moments, oldest, now))
            for name, cursors in self._cursors.of_webhooks(self._subscriptions).items()
        }

    def low_watermark(self) -> float:
        """Return the moment (epoch seconds) before which nothing is read again by any reader."""
        moments = map(self._read_to, set(self.positions.values()))
        return min((moment for moment in moments if moment is not None), default=-_NEVER)

    def _read_to(self, position: str) -> float | None:
        return self._source.read_to(position or None)

    def _poll_others(self, now: float) -> list[Polled]:
        """Poll as many readers beside the shared one as there is time for."""
        cursors = self._cursors.others(self._subscriptions, self._turns.held)
        held = {cursor for cursor in cursors if self._turns.is_held(cursor, now)}
        readers = self._cursors.readers(cursor for cursor in cursors if cursor not in held)
        results = [self._try(reader, now) for reader in self._turns.next_readers(readers, now)]
        return [*results, _HELD] if held or len(readers) > len(results) else results

    def _replay(self, now: float) -> Polled:
        """Go on with a replay: live events go first."""
        serving = Serving(self._subscriptions, self._debug, self._suppressions(now), self._cursors.at(SHARED))
        replayed = self._replays.poll(serving, now)
        return Polled(replayed.done, replayed.more)

    def _try(self, reader: Reader, now: float) -> Polled:
        """Poll a reader whose failure does not stop the others."""
        started = self._clock()
        try:
            return self._poll(reader, now)
        except SourceError:
            self._turns.hold(reader.cursors.values(), now, failed_for=self._clock() - started)
            return _HELD

    def _poll(self, reader: Reader, now: float) -> Polled:
        batch = self._read(reader, now)
        reader = self._set_aside(reader, batch, now)
        if not reader.cursors:
            return _HELD
        full = self._enqueue(reader, batch, now)
        if full:
            return self._without_room(reader, full, now)
        self._went_on(reader.distinct_cursors)
        self._report(reader, batch, now)
        if not reader.is_shared and self._has_reached_goal(reader, batch.position):
            self._drop([*reader.cursors.values(), *map(until_cursor, reader.cursors.values())])
            return Polled(done=True, more=False)
        return Polled(batch.done and reader.is_shared, batch.more, batch.failed)

    def _has_reached_goal(self, reader: Reader, position: str) -> bool:
        return self._source.reached(position, self._cursors.goal(next(iter(reader.distinct_cursors))))

    def _read(self, reader: Reader, now: float) -> Batch:
        subscriptions = [self._subscription(name, cursor) for name, cursor in reader.cursors.items() if name]
        cursors = reader.distinct_cursors
        try:
            batch = self._source.read(
                subscriptions,
                reader.position or None,
                now=now,
                limit=self._page_size,
                suppressions=self._suppressions(now),
                until=self._cursors.fixed_goal(next(iter(cursors))),
            )
        except SourceError as error:
            self._problems.update(dict.fromkeys(cursors, (error.problem,)))
            raise
        for cursor in cursors:
            self._problems.pop(cursor, None)
        self._problems.update(dict.fromkeys(cursors, tuple(batch.problems)) if batch.problems else {})
        if reader.is_shared:
            self._unanswered = batch.broken_exceptions
        return batch

    def _suppressions(self, now: float) -> list[Suppression]:
        """Return the exceptions that are in force when all events of this poll are judged."""
        in_force = (accepted for accepted in self._exceptions.accepted if accepted.exception.in_force(now))
        return [Suppression(accepted.name, accepted.node) for accepted in in_force]

    def _subscription(self, name: str, cursor: str) -> Subscription:
        """Return the subscription, without a start for events that were left when the webhook was disabled."""
        subscription = self._subscriptions[name]
        return replace(subscription, start=None) if self._cursors.ends_early(cursor) else subscription

    def _dedicate(self, webhooks: Collection[str], position: str) -> None:
        if self._source.seekable:
            self._cursors.dedicate(webhooks, position)

    def _set_aside(self, reader: Reader, batch: Batch, now: float) -> Reader:
        """Keep the position of webhooks whose query was not answered; return the reader of the others."""
        aside = {*batch.refused, *batch.deferred}
        if not aside:
            return reader
        if reader.is_shared:
            self._dedicate(aside, reader.position or batch.position)
        cursors = {name: dedicated_cursor(name) if reader.is_shared else reader.cursors[name] for name in aside}
        self._turns.hold([cursors[name] for name in batch.refused], now)
        self._refused.update({cursors[name]: why for name, why in batch.refused.items()})
        return reader.without(aside)

    def _without_room(self, reader: Reader, full: Collection[str], now: float) -> Polled:
        if not (reader.is_shared and self._source.seekable):
            cursors = [reader.cursors[name] for name in full]
            self._turns.hold(cursors, now)
            self._full.update(cursors)
            return Polled(done=False, more=len(full) < len(reader.cursors) and not reader.is_shared)
        self.leave(full)
        self._full.update(dedicated_cursor(name) for name in full)
        return Polled(done=False, more=True)

    def _enqueue(self, reader: Reader, batch: Batch, now: float) -> Collection[str]:
        """Enqueue a batch; return the webhooks without room for it: then nothing was enqueued."""
        names = reader.cursors.keys()
        moved = {
            cursor: batch.position for cursor in reader.distinct_cursors if self.positions.get(cursor) != batch.position
        }
        if not batch.arrivals and not moved:
            return ()
        deliveries = [self._delivery(arrival, names) for arrival in batch.arrivals]
        deliveries = [delivery for delivery in deliveries if delivery.all_webhooks]
        result = self._store.enqueue(EnqueueBatch(deliveries, moved, now))
        if result.full:
            self._observer.store_full(result.full)
        else:
            self._cursors.moved(moved)
            self._observer.enqueued(batch.arrivals, result)
        return result.full

    def _delivery(self, arrival: Arrival, names: Collection[str]) -> NewDelivery:
        served = tuple(
            name for name in arrival.webhooks if name in names and not self._subscriptions[name].has_ended(arrival.time)
        )
        if arrival.suppressed_by:
            return NewDelivery(arrival.event, (), suppressed=served, time=arrival.time)
        debug = tuple(name for name in served if name in self._debug)
        webhooks = tuple(name for name in served if name not in debug)
        return NewDelivery(arrival.event, webhooks, debug, time=arrival.time)

    def _report(self, reader: Reader, batch: Batch, now: float) -> None:
        """Report a batch; counts and warnings for no webhook only by the shared reader: others read the same."""
        if reader.is_shared and batch.scanned:
            self._observer.scanned(batch.scanned)
        warnings = [warning for warning in batch.warnings if warning.webhooks or reader.is_shared]
        if warnings:
            self._observer.warned(warnings)
            self._warnings.add(warnings, now)

    def _reader_state(
        self,
        name: str,
        cursors: Collection[str],
        moments: Mapping[str, float | None],
        oldest: Mapping[str, float],
        now: float,
    ) -> ReaderState:
        read = [moments[self._cursors.at(cursor)] for cursor in cursors]
        known = [moment for moment in read if moment is not None]
        start = self._subscriptions[name].start
        reached = max(min(known, default=_NEVER), _NEVER if start is None else start)
        has_moment = len(known) == len(read) and reached > _NEVER
        return ReaderState(
            read_to=min(reached, oldest.get(name, now), now) if has_moment else None,
            reading=min(reached, now) if has_moment else None,
            begun=self._begun,
            problem=joined(next((self._problems[cursor] for cursor in cursors if cursor in self._problems), ())),
            refused=next((self._refused[cursor] for cursor in cursors if cursor in self._refused), ""),
            full=any(cursor in self._full for cursor in cursors),
            warnings=[*self._warnings.of(name, now), *self._source.caveats, *self._broken()],
        )

    def _broken(self) -> Iterator[str]:
        for name, why in self.broken_exceptions.items():
            yield f"AlertException {name} suppresses nothing: {why}"

    def _went_on(self, cursors: Collection[str]) -> None:
        self._full.difference_update(cursors)
        self._turns.release(cursors)
        for cursor in cursors:
            self._refused.pop(cursor, None)

    def _drop(self, cursors: Iterable[str]) -> None:
        dropped = self._cursors.drop(cursors)
        self._went_on(dropped)
        self._turns.forget(dropped)
        for cursor in dropped:
            self._problems.pop(cursor, None)


def _together(starts: Mapping[str, float], now: float) -> Iterator[tuple[float, list[str]]]:
    """Yield webhooks whose starts are about equally far back, with the earliest start of each group."""
    groups: dict[int, list[str]] = {}
    for name, start in starts.items():
        groups.setdefault(int(log2(max(now - start, 1.0))) // 2, []).append(name)
    for names in groups.values():
        yield min(starts[name] for name in names), names
