"""Housekeeping in short steps, so that nobody waits for long: each is part of one transaction."""

from sew_agent.store import room
from sew_agent.store.postgresql.connections import Connection
from sew_agent.store.postgresql.enqueue import seen_bytes
from sew_agent.store.postgresql.results import drop
from sew_agent.store.postgresql.webhooks import add
from sew_agent.store.records import DropReason
from sew_agent.store.room import READABLE_FOR
from sew_agent.store.rows import AT_ONCE


def forgettable_until(db: Connection, now: float, known_for: float, max_bytes: int) -> float:
    """Return the moment up to which seen events may be forgotten: later where the room is needed."""
    ((used,),) = db.execute("SELECT coalesce(sum(bytes), 0)::bigint FROM webhooks").fetchall()
    return room.forgettable_until(now, known_for, max_bytes, used=used, seen=seen_bytes(db))


def forget_seen(db: Connection, before: float, later: float) -> tuple[int, int]:
    """Forget some seen events; return how many, and how many were read. One with deliveries is read again `later`."""
    some = "SELECT event, webhook FROM seen WHERE until < %s ORDER BY until LIMIT %s FOR UPDATE SKIP LOCKED"
    kept = db.execute(
        f"UPDATE seen s SET until = %s FROM ({some}) o JOIN events e ON e.key = o.event"
        " WHERE s.event = o.event AND s.webhook = o.webhook RETURNING 1",
        (later, before, AT_ONCE),
    ).fetchall()
    forgotten = db.execute(
        f"DELETE FROM seen s USING ({some}) o WHERE s.event = o.event AND s.webhook = o.webhook"
        " AND NOT EXISTS (SELECT 1 FROM events e WHERE e.key = s.event) RETURNING 1",
        (before, AT_ONCE - len(kept)),
    ).fetchall()
    if forgotten:
        add(db, "seen", -len(forgotten))
    return len(forgotten), len(forgotten) + len(kept)


def expire(db: Connection, before: float) -> int:
    """Drop some of the dead letters that died before; return how many."""
    rows = db.execute(
        "SELECT seq, webhook, event, bytes FROM deliveries WHERE died_at IS NOT NULL AND died_at < %s"
        " ORDER BY died_at LIMIT %s FOR UPDATE SKIP LOCKED",
        (before, AT_ONCE),
    ).fetchall()
    if rows:
        drop(db, rows, "dead", DropReason.EXPIRED)
    return len(rows)


def remove_gone(db: Connection, before: float) -> int:
    """Remove some webhooks that are gone for good and hold no delivery; return how many.

    Their names stay for as long as what they have seen: one that comes back gets nothing twice.
    """
    rows = db.execute(
        "DELETE FROM webhooks WHERE id = ANY(ARRAY(SELECT id FROM webhooks w WHERE bytes = 0 AND pending = 0"
        " AND dead = 0 AND state = '' AND coalesce(deleted_at, 0) < %s"
        " AND NOT EXISTS (SELECT 1 FROM attempts WHERE webhook = w.id) ORDER BY id LIMIT %s FOR UPDATE))"
        " RETURNING id, name",
        (before - READABLE_FOR, AT_ONCE),
    ).fetchall()
    if rows:
        numbers = [number for number, _ in rows]
        sql = "INSERT INTO gone SELECT id, name, %s FROM unnest(%s::bigint[], %s::text[]) AS g (id, name)"
        db.execute(sql, (before, numbers, [name for _, name in rows]))
        db.execute("DELETE FROM dropped WHERE webhook = ANY(%s)", (numbers,))
    return len(rows)


def remove_names(db: Connection, before: float) -> None:
    """Remove some names of webhooks that are gone for longer than any seen event is remembered."""
    db.execute("DELETE FROM gone WHERE id = ANY(ARRAY(SELECT id FROM gone WHERE at < %s LIMIT %s))", (before, AT_ONCE))
