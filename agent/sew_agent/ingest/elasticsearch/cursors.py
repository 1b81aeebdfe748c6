"""Cursors: how far each shard was read, what is to be searched next, and when a cursor may move. Pure.

A cursor stands at a number up to which everything was read for certain. `seen` runs ahead of it for latency: above the
cursor a write may become visible later than one with a higher number, so those numbers are read again.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter

from sew_agent.ingest.elasticsearch.shards import START, Shard, ShardStats
from sew_agent.ingest.elasticsearch.visibility import VisibleCheckpoints
from sew_agent.ingest.source import SourceWarning

COARSE = 60.0
"""Seconds by which a moment in a position may be older than it could be: an idle agent need not write each second."""
_GONE_KEPT = 86_400.0
"""Seconds for which the cursor of a missing index is kept: the agent may only have lost a privilege."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """`seq`: read for certain up to this number; `seen`: the highest number read, never less than that.

    `at`: the moment up to which the shard was read (epoch seconds). `old`: numbers up to this one were there when the
    shard was first seen, or read anew, with old events among them. `top`: the last known checkpoint. `gone`: since when
    the index is not there.
    """

    index: str
    history: str
    seq: int
    seen: int
    at: float
    old: int = START
    top: int = START
    gone: float = 0.0


_values = attrgetter(*(attribute.name for attribute in fields(Cursor)))
"""Values of a cursor, in order: `astuple` would copy each, which for thousands of shards takes a tenth of a second."""


@dataclass(frozen=True, slots=True)
class TailPosition:
    """The position of a tail. `at`: when it last read the indices' statistics (epoch seconds)."""

    at: float
    cursors: Mapping[str, Cursor] = field(default_factory=dict)

    def dump(self) -> str:
        return json.dumps(
            [self.at, {key: _values(cursor) for key, cursor in self.cursors.items()}], separators=(",", ":")
        )

    @classmethod
    def load(cls, text: str) -> "TailPosition":
        at, cursors = json.loads(text)
        return cls(at, {key: Cursor(*cursor) for key, cursor in cursors.items()})

    def read_to(self, stats: ShardStats | None) -> float:
        """Return the moment up to which all shards were read: the statistics' own for one that is at its checkpoint."""
        moments = [
            stats.at if stats and _rests(stats.shards.get(key), cursor) else cursor.at
            for key, cursor in self.cursors.items()
            if not cursor.gone
        ]
        return min(moments, default=stats.at if stats else self.at)


def _rests(shard: Shard | None, cursor: Cursor) -> bool:
    return shard is not None and shard.history == cursor.history and cursor.seq >= shard.checkpoint


def begin(stats: ShardStats) -> TailPosition:
    """Return the position of a fresh store: the checkpoints. Everything before them is read by backfills."""
    return TailPosition(
        stats.at,
        {
            key: Cursor(shard.index, shard.history, shard.checkpoint, shard.checkpoint, stats.at, top=shard.checkpoint)
            for key, shard in stats.shards.items()
        },
    )


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """A position brought up to the shards that exist now, and warnings about what was lost."""

    position: TailPosition
    warnings: tuple[SourceWarning, ...] = ()


def catch_up(position: TailPosition, stats: ShardStats, there: frozenset[str], aged: frozenset[str]) -> CaughtUp:
    """Add cursors for new shards, begin those with a changed history anew, and mark those of missing indices.

    `there`: the uuids of all indices that exist, closed ones too. `aged`: uuids of indices with events above the age
    limit. A new shard is read from its beginning, and so is one whose history changed: its numbers mean other writes.
    """
    cursors, warnings = dict(position.cursors), []
    for key, shard in stats.shards.items():
        cursors[key] = _known(cursors.get(key), shard, position.at, aged=shard.uuid in aged)
    for key, cursor in position.cursors.items():
        if key in stats.shards:
            if stats.shards[key].history != cursor.history:
                warnings.append(_anew(key, cursor))
        elif key.partition("/")[0] not in there:
            warnings += [] if cursor.gone else _lost(key, cursor)
            cursors[key] = replace(cursor, gone=cursor.gone or stats.at)
    kept = {key: known for key, known in cursors.items() if not known.gone or stats.at - known.gone < _GONE_KEPT}
    return CaughtUp(_aged(TailPosition(position.at, kept), stats), tuple(warnings))


