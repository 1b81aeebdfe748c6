"""Database of a store: one connection under one lock, its transactions, and room made on a full disk."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import sleep
from typing import Any, BinaryIO, TypeVar

from sew_agent.base.health import Heartbeat
from sew_agent.store.records import StoreFullError
from sew_agent.store.rows import AT_ONCE, STEPS
from sew_agent.store.sqlite.disk_reserve import PAGE
from sew_agent.store.sqlite.errors import damaged, explained, full, is_full
from sew_agent.store.sqlite.opening import OpenDatabase
from sew_agent.store.sqlite.results import Row
from sew_agent.store.sqlite.upkeep import webhook_id

Result = TypeVar("Result")
Change = Callable[[sqlite3.Connection, Sequence[Row]], None]

_PENDING = (
    "SELECT seq, webhook, event, bytes, read_at FROM deliveries WHERE died_at IS NULL"
    " AND webhook = (SELECT id FROM webhooks WHERE name = ?) AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
)
_DEAD = _PENDING.replace("IS NULL", "IS NOT NULL")
_REST = 0.001
"""Seconds between two steps, so that others have their turn at the store."""


class Database:
    """Connection with its lock; thread-safe."""

    def __init__(self, database: OpenDatabase, held: BinaryIO | None) -> None:
        self._database = database
        self._connection = database.connection
        self._path = database.path
        self._reserve = database.reserve
        self._held = held
        self._lock = threading.Lock()
        self._ids: dict[str, int] = {}
        self._ends: dict[int, tuple[int, int]] = {}
        """Webhook -> numbers of the oldest and the newest row of its log, which nobody else writes."""
        self._disk_is_full = False
        """True after there was no room for new deliveries, until there is again."""

    def heartbeats(self) -> Mapping[str, Heartbeat]:
        return {}

    def close(self) -> None:
        with self._lock:
            self._database.close()
            if self._held:
                self._held.close()

    def _read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, explained(self._path):
            return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def _writing(self, *, durably: bool = False, enqueuing: bool = False) -> Iterator[sqlite3.Connection]:
        """Run one transaction. `enqueuing`: the reserve is not there for it."""
        with self._lock, explained(self._path):
            if durably:
                self._connection.execute("PRAGMA synchronous = FULL")
            try:
                with self._freeing_room(reserved=not enqueuing), self._transaction("BEGIN IMMEDIATE") as db:
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
            self._ends.clear()
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    @contextmanager
    def _freeing_room(self, *, reserved: bool = True) -> Iterator[None]:
        """Make room for the next transaction where the disk is full: the reserve's, and that of the log."""
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
            self._ids[name] = webhook_id(db, name)
        return self._ids[name]

    def _repeat(self, step: Callable[[sqlite3.Connection], tuple[int, bool]]) -> int:
        """Run some steps, until one says that there is no more; return the sum of their counts."""
        whole = 0
        for _ in range(STEPS):
            count, more = self._change(step)
            whole += count
            if not more:
                break
            self._rest()
        return whole

    def _rest(self, *, much: bool = False) -> None:
        """Give others their turn between two steps. `much`: a step wrote more than its rows show."""
        self._checkpoint(much=much)
        sleep(_REST)

    def _checkpoint(self, *, much: bool = False) -> None:
        """Move the log into the database while others go on, where much was written.

        A long log is then ended while nobody writes: what was written meanwhile is little.
        """
        checkpointer = self._database.checkpointer
        if checkpointer is None:
            return
        with explained(self._path):
            if checkpointer.is_due(self._connection.total_changes) or much:
                pages = checkpointer.run()
                if pages >= self._reserve.log_pages // 2:
                    with self._lock:
                        checkpointer.run()

    def _change(self, change: Callable[[sqlite3.Connection], Result]) -> Result:
        """Change in one transaction; in a second one where the disk was full, and the reserve made room."""
        try:
            with self._writing() as db:
                return change(db)
        except StoreFullError:
            with self._writing() as db:
                return change(db)

    def _check_reserve(self, db: sqlite3.Connection) -> None:
        """Raise StoreFullError without a reserve. Free pages of the file are room, too."""
        self._disk_is_full = not (self._reserve.keep() or self._free_bytes(db) >= self._reserve.size)
        if self._disk_is_full:
            raise full(self._path)

    def _free_bytes(self, db: sqlite3.Connection) -> int:
        ((free,),) = db.execute("PRAGMA freelist_count").fetchall()
        return int(free) * PAGE

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        """Name the file where a payload cannot be decoded. SQLite has no checksums: such damage is found here."""
        try:
            yield
        except ValueError as error:
            raise damaged(self._path, str(error)) from error

    def _change_deliveries(
        self,
        webhook: str,
        change: Change,
        *,
        older_than: float | None = None,
        most: int | None = None,
        dead: bool = False,
    ) -> int:
        """Change deliveries of a webhook that are pending (or dead) now, in batches; return how many, about `most`.

        Only those read before `older_than`.
        """
        before = float("inf") if older_than is None else older_than
        sql = _DEAD if dead else _PENDING
        ((last,),) = self._read("SELECT coalesce(max(seq), 0) FROM deliveries")
        seq, changed = 0, 0

        def step(db: sqlite3.Connection) -> tuple[int, int, int]:
            rows = db.execute(sql, (webhook, seq, last, AT_ONCE)).fetchall()
            done = apply(db, [row[:4] for row in rows if row[4] < before], change)
            return done, len(rows), rows[-1][0] if rows else 0

        while most is None or changed < most:
            done, read, seq = self._change(step)
            changed += done
            if read < AT_ONCE:
                break
            self._rest()
        return changed

    def _change_dead_letters(self, numbers: Sequence[int] | None, webhook: str | None, change: Change) -> int:
        """Change dead letters in batches, by their numbers or all of them; return how many there were."""
        if numbers is None:
            names = [name for (name,) in self._read("SELECT name FROM webhooks WHERE dead > 0")]
            return sum(self._change_deliveries(name, change, dead=True) for name in names if webhook in (None, name))
        sql = (
            "SELECT seq, webhook, event, d.bytes FROM deliveries d JOIN webhooks w ON w.id = d.webhook"
            " WHERE seq = ? AND died_at IS NOT NULL AND name = coalesce(?, name)"
        )

        def chosen(db: sqlite3.Connection, some: Sequence[int]) -> list[Row]:
            rows = [db.execute(sql, (number, webhook)).fetchone() for number in some]
            return [row for row in rows if row]

        whole, once = 0, list(dict.fromkeys(numbers))  # each counts once, however often it is named
        for start in range(0, len(once), AT_ONCE):
            some = once[start : start + AT_ONCE]
            whole += self._change(lambda db, some=some: apply(db, chosen(db, some), change))  # type: ignore[misc]
        return whole


def apply(db: sqlite3.Connection, rows: Sequence[Row], change: Change) -> int:
    """Change these rows; return their number."""
    change(db, rows)
    return len(rows)
