"""Pages of due deliveries, bounded in number and bytes."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any

_DUE = (
    "SELECT d.seq, d.read_at, d.attempts, d.first_attempt + w.shifted, d.due, d.in_doubt, e.source, e.name, e.document"
    " FROM webhooks w JOIN deliveries d ON d.webhook = w.id JOIN events e ON e.id = d.event"
    " WHERE w.name = ? AND d.died_at IS NULL"
)
FRESH = f"{_DUE} AND d.attempts = 0 ORDER BY d.seq LIMIT ?"
TRIED = f"{_DUE} AND d.attempts > 0 AND d.due > ? AND d.due <= ? ORDER BY d.due LIMIT ?"
_BYTES_AT_ONCE = 4 * 2**20


def page(db: sqlite3.Connection, sql: str, values: Sequence[Any], limit: int, skip: Collection[int]) -> list[Any]:
    """Return at most `limit` rows, without skipped ones and none after the one that fills the bytes."""
    with closing(db.execute(sql, (*values, limit + len(skip)))) as cursor:
        return list(bounded(islice((row for row in cursor if row[0] not in skip), limit)))


def bounded(rows: Iterable[Any]) -> Iterator[Any]:
    """Return rows up to the one that fills the bytes."""
    size = 0
    for row in rows:
        yield row
        size += len(row[-1])
        if size >= _BYTES_AT_ONCE:
            return
