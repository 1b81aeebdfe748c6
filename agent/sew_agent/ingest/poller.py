"""From the source into the store: readers, and what each of them reads for.

One reader, the common one, serves all webhooks. A webhook that is elsewhere (a file's beginning; without room in the
store; stopped for a while; its query not answerable) has a row of its own instead, and joins the others when it has
reached them. One that begins in the past, or was disabled before all was read for it, has rows for that beside the
common reader. A row is a position in the store, so all this outlives a restart; rows at the same position are read
together, as one reader.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from math import log2
from time import monotonic
from typing import Protocol

from sew_agent.ingest.progress import Progress, ReaderState, progress_of
from sew_agent.ingest.recent_warnings import RecentWarnings
from sew_agent.ingest.source import (
    Arrival,
    Batch,
    EventSource,
    SourceError,
    SourceProblem,
    SourceWarning,
    Subscription,
    joined,
)
from sew_agent.store.records import EnqueueBatch, EnqueueResult, NewDelivery, Store

SHARED = "common"
_OWN = "webhook:"
_PAST = "past:"
_UNTIL = "until:"
"""The row for where what was before ends, where that is not where the common reader is."""
_BEGINNING = ""
_NEVER = float("-inf")
_READERS_AT_ONCE = 8
"""Beside the common one, in one poll: the others have their turn in the next."""
_OTHERS_SECONDS = 3.0
"""Seconds after which the others have their turn in the next poll, too."""
_REST = 5.0
"""How many times as long as it took in vain a reader is not tried again."""


def dedicated_cursor(webhook: str) -> str:
    """The row of a webhook that the common reader does not serve."""
    return _OWN + webhook


def backfill_cursor(webhook: str, number: int = 0) -> str:
    """The row for what was before a webhook began, or for one of the stretches that were left when it was disabled."""
    return f"{_PAST}{webhook} {number}" if number else _PAST + webhook


def _webhook(row: str) -> str:
    """Whose row it is; "" for the common one."""
    return row.partition(":")[2].partition(" ")[0]


def _until(past: str) -> str:
    return _UNTIL + past.removeprefix(_PAST)


class PollObserver(Protocol):
    """Is told what happened, after it is in the store."""

    def warned(self, warnings: Sequence[SourceWarning]) -> None:
        """What the source could not take for events."""

    def enqueued(self, arrivals: Sequence[Arrival], taken: EnqueueResult) -> None:
        """What was taken in."""

    def no_room(self, webhooks: Collection[str]) -> None:
        """Whose share of the store is full: they wait, and lose nothing."""

    def scanned(self, events: int) -> None:
        """So many were read, whether or not a query selects them."""


@dataclass(frozen=True, slots=True)
class Polled:
    """`done`: every reader is at the end of what can be read now. `more`: there is something to read at once.

    `failed`: the common reader could read nothing of what there is.
    """

    done: bool
    more: bool
    failed: bool = False


_HELD = Polled(done=False, more=False)
_NOBODY = {"": SHARED}
"""The common reader's rows where it reads for no webhook: its position moves on all the same."""


@dataclass(frozen=True, slots=True)
class _Reader:
    """Rows at one position, by webhook: what is read for them together. The common one has one row for all."""

    position: str
    rows: Mapping[str, str]

    @property
    def distinct(self) -> Collection[str]:
        """The rows, each once."""
        return set(self.rows.values())

    @property
    def is_common(self) -> bool:
        return SHARED in self.rows.values()


