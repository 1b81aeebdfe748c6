"""The store in SQLite: one file, one connection, one lock. A commit without fsync takes some 20 µs, so callers wait
for each other less than for a second connection's busy retries."""

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from agent.store.base import (
    Books,
    DeadLetter,
    Delivery,
    DropReason,
    Intake,
    Known,
    Lane,
    Owed,
    Settlement,
    State,
    Taken,
)
from agent.store.files import DATABASE, explained, lock, open_database
from kubectl_sew.event import Event, delivery_id

OVERHEAD = 300
"""Bytes that a delivery takes beside its event's payload."""
LEAST_SHARE = 0.05
_FORGOTTEN_AT_ONCE = 2_000
_KEYS_AT_ONCE = 500
_DUE = (
    "SELECT d.seq, d.read_at, d.attempts, d.first_attempt, d.due, d.in_doubt, e.source, e.name, e.document"
    " FROM deliveries d JOIN events e ON e.id = d.event"
    " WHERE d.webhook = (SELECT id FROM webhooks WHERE name = ?) AND d.died_at IS NULL AND d.due <= ?"
    " ORDER BY d.seq LIMIT ?"
)
_BYTES_AT_ONCE = 4 * 2**20
_WRITE_JSON = json.JSONEncoder(separators=(",", ":")).encode


def open_store(
    folder: Path, *, exclusive: bool = True, known_for: float = 86_400.0, max_bytes: int = 2**31
) -> "SqliteStore":
    """The store of a state folder. `exclusive`: for the running agent, else beside one. Raises StoreError.

    `known_for`: seconds that a (webhook, event) stays known. `max_bytes`: what all payloads may fill.
    """
    held = lock(folder) if exclusive else None
    try:
        connection = open_database(folder, create=exclusive)
    except BaseException:
        if held:
            held.close()
        raise
    return SqliteStore(connection, folder / DATABASE, held, known_for, max_bytes)


