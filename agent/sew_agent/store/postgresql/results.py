"""Changes of deliveries by results and by hand: rows and counters change together, within one transaction."""

from collections import Counter
from collections.abc import Mapping, Sequence

from sew_agent.store.postgresql.connections import Connection
from sew_agent.store.postgresql.webhooks import Deltas, change_counts, columns, count_dropped, lock_webhooks, plain
from sew_agent.store.records import DeliveryResult, DeliveryState, DropReason

Row = tuple[int, int, int, int]
"""A delivery's seq, webhook, event and bytes."""
RELEASED_AT_ONCE = 1000
"""Payloads that are released at once."""
_RESULT = (
    "unnest(%s::bigint[], %s::float8[], %s::bigint[], %s::float8[], %s::boolean[], %s::text[], %s::text[],"
    " %s::text[]) AS r (seq, at, attempts, due, in_doubt, reason, detail, digest)"
)
_END = (
    # one that a person dropped during the attempt is gone already, and stays counted as dropped
    "WITH ended AS (DELETE FROM deliveries d USING unnest(%s::bigint[], %s::float8[]) AS r (seq, at)"
    " WHERE d.seq = r.seq AND d.died_at IS NULL RETURNING d.webhook, d.event, d.bytes, r.at),"
    " freed AS (INSERT INTO released (event) SELECT event FROM ended),"
    " sums AS (SELECT webhook, count(*) AS n, sum(bytes)::bigint AS freed, max(at) AS at FROM ended GROUP BY webhook)"
    " UPDATE webhooks w SET pending = w.pending - n, delivered = w.delivered + n, bytes = w.bytes - freed,"
    " last_delivered_at = at FROM sums WHERE w.id = sums.webhook"
)
_BURY = (
    "WITH buried AS (UPDATE deliveries d SET died_at = r.at, attempts = r.attempts, reason = r.reason,"
    f" detail = r.detail, in_doubt = r.in_doubt, digest = '' FROM {_RESULT} WHERE d.seq = r.seq AND d.died_at IS NULL"
    " RETURNING d.webhook),"
    " sums AS (SELECT webhook, count(*) AS n FROM buried GROUP BY webhook)"
    " UPDATE webhooks w SET pending = w.pending - n, dead = w.dead + n FROM sums WHERE w.id = sums.webhook"
)
_KEEP = (
    "UPDATE deliveries d SET attempts = r.attempts, due = r.due, in_doubt = r.in_doubt, reason = r.reason,"
    " detail = r.detail, digest = r.digest, first_attempt = coalesce(d.first_attempt, r.at - w.shifted - w.paused)"
    f" FROM {_RESULT}, webhooks w WHERE d.seq = r.seq AND d.died_at IS NULL AND w.id = d.webhook"
)


def record_results(db: Connection, results: Sequence[DeliveryResult]) -> None:
    """Write results, a statement for each state. None waits for an answer: all go out at once with the commit."""
    if not results:
        return
    by_state: dict[DeliveryState, list[DeliveryResult]] = {}
    for result in results:
        by_state.setdefault(result.state, []).append(result)
    lock_webhooks(db, {result.delivery.webhook for result in results})
    if delivered := by_state.get(DeliveryState.DELIVERED):
        db.execute(_END, columns((result.delivery.seq, result.at) for result in delivered))
    if dead := by_state.get(DeliveryState.DEAD):
        db.execute(_BURY, _values(dead))
    if failed := by_state.get(DeliveryState.PENDING):
        db.execute(_KEEP, _values(failed))
    errors = {r.delivery.webhook: r for r in results if r.state is not DeliveryState.DELIVERED}
    for name, result in errors.items():
        values = (plain(result.detail), result.at, name)
        db.execute("UPDATE webhooks SET last_error = %s, last_error_at = %s WHERE name = %s", values)


def drop(db: Connection, rows: Sequence[Row], counter: str, reason: DropReason) -> None:
    """Delete deliveries, and count them as dropped instead of in `counter`, which is "pending" or "dead"."""
    ended = db.execute(
        "WITH ended AS (DELETE FROM deliveries WHERE seq = ANY(%s) RETURNING webhook, event, bytes),"
        " freed AS (INSERT INTO released (event) SELECT event FROM ended)"
        " SELECT webhook, count(*), sum(bytes)::bigint FROM ended GROUP BY webhook",
        ([seq for seq, *_ in rows],),
    ).fetchall()
    falls = {webhook: Deltas(**{counter: -count}, bytes=-freed) for webhook, count, freed in ended}
    change_counts(db, falls)
    count_dropped(db, {webhook: count for webhook, count, _ in ended}, reason)


def replay(db: Connection, rows: Sequence[Row]) -> None:
    """Make dead letters pending again, as if they had never been tried; an attempt in doubt stays in doubt."""
    sql = "UPDATE deliveries SET died_at = NULL, attempts = 0, first_attempt = NULL, due = 0 WHERE seq = ANY(%s)"
    db.execute(sql, ([seq for seq, *_ in rows],))
    _unbury(db, Counter(webhook for _, webhook, _, _ in rows))


def revive(db: Connection, numbers: Sequence[int]) -> None:
    """Make dead letters pending again with their attempts, due at once. One that a person dropped stays dropped."""
    sql = "UPDATE deliveries SET died_at = NULL WHERE seq = ANY(%s) AND died_at IS NOT NULL RETURNING webhook"
    _unbury(db, Counter(webhook for (webhook,) in db.execute(sql, (list(numbers),))))


def release_payloads(db: Connection) -> bool:
    """Release some payloads of ended deliveries, and return whether there are more."""
    rows = db.execute(
        "DELETE FROM released WHERE number = ANY(ARRAY(SELECT number FROM released ORDER BY number LIMIT %s"
        " FOR UPDATE SKIP LOCKED)) RETURNING event",
        (RELEASED_AT_ONCE,),
    ).fetchall()
    if rows:
        counts = sorted(Counter(event for (event,) in rows).items())
        counted = "unnest(%s::bigint[], %s::bigint[]) AS r (event, count) WHERE id = r.event"
        db.execute(f"DELETE FROM events USING {counted} AND references_left <= r.count", columns(counts))
        db.execute(f"UPDATE events SET references_left = references_left - r.count FROM {counted}", columns(counts))
    return len(rows) == RELEASED_AT_ONCE


def _values(results: Sequence[DeliveryResult]) -> list[list[object]]:
    return columns(
        (r.delivery.seq, r.at, r.attempts, r.due, r.in_doubt, plain(r.reason), plain(r.detail), r.digest)
        for r in results
    )


def _unbury(db: Connection, counts: Mapping[int, int]) -> None:
    change_counts(db, {webhook: Deltas(pending=count, dead=-count) for webhook, count in counts.items()})
