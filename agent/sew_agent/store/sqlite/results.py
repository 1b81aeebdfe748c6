"""Changes of deliveries by results and by hand: rows and counters change together, within one transaction."""

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence

from sew_agent.store.records import DeliveryResult, DeliveryState, DropReason
from sew_agent.store.rows import write_json

Row = tuple[int, int, int, int]
"""A delivery's seq, webhook, event and bytes."""
RELEASED_AT_ONCE = 100
"""Payloads that are released at once."""


def record_results(db: sqlite3.Connection, results: Sequence[tuple[int, DeliveryResult]]) -> None:
    """Write results, each with its webhook. What is counted is counted once for each webhook."""
    delivered: dict[int, DeliveryResult] = {}
    for webhook, result in results:
        if result.state is DeliveryState.DELIVERED:
            delivered[result.delivery.seq] = result
        elif result.state is DeliveryState.DEAD:
            _record_dead(db, webhook, result)
        else:
            _record_failed(db, webhook, result)
    if delivered:
        _record_delivered(db, delivered)


def drop(db: sqlite3.Connection, rows: Sequence[Row], counter: str, reason: DropReason) -> None:
    """Delete deliveries, and count them as dropped instead of in `counter`."""
    db.executemany("DELETE FROM deliveries WHERE seq = ?", ((seq,) for seq, *_ in rows))
    db.executemany("INSERT INTO released VALUES (?)", ((event,) for _, _, event, _ in rows))
    for webhook, count in Counter(webhook for _, webhook, _, _ in rows).items():
        freed = sum(size for _, owner, _, size in rows if owner == webhook)
        sql = f"UPDATE webhooks SET {counter} = {counter} - ?, bytes = bytes - ? WHERE id = ?"
        db.execute(sql, (count, freed, webhook))
        count_dropped(db, webhook, reason, count)


def replay(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Make dead letters pending again, as if they had never been tried; an attempt in doubt stays in doubt."""
    sql = "UPDATE deliveries SET died_at = NULL, attempts = 0, first_attempt = NULL, due = 0 WHERE seq = ?"
    db.executemany(sql, ((seq,) for seq, *_ in rows))
    for webhook, count in Counter(webhook for _, webhook, _, _ in rows).items():
        db.execute("UPDATE webhooks SET dead = dead - ?, pending = pending + ? WHERE id = ?", (count, count, webhook))


def revive(db: sqlite3.Connection, seq: int) -> None:
    """Make a dead letter pending again with its attempts, due at once. One that a person dropped stays dropped."""
    sql = "UPDATE deliveries SET died_at = NULL WHERE seq = ? AND died_at IS NOT NULL RETURNING webhook"
    for (webhook,) in db.execute(sql, (seq,)).fetchall():
        db.execute("UPDATE webhooks SET dead = dead - 1, pending = pending + 1 WHERE id = ?", (webhook,))


def shift_first_attempts(db: sqlite3.Connection, webhook: int, seconds: float) -> None:
    """Take time during which nothing was sent off the retry horizon of all that was tried before."""
    if seconds > 0:
        db.execute("UPDATE webhooks SET shifted = shifted + ? WHERE id = ?", (seconds, webhook))


def release_payloads(db: sqlite3.Connection) -> bool:
    """Release some payloads of ended deliveries, and return whether there are more. Many at once write half as much."""
    rows = db.execute("SELECT rowid, event FROM released ORDER BY rowid LIMIT ?", (RELEASED_AT_ONCE,)).fetchall()
    ended = [(released, event) for event, released in Counter(event for _, event in rows).items()]
    if db.executemany("DELETE FROM events WHERE owed = ? AND id = ?", ended).rowcount < len(ended):
        db.executemany("UPDATE events SET owed = owed - ? WHERE id = ?", ended)
    if rows:
        db.execute("DELETE FROM released WHERE rowid <= ?", (rows[-1][0],))
    return len(rows) == RELEASED_AT_ONCE


def count_dropped(db: sqlite3.Connection, webhook: int, reason: DropReason, count: int) -> None:
    """Add to the dropped count of a webhook and reason."""
    sql = "INSERT INTO dropped VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
    db.execute(sql, (webhook, reason.value, count))


def _record_failed(db: sqlite3.Connection, webhook: int, result: DeliveryResult) -> None:
    db.execute(
        "UPDATE deliveries SET attempts = ?, due = ?, in_doubt = ?, digest = ?, reason = ?, detail = ?,"
        " first_attempt = coalesce(first_attempt, ? - (SELECT shifted FROM webhooks WHERE id = ?))"
        " WHERE seq = ? AND died_at IS NULL",
        (
            result.attempts,
            result.due,
            result.in_doubt,
            result.digest,
            result.reason,
            result.detail,
            result.at,
            webhook,
            result.delivery.seq,
        ),
    )
    db.execute(
        "UPDATE webhooks SET last_error = ?, last_error_at = ? WHERE id = ?", (result.detail, result.at, webhook)
    )


def _record_dead(db: sqlite3.Connection, webhook: int, result: DeliveryResult) -> None:
    buried = db.execute(
        "UPDATE deliveries SET died_at = ?, attempts = ?, reason = ?, detail = ?, in_doubt = ?, digest = ''"
        " WHERE seq = ? AND died_at IS NULL",
        (result.at, result.attempts, result.reason, result.detail, result.in_doubt, result.delivery.seq),
    ).rowcount
    sql = "UPDATE webhooks SET pending = pending - ?, dead = dead + ?, last_error = ?, last_error_at = ? WHERE id = ?"
    db.execute(sql, (buried, buried, result.detail, result.at, webhook))


def _record_delivered(db: sqlite3.Connection, delivered: Mapping[int, DeliveryResult]) -> None:
    """Delete deliveries, by their seq. One that a person dropped during the attempt is gone, and stays so counted."""
    sql = "DELETE FROM deliveries WHERE seq IN (SELECT value FROM json_each(?)) RETURNING seq, webhook, event, bytes"
    rows = db.execute(sql, (write_json([*delivered]),)).fetchall()
    db.executemany("INSERT INTO released VALUES (?)", ((event,) for _, _, event, _ in rows))
    by_webhook: dict[int, list[Row]] = {}
    for row in rows:
        by_webhook.setdefault(row[1], []).append(row)
    for webhook, own in by_webhook.items():
        freed, last = sum(size for _, _, _, size in own), max(delivered[seq].at for seq, *_ in own)
        db.execute(
            "UPDATE webhooks SET pending = pending - ?, delivered = delivered + ?, bytes = bytes - ?,"
            " last_delivered_at = ? WHERE id = ?",
            (len(own), len(own), freed, last, webhook),
        )
