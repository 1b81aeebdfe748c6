"""Housekeeping in short steps, so that nobody waits for long: each is part of one transaction."""

import sqlite3

from sew_agent.store import room
from sew_agent.store.records import DropReason
from sew_agent.store.room import READABLE_FOR, SEEN_EVENT
from sew_agent.store.rows import AT_ONCE
from sew_agent.store.sqlite.results import drop

_HOUSE_PAGES = 4096
_SHRUNK_AT_ONCE = 200


def seen_bytes(db: sqlite3.Connection) -> int:
    """Return the bytes that all seen events fill."""
    return total(db, "pairs") * SEEN_EVENT


def total(db: sqlite3.Connection, name: str) -> int:
    """Return one of the totals of the store."""
    total: int = db.execute("SELECT amount FROM amounts WHERE name = ?", (name,)).fetchone()[0]
    return total


def add(db: sqlite3.Connection, name: str, more: int) -> None:
    """Add to one of the totals of the store."""
    db.execute("UPDATE amounts SET amount = amount + ? WHERE name = ?", (more, name))


def forgettable_until(db: sqlite3.Connection, now: float, known_for: float, max_bytes: int) -> float:
    """Return the moment up to which seen events may be forgotten: later where the room is needed."""
    used = db.execute("SELECT coalesce(sum(bytes), 0) FROM webhooks").fetchone()[0]
    return room.forgettable_until(now, known_for, max_bytes, used=used, seen=seen_bytes(db))


def forget_seen(db: sqlite3.Connection, before: float, later: float) -> tuple[int, int]:
    """Forget some seen events; return how many, and how many were read. One with deliveries is read again `later`."""
    sql = "SELECT event, webhook FROM pairs WHERE until < ? ORDER BY until LIMIT ?"
    rows = db.execute(sql, (before, AT_ONCE)).fetchall()
    pending = {event for event, _ in rows if db.execute("SELECT 1 FROM events WHERE key = ?", (event,)).fetchone()}
    over = [pair for pair in rows if pair[0] not in pending]
    db.executemany("DELETE FROM pairs WHERE event = ? AND webhook = ?", over)
    kept = ((later, *pair) for pair in rows if pair[0] in pending)
    db.executemany("UPDATE pairs SET until = ? WHERE event = ? AND webhook = ?", kept)
    add(db, "pairs", -len(over))
    return len(over), len(rows)


def expire(db: sqlite3.Connection, before: float) -> int:
    """Drop some of the dead letters that died before; return how many."""
    sql = "SELECT seq, webhook, event, bytes FROM deliveries WHERE died_at IS NOT NULL AND died_at < ?"
    rows = db.execute(f"{sql} ORDER BY died_at LIMIT ?", (before, AT_ONCE)).fetchall()
    drop(db, rows, "dead", DropReason.EXPIRED)
    return len(rows)


def remove_gone(db: sqlite3.Connection, before: float) -> int:
    """Remove some webhooks that are gone for good and hold no delivery; return how many.

    Their names stay for as long as what they have seen: one that comes back gets nothing twice.
    """
    sql = (
        "SELECT id, name FROM webhooks w WHERE bytes = 0 AND pending = 0 AND dead = 0"
        " AND json_extract(known, '$.state') = '' AND coalesce(json_extract(known, '$.deleted_at'), 0) < ?"
        " AND NOT EXISTS (SELECT 1 FROM attempts WHERE webhook = w.id) LIMIT ?"
    )
    rows = db.execute(sql, (before - READABLE_FOR, AT_ONCE)).fetchall()
    db.executemany("INSERT INTO gone VALUES (?, ?, ?)", ((*row, before) for row in rows))
    numbers = [(number,) for number, _ in rows]
    db.executemany("DELETE FROM webhooks WHERE id = ?", numbers)
    db.executemany("DELETE FROM dropped WHERE webhook = ?", numbers)
    return len(rows)


def remove_names(db: sqlite3.Connection, before: float) -> None:
    """Remove some names of webhooks that are gone for longer than any seen event is remembered."""
    db.execute("DELETE FROM gone WHERE id IN (SELECT id FROM gone WHERE at < ? LIMIT ?)", (before, AT_ONCE))


def webhook_id(db: sqlite3.Connection, name: str) -> int:
    """Return a webhook's id, its old one where it comes back. No id is given to two names."""
    row = db.execute("SELECT id FROM webhooks WHERE name = ?", (name,)).fetchone()
    if row:
        return int(row[0])
    back = db.execute("DELETE FROM gone WHERE name = ? RETURNING id", (name,)).fetchall()
    if not back:
        add(db, "ids", 1)
    number = int(back[0][0]) if back else total(db, "ids")
    db.execute("INSERT INTO webhooks (id, name) VALUES (?, ?)", (number, name))
    return number


def shrink(db: sqlite3.Connection) -> bool:
    """Give pages back to the disk where a quarter of the file, and more than 16 MiB, is free; True if it did."""
    (pages,), (free,) = db.execute("PRAGMA page_count").fetchone(), db.execute("PRAGMA freelist_count").fetchone()
    if free <= max(pages // 4, _HOUSE_PAGES) or db.execute("PRAGMA auto_vacuum").fetchone()[0] != 2:
        return False
    db.executescript(f"PRAGMA incremental_vacuum({_SHRUNK_AT_ONCE})")  # `execute` would stop after one page
    return True
