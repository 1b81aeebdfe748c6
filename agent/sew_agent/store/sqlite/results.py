"""What an attempt or a person makes of a delivery: rows and counts change together, within one transaction."""

import sqlite3
from collections import Counter
from collections.abc import Sequence

from sew_agent.store.records import DeliveryResult, DeliveryState, DropReason

Row = tuple[int, int, int, int]
"""A delivery's seq, webhook, event and bytes."""
CLEARED = 100
"""Payloads that are let go of at once."""


def record_results(db: sqlite3.Connection, webhook: int, each: DeliveryResult) -> None:
    """Write one result."""
    if each.state is DeliveryState.PENDING:
        db.execute(
            "UPDATE deliveries SET attempts = ?, due = ?, in_doubt = ?, reason = ?, detail = ?,"
            " first_attempt = coalesce(first_attempt, ? - (SELECT shifted FROM webhooks WHERE id = ?))"
            " WHERE seq = ? AND died_at IS NULL",
            (each.attempts, each.due, each.in_doubt, each.reason, each.detail, each.at, webhook, each.delivery.seq),
        )
        db.execute(
            "UPDATE webhooks SET last_error = ?, last_error_at = ? WHERE id = ?", (each.detail, each.at, webhook)
        )
    elif each.state is DeliveryState.DEAD:
        _bury(db, webhook, each)
    else:
        _deliver(db, webhook, each)


def end(db: sqlite3.Connection, rows: Sequence[Row], counter: str, reason: DropReason) -> None:
    """Take deliveries away, and count them as dropped instead of in `counter`."""
    db.executemany("DELETE FROM deliveries WHERE seq = ?", ((seq,) for seq, *_ in rows))
    db.executemany("INSERT INTO released VALUES (?)", ((event,) for _, _, event, _ in rows))
    for webhook, count in Counter(webhook for _, webhook, _, _ in rows).items():
        size = sum(each for _, owner, _, each in rows if owner == webhook)
        sql = f"UPDATE webhooks SET {counter} = {counter} - ?, bytes = bytes - ? WHERE id = ?"
        db.execute(sql, (count, size, webhook))
        count_dropped(db, webhook, reason, count)


def revive(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Dead letters are pending again, as if they had never been tried; but a doubt stays."""
    sql = "UPDATE deliveries SET died_at = NULL, attempts = 0, first_attempt = NULL, due = 0 WHERE seq = ?"
    db.executemany(sql, ((seq,) for seq, *_ in rows))
    for webhook, count in Counter(webhook for _, webhook, _, _ in rows).items():
        db.execute("UPDATE webhooks SET dead = dead - ?, pending = pending + ? WHERE id = ?", (count, count, webhook))


def unbury(db: sqlite3.Connection, seq: int) -> None:
    """A dead letter that is pending after all: tried before, and due at once. One that a person took away stays so."""
    sql = "UPDATE deliveries SET died_at = NULL WHERE seq = ? AND died_at IS NOT NULL RETURNING webhook"
    for (webhook,) in db.execute(sql, (seq,)).fetchall():
        db.execute("UPDATE webhooks SET dead = dead - 1, pending = pending + 1 WHERE id = ?", (webhook,))


def move_first_attempts(db: sqlite3.Connection, webhook: int, seconds: float) -> None:
    """Time in which nothing was sent does not count against the retry horizon: it is taken off all at once."""
    if seconds > 0:
        db.execute("UPDATE webhooks SET shifted = shifted + ? WHERE id = ?", (seconds, webhook))


def clear(db: sqlite3.Connection) -> bool:
    """Let go of some payloads of what has ended; whether there are more. For many at once it writes half as much."""
    found = db.execute("SELECT rowid, event FROM released ORDER BY rowid LIMIT ?", (CLEARED,)).fetchall()
    for _, event in found:
        _release(db, event)
    db.executemany("DELETE FROM released WHERE rowid = ?", ((row,) for row, _ in found))
    return len(found) == CLEARED


def count_dropped(db: sqlite3.Connection, webhook: int, reason: DropReason, count: int) -> None:
    """So many more."""
    sql = "INSERT INTO dropped VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
    db.execute(sql, (webhook, reason.value, count))


def _bury(db: sqlite3.Connection, webhook: int, each: DeliveryResult) -> None:
    buried = db.execute(
        "UPDATE deliveries SET died_at = ?, attempts = ?, reason = ?, detail = ?, in_doubt = ?"
        " WHERE seq = ? AND died_at IS NULL",
        (each.at, each.attempts, each.reason, each.detail, each.in_doubt, each.delivery.seq),
    ).rowcount
    sql = "UPDATE webhooks SET pending = pending - ?, dead = dead + ?, last_error = ?, last_error_at = ? WHERE id = ?"
    db.execute(sql, (buried, buried, each.detail, each.at, webhook))


def _deliver(db: sqlite3.Connection, webhook: int, each: DeliveryResult) -> None:
    """A delivery that a person dropped while it was in flight is gone already, and stays counted as dropped."""
    row = db.execute("DELETE FROM deliveries WHERE seq = ? RETURNING event, bytes", (each.delivery.seq,)).fetchone()
    if row is None:
        return
    db.execute("INSERT INTO released VALUES (?)", row[:1])
    db.execute(
        "UPDATE webhooks SET pending = pending - 1, delivered = delivered + 1, bytes = bytes - ?,"
        " last_delivered_at = ? WHERE id = ?",
        (row[1], each.at, webhook),
    )


def _release(db: sqlite3.Connection, event: int) -> None:
    """One delivery less refers to an event; the last one takes its payload along."""
    if not db.execute("DELETE FROM events WHERE id = ? AND owed = 1", (event,)).rowcount:
        db.execute("UPDATE events SET owed = owed - 1 WHERE id = ?", (event,))
