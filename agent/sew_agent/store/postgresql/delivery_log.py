"""Log of deliveries: the newest attempts of each webhook, and what of their deliveries is still there."""

from collections.abc import Callable, Sequence

from sew_agent.store import room
from sew_agent.store.postgresql.connections import Connection, Connections
from sew_agent.store.postgresql.due import decoded
from sew_agent.store.postgresql.enqueue import seen_bytes
from sew_agent.store.postgresql.membership import AgentMembership
from sew_agent.store.postgresql.transactions import Transactions
from sew_agent.store.postgresql.webhooks import add, columns
from sew_agent.store.records import KeptDelivery, LoggedAttempt
from sew_agent.store.room import READABLE_FOR
from sew_agent.store.rows import AT_ONCE, kept_of, packed, surplus, unpacked, write_json

_END = "(SELECT number FROM attempts WHERE webhook = w.id ORDER BY webhook{0}, number{0} LIMIT 1)"
_FIRST, _LAST = _END.format(""), _END.format(" DESC")
_APPEND = (
    # the webhooks' rows are locked by the statements before: nobody else gives these numbers
    f"INSERT INTO attempts SELECT w.id, coalesce({_LAST}, 0) + place, at, entries"
    " FROM unnest(%s::text[], %s::bigint[], %s::float8[], %s::text[]) AS r (name, place, at, entries)"
    " JOIN webhooks w USING (name)"
)
_LET_GO = (
    "DELETE FROM attempts a USING (SELECT w.id, l.first, least(l.last - %s, l.first + %s) AS until, l.last"
    f" FROM webhooks w, LATERAL (SELECT {_FIRST} AS first, {_LAST} AS last) l WHERE w.name = ANY(%s)) o"
    " WHERE a.webhook = o.id AND a.number <= o.until AND o.last - o.first >= %s"
)
_LOGS = (
    f"SELECT w.id, f.number, f.at, {_LAST}, coalesce(w.state = '' AND coalesce(w.deleted_at, 0) < %s, false)"
    f" FROM webhooks w JOIN attempts f ON f.webhook = w.id AND f.number = {_FIRST} ORDER BY w.id"
)
_ATTEMPTS = (
    "SELECT name, entries FROM webhooks w JOIN attempts a ON a.webhook = w.id"
    ' WHERE name = coalesce(%s, name) AND position(%s in entries) > 0 ORDER BY name COLLATE "C", number'
)
_KEPT = (
    "SELECT w.name, d.reason, d.detail, d.died_at, d.seq, d.read_at, d.attempts, d.first_attempt, d.due, d.in_doubt,"
    " d.again, d.digest, e.source, e.name, e.document"
    " FROM deliveries d JOIN events e ON e.id = d.event JOIN webhooks w ON w.id = d.webhook"
)


class PostgresqlDeliveryLog(Transactions):
    """Part of the store that holds the log."""

    def __init__(
        self,
        connections: Connections,
        membership: AgentMembership | None,
        steady: Callable[[], float],
        *,
        max_bytes: int,
        attempts_kept: int,
    ) -> None:
        super().__init__(connections, membership, steady)
        self._max_bytes = max_bytes
        self._attempts_kept = attempts_kept
        self._log_room: int | None = None
        """Attempts of each webhook that the log may hold now; None before that was looked up."""

    def attempts(self, webhook: str | None = None, *, event: str = "") -> Sequence[LoggedAttempt]:
        text = write_json(event) if event.isascii() else event
        rows = self._connections.read(_ATTEMPTS, (webhook, text if event else ""))
        found = (attempt for row in rows for attempt in unpacked(*row) if event in ("", attempt.event))
        return list(dict.fromkeys(found))  # a commit that was made twice wrote them twice

    def kept_deliveries(self, *, number: int | None = None, event: str = "") -> Sequence[KeptDelivery]:
        where, value = "e.name = %b", event.encode("utf-8", "surrogatepass")
        rows = (
            self._connections.read(f"{_KEPT} WHERE {where} ORDER BY d.seq", (value,))
            if number is None
            else self._connections.read(f"{_KEPT} WHERE d.seq = %s", (number,))
        )
        return kept_of(decoded(row, 12) for row in rows)

    def hasten(self, numbers: Sequence[int]) -> int:
        sql = "UPDATE deliveries SET due = 0 WHERE seq = ANY(%s) AND died_at IS NULL AND attempts > 0 RETURNING 1"

        def change(db: Connection) -> int:
            hastened = len(db.execute(sql, (list(numbers),)).fetchall())
            if hastened:
                add(db, "changes", 1)
            return hastened

        return self._changing(change, bool)

    def trim_attempts(self, now: float, kept_for: float) -> int:
        def step(db: Connection) -> tuple[int, bool]:
            self._log_room = self._room_for_log(db)
            removed = _trim(db, now, now - kept_for, self._log_room)
            return removed, removed == AT_ONCE

        return self._repeat(step)

    def _log(self, db: Connection, attempts: Sequence[LoggedAttempt]) -> None:
        """Append attempts to the log. It lets its oldest go from time to time: many at once cost less."""
        if self._log_room is None:
            self._log_room = self._room_for_log(db)
        if not self._log_room:
            return
        by_webhook: dict[str, list[LoggedAttempt]] = {}
        for attempt in attempts:
            by_webhook.setdefault(attempt.webhook, []).append(attempt)
        rows = [(name, *row) for name, own in by_webhook.items() for row in packed(own[-self._log_room :], 0)]
        if rows:
            db.execute(_APPEND, columns(rows))
            some = AT_ONCE + 2 * len(attempts)
            db.execute(_LET_GO, (self._log_room, some, list(by_webhook), self._log_room + AT_ONCE))

    def _room_for_log(self, db: Connection) -> int:
        ((used, webhooks),) = db.execute("SELECT coalesce(sum(bytes), 0)::bigint, count(*) FROM webhooks").fetchall()
        seen = seen_bytes(db)
        return room.attempts_kept(self._attempts_kept, self._max_bytes, used=used, seen=seen, webhooks=webhooks)


def _trim(db: Connection, now: float, before: float, most: int) -> int:
    """Remove some rows of attempts that are too many or were before; return how many."""
    removed = 0
    for webhook, first, at, last, gone in db.execute(_LOGS, (now - READABLE_FOR,)).fetchall():
        kept = 0 if gone else most
        if at >= before and last - first < kept:
            continue
        sql = "SELECT number, at FROM attempts WHERE webhook = %s ORDER BY webhook, number LIMIT %s"
        rows = db.execute(sql, (webhook, AT_ONCE - removed)).fetchall()
        if some := surplus(rows, last, kept, before):
            db.execute("DELETE FROM attempts WHERE webhook = %s AND number <= %s", (webhook, some[-1]))
        removed += len(some)
        if removed == AT_ONCE:
            break
    return removed
