"""Log of deliveries: the newest attempts of each webhook, and what of their deliveries is still there."""

import sqlite3
from collections.abc import Sequence
from typing import BinaryIO

from sew_agent.store import room
from sew_agent.store.records import KeptDelivery, LoggedAttempt
from sew_agent.store.room import READABLE_FOR
from sew_agent.store.rows import AT_ONCE, kept_of, packed, surplus, unpacked, write_json
from sew_agent.store.sqlite.connection import Database
from sew_agent.store.sqlite.opening import OpenDatabase
from sew_agent.store.sqlite.upkeep import seen_bytes

_FIRST = "(SELECT number FROM attempts WHERE webhook = {0} ORDER BY number LIMIT 1)"
_LAST = "(SELECT number FROM attempts WHERE webhook = {0} ORDER BY number DESC LIMIT 1)"
_ENDS = f"SELECT {_FIRST.format('?')}, {_LAST.format('?')}"
_LOGS = (
    f"SELECT w.id, f.number, f.at, {_LAST.format('w.id')}, json_extract(w.known, '$.state') = ''"
    " AND coalesce(json_extract(w.known, '$.deleted_at'), 0) < ?"
    f" FROM webhooks w JOIN attempts f ON f.webhook = w.id AND f.number = {_FIRST.format('w.id')}"
)
_ATTEMPTS = (
    "SELECT name, entries FROM webhooks w JOIN attempts a ON a.webhook = w.id"
    " WHERE name = coalesce(?, name) AND instr(entries, ?) > 0 ORDER BY name, number"
)
_KEPT = (
    "SELECT w.name, d.reason, d.detail, d.died_at, d.seq, d.read_at, d.attempts, d.first_attempt, d.due, d.in_doubt,"
    " d.again, d.digest, e.source, e.name, e.document"
    " FROM deliveries d JOIN events e ON e.id = d.event JOIN webhooks w ON w.id = d.webhook"
)


class SqliteDeliveryLog(Database):
    """Part of the store that holds the log."""

    def __init__(self, database: OpenDatabase, held: BinaryIO | None, max_bytes: int, attempts_kept: int) -> None:
        super().__init__(database, held)
        self._max_bytes = max_bytes
        self._attempts_kept = attempts_kept
        self._log_room: int | None = None
        """Attempts of each webhook that the log may hold now; None before that was looked up."""

    def attempts(self, webhook: str | None = None, *, event: str = "") -> Sequence[LoggedAttempt]:
        text = write_json(event) if event.isascii() else event
        rows = self._read(_ATTEMPTS, (webhook, text if event else ""))
        return [attempt for row in rows for attempt in unpacked(*row) if event in ("", attempt.event)]

    def kept_deliveries(self, *, number: int | None = None, event: str = "") -> Sequence[KeptDelivery]:
        where, value = ("e.name = ?", event) if number is None else ("d.seq = ?", number)
        rows = self._read(f"{_KEPT} WHERE {where} ORDER BY d.seq", (value,))
        with self._decoding():
            return kept_of(rows)

    def hasten(self, numbers: Sequence[int]) -> int:
        sql = "UPDATE deliveries SET due = 0 WHERE seq = ? AND died_at IS NULL AND attempts > 0"
        return self._change(lambda db: db.executemany(sql, [(number,) for number in numbers]).rowcount)

    def trim_attempts(self, now: float, kept_for: float) -> int:
        def step(db: sqlite3.Connection) -> tuple[int, bool]:
            self._log_room = self._room_for_log(db)
            self._ends.clear()
            return _trim(db, now, now - kept_for, self._log_room)

        return self._repeat(step)

    def _log(self, db: sqlite3.Connection, attempts: Sequence[LoggedAttempt]) -> None:
        """Append attempts to the log. It lets its oldest go from time to time: many at once cost less."""
        if self._log_room is None:
            self._log_room = self._room_for_log(db)
        if not self._log_room:
            return
        by_webhook: dict[str, list[LoggedAttempt]] = {}
        for attempt in attempts:
            by_webhook.setdefault(attempt.webhook, []).append(attempt)
        for name, own in by_webhook.items():
            self._append(db, self._id(db, name), own[-self._log_room :], self._log_room)

    def _append(self, db: sqlite3.Connection, webhook: int, attempts: Sequence[LoggedAttempt], most: int) -> None:
        """Append attempts of one webhook; where it has many too many, let the oldest go."""
        first, last = self._ends.pop(webhook) if webhook in self._ends else _ends(db, webhook)
        rows = packed(attempts, last)
        db.executemany("INSERT INTO attempts VALUES (?, ?, ?, ?)", [(webhook, *row) for row in rows])
        first, last = first or rows[0][0], rows[-1][0]
        if last - first >= most + AT_ONCE:
            until = min(last - most, first + AT_ONCE + 2 * len(attempts))
            db.execute("DELETE FROM attempts WHERE webhook = ? AND number <= ?", (webhook, until))
        else:
            self._ends[webhook] = (first, last)

    def _room_for_log(self, db: sqlite3.Connection) -> int:
        if self._disk_is_full:
            return 0
        ((used, webhooks),) = db.execute("SELECT coalesce(sum(bytes), 0), count(*) FROM webhooks").fetchall()
        seen = seen_bytes(db)
        return room.attempts_kept(self._attempts_kept, self._max_bytes, used=used, seen=seen, webhooks=webhooks)


def _ends(db: sqlite3.Connection, webhook: int) -> tuple[int, int]:
    """Return the numbers of the oldest row of a log and of the newest one; zeros where there is none."""
    ((first, last),) = db.execute(_ENDS, (webhook, webhook)).fetchall()
    return first or 0, last or 0


def _trim(db: sqlite3.Connection, now: float, before: float, most: int) -> tuple[int, bool]:
    """Remove some rows of attempts that are too many or were before; return how many, and whether there are more.

    It goes by attempts, since rows hold up to 32: on a full disk there is little room to delete at once.
    """
    removed, left = 0, AT_ONCE
    for webhook, first, at, last, gone in db.execute(_LOGS, (now - READABLE_FOR,)).fetchall():
        kept = 0 if gone else most
        if at >= before and last - first < kept:
            continue
        sql = "SELECT number, at FROM attempts WHERE webhook = ? AND number <= ? ORDER BY number"
        rows = db.execute(sql, (webhook, first + left)).fetchall()
        some = surplus(rows, last, kept, before)
        db.execute("DELETE FROM attempts WHERE webhook = ? AND number <= ?", (webhook, some[-1]))
        removed += len(some)
        left -= some[-1] - first + 1
        if left <= 0 or (len(some) == len(rows) and some[-1] < last):
            return removed, True
    return removed, False
