"""The store in SQLite: one file, one connection, one lock. A commit without fsync takes some 20 µs, so callers wait
for each other less than for a second connection's busy retries. Checkpoints alone have a connection of their own."""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from time import time
from typing import BinaryIO

from sew_agent.store.records import (
    PAGE_BYTES,
    Counters,
    DeadLetter,
    Delivery,
    DeliveryResult,
    DropReason,
    EnqueueBatch,
    EnqueueResult,
    LoggedAttempt,
    ManualAction,
    Member,
    Ownership,
    ReceiverState,
    StoreFullError,
    WebhookRecord,
)
from sew_agent.store.rows import (
    ACTIONS_KEPT,
    AT_ONCE,
    DEAD_AT_ONCE,
    EVER,
    FURTHEST,
    STEPS,
    Page,
    dead_letter_of,
    delivery_of,
    due_rows,
    receiver_of,
    record_of,
    write_json,
)
from sew_agent.store.sqlite.delivery_log import SqliteDeliveryLog
from sew_agent.store.sqlite.due import FRESH, THESE, TOGETHER, TRIED, WAITING, page
from sew_agent.store.sqlite.enqueue import Enqueuer, room
from sew_agent.store.sqlite.errors import explained
from sew_agent.store.sqlite.files import lock
from sew_agent.store.sqlite.opening import OpenDatabase, open_database
from sew_agent.store.sqlite.results import (
    Row,
    drop,
    record_results,
    release_payloads,
    replay,
    revive,
    shift_first_attempts,
)
from sew_agent.store.sqlite.upkeep import (
    expire,
    forget_seen,
    forgettable_until,
    remove_gone,
    remove_names,
    shrink,
)

_KEYS_AT_ONCE = 500
_RESULTS_BEFORE_RELEASE = 64


def open_store(
    folder: Path,
    *,
    exclusive: bool = True,
    known_for: float = 86_400.0,
    max_bytes: int = 2**31,
    attempts_kept: int = 1000,
) -> "SqliteStore":
    """Open the store of a state folder. `exclusive`: for the running agent, else beside one. Raises StoreError.

    `known_for`: seconds for which an event stays seen. `max_bytes`: size of all that the store may hold.
    `attempts_kept`: attempts of each webhook in the log of deliveries.
    """
    held = lock(folder) if exclusive else None
    try:
        database = open_database(folder, max_bytes, exclusive=exclusive)
    except BaseException:
        if held:
            held.close()
        raise
    return SqliteStore(database, held, known_for, max_bytes=max_bytes, attempts_kept=attempts_kept)