def _known(cursor: Cursor | None, shard: Shard, at: float, *, aged: bool) -> Cursor:
    if cursor is None:
        old = shard.checkpoint if aged else START
        return Cursor(shard.index, shard.history, START, START, at, old, shard.checkpoint)
    if cursor.history != shard.history:
        return Cursor(shard.index, shard.history, START, START, cursor.at, shard.checkpoint, shard.checkpoint)
    seen = min(cursor.seen, max(shard.top, cursor.seq))  # numbers above were rolled back, and may be used again
    return replace(cursor, seen=seen, top=shard.checkpoint, gone=0.0)


def _aged(position: TailPosition, stats: ShardStats) -> TailPosition:
    """Bring all moments up to date at once, where the position's lags enough to be worth a write."""
    if stats.at - position.at < COARSE:
        return position
    rested = {
        key: replace(cursor, at=stats.at)
        for key, cursor in position.cursors.items()
        if _rests(stats.shards.get(key), cursor)
    }
    return TailPosition(stats.at, {**position.cursors, **rested})


def _anew(key: str, cursor: Cursor) -> SourceWarning:
    text = f"{_name(key, cursor)} has another history than when it was last read: it is read again from its start"
    return SourceWarning("history", text)


def _lost(key: str, cursor: Cursor) -> list[SourceWarning]:
    if cursor.seen >= cursor.top:
        return []
    text = f"{_name(key, cursor)} is gone: its writes {cursor.seen + 1} to {cursor.top} were not read"
    return [SourceWarning("lost", text, cursor.top - cursor.seen)]


def _name(key: str, cursor: Cursor) -> str:
    return f"{cursor.index}[{key.partition('/')[2]}]"


@dataclass(frozen=True, slots=True)
class Search:
    """One search in one shard: numbers above `above`, up to `upto`.

    `whole`: all writes up to `upto` are visible, so the cursor moves along. None: the newest, for latency.
    """

    shard: Shard
    above: int
    upto: int | None = None
    at: float = 0.0
    """The moment at which all writes up to `upto` were in."""

    @property
    def last(self) -> int:
        """Highest number to search for: the mapping that translated the queries may be older than later writes."""
        return self.shard.top if self.upto is None else self.upto

    @property
    def whole(self) -> bool:
        return self.upto is not None


def searches(position: TailPosition, stats: ShardStats, visible: VisibleCheckpoints) -> Iterator[Search]:
    """Yield the searches to make now: none for a shard whose cursor stands at its checkpoint."""
    for key, shard in stats.shards.items():
        cursor = position.cursors[key]
        if cursor.seq >= shard.checkpoint:
            continue
        visible_up_to, at = visible.of(shard)
        if visible_up_to > cursor.seq:
            yield Search(shard, cursor.seq, visible_up_to, at)
        above = max(cursor.seen, visible_up_to)
        if above < shard.top:
            yield Search(shard, above)


def up_to(end: TailPosition, wanted: Iterable[Search]) -> Iterator[Search]:
    """Yield of these searches what stands before an end: up to the highest number that was read there."""
    for search in wanted:
        cursor = end.cursors.get(search.shard.key)
        if search.whole and cursor and cursor.history == search.shard.history and search.above < cursor.seen:
            yield replace(search, upto=min(search.last, cursor.seen))


def moved(cursor: Cursor, search: Search, last: int, page_end: int | None) -> Cursor:
    """Return the cursor after a search. `last`: the highest number found; `page_end`: where the page was cut off."""
    if search.upto is None:
        return replace(cursor, seen=max(cursor.seen, last))
    if page_end is not None:
        return replace(cursor, seq=page_end, seen=max(cursor.seen, page_end))
    return replace(cursor, seq=search.upto, seen=max(cursor.seen, search.upto), at=max(cursor.at, search.at))


def reached(position: TailPosition, other: TailPosition) -> bool:
    """Return whether a reader stands at or beyond another in every shard that the other knows."""
    return all(_beyond(position.cursors.get(key), cursor) for key, cursor in other.cursors.items() if not cursor.gone)


def _beyond(mine: Cursor | None, other: Cursor) -> bool:
    if mine is None:
        return other.seq == START
    return mine.history == other.history and mine.seq >= other.seq
