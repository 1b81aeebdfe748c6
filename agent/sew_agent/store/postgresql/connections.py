"""Connections of a store: opened when needed, kept for the next transaction, replaced where the server was away."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg

from sew_agent.store.postgresql.errors import Place, RepeatableError, explained, is_lost, is_repeatable, unusable

Result = TypeVar("Result")
Connection = psycopg.Connection[tuple[Any, ...]]

_MOST = 8
_OLDEST = 130_000
_TRIES = 5
"""Attempts of a transaction that stands in another one's way."""
_DEFAULTS = {
    "application_name": "sew-agent",
    "connect_timeout": "5",
    "target_session_attrs": "read-write",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""What a URL may say otherwise."""
_LIMITS = (
    "SET statement_timeout = '30s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '5s';"
    " SET default_transaction_isolation = 'read committed'"
)
"""An agent that is paused within a transaction holds its rows for 5 s at most."""


class Connections:
    """At most eight connections; thread-safe. Closed for good by `close`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(_MOST)
        self._closed = False

    @property
    def place(self) -> Place:
        """Server and database."""
        return self._place

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._drop_idle()

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of one statement, a transaction of its own. Raises StoreError."""
        return self._run(lambda db, _: db.execute(sql, values).fetchall())

    def write(self, change: Callable[[Connection], Result], *, begin: str = "BEGIN") -> Result:
        """Change in one transaction, begun anew where another one stands in its way. Raises StoreError.

        Where the connection is lost before its end is asked for, nothing was changed, and a new connection is tried.
        """

        def transaction(db: Connection, ending: Callable[[], None]) -> Result:
            db.execute(begin)
            result = change(db)
            ending()
            db.execute("COMMIT")
            return result

        return self._run(transaction)

    def _run(self, work: Callable[[Connection, Callable[[], None]], Result]) -> Result:
        with explained(self._place):
            for _ in range(_TRIES - 1):
                try:
                    return self._once(work)
                except RepeatableError:
                    continue
            return self._once(work)

    def _once(self, work: Callable[[Connection, Callable[[], None]], Result]) -> Result:
        """Do it once. Raises RepeatableError where nothing was changed, and another attempt may do it."""
        ending = threading.Event()
        with self._connection() as db:
            try:
                return work(db, ending.set)
            except psycopg.OperationalError as error:
                if is_repeatable(error) or (is_lost(error) and not ending.is_set()):
                    raise RepeatableError(*error.args) from error
                raise

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._free:
            db = self._taken()
            try:
                yield db
            except BaseException as error:
                self._end(db, error)
                raise
            with self._lock:
                if not self._closed:
                    self._idle.append(db)
                    return
            db.close()

    def _taken(self) -> Connection:
        with self._lock:
            if self._closed:
                raise unusable(self._place, "it is closed")
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _end(self, db: Connection, error: BaseException) -> None:
        """End a connection with its transaction. Where the server was away, the others are lost with it."""
        with suppress(psycopg.Error):
            db.close()
        if isinstance(error, psycopg.OperationalError) and is_lost(error.__cause__ or error):
            self._drop_idle()

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for db in idle:
            db.close()

    def _connect(self) -> Connection:
        given = {name: value for name, value in _DEFAULTS.items() if name not in self._place.parameters}
        db = psycopg.connect(self._place.url, autocommit=True, client_encoding="UTF8", **given)  # type: ignore[arg-type]
        try:
            if db.info.server_version < _OLDEST:
                raise unusable(self._place, f"it is version {db.info.server_version // 10_000}; 13 or newer is needed")
            if (encoding := db.info.parameter_status("server_encoding")) != "UTF8":
                raise unusable(self._place, f"its encoding is {encoding}: make the database with ENCODING 'UTF8'")
            db.execute(_LIMITS)
        except BaseException:
            db.close()
            raise
        return db
