"""Readers and their cursors: named positions in the store, so they outlive a restart.

The shared cursor serves all webhooks. A webhook that is elsewhere (a file's beginning; without room in the store;
stopped for a while; its query not answerable) has a dedicated cursor instead, until that has reached the shared one.
Backfill cursors read old events beside the shared one: of a webhook that begins in the past, or that was disabled
before all was read for it. Cursors of one kind at the same position are read together, by one reader.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import count

from sew_agent.ingest.replay import is_replay_row
from sew_agent.store.contract import Store
from sew_agent.store.records import EnqueueBatch

SHARED = "common"
_DEDICATED = "webhook:"
_BACKFILL = "past:"
_UNTIL = "until:"
"""Cursor of the position where a backfill ends, if that is not the shared one's."""
_BEGINNING = ""
_NOBODY = {"": SHARED}
"""Cursors of the shared reader where it reads for no webhook: its position moves on all the same."""


def dedicated_cursor(webhook: str) -> str:
    """Return the cursor of a webhook that the shared one does not serve."""
    return _DEDICATED + webhook


def backfill_cursor(webhook: str, number: int = 0) -> str:
    """Return one of the cursors for a webhook's old events, or for a stretch that was left when it was disabled."""
    return f"{_BACKFILL}{webhook} {number}" if number else _BACKFILL + webhook


def until_cursor(backfill: str) -> str:
    """Return the cursor of the position where a backfill ends."""
    return _UNTIL + backfill.removeprefix(_BACKFILL)


def webhook_of(cursor: str) -> str:
    """Return the webhook that a cursor belongs to; "" for the shared one."""
    return cursor.partition(":")[2].partition(" ")[0]


@dataclass(frozen=True, slots=True)
class Reader:
    """Cursors at one position, by webhook, that are read together. The shared reader has one cursor for all."""

    position: str
    cursors: Mapping[str, str]

    @property
    def distinct_cursors(self) -> Collection[str]:
        return set(self.cursors.values())

    @property
    def is_shared(self) -> bool:
        return SHARED in self.cursors.values()

    def without(self, webhooks: Collection[str]) -> "Reader":
        """Return the reader of the other webhooks; the shared one reads on for nobody."""
        others = {name: cursor for name, cursor in self.cursors.items() if name not in webhooks}
        return Reader(self.position, others or (_NOBODY if self.is_shared else {}))


class Cursors:
    """Positions by cursor, as stored. Not thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._positions = {name: text for name, text in store.positions().items() if not is_replay_row(name)}

    @property
    def positions(self) -> Mapping[str, str]:
        return self._positions

    def at(self, cursor: str) -> str:
        return self._positions.get(cursor, _BEGINNING)

    def goal(self, cursor: str) -> str:
        """Return the position where a dedicated or a backfill cursor ends."""
        fixed = self.fixed_goal(cursor)
        return self._positions[SHARED] if fixed is None else fixed

    def ends_early(self, cursor: str) -> bool:
        """Return whether a backfill ends before the shared cursor: its webhook was disabled meanwhile."""
        return self.fixed_goal(cursor) is not None

    def fixed_goal(self, cursor: str) -> str | None:
        """Return the position where a backfill ends early; None for any other cursor."""
        return self._positions.get(until_cursor(cursor)) if cursor.startswith(_BACKFILL) else None

    def move(self, positions: Mapping[str, str]) -> None:
        """Store these positions."""
        self._store.enqueue(EnqueueBatch((), positions, 0.0))
        self.moved(positions)

    def moved(self, positions: Mapping[str, str]) -> None:
        """Record positions that are in the store already."""
        self._positions.update(positions)

    def dedicate(self, webhooks: Collection[str], position: str) -> None:
        """Give webhooks a dedicated cursor at a position, unless they have one."""
        cursors = [cursor for cursor in map(dedicated_cursor, webhooks) if cursor not in self._positions]
        if cursors:
            self.move(dict.fromkeys(cursors, position))

    @property
    def unended(self) -> Mapping[str, str]:
        """Webhook -> its backfill that does not end early, where it has one."""
        backfills = (cursor for cursor in self._positions if cursor.startswith(_BACKFILL))
        return {webhook_of(one): one for one in backfills if not self.ends_early(one)}

    def free_backfill(self, webhook: str) -> str:
        """Return the next cursor for old events of a webhook: others may not be read to their ends yet."""
        return next(free for n in count() if (free := backfill_cursor(webhook, n)) not in self._positions)

    def end_early(self, backfills: Mapping[str, str]) -> None:
        """Move these backfills, and let them end where the shared cursor is now."""
        if backfills:
            self.move({**backfills, **dict.fromkeys(map(until_cursor, backfills), self.at(SHARED))})

    def end_dedicated(self, webhooks: Collection[str]) -> None:
        """Make backfills of the dedicated cursors of these webhooks, which end where the shared cursor is now."""
        dedicated = {name: self._positions.get(dedicated_cursor(name)) for name in webhooks}
        self.end_early({self.free_backfill(name): at for name, at in dedicated.items() if at is not None})

    def drop(self, cursors: Iterable[str]) -> list[str]:
        """Drop those cursors that exist, and return them."""
        existing = [cursor for cursor in cursors if cursor in self._positions]
        if existing:
            self._store.drop_readers(existing)
        for cursor in existing:
            del self._positions[cursor]
        return existing

    def of_webhooks(self, webhooks: Collection[str]) -> Mapping[str, list[str]]:
        """Return each webhook's cursors: the shared or a dedicated one, and its backfills."""
        dedicated = {name: dedicated_cursor(name) for name in webhooks}
        cursors = {name: [cursor if cursor in self._positions else SHARED] for name, cursor in dedicated.items()}
        for cursor in self._positions:
            if cursor.startswith(_BACKFILL) and webhook_of(cursor) in cursors:
                cursors[webhook_of(cursor)].append(cursor)
        return cursors

    def shared_reader(self, webhooks: Collection[str]) -> Reader:
        """Return the reader of all webhooks without a dedicated cursor."""
        names = [name for name in webhooks if dedicated_cursor(name) not in self._positions]
        return Reader(self.at(SHARED), dict.fromkeys(names, SHARED) or _NOBODY)

    def others(self, webhooks: Collection[str], held: Iterable[str]) -> list[str]:
        """Return the cursors of webhooks beside the shared one, with those held that have no position yet."""
        cursors = dict.fromkeys([*self._positions, *held])
        return [cursor for cursor in cursors if webhook_of(cursor) in webhooks and not cursor.startswith(_UNTIL)]

    def readers(self, cursors: Iterable[str]) -> list[Reader]:
        """Return one reader for all cursors of one kind, position and goal."""
        together: dict[tuple[str, str, str], dict[str, str]] = {}
        for cursor in cursors:
            if cursor in self._positions:
                kind = cursor.partition(":")[0]
                key = (kind, self._positions[cursor], self.goal(cursor))
                together.setdefault(key, {})[webhook_of(cursor)] = cursor
        return [Reader(position, cursors_there) for (_, position, _), cursors_there in together.items()]
