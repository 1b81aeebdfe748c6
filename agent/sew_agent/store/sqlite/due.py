"""Pages of due deliveries, bounded in number and bytes."""

import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing
from itertools import islice
from typing import Any

from sew_agent.store.rows import Page, bounded

_DUE = (
    "SELECT d.seq, d.read_at, d.attempts, d.first_attempt + w.shifted, d.due, d.in_doubt, d.again, d.digest,"
    " e.source, e.name, e.document"
    " FROM webhooks w JOIN deliveries d ON d.webhook = w.id JOIN events e ON e.id = d.event"
    " WHERE w.name = ? AND d.died_at IS NULL"
)
FRESH = f"{_DUE} AND d.attempts = 0 ORDER BY d.seq LIMIT ?"
WAITING = f"{_DUE} AND d.seq > ? ORDER BY d.seq LIMIT ?"
THESE = f"{_DUE} AND d.seq IN (SELECT value FROM json_each(?)) ORDER BY d.seq LIMIT ?"  # noqa: S608 - of constants
TOGETHER = f"{_DUE} AND d.digest = ? AND d.digest <> '' ORDER BY d.seq LIMIT ?"
TRIED = f"{_DUE} AND d.attempts > 0 AND d.due > ? AND d.due <= ? ORDER BY d.due LIMIT ?"


def page(
    db: sqlite3.Connection, sql: str, values: Sequence[Any], limit: int, skip: Collection[int], most_bytes: float
) -> Page:
    """Return at most `limit` rows, without skipped ones, as `bounded` does."""
    with closing(db.execute(sql, (*values, limit + len(skip)))) as cursor:
        return bounded(islice((row for row in cursor if row[0] not in skip), limit), most_bytes)