class SqliteStore(SqliteDeliveryLog):
    """Implementation of sew_agent.store.contract.Store."""

    def __init__(
        self, database: OpenDatabase, held: BinaryIO | None, known_for: float, *, max_bytes: int, attempts_kept: int
    ) -> None:
        super().__init__(database, held, max_bytes, attempts_kept)
        self._known_for = known_for
        self._recorded = 0
        self._begun: set[str] = set()
        """Readers whose beginning is sure to be on the disk, with all that was written before it."""

    def enqueue(self, batch: EnqueueBatch) -> EnqueueResult:
        """Enqueue as the contract says. The first page after a beginning is synced.

        Else a power failure could take back where a reader or a webhook began, and it would begin anew, but later.
        """
        self._checkpoint()
        begins = {reader for reader, position in batch.positions.items() if position} - self._begun
        with self._writing(durably=bool(begins), enqueuing=bool(batch.deliveries)) as db:
            if batch.deliveries:
                self._check_reserve(db)
            names = {name for new in batch.deliveries for name in new.all_webhooks}
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
        self._begun |= begins
        return EnqueueResult(enqueuer.new, enqueuer.duplicates, suppressed=frozenset(enqueuer.suppressed))

    def seen_by(self, keys: Sequence[bytes]) -> Mapping[bytes, frozenset[str]]:
        seen: dict[bytes, set[str]] = {}
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            some = keys[start : start + _KEYS_AT_ONCE]
            marks = ",".join("?" * len(some))
            sql = f"SELECT event, name FROM pairs JOIN webhooks ON id = webhook WHERE event IN ({marks})"
            for event, name in self._read(sql, some):
                seen.setdefault(event, set()).add(name)
        return {event: frozenset(webhooks) for event, webhooks in seen.items()}

    def first_used(self, now: float) -> float:
        with self._writing() as db:
            db.execute("INSERT OR IGNORE INTO moments VALUES ('first used', ?)", (now,))
            ((at,),) = db.execute("SELECT at FROM moments WHERE name = 'first used'").fetchall()
        return float(at)

    def positions(self) -> Mapping[str, str]:
        return dict(self._read("SELECT name, position FROM readers"))

    def drop_readers(self, readers: Collection[str]) -> None:
        with self._writing() as db:
            db.executemany("DELETE FROM readers WHERE name = ?", ((reader,) for reader in readers))

    def due(  # noqa: PLR0913 - one for each bound
        self,
        webhook: str,
        *,
        now: float,
        limit: int,
        skip: Collection[int] = (),
        retries: bool = True,
        longest: float = EVER,
        most_bytes: int = PAGE_BYTES,
    ) -> Sequence[Delivery]:
        def fresh() -> Page:
            return page(self._connection, FRESH, (webhook,), limit, skip, most_bytes)

        def tried(after: float, until: float, most: int) -> Page:
            return page(self._connection, TRIED, (webhook, after, until), most, skip, most_bytes)

        with self._lock, explained(self._path):
            rows = due_rows(fresh, tried, now=now, limit=limit, retries=retries, longest=longest, most_bytes=most_bytes)
        with self._decoding():
            return [delivery_of(webhook, row) for row in rows]

    def waiting(
        self, webhook: str, *, limit: int, after: int = 0, numbers: Sequence[int] | None = None, digest: str = ""
    ) -> Sequence[Delivery]:
        sql, value = (WAITING, after) if numbers is None else (THESE, write_json(list(numbers)))
        if digest:
            sql, value = TOGETHER, digest
        with self._lock, explained(self._path):
            rows, _ = page(self._connection, sql, (webhook, value), limit, (), EVER if digest else PAGE_BYTES)
        with self._decoding():
            return [delivery_of(webhook, row) for row in rows]

    def next_due(self, webhook: str) -> float | None:
        pending = "FROM deliveries WHERE webhook = w.id AND died_at IS NULL AND attempts"
        fresh, tried = f"EXISTS (SELECT 1 {pending} = 0)", f"(SELECT min(due) {pending} > 0)"
        sql = f"SELECT CASE WHEN {fresh} THEN 0.0 ELSE {tried} END FROM webhooks w WHERE name = ?"
        rows: list[tuple[float | None]] = self._read(sql, (webhook,))
        return rows[0][0] if rows else None

    def version(self) -> int:
        ((version,),) = self._read("PRAGMA data_version")
        return int(version)

    def pending_counts(self) -> Mapping[str, int]:
        return dict(self._read("SELECT name, pending FROM webhooks WHERE pending > 0"))

    def oldest_times(self) -> Mapping[str, float]:
        oldest = "(SELECT min(time) FROM deliveries WHERE webhook = w.id AND died_at IS NULL AND time IS NOT NULL)"
        rows = self._read(f"SELECT name, {oldest} FROM webhooks w WHERE pending > 0")
        return {name: time for name, time in rows if time is not None}

    def begin_attempts(self, deliveries: Sequence[Delivery]) -> None:
        with self._writing(durably=True) as db:
            sql = "UPDATE deliveries SET in_doubt = 1, digest = ? WHERE seq = ?"
            db.executemany(sql, [(delivery.digest, delivery.seq) for delivery in deliveries])

    def record_results(
        self,
        results: Sequence[DeliveryResult],
        receivers: Sequence[ReceiverState],
        shifts: Sequence[tuple[str, float]] = (),
        revived: Sequence[int] = (),
        attempts: Sequence[LoggedAttempt] = (),
    ) -> None:
        def record(logged: Sequence[LoggedAttempt]) -> None:
            with self._writing() as db:
                self._record(db, results, receivers, shifts, revived)
                self._log(db, logged)

        try:
            record(attempts)
        except StoreFullError:
            if not attempts:
                raise
            self._log_room = 0
            record(())

    def _record(
        self,
        db: sqlite3.Connection,
        results: Sequence[DeliveryResult],
        receivers: Sequence[ReceiverState],
        shifts: Sequence[tuple[str, float]],
        revived: Sequence[int],
    ) -> None:
        self._recorded += len(results)
        if self._recorded >= _RESULTS_BEFORE_RELEASE:
            self._recorded = 0
            release_payloads(db)
        for name, seconds in shifts:
            shift_first_attempts(db, self._id(db, name), seconds)
        record_results(db, [(self._id(db, result.delivery.webhook), result) for result in results])
        for seq in revived:
            revive(db, seq)
        for receiver in receivers:
            values = (write_json(asdict(receiver)), self._id(db, receiver.webhook))
            db.execute("UPDATE webhooks SET lane = ? WHERE id = ?", values)

    def receivers(self) -> Mapping[str, ReceiverState]:
        rows = self._read("SELECT name, lane FROM webhooks WHERE lane IS NOT NULL")
        return {name: receiver_of(receiver) for name, receiver in rows}

    def webhook_records(self) -> Mapping[str, WebhookRecord]:
        rows = self._read("SELECT name, known FROM webhooks WHERE known IS NOT NULL")
        return {name: record_of(record) for name, record in rows}

    def save_webhook(self, record: WebhookRecord, *, shift: float = 0.0) -> None:
        with self._writing() as db:
            webhook = self._id(db, record.name)
            db.execute("UPDATE webhooks SET known = ? WHERE id = ?", (write_json(asdict(record)), webhook))
            shift_first_attempts(db, webhook, shift)
        self._begun.clear()

    def drop(
        self, webhook: str, reason: DropReason, *, older_than: float | None = None, most: int | None = None
    ) -> int:
        def change(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
            drop(db, rows, "pending", reason)

        return self._change_deliveries(webhook, change, older_than=older_than, most=most)

    def dead_letters(self, webhook: str | None = None) -> Iterator[DeadLetter]:
        sql = (
            "SELECT w.name, d.seq, e.source, e.name, e.document, d.reason, d.detail, d.attempts, d.died_at"
            " FROM deliveries d JOIN events e ON e.id = d.event JOIN webhooks w ON w.id = d.webhook"
            " WHERE d.died_at IS NOT NULL AND w.name = coalesce(?, w.name) AND d.seq > ? ORDER BY d.seq LIMIT ?"
        )
        last = 0
        while rows := self._read(sql, (webhook, last, DEAD_AT_ONCE)):
            last = rows[-1][1]
            while rows:  # each is let go before the next is read: events may be large
                with self._decoding():
                    letter = dead_letter_of(rows.pop(0))
                yield letter

    def replay(self, numbers: Sequence[int] | None, webhook: str | None = None) -> int:
        return self._change_dead_letters(numbers, webhook, replay)

    def purge(self, numbers: Sequence[int] | None, webhook: str | None = None) -> int:
        return self._change_dead_letters(numbers, webhook, lambda db, rows: drop(db, rows, "dead", DropReason.PURGED))

    def record_action(self, action: ManualAction) -> None:
        def change(db: sqlite3.Connection) -> None:
            values = (action.at, action.who, action.what, action.webhook, action.count)
            db.execute("INSERT INTO acts (at, who, what, webhook, count) VALUES (?, ?, ?, ?, ?)", values)
            db.execute("DELETE FROM acts WHERE id <= (SELECT max(id) FROM acts) - ?", (ACTIONS_KEPT,))

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
            until = forgettable_until(db, now, self._known_for, self._max_bytes)
            forgotten, read = forget_seen(db, until, now + self._known_for)
            removed = remove_gone(db, now)
            remove_names(db, now - self._known_for - FURTHEST)
            if removed:
                self._ids.clear()
            return forgotten, release_payloads(db) or AT_ONCE in (read, removed)

        self._checkpoint()
        return self._repeat(step)

    def expire(self, before: float) -> int:
        def step(db: sqlite3.Connection) -> tuple[int, bool]:
            expired = expire(db, before)
            return expired, expired == AT_ONCE

        return self._repeat(step)

    def ownership(self) -> Ownership:
        """Return that it is held: the lock on the folder lasts as long as this process."""
        return Ownership.HELD

    def sharing(self) -> None:
        """Return that nobody shares it."""

    def members(self) -> Sequence[Member]:
        return ()

    def clock(self) -> float:
        return time()

    def shrink(self) -> None:
        for _ in range(STEPS):
            with self._lock, explained(self._path), self._freeing_room():
                if not shrink(self._connection):
                    return
            self._rest(much=True)
