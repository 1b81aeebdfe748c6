"""A whole store, table by table, for another store: the names of today's words, and texts that may be any as bytes."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

_WEBHOOKS = (
    "SELECT id, name, delivered, pending, dead, bytes, last_delivered_at, last_error, last_error_at, shifted,"
    " known AS record, json_extract(known, '$.state') AS state, json_extract(known, '$.deleted_at') AS deleted_at,"
    " lane AS receiver FROM webhooks"
)
_EVENTS = (
    "SELECT id, key, CAST(name AS BLOB) AS name, CAST(source AS BLOB) AS source, document, owed AS references_left"
    " FROM events"
)
_DELIVERIES = (
    "SELECT seq, webhook, event, bytes, read_at, time, attempts, first_attempt, due, in_doubt, died_at, reason, detail,"
    " again, digest FROM deliveries"
)
_TABLES = {
    "readers": "SELECT name, position FROM readers",
    "webhooks": _WEBHOOKS,
    "gone": "SELECT id, name, at FROM gone",
    "dropped": "SELECT webhook, reason, count FROM dropped",
    "seen": "SELECT event, webhook, until FROM pairs",
    "events": _EVENTS,
    "deliveries": _DELIVERIES,
    "released": "SELECT event FROM released ORDER BY rowid",
    "moments": "SELECT name, at FROM moments",
    "actions": "SELECT id, at, who, what, webhook, count FROM acts",
    "attempts": "SELECT webhook, number, at, entries FROM attempts",
}
_LAST = (
    "SELECT 'webhooks', 'id', amount FROM amounts WHERE name = 'ids'"
    " UNION ALL SELECT 'events', 'id', coalesce(max(id), 0) FROM events"
    " UNION ALL SELECT 'deliveries', 'seq', seq FROM sqlite_sequence WHERE name = 'deliveries'"
    " UNION ALL SELECT 'actions', 'id', seq FROM sqlite_sequence WHERE name = 'acts'"
)

Table = tuple[str, str, Iterator[Sequence[Any]]]
"""A table, its columns, and its rows."""


def tables(db: sqlite3.Connection) -> Iterator[Table]:
    """Yield the tables, each to be read to its end before the next one."""
    for name, sql in _TABLES.items():
        rows = db.execute(sql)
        yield name, ", ".join(column for column, *_ in rows.description), rows


def last_numbers(db: sqlite3.Connection) -> list[tuple[str, str, int]]:
    """Return table, column and the highest number that was ever given there: none is given again."""
    return db.execute(_LAST).fetchall()