class Poller:
    """Not thread-safe."""

    def __init__(
        self,
        source: EventSource,
        store: Store,
        observer: PollObserver,
        *,
        page_size: int,
        pause: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`pause`: seconds until a reader that could not go on is tried again. `clock` is monotonic, in seconds."""
        self._source = source
        self._store = store
        self._observer = observer
        self._page_size = page_size
        self._pause = pause
        self._clock = clock
        self._positions = dict(store.positions())
        self._subscriptions: Mapping[str, Subscription] = {}
        self._debug: Collection[str] = frozenset()
        self._held: dict[str, tuple[float, float]] = {}
        """Row -> from when until when it is not read for."""
        self._full: set[str] = set()
        self._refused: dict[str, str] = {}
        self._problems: dict[str, tuple[SourceProblem, ...]] = {}
        self._last_turn: dict[str, float] = {}
        self._begun = False
        self._warnings = RecentWarnings()

    @property
    def positions(self) -> Mapping[str, str]:
        """Row -> position, as stored."""
        return self._positions

    @property
    def problems(self) -> tuple[SourceProblem, ...]:
        """What cannot be read now; none where all is well."""
        return tuple(dict.fromkeys(chain.from_iterable(self._problems.values())))

    def serve(self, subscriptions: Mapping[str, Subscription], debug: Collection[str]) -> None:
        """From now on read for these webhooks; those in `debug` are counted and not owed."""
        self._subscriptions = subscriptions
        self._debug = debug

    def begin(self, starts: Mapping[str, float], now: float) -> None:
        """New webhooks read from their starts (epoch seconds) on; those that begin together share a reader."""
        for start, names in _together(starts, now):
            origin = self._source.origin(start)
            if origin.beside:
                self._move({backfill_cursor(name): origin.position for name in names})
            elif SHARED in self._positions and self._source.seekable:
                self._move({dedicated_cursor(name): origin.position for name in names})

    def leave(self, webhooks: Collection[str]) -> None:
        """Keep the position of these webhooks, for when they come back."""
        self._stay(webhooks, self._at(SHARED))

    def detach(self, webhooks: Collection[str]) -> None:
        """From now on these webhooks go on where the source stands when they come back.

        What is behind that, and was not read for them yet, stays theirs.
        """
        for name in webhooks if SHARED in self._positions else ():
            own, past, rows = dedicated_cursor(name), backfill_cursor(name), {}
            if own in self._positions:
                stretch = next(row for n in count() if (row := backfill_cursor(name, n)) not in self._positions)
                rows = {stretch: self._positions[own], _until(stretch): self._positions[SHARED]}
            if past in self._positions and _until(past) not in self._positions:
                rows[_until(past)] = self._positions[SHARED]
            if rows:
                self._move(rows)
        self._forget(map(dedicated_cursor, webhooks))

    def forget(self, webhooks: Collection[str]) -> None:
        """Where these webhooks are."""
        self._forget([row for row in self._positions if _webhook(row) in webhooks])

    def poll(self, now: float) -> Polled:
        """Read one page for each reader. Raises SourceError, StoreError."""
        common = self._common()
        found = [_HELD if self._is_held(SHARED, now) else self._poll(common, now)]
        self._begun = True
        if SHARED in self._positions:
            readers, held = self._others(now)
            tried = self._take_turns(readers, now)
            found += [*tried, _HELD] if held or len(readers) > len(tried) else tried
        return Polled(all(result.done for result in found), any(result.more for result in found), found[0].failed)

    def progress(self, now: float) -> Mapping[str, Progress]:
        """How far events have been read for each webhook that is read for. Raises StoreError."""
        oldest = self._store.oldest_times()
        moments = {position: self._read_to(position) for position in {_BEGINNING, *self._positions.values()}}
        return {
            name: progress_of(self._reader_state(name, rows, moments, oldest, now))
            for name, rows in self._rows().items()
        }

    def low_watermark(self) -> float:
        """The moment (epoch seconds) before which nothing is read again by any reader."""
        moments = map(self._read_to, set(self._positions.values()))
        return min((moment for moment in moments if moment is not None), default=-_NEVER)

    def _read_to(self, position: str) -> float | None:
        return self._source.read_to(position or None)

    def _common(self) -> _Reader:
        own = {row.removeprefix(_OWN) for row in self._positions if row.startswith(_OWN)}
        names = [name for name in self._subscriptions if name not in own]
        return _Reader(self._at(SHARED), dict.fromkeys(names, SHARED) or _NOBODY)

    def _at(self, row: str) -> str:
        return self._positions.get(row, _BEGINNING)

    def _others(self, now: float) -> tuple[list[_Reader], bool]:
        """The readers beside the common one, the longest without a turn first; and whether any row is held."""
        at: dict[tuple[str, str, str], dict[str, str]] = {}
        rows = list(self._beside())
        held = {row for row in rows if self._is_held(row, now)}
        for row in rows:
            if row in self._positions and row not in held:
                kind = row.partition(":")[0]
                at.setdefault((kind, self._positions[row], self._goal(row)), {})[_webhook(row)] = row
        readers = [_Reader(position, rows) for (_, position, _), rows in at.items()]
        return sorted(readers, key=self._turn), bool(held)

    def _beside(self) -> Iterator[str]:
        """The rows of webhooks that are read for, but for the common one."""
        for row in dict.fromkeys([*self._positions, *self._held]):
            if _webhook(row) in self._subscriptions and not row.startswith(_UNTIL):
                yield row

    def _goal(self, row: str) -> str:
        """The position where a reader beside the common one ends."""
        return self._positions.get(_until(row), self._positions[SHARED])

    def _turn(self, reader: _Reader) -> float:
        return min(self._last_turn.get(row, 0.0) for row in reader.rows.values())

    def _take_turns(self, readers: Sequence[_Reader], now: float) -> list[Polled]:
        """So many of them as there is time for: the common reader waits meanwhile."""
        found: list[Polled] = []
        ends = self._clock() + _OTHERS_SECONDS
        for reader in readers[:_READERS_AT_ONCE]:
            if found and self._clock() >= ends:
                break
            found.append(self._try(reader, now))
        return found

    def _try(self, reader: _Reader, now: float) -> Polled:
        """As `_poll`; what this reader alone cannot read is no reason to stop the others."""
        self._last_turn.update(dict.fromkeys(reader.rows.values(), now))
        started = self._clock()
        try:
            return self._poll(reader, now)
        except SourceError:
            self._hold(reader.rows.values(), now, _REST * (self._clock() - started))
            return _HELD

    def _poll(self, reader: _Reader, now: float) -> Polled:
        batch = self._read(reader, now)
        reader = self._set_aside(reader, batch, now)
        if not reader.rows:
            return _HELD
        full = self._enqueue(reader, batch, now)
        if full:
            return self._without_room(reader, full, now)
        self._went_on(reader.distinct)
        self._tell(reader, batch, now)
        if not reader.is_common and self._source.reached(batch.position, self._goal(next(iter(reader.distinct)))):
            self._forget([*reader.rows.values(), *map(_until, reader.rows.values())])
            return Polled(done=True, more=False)
        return Polled(batch.done and reader.is_common, batch.more, batch.failed)

    def _read(self, reader: _Reader, now: float) -> Batch:
        subscriptions = [self._subscription(name, row) for name, row in reader.rows.items() if name]
        rows = reader.distinct
        try:
            batch = self._source.read(subscriptions, reader.position or None, now=now, limit=self._page_size)
        except SourceError as error:
            self._problems.update(dict.fromkeys(rows, (error.problem,)))
            raise
        for row in rows:
            self._problems.pop(row, None)
        self._problems.update(dict.fromkeys(rows, tuple(batch.problems)) if batch.problems else {})
        return batch

    def _subscription(self, name: str, row: str) -> Subscription:
        """What was not read before a webhook was disabled is its own, whatever its start is now."""
        found = self._subscriptions[name]
        late = row.startswith(_PAST) and _until(row) in self._positions
        return replace(found, start=None) if late else found

    def _stay(self, webhooks: Collection[str], position: str) -> None:
        gone = [dedicated_cursor(name) for name in webhooks if dedicated_cursor(name) not in self._positions]
        if gone and self._source.seekable:
            self._move(dict.fromkeys(gone, position))

    def _set_aside(self, reader: _Reader, batch: Batch, now: float) -> _Reader:
        """Whose query cannot be answered, or not now, stays where it is; the reader of the others."""
        aside = {*batch.refused, *batch.deferred}
        if not aside:
            return reader
        if reader.is_common:
            self._stay(aside, reader.position or batch.position)
        rows = {name: dedicated_cursor(name) if reader.is_common else reader.rows[name] for name in aside}
        self._hold([rows[name] for name in batch.refused], now)
        self._refused.update({rows[name]: why for name, why in batch.refused.items()})
        others = {name: row for name, row in reader.rows.items() if name not in aside}
        return replace(reader, rows=others or (_NOBODY if reader.is_common else {}))

    def _without_room(self, reader: _Reader, full: Collection[str], now: float) -> Polled:
        if not (reader.is_common and self._source.seekable):
            rows = [reader.rows[name] for name in full]
            self._hold(rows, now)
            self._full.update(rows)
            return Polled(done=False, more=len(full) < len(reader.rows) and not reader.is_common)
        self.leave(full)
        self._full.update(dedicated_cursor(name) for name in full)
        return Polled(done=False, more=True)

    def _enqueue(self, reader: _Reader, batch: Batch, now: float) -> Collection[str]:
        """The webhooks without room for it: then nothing was taken in."""
        names = reader.rows.keys()
        rows = {row: batch.position for row in reader.distinct if self._positions.get(row) != batch.position}
        if not batch.arrivals and not rows:
            return ()
        owed = [self._owed(arrival, names) for arrival in batch.arrivals]
        taken = self._store.enqueue(EnqueueBatch(owed, rows, now))
        if taken.full:
            self._observer.no_room(taken.full)
        else:
            self._positions.update(rows)
            self._observer.enqueued(batch.arrivals, taken)
        return taken.full

    def _owed(self, arrival: Arrival, names: Collection[str]) -> NewDelivery:
        served = [name for name in arrival.webhooks if name in names]
        debug = tuple(name for name in served if name in self._debug)
        return NewDelivery(arrival.event, tuple(name for name in served if name not in debug), debug, arrival.time)

    def _tell(self, reader: _Reader, batch: Batch, now: float) -> None:
        """What is said of no webhook is said by the common reader alone: others pass the same place."""
        if reader.is_common and batch.scanned:
            self._observer.scanned(batch.scanned)
        warnings = [warning for warning in batch.warnings if warning.webhooks or reader.is_common]
        if warnings:
            self._observer.warned(warnings)
            self._warnings.add(warnings, now)

    def _reader_state(
        self,
        name: str,
        rows: Collection[str],
        moments: Mapping[str, float | None],
        oldest: Mapping[str, float],
        now: float,
    ) -> ReaderState:
        read = [moments[self._at(row)] for row in rows]
        known = [each for each in read if each is not None]
        start = self._subscriptions[name].start
        moment = max(min(known, default=_NEVER), _NEVER if start is None else start)
        tellable = len(known) == len(read) and moment > _NEVER
        return ReaderState(
            read_to=min(moment, oldest.get(name, now), now) if tellable else None,
            reading=min(moment, now) if tellable else None,
            begun=self._begun,
            problem=joined(next((self._problems[row] for row in rows if row in self._problems), ())),
            refused=next((self._refused[row] for row in rows if row in self._refused), ""),
            full=any(row in self._full for row in rows),
            warnings=self._warnings.of(name, now),
        )

    def _rows(self) -> Mapping[str, list[str]]:
        """The rows of each webhook that is read for."""
        names = self._subscriptions
        rows = {
            name: [dedicated_cursor(name) if dedicated_cursor(name) in self._positions else SHARED] for name in names
        }
        for row in self._positions:
            if row.startswith(_PAST) and _webhook(row) in rows:
                rows[_webhook(row)].append(row)
        return rows

    def _is_held(self, row: str, now: float) -> bool:
        """Not if the clock was set back."""
        since, until = self._held.get(row, (0.0, 0.0))
        return since <= now < until

    def _hold(self, rows: Collection[str], now: float, seconds: float = 0.0) -> None:
        """For the pause at least."""
        self._held.update(dict.fromkeys(rows, (now, now + max(self._pause, seconds))))

    def _went_on(self, rows: Collection[str]) -> None:
        self._full.difference_update(rows)
        for row in rows:
            self._held.pop(row, None)
            self._refused.pop(row, None)

    def _move(self, positions: Mapping[str, str]) -> None:
        self._store.enqueue(EnqueueBatch((), positions, 0.0))
        self._positions.update(positions)

    def _forget(self, rows: Iterable[str]) -> None:
        there = [row for row in rows if row in self._positions]
        if there:
            self._store.drop_readers(there)
        self._went_on(there)
        for row in there:
            self._problems.pop(row, None)
            self._last_turn.pop(row, None)
            del self._positions[row]


def _together(starts: Mapping[str, float], now: float) -> Iterator[tuple[float, list[str]]]:
    """Webhooks whose starts are about equally far back, with the earliest start of each group."""
    groups: dict[int, list[str]] = {}
    for name, start in starts.items():
        groups.setdefault(int(log2(max(now - start, 1.0))) // 2, []).append(name)
    for names in groups.values():
        yield min(starts[name] for name in names), names