class SqliteStore:
    """See agent.store.base.Store."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, held: BinaryIO | None, known_for: float, max_bytes: int
    ) -> None:
        self._connection = connection
        self._path = path
        self._held = held
        self._known_for = known_for
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._ids: dict[str, int] = {}

    def take_in(self, intake: Intake) -> Taken:
        with self._writing() as db:
            names = {name for owed in intake.owed for name in (*owed.webhooks, *owed.debug)}
            ids = {name: self._id(db, name) for name in names}
            full = self._full(db, {name for owed in intake.owed for name in owed.webhooks})
            if full:
                return Taken(0, 0, full)
            taken = _Intaker(db, ids, intake.read_at, self._known_for)
            for owed in intake.owed:
                taken.take(owed)
            taken.count()
            db.executemany("REPLACE INTO readers VALUES (?, ?)", intake.positions.items())
            return Taken(taken.new, taken.known)

    def known_to(self, keys: Sequence[bytes]) -> Mapping[bytes, frozenset[str]]:
        found: dict[bytes, set[str]] = {}
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            some = keys[start : start + _KEYS_AT_ONCE]
            marks = ",".join("?" * len(some))
            sql = f"SELECT event, name FROM pairs JOIN webhooks ON id = webhook WHERE event IN ({marks})"
            for event, name in self._read(sql, some):
                found.setdefault(event, set()).add(name)
        return {event: frozenset(webhooks) for event, webhooks in found.items()}

    def first_used(self, now: float) -> float:
        with self._writing() as db:
            db.execute("INSERT OR IGNORE INTO moments VALUES ('first used', ?)", (now,))
            ((at,),) = db.execute("SELECT at FROM moments WHERE name = 'first used'").fetchall()
        return float(at)

    def positions(self) -> Mapping[str, str]:
        return dict(self._read("SELECT name, position FROM readers"))

    def drop_readers(self, readers: Collection[str]) -> None:
        with self._writing() as db:
            db.executemany("DELETE FROM readers WHERE name = ?", ((each,) for each in readers))

    def due(self, webhook: str, *, now: float, limit: int, skip: Iterable[int] = ()) -> Sequence[Delivery]:
        skipped = set(skip)
        with self._lock, explained(self._path):
            cursor = self._connection.execute(_DUE, (webhook, now, limit + len(skipped)))
            rows = list(_bounded((row for row in cursor if row[0] not in skipped), limit))
            cursor.close()
        return [_delivery(webhook, row) for row in rows]

    def next_due(self, webhook: str) -> float | None:
        sql = (
            "SELECT min(due) FROM (SELECT due FROM deliveries WHERE died_at IS NULL"
            " AND webhook = (SELECT id FROM webhooks WHERE name = ?) ORDER BY seq LIMIT 1000)"
        )
        found: float | None = self._read(sql, (webhook,))[0][0]
        return found

    def waiting(self) -> Mapping[str, int]:
        return dict(self._read("SELECT name, pending FROM webhooks WHERE pending > 0"))

    def oldest_times(self) -> Mapping[str, float]:
        oldest = "(SELECT min(time) FROM deliveries WHERE webhook = w.id AND died_at IS NULL AND time IS NOT NULL)"
        rows = self._read(f"SELECT name, {oldest} FROM webhooks w WHERE pending > 0")
        return {name: time for name, time in rows if time is not None}

    def begin(self, delivery: Delivery, *, now: float) -> None:
        with self._writing(durably=True) as db:
            sql = "UPDATE deliveries SET in_doubt = 1, first_attempt = coalesce(first_attempt, ?) WHERE seq = ?"
            db.execute(sql, (now, delivery.seq))

    def settle(self, settlements: Sequence[Settlement], lanes: Sequence[Lane]) -> None:
        with self._writing() as db:
            for each in settlements:
                self._settle_one(db, each)
            for lane in lanes:
                values = (_WRITE_JSON(asdict(lane)), self._id(db, lane.webhook))
                db.execute("UPDATE webhooks SET lane = ? WHERE id = ?", values)

    def lanes(self) -> Mapping[str, Lane]:
        rows = self._read("SELECT name, lane FROM webhooks WHERE lane IS NOT NULL")
        return {name: Lane(**json.loads(lane)) for name, lane in rows}

    def shift(self, webhook: str, seconds: float) -> None:
        with self._writing() as db:
            sql = "UPDATE deliveries SET first_attempt = first_attempt + ? WHERE webhook = ? AND died_at IS NULL"
            db.execute(sql + " AND first_attempt IS NOT NULL", (seconds, self._id(db, webhook)))

    def known(self) -> Mapping[str, Known]:
        rows = self._read("SELECT name, known FROM webhooks WHERE known IS NOT NULL")
        return {name: Known(**json.loads(known)) for name, known in rows}

    def remember(self, known: Known) -> None:
        with self._writing() as db:
            values = (_WRITE_JSON(asdict(known)), self._id(db, known.name))
            db.execute("UPDATE webhooks SET known = ? WHERE id = ?", values)

    def drop(self, webhook: str, reason: DropReason, *, older_than: float | None = None) -> int:
        with self._writing() as db:
            chosen = "webhook = ? AND died_at IS NULL AND read_at < ?"
            values = (self._id(db, webhook), float("inf") if older_than is None else older_than)
            return _drop(db, f"SELECT seq, webhook, event, bytes FROM deliveries WHERE {chosen}", values, reason)

    def dead_letters(self, webhook: str | None = None) -> Sequence[DeadLetter]:
        rows = self._read(
            "SELECT w.name, d.seq, e.source, e.name, e.document, d.reason, d.detail, d.attempts, d.died_at"
            " FROM deliveries d JOIN events e ON e.id = d.event JOIN webhooks w ON w.id = d.webhook"
            " WHERE d.died_at IS NOT NULL AND w.name = coalesce(?, w.name) ORDER BY d.seq",
            (webhook,),
        )
        return [_dead_letter(row) for row in rows]

    def replay(self, numbers: Sequence[int] | None, webhook: str | None = None) -> int:
        with self._writing() as db:
            chosen = _chosen_dead(db, numbers, webhook)
            for seq, owner, _, _ in chosen:
                db.execute(
                    "UPDATE deliveries SET died_at = NULL, attempts = 0, first_attempt = NULL, due = 0 WHERE seq = ?",
                    (seq,),
                )
                db.execute("UPDATE webhooks SET dead = dead - 1, pending = pending + 1 WHERE id = ?", (owner,))
            return len(chosen)

    def purge(self, numbers: Sequence[int] | None, webhook: str | None = None) -> int:
        with self._writing() as db:
            chosen = _chosen_dead(db, numbers, webhook)
            _end(db, chosen, "dead", DropReason.PURGED)
            return len(chosen)

    def books(self) -> Sequence[Books]:
        with self._lock, explained(self._path), self._transaction("BEGIN") as db:
            dropped: dict[int, dict[str, int]] = {}
            for webhook, reason, count in db.execute("SELECT webhook, reason, count FROM dropped"):
                dropped.setdefault(webhook, {})[reason] = count
            rows = db.execute(
                "SELECT id, name, delivered, pending, dead, (SELECT read_at FROM deliveries d WHERE d.webhook = w.id"
                " AND died_at IS NULL ORDER BY seq LIMIT 1), last_delivered_at, last_error, bytes FROM webhooks w"
                " ORDER BY name"
            ).fetchall()
        return [
            Books(name, delivered, pending, dead, dropped.get(number, {}), oldest, last, error, size)
            for number, name, delivered, pending, dead, oldest, last, error, size in rows
        ]

    def forget(self, now: float, *, passed: float = float("inf")) -> int:
        over = "until < ? AND NOT EXISTS (SELECT 1 FROM events WHERE key = pairs.event)"
        chosen = f"SELECT event, webhook FROM pairs WHERE {over} LIMIT {_FORGOTTEN_AT_ONCE}"
        with self._writing() as db:
            before = min(now, passed + self._known_for)
            return db.execute(f"DELETE FROM pairs WHERE (event, webhook) IN ({chosen})", (before,)).rowcount

    def close(self) -> None:
        with self._lock:
            self._connection.close()
            if self._held:
                self._held.close()

    def _read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, explained(self._path):
            return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def _writing(self, *, durably: bool = False) -> Iterator[sqlite3.Connection]:
        with self._lock, explained(self._path):
            if durably:
                self._connection.execute("PRAGMA synchronous = FULL")
            try:
                with self._transaction("BEGIN IMMEDIATE") as db:
                    yield db
            finally:
                if durably:
                    self._connection.execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        db = self._connection
        db.execute(begin)
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            self._ids.clear()
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _id(self, db: sqlite3.Connection, name: str) -> int:
        if name not in self._ids:
            db.execute("INSERT OR IGNORE INTO webhooks (name) VALUES (?)", (name,))
            self._ids[name] = db.execute("SELECT id FROM webhooks WHERE name = ?", (name,)).fetchone()[0]
        return self._ids[name]

    def _full(self, db: sqlite3.Connection, names: set[str]) -> frozenset[str]:
        """Those whose share is full: an even part of what the others leave, and at least 5 % while there is room."""
        used = dict(db.execute("SELECT name, bytes FROM webhooks"))
        whole = sum(used.values())
        if whole >= self._max_bytes:
            return frozenset(names)
        shares = {name: (self._max_bytes - (whole - used[name])) / len(used) for name in names}
        return frozenset(name for name in names if used[name] >= max(shares[name], LEAST_SHARE * self._max_bytes))

    def _settle_one(self, db: sqlite3.Connection, each: Settlement) -> None:
        webhook = self._id(db, each.delivery.webhook)
        if each.state is State.PENDING:
            db.execute(
                "UPDATE deliveries SET attempts = ?, due = ?, in_doubt = ?, reason = ?, detail = ?,"
                " first_attempt = coalesce(first_attempt, ?) WHERE seq = ? AND died_at IS NULL",
                (each.attempts, each.due, each.in_doubt, each.reason, each.detail, each.at, each.delivery.seq),
            )
            db.execute("UPDATE webhooks SET last_error = ? WHERE id = ?", (each.detail, webhook))
        elif each.state is State.DEAD:
            self._bury(db, webhook, each)
        else:
            _deliver(db, webhook, each)

    def _bury(self, db: sqlite3.Connection, webhook: int, each: Settlement) -> None:
        buried = db.execute(
            "UPDATE deliveries SET died_at = ?, attempts = ?, reason = ?, detail = ?, in_doubt = ?"
            " WHERE seq = ? AND died_at IS NULL",
            (each.at, each.attempts, each.reason, each.detail, each.in_doubt, each.delivery.seq),
        ).rowcount
        sql = "UPDATE webhooks SET pending = pending - ?, dead = dead + ?, last_error = ? WHERE id = ?"
        db.execute(sql, (buried, buried, each.detail, webhook))


def _deliver(db: sqlite3.Connection, webhook: int, each: Settlement) -> None:
    """A delivery that a person dropped while it was in flight is gone already, and stays counted as dropped."""
    row = db.execute("DELETE FROM deliveries WHERE seq = ? RETURNING event, bytes", (each.delivery.seq,)).fetchone()
    if row is None:
        return
    _release(db, row[0])
    db.execute(
        "UPDATE webhooks SET pending = pending - 1, delivered = delivered + 1, bytes = bytes - ?,"
        " last_delivered_at = ? WHERE id = ?",
        (row[1], each.at, webhook),
    )


class _Intaker:
    """Takes in events within one transaction, and counts."""

    def __init__(self, db: sqlite3.Connection, ids: Mapping[str, int], read_at: float, known_for: float) -> None:
        self._db, self._ids, self._read_at, self._known_for = db, ids, read_at, known_for
        self.new = 0
        self.known = 0
        self._pending: Counter[int] = Counter()
        self._bytes: Counter[int] = Counter()
        self._debug: Counter[int] = Counter()

    def take(self, owed: Owed) -> None:
        key = owed.event.key
        time = owed.event.time if owed.time is None else owed.time
        until = max(self._read_at, time or 0.0) + self._known_for
        webhooks = [each for each in map(self._ids.__getitem__, owed.webhooks) if self._is_new(key, each, until)]
        self._debug.update(each for each in map(self._ids.__getitem__, owed.debug) if self._is_new(key, each, until))
        if webhooks:
            self._keep(key, owed.event, webhooks, time)

    def count(self) -> None:
        for webhook, count in self._pending.items():
            sql = "UPDATE webhooks SET pending = pending + ?, bytes = bytes + ? WHERE id = ?"
            self._db.execute(sql, (count, self._bytes[webhook], webhook))
        for webhook, count in self._debug.items():
            _count_dropped(self._db, webhook, DropReason.DEBUG, count)

    def _is_new(self, key: bytes, webhook: int, until: float) -> bool:
        new = self._db.execute("INSERT OR IGNORE INTO pairs VALUES (?, ?, ?)", (key, webhook, until)).rowcount == 1
        self.new += new
        self.known += not new
        return new

    def _keep(self, key: bytes, event: Event, webhooks: Sequence[int], time: float | None) -> None:
        document = _WRITE_JSON(event.document).encode()
        sql = (
            "INSERT INTO events (key, name, source, document, owed) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET owed = owed + excluded.owed RETURNING id"
        )
        ((row,),) = self._db.execute(sql, (key, event.id, event.index, document, len(webhooks))).fetchall()
        size = len(document) + OVERHEAD
        for webhook in webhooks:
            sql = "INSERT INTO deliveries (webhook, event, bytes, read_at, time) VALUES (?, ?, ?, ?, ?)"
            self._db.execute(sql, (webhook, row, size, self._read_at, time))
            self._pending[webhook] += 1
            self._bytes[webhook] += size


def _bounded(rows: Iterable[Any], limit: int) -> Iterator[Any]:
    """At most `limit` rows, and none after the one that fills the bytes."""
    size = 0
    for row in islice(rows, limit):
        yield row
        size += len(row[-1])
        if size >= _BYTES_AT_ONCE:
            return


def _delivery(webhook: str, row: Sequence[Any]) -> Delivery:
    seq, read_at, attempts, first_attempt, due, in_doubt, source, name, document = row
    event = Event(source, name, json.loads(document))
    return Delivery(
        seq, webhook, delivery_id(webhook, event), event, read_at, attempts, first_attempt, due, bool(in_doubt)
    )


def _dead_letter(row: Sequence[Any]) -> DeadLetter:
    webhook, seq, source, name, document, *rest = row
    event = Event(source, name, json.loads(document))
    return DeadLetter(seq, webhook, delivery_id(webhook, event), event, *rest)


def _chosen_dead(db: sqlite3.Connection, numbers: Sequence[int] | None, webhook: str | None) -> list[Any]:
    sql = (
        "SELECT d.seq, d.webhook, d.event, d.bytes FROM deliveries d JOIN webhooks w ON w.id = d.webhook"
        " WHERE d.died_at IS NOT NULL AND w.name = coalesce(?, w.name) ORDER BY d.seq"
    )
    rows = db.execute(sql, (webhook,)).fetchall()
    return rows if numbers is None else [row for row in rows if row[0] in set(numbers)]


def _drop(db: sqlite3.Connection, sql: str, values: Sequence[Any], reason: DropReason) -> int:
    rows = db.execute(sql, values).fetchall()
    _end(db, rows, "pending", reason)
    return len(rows)


def _end(db: sqlite3.Connection, rows: Iterable[Sequence[Any]], counter: str, reason: DropReason) -> None:
    """Take deliveries (seq, webhook, event, bytes) away and count them as dropped instead of in `counter`."""
    for seq, webhook, event, size in rows:
        db.execute("DELETE FROM deliveries WHERE seq = ?", (seq,))
        _release(db, event)
        db.execute(f"UPDATE webhooks SET {counter} = {counter} - 1, bytes = bytes - ? WHERE id = ?", (size, webhook))
        _count_dropped(db, webhook, reason, 1)


def _release(db: sqlite3.Connection, event: int) -> None:
    """One delivery less refers to an event; the last one takes its payload along."""
    if not db.execute("DELETE FROM events WHERE id = ? AND owed = 1", (event,)).rowcount:
        db.execute("UPDATE events SET owed = owed - 1 WHERE id = ?", (event,))


def _count_dropped(db: sqlite3.Connection, webhook: int, reason: DropReason, count: int) -> None:
    sql = "INSERT INTO dropped VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
    db.execute(sql, (webhook, reason.value, count))
