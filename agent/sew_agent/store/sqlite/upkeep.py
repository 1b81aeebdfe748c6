"""Housekeeping, in steps that are short enough to hold nobody up: each is part of one transaction."""

import sqlite3

from sew_agent.store.records import DropReason
from sew_agent.store.sqlite.results import end

AT_ONCE = 250
"""Rows that one step looks at."""
PAIR = 64
"""Bytes that it takes to know one (webhook, event)."""
KEPT = 600.0
"""Seconds for which the counts of a webhook that is gone for good can still be read."""
_TIGHT = 0.8
_LEAST_KNOWN = 0.25
_HOUSE_PAGES = 4096
_SHRUNK_AT_ONCE = 200


def known_bytes(db: sqlite3.Connection) -> int:
    """What it takes to know all that is known."""
    return amount(db, "pairs") * PAIR


def amount(db: sqlite3.Connection, name: str) -> int:
    """One of the counts of the store."""
    found: int = db.execute("SELECT amount FROM amounts WHERE name = ?", (name,)).fetchone()[0]
    return found


def add(db: sqlite3.Connection, name: str, more: int) -> None:
    db.execute("UPDATE amounts SET amount = amount + ? WHERE name = ?", (more, name))


def known_until(db: sqlite3.Connection, now: float, known_for: float, max_bytes: int) -> float:
    """Pairs that are known until before this moment may be forgotten: sooner where the room is needed."""
    known = known_bytes(db)
    filled = known + db.execute("SELECT coalesce(sum(bytes), 0) FROM webhooks").fetchone()[0]
    tight = filled > _TIGHT * max_bytes and known > _LEAST_KNOWN * max_bytes
    return now + max(known_for - KEPT, 0.0) if tight else now


def forget_pairs(db: sqlite3.Connection, before: float, later: float) -> tuple[int, int]:
    """Forget some; how many, and how many were looked at. What is still owed is looked at again `later`."""
    sql = "SELECT event, webhook FROM pairs WHERE until < ? ORDER BY until LIMIT ?"
    found = db.execute(sql, (before, AT_ONCE)).fetchall()
    owed = {event for event, _ in found if db.execute("SELECT 1 FROM events WHERE key = ?", (event,)).fetchone()}
    over = [pair for pair in found if pair[0] not in owed]
    db.executemany("DELETE FROM pairs WHERE event = ? AND webhook = ?", over)
    kept = ((later, *pair) for pair in found if pair[0] in owed)
    db.executemany("UPDATE pairs SET until = ? WHERE event = ? AND webhook = ?", kept)
    add(db, "pairs", -len(over))
    return len(over), len(found)


def expire(db: sqlite3.Connection, before: float) -> int:
    """Count some of the dead letters that died before as dropped; how many."""
    sql = "SELECT seq, webhook, event, bytes FROM deliveries WHERE died_at IS NOT NULL AND died_at < ?"
    found = db.execute(f"{sql} ORDER BY died_at LIMIT ?", (before, AT_ONCE)).fetchall()
    end(db, found, "dead", DropReason.EXPIRED)
    return len(found)


def put_away(db: sqlite3.Connection, before: float) -> int:
    """Take webhooks that are gone for good, and owe nothing, out of all that is looked at; how many.

    Their names stay for as long as what they got is known: one that comes back gets nothing twice.
    """
    sql = (
        "SELECT id, name FROM webhooks WHERE bytes = 0 AND pending = 0 AND dead = 0"
        " AND json_extract(known, '$.state') = '' AND coalesce(json_extract(known, '$.deleted_at'), 0) < ? LIMIT ?"
    )
    found = db.execute(sql, (before - KEPT, AT_ONCE)).fetchall()
    db.executemany("INSERT INTO gone VALUES (?, ?, ?)", ((*each, before) for each in found))
    numbers = [(number,) for number, _ in found]
    db.executemany("DELETE FROM webhooks WHERE id = ?", numbers)
    db.executemany("DELETE FROM dropped WHERE webhook = ?", numbers)
    return len(found)


def lose_names(db: sqlite3.Connection, before: float) -> None:
    """Of some that are gone for longer than anything that they got is known."""
    db.execute("DELETE FROM gone WHERE id IN (SELECT id FROM gone WHERE at < ? LIMIT ?)", (before, AT_ONCE))


def number_of(db: sqlite3.Connection, name: str) -> int:
    """What stands for a webhook in all tables: never another one's number, and the old one where it comes back."""
    found = db.execute("SELECT id FROM webhooks WHERE name = ?", (name,)).fetchone()
    if found:
        return int(found[0])
    back = db.execute("DELETE FROM gone WHERE name = ? RETURNING id", (name,)).fetchall()
    if not back:
        add(db, "ids", 1)
    number = int(back[0][0]) if back else amount(db, "ids")
    db.execute("INSERT INTO webhooks (id, name) VALUES (?, ?)", (number, name))
    return number


def shrink(db: sqlite3.Connection) -> bool:
    """Give some pages back to the disk where a quarter of the file, and more than 16 MiB, is free; whether it did."""
    (pages,), (free,) = db.execute("PRAGMA page_count").fetchone(), db.execute("PRAGMA freelist_count").fetchone()
    if free <= max(pages // 4, _HOUSE_PAGES) or db.execute("PRAGMA auto_vacuum").fetchone()[0] != 2:
        return False
    db.executescript(f"PRAGMA incremental_vacuum({_SHRUNK_AT_ONCE})")  # `execute` would stop after one page
    return True
