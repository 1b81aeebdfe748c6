"""Connections of a store: opened when needed, kept for the next transaction, replaced where the server was away."""

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from time import monotonic
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo

from sew_agent.store.postgresql.errors import (
    Place,
    RepeatableError,
    SilentServerError,
    explained,
    is_lost,
    is_repeatable,
    unusable,
)

Result = TypeVar("Result")

ANSWER_WITHIN = 12.0
"""Seconds after which a server that says nothing counts as lost; it ends a statement by itself before that."""
_MOST = 8
_OLDEST = 130_000
_TRIES = 5
"""Attempts of a transaction that stands in another one's way."""
_DEFAULTS = {
    "application_name": "sew-agent",
    "client_encoding": "UTF8",
    "connect_timeout": "5",
    "target_session_attrs": "read-write",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""What a URL may say otherwise."""
_SESSION = (
    # a process that is paused within a transaction holds its rows for 5 s at most, unless within a pipeline
    "SET statement_timeout = %d; SET lock_timeout = %d; SET idle_in_transaction_session_timeout = '5s';"
    " SET default_transaction_isolation = 'read committed';"
    # each statement has its index: the planner shall take it, also while its statistics are those of an empty table
    " SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; SET enable_incremental_sort = off;"
    " SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off"
)


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """Connection that waits for a server no longer than `answer_within` seconds without a byte from it."""

    answer_within: float = ANSWER_WITHIN

    def wait(self, gen: Generator[Any, Any, Result], *args: Any, **more: Any) -> Result:
        """Wait for what a generator of the driver needs. Raises SilentServerError, and is closed then."""
        result: Result = super().wait(self._bounded(gen), *args, **more)
        return result

    def _bounded(self, gen: Generator[Any, Any, Result]) -> Generator[Any, Any, Result]:
        """The driver looks in every tenth of a second, also where there is nothing."""
        heard = monotonic()
        try:
            wanted = next(gen)
            while True:
                if ready := (yield wanted):
                    heard = monotonic()
                elif monotonic() - heard > self.answer_within:
                    break
                wanted = gen.send(ready)
        except StopIteration as ended:
            result: Result = ended.value
            return result
        self.pgconn.finish()
        with suppress(psycopg.Error):
            gen.close()
        raise SilentServerError(f"the server is there, and gave no answer for {self.answer_within:.0f} s")


Connection: TypeAlias = BoundedConnection


class Connections:
    """At most eight connections; thread-safe. Closed for good by `close`."""

    def __init__(self, place: Place, reread: Callable[[], str] | None = None) -> None:
        """`reread`: returns the URL as it is now, for each new connection. Raises StoreError."""
        self._place = place
        self._reread = reread
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(_MOST)
        self._closed = False
        self._name = ""

    @property
    def place(self) -> Place:
        """Server and database."""
        return self._place

    def name_sessions(self, name: str) -> None:
        """Let the server show each new connection by this name; those that are idle now are replaced."""
        self._name = name
        self._drop_idle()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._drop_idle()

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of one statement, a transaction of its own. Raises StoreError."""
        return self._run(lambda db, _: db.execute(sql, values).fetchall())

    def write(self, change: Callable[[Connection], Result], *, long: bool = False) -> Result:
        """Change in one transaction, begun anew where another one stands in its way. Raises StoreError.

        Where the connection is lost before its end is asked for, nothing was changed, and a new connection is tried.
        A statement waits for the server only when its rows are fetched, and may not hold several. `long`: each waits,
        for as long as it takes.
        """

        def transaction(db: Connection, ending: Callable[[], None]) -> Result:
            if long:
                db.answer_within = float("inf")
            with nullcontext() if long else db.pipeline():
                db.execute("BEGIN")
                result = change(db)
                ending()
                db.execute("COMMIT")
            return result

        return self._run(transaction)

    def _run(self, work: Callable[[Connection, Callable[[], None]], Result]) -> Result:
        with explained(self._place):
            for _ in range(_TRIES - 1):
                with suppress(RepeatableError):
                    return self._once(work)
            return self._once(work, repeatable=False)

    def _once(self, work: Callable[[Connection, Callable[[], None]], Result], *, repeatable: bool = True) -> Result:
        """Do it once. Raises RepeatableError where nothing was changed, and another attempt may do it."""
        ending = threading.Event()
        with self._connection() as db:
            try:
                return work(db, ending.set)
            except psycopg.OperationalError as error:
                silent = isinstance(error, SilentServerError)
                lost = is_lost(error) and not silent and not ending.is_set()
                if repeatable and (is_repeatable(error) or lost):
                    raise RepeatableError from error
                raise

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._free:
            db = self._taken()
            db.answer_within = ANSWER_WITHIN
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
        if is_lost(error.__cause__ or error):
            self._drop_idle()

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for db in idle:
            db.close()

    def _connect(self) -> Connection:
        if self._reread:
            self._place.renew(self._reread())
        db = BoundedConnection.connect(make_conninfo(**{**_DEFAULTS, **self._place.parameters}), autocommit=True)
        try:
            self._check(db.info)
            db.execute(_SESSION % (800 * ANSWER_WITHIN, 400 * ANSWER_WITHIN))
            if self._name:
                db.execute("SELECT set_config('application_name', %s, false)", (self._name,))
        except BaseException:
            db.close()
            raise
        return db

    def _check(self, server: psycopg.ConnectionInfo) -> None:
        """Raise StoreError where the server is too old, or its database cannot hold every text."""
        if server.server_version < _OLDEST:
            raise unusable(self._place, f"it is version {server.server_version // 10_000}; 13 or newer is needed")
        if (encoding := server.parameter_status("server_encoding")) != "UTF8":
            raise unusable(self._place, f"its encoding is {encoding}: make the database with ENCODING 'UTF8'")
