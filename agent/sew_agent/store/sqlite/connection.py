"""The database of a store: one connection under one lock, its transactions, and what makes room on a full disk."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from typing import Any, BinaryIO, TypeVar

from sew_agent.store.records import StoreFullError
from sew_agent.store.sqlite.disk_reserve import PAGE, DiskReserve
from sew_agent.store.sqlite.files import explained, full, is_full, open_database
from sew_agent.store.sqlite.results import Row
from sew_agent.store.sqlite.upkeep import AT_ONCE, number_of

Found = TypeVar("Found")
Change = Callable[[sqlite3.Connection, Sequence[Row]], None]

STEPS = 40
"""Steps of housekeeping at one call."""
_PENDING = (
    "SELECT seq, webhook, event, bytes, read_at FROM deliveries WHERE died_at IS NULL"
    " AND webhook = (SELECT id FROM webhooks WHERE name = ?) AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
)
_DEAD = _PENDING.replace("IS NULL", "IS NOT NULL")
REST = 0.001
"""Seconds between two steps, in which others have their turn at the store."""


def opened(folder: Path, max_bytes: int, *, exclusive: bool) -> tuple[DiskReserve, sqlite3.Connection]:
    """Where the disk is full, the reserve makes room for what opening takes."""
    with explained(folder):
        reserve = DiskReserve(folder, max_bytes)
    try:
        connection = open_database(folder, create=exclusive, log_pages=reserve.log_pages)
    except StoreFullError:
        reserve.give_up()
        connection = open_database(folder, create=exclusive, log_pages=reserve.log_pages)
    return reserve, connection


class Database:
    """Thread-safe."""

    def __init__(self, connection: sqlite3.Connection, path: Path, held: BinaryIO | None, reserve: DiskReserve) -> None:
        self._connection = connection
        self._path = path
        self._held = held
        self._reserve = reserve
        self._lock = threading.Lock()
        self._ids: dict[str, int] = {}

    def close(self) -> None:
        with self._lock:
            self._connection.close()
            if self._held:
                self._reserve.close()
                self._held.close()

    def _read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, explained(self._path):
            return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def _writing(self, *, durably: bool = False, taking: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction. `taking`: more into the store, for which the reserve is not there."""
        with self._lock, explained(self._path):
            if durably:
                self._connection.execute("PRAGMA synchronous = FULL")
            try:
                with self._room_made(reserved=not taking), self._transaction("BEGIN IMMEDIATE") as db:
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

    @contextmanager
    def _room_made(self, *, reserved: bool = True) -> Iterator[None]:
        """Where the disk is full, make room for what the next transaction needs: the reserve's, and that of the log."""
        try:
            yield
        except sqlite3.Error as error:
            if is_full(error):
                if reserved:
                    self._reserve.give_up()
                with suppress(sqlite3.Error):
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            raise

    def _id(self, db: sqlite3.Connection, name: str) -> int:
        if name not in self._ids:
            self._ids[name] = number_of(db, name)
        return self._ids[name]

    def _by_steps(self, step: Callable[[sqlite3.Connection], tuple[int, bool]]) -> int:
        """Take some steps, until one says that there is no more; the sum of what they tell."""
        whole = 0
        for _ in range(STEPS):
            count, more = self._change(step)
            whole += count
            if not more:
                break
            sleep(REST)
        return whole

    def _change(self, change: Callable[[sqlite3.Connection], Found]) -> Found:
        """In one transaction; in another one where the disk was full, and the reserve made room."""
        try:
            with self._writing() as db:
                return change(db)
        except StoreFullError:
            with self._writing() as db:
                return change(db)

    def _check_reserve(self, db: sqlite3.Connection) -> None:
        """Raises StoreFullError. Free pages of the file are room, too."""
        if not self._reserve.keep():
            ((free,),) = db.execute("PRAGMA freelist_count").fetchall()
            if free * PAGE < self._reserve.size:
                raise full(self._path)

    def _in_parts(
        self,
        webhook: str,
        change: Change,
        *,
        older_than: float | None = None,
        most: int | None = None,
        dead: bool = False,
    ) -> int:
        """Change those deliveries of a webhook that are pending (or dead) now, some at a time; how many, about `most`.

        Only those read before `older_than` (epoch seconds).
        """
        before = float("inf") if older_than is None else older_than
        sql = _DEAD if dead else _PENDING
        ((last,),) = self._read("SELECT coalesce(max(seq), 0) FROM deliveries")
        seq, changed = 0, 0

        def step(db: sqlite3.Connection) -> tuple[int, int, int]:
            found = db.execute(sql, (webhook, seq, last, AT_ONCE)).fetchall()
            done = apply(db, [row[:4] for row in found if row[4] < before], change)
            return done, len(found), found[-1][0] if found else 0

        while most is None or changed < most:
            done, looked, seq = self._change(step)
            changed += done
            if looked < AT_ONCE:
                break
            sleep(REST)
        return changed


def apply(db: sqlite3.Connection, rows: Sequence[Row], change: Change) -> int:
    """Change these; how many they are."""
    change(db, rows)
    return len(rows)
