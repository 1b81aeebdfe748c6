"""The store in SQLite: one file, one connection, one lock. A commit without fsync takes some 20 µs, so callers wait
for each other less than for a second connection's busy retries."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from time import sleep
from typing import Any, BinaryIO

from kubectl_sew.event import Event, delivery_id
from sew_agent.store.records import (
    Counters,
    DeadLetter,
    Delivery,
    DeliveryResult,
    DropReason,
    EnqueueBatch,
    EnqueueResult,
    ManualAction,
    ReceiverState,
    WebhookRecord,
)
from sew_agent.store.sqlite.connection import REST, STEPS, Change, Database, apply, opened
from sew_agent.store.sqlite.disk_reserve import DiskReserve
from sew_agent.store.sqlite.enqueue import FURTHEST, Enqueuer, room, write_json
from sew_agent.store.sqlite.files import DATABASE, damaged, explained, lock
from sew_agent.store.sqlite.results import Row, clear, end, move_first_attempts, record_results, revive, unbury
from sew_agent.store.sqlite.upkeep import AT_ONCE, expire, forget_pairs, known_until, lose_names, put_away, shrink

_KEYS_AT_ONCE = 500
_CLEARED_AT_ONCE = 64
_ACTS_KEPT = 100
_DUE = (
    "SELECT d.seq, d.read_at, d.attempts, d.first_attempt + w.shifted, d.due, d.in_doubt, e.source, e.name, e.document"
    " FROM webhooks w JOIN deliveries d ON d.webhook = w.id JOIN events e ON e.id = d.event"
    " WHERE w.name = ? AND d.died_at IS NULL"
)
_FRESH = f"{_DUE} AND d.attempts = 0 ORDER BY d.seq LIMIT ?"
_TRIED = f"{_DUE} AND d.attempts > 0 AND d.due > ? AND d.due <= ? ORDER BY d.due LIMIT ?"
_EVER = float("inf")
_BYTES_AT_ONCE = 4 * 2**20
_DEAD = "died_at IS NOT NULL"
_DEAD_AT_ONCE = 20


def open_store(
    folder: Path, *, exclusive: bool = True, known_for: float = 86_400.0, max_bytes: int = 2**31
) -> "SqliteStore":
    """The store of a state folder. `exclusive`: for the running agent, else beside one. Raises StoreError.

    `known_for`: seconds that a (webhook, event) stays known. `max_bytes`: what all payloads may fill.
    """
    held = lock(folder) if exclusive else None
    try:
        reserve, connection = opened(folder, max_bytes, exclusive=exclusive)
    except BaseException:
        if held:
            held.close()
        raise
    return SqliteStore(connection, folder / DATABASE, held, reserve, StoreLimits(known_for, max_bytes))


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """For how many seconds a (webhook, event) stays known, and how many bytes the store may fill."""

    known_for: float
    max_bytes: int


class SqliteStore(Database):
    """See sew_agent.store.contract.Store."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        held: BinaryIO | None,
        reserve: DiskReserve,
        limits: StoreLimits,
    ) -> None:
        super().__init__(connection, path, held, reserve)
        self._known_for = limits.known_for
        self._max_bytes = limits.max_bytes
        self._settled = 0

    def enqueue(self, batch: EnqueueBatch) -> EnqueueResult:
        with self._writing(taking=bool(batch.deliveries)) as db:
            if batch.deliveries:
                self._check_reserve(db)
            names = {name for new in batch.deliveries for name in (*new.webhooks, *new.debug)}
            ids = {name: self._id(db, name) for name in names}
            filled = room(db, self._max_bytes)
            wanted = {name for new in batch.deliveries for name in new.webhooks}
            full = frozenset(name for name in wanted if filled.get(name, 0.0) >= 1.0)
            if full:
                return EnqueueResult(0, 0, full)
            enqueuer = Enqueuer(db, ids, batch.read_at, self._known_for)
            for new in batch.deliveries:
                enqueuer.add(new)
            enqueuer.write_counts()
            db.executemany("REPLACE INTO readers VALUES (?, ?)", batch.positions.items())
            return EnqueueResult(enqueuer.new, enqueuer.duplicates)

    def seen_by(self, keys: Sequence[bytes]) -> Mapping[bytes, frozenset[str]]:
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

    def due(
        self,
        webhook: str,
        *,
        now: float,
        limit: int,
        skip: Collection[int] = (),
        retries: bool = True,
        longest: float = _EVER,
    ) -> Sequence[Delivery]:
        with self._lock, explained(self._path):
            rows = self._rows(_FRESH, (webhook,), limit, skip)
            crowded = len(rows) == limit
            spans = [(-_EVER, now - longest)] if crowded else [(-_EVER, now), (now + longest, _EVER)]
            for after, until in spans if retries else ():
                rows += self._rows(_TRIED, (webhook, after, until), 1 if crowded else limit - len(rows), skip)
        return [self._delivery(webhook, row) for row in _bounded(rows)]

    def _rows(self, sql: str, values: Sequence[Any], limit: int, skip: Collection[int]) -> list[Any]:
        """At most `limit` rows without those that are skipped, and none after those that fill the bytes."""
        with closing(self._connection.execute(sql, (*values, limit + len(skip)))) as cursor:
            return list(_bounded(islice((row for row in cursor if row[0] not in skip), limit)))

    def next_due(self, webhook: str) -> float | None:
        pending = "FROM deliveries WHERE webhook = w.id AND died_at IS NULL AND attempts"
        fresh, tried = f"EXISTS (SELECT 1 {pending} = 0)", f"(SELECT min(due) {pending} > 0)"
        sql = f"SELECT CASE WHEN {fresh} THEN 0.0 ELSE {tried} END FROM webhooks w WHERE name = ?"
        found: list[tuple[float | None]] = self._read(sql, (webhook,))
        return found[0][0] if found else None

    def version(self) -> int:
        ((found,),) = self._read("PRAGMA data_version")
        return int(found)

    def pending_counts(self) -> Mapping[str, int]:
        return dict(self._read("SELECT name, pending FROM webhooks WHERE pending > 0"))

    def oldest_times(self) -> Mapping[str, float]:
        oldest = "(SELECT min(time) FROM deliveries WHERE webhook = w.id AND died_at IS NULL AND time IS NOT NULL)"
        rows = self._read(f"SELECT name, {oldest} FROM webhooks w WHERE pending > 0")
        return {name: time for name, time in rows if time is not None}

    def begin_attempt(self, delivery: Delivery) -> None:
        with self._writing(durably=True) as db:
            db.execute("UPDATE deliveries SET in_doubt = 1 WHERE seq = ?", (delivery.seq,))

    def record_results(
        self,
        results: Sequence[DeliveryResult],
        receivers: Sequence[ReceiverState],
        shifts: Sequence[tuple[str, float]] = (),
        revived: Sequence[int] = (),
    ) -> None:
        with self._writing() as db:
            self._settled += len(results)
            if self._settled >= _CLEARED_AT_ONCE:
                self._settled = 0
                clear(db)
            for name, seconds in shifts:
                move_first_attempts(db, self._id(db, name), seconds)
            for each in results:
                record_results(db, self._id(db, each.delivery.webhook), each)
            for seq in revived:
                unbury(db, seq)
            for receiver in receivers:
                values = (write_json(asdict(receiver)), self._id(db, receiver.webhook))
                db.execute("UPDATE webhooks SET lane = ? WHERE id = ?", values)

    def receivers(self) -> Mapping[str, ReceiverState]:
        rows = self._read("SELECT name, lane FROM webhooks WHERE lane IS NOT NULL")
        return {name: _receiver(json.loads(receiver)) for name, receiver in rows}

    def webhook_records(self) -> Mapping[str, WebhookRecord]:
        rows = self._read("SELECT name, known FROM webhooks WHERE known IS NOT NULL")
        return {name: WebhookRecord(**json.loads(known)) for name, known in rows}

    def save_webhook(self, record: WebhookRecord, *, shift: float = 0.0) -> None:
        with self._writing() as db:
            webhook = self._id(db, record.name)
            db.execute("UPDATE webhooks SET known = ? WHERE id = ?", (write_json(asdict(record)), webhook))
            move_first_attempts(db, webhook, shift)

    def drop(
        self, webhook: str, reason: DropReason, *, older_than: float | None = None, most: int | None = None
    ) -> int:
        def change(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
            end(db, rows, "pending", reason)

        return self._in_parts(webhook, change, older_than=older_than, most=most)

    def dead_letters(self, webhook: str | None = None) -> Iterator[DeadLetter]:
        sql = (
            "SELECT w.name, d.seq, e.source, e.name, e.document, d.reason, d.detail, d.attempts, d.died_at"
            " FROM deliveries d JOIN events e ON e.id = d.event JOIN webhooks w ON w.id = d.webhook"
            " WHERE d.died_at IS NOT NULL AND w.name = coalesce(?, w.name) AND d.seq > ? ORDER BY d.seq LIMIT ?"
        )
        last = 0
        while rows := self._read(sql, (webhook, last, _DEAD_AT_ONCE)):
            yield from map(self._dead_letter, rows)
            last = rows[-1][1]

    def replay(self, numbers: Sequence[int] | None, webhook: str | None = None) -> int:
        return self._of_the_dead(numbers, webhook, revive)

    def purge(self, numbers: Sequence[int] | None, webhook: str | None = None) -> int:
        return self._of_the_dead(numbers, webhook, lambda db, rows: end(db, rows, "dead", DropReason.PURGED))

    def _of_the_dead(self, numbers: Sequence[int] | None, webhook: str | None, change: Change) -> int:
        if numbers is None:
            names = [name for (name,) in self._read("SELECT name FROM webhooks WHERE dead > 0")]
            return sum(self._in_parts(name, change, dead=True) for name in names if webhook in (None, name))
        sql = (
            "SELECT seq, webhook, event, d.bytes FROM deliveries d JOIN webhooks w ON w.id = d.webhook"
            f" WHERE seq = ? AND {_DEAD} AND name = coalesce(?, name)"
        )

        def chosen(db: sqlite3.Connection, some: Sequence[int]) -> list[Row]:
            rows = [db.execute(sql, (number, webhook)).fetchone() for number in some]
            return [row for row in rows if row]

        whole = 0
        for start in range(0, len(numbers), AT_ONCE):
            some = numbers[start : start + AT_ONCE]
            whole += self._change(lambda db, some=some: apply(db, chosen(db, some), change))  # type: ignore[misc]
        return whole

    def record_action(self, action: ManualAction) -> None:
        def change(db: sqlite3.Connection) -> None:
            values = (action.at, action.who, action.what, action.webhook, action.count)
            db.execute("INSERT INTO acts (at, who, what, webhook, count) VALUES (?, ?, ?, ?, ?)", values)
            db.execute("DELETE FROM acts WHERE id <= (SELECT max(id) FROM acts) - ?", (_ACTS_KEPT,))

        self._change(change)

    def manual_actions(self, after: int = 0) -> Sequence[ManualAction]:
        rows = self._read("SELECT id, at, who, what, webhook, count FROM acts WHERE id > ? ORDER BY id", (after,))
        return [ManualAction(*row) for row in rows]

    def counters(self) -> Sequence[Counters]:
        with self._lock, explained(self._path), self._transaction("BEGIN") as db:
            dropped: dict[int, dict[str, int]] = {}
            for webhook, reason, count in db.execute("SELECT webhook, reason, count FROM dropped"):
                dropped.setdefault(webhook, {})[reason] = count
            rows = db.execute(
                "SELECT id, name, delivered, pending, dead, (SELECT read_at FROM deliveries d WHERE d.webhook = w.id"
                " AND died_at IS NULL ORDER BY seq LIMIT 1), last_delivered_at, last_error, bytes,"
                " last_error_at FROM webhooks w"
                " ORDER BY name"
            ).fetchall()
        return [
            Counters(name, delivered, pending, dead, dropped.get(number, {}), oldest, last, error, size, at)
            for number, name, delivered, pending, dead, oldest, last, error, size, at in rows
        ]

    def room(self) -> Mapping[str, float]:
        with self._lock, explained(self._path):
            return room(self._connection, self._max_bytes)

    def forget(self, now: float) -> int:
        def step(db: sqlite3.Connection) -> tuple[int, bool]:
            until = known_until(db, now, self._known_for, self._max_bytes)
            forgotten, looked = forget_pairs(db, until, now + self._known_for)
            put = put_away(db, now)
            lose_names(db, now - self._known_for - FURTHEST)
            if put:
                self._ids.clear()
            return forgotten, clear(db) or AT_ONCE in (looked, put)

        return self._by_steps(step)

    def expire(self, before: float) -> int:
        def step(db: sqlite3.Connection) -> tuple[int, bool]:
            expired = expire(db, before)
            return expired, expired == AT_ONCE

        return self._by_steps(step)

    def shrink(self) -> None:
        for _ in range(STEPS):
            with self._lock, explained(self._path), self._room_made():
                if not shrink(self._connection):
                    return
            sleep(REST)

    def _delivery(self, webhook: str, row: Sequence[Any]) -> Delivery:
        seq, read_at, attempts, first_attempt, due, in_doubt, *stored = row
        event = self._event(*stored)
        return Delivery(
            seq, webhook, delivery_id(webhook, event), event, read_at, attempts, first_attempt, due, bool(in_doubt)
        )

    def _dead_letter(self, row: Sequence[Any]) -> DeadLetter:
        webhook, seq, source, name, document, *rest = row
        event = self._event(source, name, document)
        return DeadLetter(seq, webhook, delivery_id(webhook, event), event, *rest)

    def _event(self, source: str, name: str, document: bytes) -> Event:
        """SQLite has no checksums: damage within a payload is found here."""
        try:
            return Event(source, name, json.loads(document))
        except ValueError as error:
            raise damaged(self._path, f"event {name}: {error}") from error


def _receiver(stored: Mapping[str, Any]) -> ReceiverState:
    """JSON has no tuples, and one that an older agent wrote lacks what it did not know."""
    return ReceiverState(**{**stored, "refused": tuple(stored.get("refused", ()))})


def _bounded(rows: Iterable[Any]) -> Iterator[Any]:
    """No more rows after the one that fills the bytes."""
    size = 0
    for row in rows:
        yield row
        size += len(row[-1])
        if size >= _BYTES_AT_ONCE:
            return
