"""From the source into the store: readers, and what each of them reads for.

One reader serves all webhooks. One that is elsewhere (new, so at the source's beginning; without room in the store; or
stopped for a while) has a reader of its own, and joins the others when it has reached them. A reader is its position in
the store, so all this outlives a restart.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.sources.base import Arrival, Batch, EventSource, Note, Subscription
from agent.store.base import Intake, Owed, Store, Taken

COMMON = "common"
_OWN = "webhook:"
_BEGINNING = ""


def own_reader(webhook: str) -> str:
    """What the reader of one webhook alone is called."""
    return _OWN + webhook


class Observer(Protocol):
    """Is told what happened, after it is in the store."""

    def noted(self, notes: Sequence[Note]) -> None:
        """What the source could not take for events."""

    def took(self, arrivals: Sequence[Arrival], taken: Taken) -> None:
        """What was taken in."""

    def no_room(self, webhooks: Collection[str]) -> None:
        """Whose share of the store is full: they wait, and lose nothing."""


@dataclass(frozen=True, slots=True)
class Polled:
    """`done`: every reader is at the end of what can be read now. `more`: there is something to read at once."""

    done: bool
    more: bool


_HELD = Polled(done=False, more=False)


class Poller:
    """Not thread-safe."""

    def __init__(self, source: EventSource, store: Store, observer: Observer, *, page_size: int, pause: float) -> None:
        """`pause`: seconds until a reader without room is tried again."""
        self._source = source
        self._store = store
        self._observer = observer
        self._page_size = page_size
        self._pause = pause
        self._positions = dict(store.positions())
        self._subscriptions: Mapping[str, Subscription] = {}
        self._debug: Collection[str] = frozenset()
        self._held: dict[str, float] = {}

    @property
    def positions(self) -> Mapping[str, str]:
        """Reader -> position, as stored."""
        return self._positions

    def serve(self, subscriptions: Mapping[str, Subscription], debug: Collection[str]) -> None:
        """From now on read for these webhooks; those in `debug` are counted and not owed."""
        self._subscriptions = subscriptions
        self._debug = debug

    def begin(self, webhooks: Collection[str], now: float) -> None:
        """New webhooks read from the source's beginning."""
        if COMMON in self._positions and self._source.seekable:
            self._move({own_reader(name): _BEGINNING for name in webhooks}, now)

    def leave(self, webhooks: Collection[str], now: float) -> None:
        """Keep the position of these webhooks, for when they come back."""
        gone = [own_reader(name) for name in webhooks if own_reader(name) not in self._positions]
        if gone and self._source.seekable:
            self._move(dict.fromkeys(gone, self._positions.get(COMMON, _BEGINNING)), now)

    def detach(self, webhooks: Collection[str]) -> None:
        """Forget where these webhooks are: they go on where the source stands."""
        for name in webhooks:
            self._forget(own_reader(name))

    def poll(self, now: float) -> Polled:
        """Read one page for each reader. Raises SourceError, StoreError."""
        found = [self._poll_common(now)]
        if COMMON in self._positions:
            found += [self._poll_own(name, now) for name in self._subscriptions if own_reader(name) in self._positions]
        return Polled(all(each.done for each in found), any(each.more for each in found))

    def _poll_common(self, now: float) -> Polled:
        if self._is_held(COMMON, now):
            return _HELD
        names = [name for name in self._subscriptions if own_reader(name) not in self._positions]
        batch = self._read(COMMON, names, now)
        taken = self._take_in(COMMON, batch, now)
        if not taken.full:
            self._observer.noted(batch.notes)
            return Polled(batch.caught_up, not batch.caught_up)
        if self._source.seekable:
            self.leave(taken.full, now)
            return Polled(done=False, more=True)
        self._held[COMMON] = now + self._pause
        return _HELD

    def _poll_own(self, name: str, now: float) -> Polled:
        reader = own_reader(name)
        if self._is_held(reader, now):
            return _HELD
        taken = self._take_in(reader, self._read(reader, [name], now), now)
        if taken.full:
            self._held[reader] = now + self._pause
            return _HELD
        if self._source.reached(self._positions[reader], self._positions[COMMON]):
            self._forget(reader)
            return Polled(done=True, more=False)
        return Polled(done=False, more=True)

    def _is_held(self, reader: str, now: float) -> bool:
        return self._held.get(reader, 0.0) > now

    def _read(self, reader: str, names: Sequence[str], now: float) -> Batch:
        position = self._positions.get(reader) or None
        subscriptions = [self._subscriptions[name] for name in names]
        return self._source.read(subscriptions, position, now=now, limit=self._page_size)

    def _take_in(self, reader: str, batch: Batch, now: float) -> Taken:
        if not batch.arrivals and self._positions.get(reader) == batch.position:
            return Taken(0, 0)
        owed = [self._owed(arrival) for arrival in batch.arrivals]
        taken = self._store.take_in(Intake(owed, {reader: batch.position}, now))
        if taken.full:
            self._observer.no_room(taken.full)
        else:
            self._positions[reader] = batch.position
            self._observer.took(batch.arrivals, taken)
        return taken

    def _owed(self, arrival: Arrival) -> Owed:
        debug = tuple(name for name in arrival.webhooks if name in self._debug)
        return Owed(arrival.event, tuple(name for name in arrival.webhooks if name not in self._debug), debug)

    def _move(self, positions: Mapping[str, str], now: float) -> None:
        self._store.take_in(Intake((), positions, now))
        self._positions.update(positions)

    def _forget(self, reader: str) -> None:
        self._held.pop(reader, None)
        if reader in self._positions:
            self._store.drop_reader(reader)
            del self._positions[reader]
