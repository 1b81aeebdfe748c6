"""The store in PostgreSQL. Every method is one short transaction, or several where the contract says "in batches"."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict

from sew_agent.base.clocks import steady_seconds
from sew_agent.store.postgresql import results as rows_of
from sew_agent.store.postgresql.by_hand import Change, Chosen, change_chosen, change_deliveries
from sew_agent.store.postgresql.connections import Connection, Connections
from sew_agent.store.postgresql.delivery_log import PostgresqlDeliveryLog
from sew_agent.store.postgresql.due import chosen, decoded, fresh, together, tried, waiting
from sew_agent.store.postgresql.enqueue import enqueue, filled, move_readers
from sew_agent.store.postgresql.errors import Place
from sew_agent.store.postgresql.membership import AgentMembership
from sew_agent.store.postgresql.schema import migrate
from sew_agent.store.postgresql.shifts import Shifts
from sew_agent.store.postgresql.upkeep import expire, forget_seen, forgettable_until, remove_gone, remove_names
from sew_agent.store.postgresql.webhooks import columns, record_receivers, webhook_ids
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
    Page,
    dead_letter_of,
    delivery_of,
    due_rows,
    receiver_of,
    record_of,
    write_json,
)

_DEAD_LETTERS = (
    "SELECT w.name, d.seq, e.source, e.name, e.document, d.reason, d.detail, d.attempts, d.died_at"
    " FROM deliveries d JOIN events e ON e.id = d.event JOIN webhooks w ON w.id = d.webhook"
    " WHERE d.died_at IS NOT NULL AND w.name = coalesce(%s, w.name) AND d.seq > %s ORDER BY d.seq LIMIT %s"
)
_FIRST = "FROM deliveries WHERE died_at IS NULL AND (webhook, {0}) > (w.id, {1}) AND webhook <= w.id"
_FIRST += " AND {2} ORDER BY webhook, {0} LIMIT 1"
_NEXT_DUE = (
    f"SELECT CASE WHEN (SELECT true {_FIRST.format('seq', 0, 'attempts = 0')}) THEN 0.0"
    f""" ELSE (SELECT due {_FIRST.format("due", "'-Infinity'", "attempts > 0")}) END FROM webhooks w WHERE name = %s"""
)
_OLDEST = (
    f"""SELECT name, (SELECT time {_FIRST.format("time", "'-Infinity'", "time IS NOT NULL")})"""
    " FROM webhooks w WHERE pending > 0"
)
_COUNTERS = (
    "SELECT name, delivered, pending, dead,"
    " (SELECT coalesce(json_object_agg(reason, count), '{}') FROM dropped WHERE webhook = w.id),"
    f" (SELECT read_at {_FIRST.format('seq', 0, 'true')}), last_delivered_at, last_error, bytes, last_error_at"
    ' FROM webhooks w ORDER BY name COLLATE "C"'
)


def place(url: str) -> Place:
    """Return server and database of a URL. Raises StoreError."""
    return Place(url)


def identity(url: str) -> str:
    """Return what identifies the store in a database, which is made where there is none. Raises StoreError."""
    with closing(Connections(Place(url))) as connections:
        migrate(connections, create=True)
        ((identity,),) = connections.read("SELECT identity::text FROM store_schema")
        return str(identity).replace("-", "")


def open_store(  # noqa: PLR0913 - who asks, for what, and its edges
    url: str,
    *,
    owner: str | None,
    alone: bool = True,
    reread: Callable[[], str] | None = None,
    known_for: float = 86_400.0,
    max_bytes: int = 2**31,
    attempts_kept: int = 1000,
    steady: Callable[[], float] = steady_seconds,
) -> "PostgresqlStore":
    """Open the store in a database. `owner`: name of the agent, which makes the tables; None beside one.

    `alone`: no other agent may have it open, and all is this one's own; otherwise it shares the store with others.

    `reread`: returns the URL as it is now, for each new connection: user and password may change.
    `known_for`: seconds for which an event stays seen. `max_bytes`: size of all that the store may hold.
    `attempts_kept`: attempts of each webhook in the log of deliveries. `steady`: seconds of a clock that nobody sets.
    Raises StoreError, StoreHeldError where another agent is or wants to be alone.
    """
    connections = Connections(Place(url), reread)
    membership = AgentMembership(connections, owner, steady, alone=alone) if owner else None
    try:
        migrate(connections, create=bool(membership))
        if membership:
            membership.join()
            membership.keep()
    except BaseException:
        connections.close()
        raise
    return PostgresqlStore(
        connections, membership, steady, known_for=known_for, max_bytes=max_bytes, attempts_kept=attempts_kept
    )


class PostgresqlStore(PostgresqlDeliveryLog):
    """Implementation of sew_agent.store.contract.Store."""

    def __init__(
        self,
        connections: Connections,
        membership: AgentMembership | None,
        steady: Callable[[], float],
        *,
        known_for: float,
        max_bytes: int,
        attempts_kept: int,
    ) -> None:
        super().__init__(connections, membership, steady, max_bytes=max_bytes, attempts_kept=attempts_kept)
        self._known_for = known_for
        self._shifts = Shifts()

    def enqueue(self, batch: EnqueueBatch) -> EnqueueResult:
        wanted = {name for new in batch.deliveries for name in new.webhooks}
        names = {name for new in batch.deliveries for name in new.all_webhooks}

        def change(db: Connection) -> EnqueueResult:
            ids = webhook_ids(db, names) if names else {}
            room = filled(db, self._max_bytes) if wanted else {}
            if full := frozenset(name for name in wanted if room.get(name, 0.0) >= 1.0):
                return EnqueueResult(0, 0, full)
            result = enqueue(db, batch, ids, self._known_for)
            move_readers(db, batch.positions)
            return result

        return self._write(change)

    def seen_by(self, keys: Sequence[bytes]) -> Mapping[bytes, frozenset[str]]:
        seen: dict[bytes, set[str]] = {}
        sql = "SELECT event, name FROM seen JOIN webhooks ON id = webhook WHERE event = ANY(%b::bytea[])"
        for event, name in self._connections.read(sql, (list(keys),)):
            seen.setdefault(bytes(event), set()).add(name)
        return {event: frozenset(webhooks) for event, webhooks in seen.items()}

    def first_used(self, now: float) -> float:
        def change(db: Connection) -> float:
            db.execute("INSERT INTO moments VALUES ('first used', %s) ON CONFLICT DO NOTHING", (now,))
            ((at,),) = db.execute("SELECT at FROM moments WHERE name = 'first used'").fetchall()
            return float(at)

        return self._write(change)

    def positions(self) -> Mapping[str, str]:
        return dict(self._connections.read("SELECT name, position FROM readers"))

    def drop_readers(self, readers: Collection[str]) -> None:
        self._write(lambda db: db.execute("DELETE FROM readers WHERE name = ANY(%s)", (list(readers),)))

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
        def untried() -> Page:
            return fresh(self._connections, webhook, limit, skip, most_bytes)

        def retried(after: float, until: float, most: int) -> Page:
            return tried(self._connections, webhook, (after, until), most, skip, most_bytes)

        rows = due_rows(untried, retried, now=now, limit=limit, retries=retries, longest=longest, most_bytes=most_bytes)
        return [delivery_of(webhook, row) for row in rows]

    def waiting(
        self, webhook: str, *, limit: int, after: int = 0, numbers: Sequence[int] | None = None, digest: str = ""
    ) -> Sequence[Delivery]:
        if digest:
            rows = together(self._connections, webhook, digest, limit)
        elif numbers is None:
            rows = waiting(self._connections, webhook, after, limit)
        else:
            rows = chosen(self._connections, webhook, numbers, limit)
        return [delivery_of(webhook, row) for row in rows]

    def next_due(self, webhook: str) -> float | None:
        rows: list[tuple[float | None]] = self._connections.read(_NEXT_DUE, (webhook,))
        return float(rows[0][0]) if rows and rows[0][0] is not None else None

    def pending_counts(self) -> Mapping[str, int]:
        return dict(self._connections.read("SELECT name, pending FROM webhooks WHERE pending > 0"))

    def oldest_times(self) -> Mapping[str, float]:
        return {name: time for name, time in self._connections.read(_OLDEST) if time is not None}

    def begin_attempts(self, deliveries: Sequence[Delivery]) -> None:
        values = columns((delivery.seq, delivery.digest) for delivery in deliveries)

        def change(db: Connection) -> None:
            db.execute("SET LOCAL synchronous_commit = on")
            db.execute(
                "UPDATE deliveries d SET in_doubt = true, digest = r.digest"
                " FROM unnest(%s::bigint[], %s::text[]) AS r (seq, digest) WHERE d.seq = r.seq",
                values,
            )

        self._write(change, owning={delivery.webhook for delivery in deliveries})

    def record_results(
        self,
        results: Sequence[DeliveryResult],
        receivers: Sequence[ReceiverState],
        shifts: Sequence[tuple[str, float]] = (),
        revived: Sequence[int] = (),
        attempts: Sequence[LoggedAttempt] = (),
    ) -> None:
        try:
            self._record(results, receivers, shifts, revived, attempts)
        except StoreFullError:
            if not attempts:
                raise
            self._log_room = 0
            self._record(results, receivers, shifts, revived, ())

    def _record(
        self,
        results: Sequence[DeliveryResult],
        receivers: Sequence[ReceiverState],
        shifts: Sequence[tuple[str, float]],
        revived: Sequence[int],
        attempts: Sequence[LoggedAttempt],
    ) -> None:
        owning = {result.delivery.webhook for result in results} | {receiver.webhook for receiver in receivers}
        owning |= {name for name, _ in shifts}

        def change(db: Connection) -> None:
            self._shifts.shift(db, seconds)
            rows_of.record_results(db, results)
            if revived:
                rows_of.revive(db, revived)
            if receivers:
                record_receivers(db, receivers)
            self._log(db, attempts)

        if results or receivers or shifts or revived:
            with self._shifts.making(shifts) as seconds:
                self._write(change, owning=owning)

    def receivers(self) -> Mapping[str, ReceiverState]:
        rows = self._connections.read("SELECT name, receiver FROM webhooks WHERE receiver IS NOT NULL")
        return {name: receiver_of(receiver) for name, receiver in rows}

    def webhook_records(self) -> Mapping[str, WebhookRecord]:
        rows = self._connections.read("SELECT name, record FROM webhooks WHERE record IS NOT NULL")
        return {name: record_of(record) for name, record in rows}

    def save_webhook(self, record: WebhookRecord, *, shift: float = 0.0) -> None:
        seconds = max(shift, 0.0)

        def change(db: Connection) -> None:
            webhook_ids(db, [record.name])
            values = (write_json(asdict(record)), record.state, record.deleted_at, seconds, record.name)
            db.execute(
                "UPDATE webhooks SET record = %s, state = %s, deleted_at = %s, paused = paused + %s WHERE name = %s",
                values,
            )

        self._write(change)

    def drop(
        self, webhook: str, reason: DropReason, *, older_than: float | None = None, most: int | None = None
    ) -> int:
        def change(db: Connection, rows: Sequence[rows_of.Row]) -> None:
            rows_of.drop(db, rows, "pending", reason)

        return self._change_deliveries(webhook, change, older_than=older_than, most=most)

    def dead_letters(self, webhook: str | None = None) -> Iterator[DeadLetter]:
        last = 0
        while rows := self._connections.read(_DEAD_LETTERS, (webhook, last, DEAD_AT_ONCE)):
            last = rows[-1][1]
            while rows:  # each is let go before the next is read: events may be large
                yield dead_letter_of(decoded(rows.pop(0), 2))

    def replay(self, numbers: Sequence[int] | None, webhook: str | None = None) -> int:
        return self._change_dead_letters(numbers, webhook, rows_of.replay)

    def purge(self, numbers: Sequence[int] | None, webhook: str | None = None) -> int:
        def change(db: Connection, rows: Sequence[rows_of.Row]) -> None:
            rows_of.drop(db, rows, "dead", DropReason.PURGED)

        return self._change_dead_letters(numbers, webhook, change)

    def record_action(self, action: ManualAction) -> None:
        def change(db: Connection) -> None:
            values = (action.at, action.who, action.what, action.webhook, action.count)
            db.execute("INSERT INTO actions (at, who, what, webhook, count) VALUES (%s, %s, %s, %s, %s)", values)
            db.execute("DELETE FROM actions WHERE id <= (SELECT max(id) FROM actions) - %s", (ACTIONS_KEPT,))

        self._write(change)

    def manual_actions(self, after: int = 0) -> Sequence[ManualAction]:
        sql = "SELECT id, at, who, what, webhook, count FROM actions WHERE id > %s ORDER BY id"
        return [ManualAction(*row) for row in self._connections.read(sql, (after,))]

    def counters(self) -> Sequence[Counters]:
        return [Counters(*row) for row in self._connections.read(_COUNTERS)]

    def room(self) -> Mapping[str, float]:
        return self._connections.write(lambda db: filled(db, self._max_bytes))

    def forget(self, now: float) -> int:
        def step(db: Connection) -> tuple[int, bool]:
            more = rows_of.release_payloads(db)
            removed = remove_gone(db, now)
            remove_names(db, now - self._known_for - FURTHEST)
            until = forgettable_until(db, now, self._known_for, self._max_bytes)
            forgotten, read = forget_seen(db, until, now + self._known_for)
            return forgotten, more or AT_ONCE in (read, removed)

        return self._repeat(step)

    def expire(self, before: float) -> int:
        def step(db: Connection) -> tuple[int, bool]:
            expired = expire(db, before)
            return expired, expired == AT_ONCE

        return self._repeat(step)

    def shrink(self) -> None:
        """Do nothing but see that it is open: the server's autovacuum makes room for what follows."""
        self._connections.read("SELECT 1")

    def _change_dead_letters(self, numbers: Sequence[int] | None, webhook: str | None, change: Change) -> int:
        if numbers is None:
            names = [name for (name,) in self._connections.read("SELECT name FROM webhooks WHERE dead > 0")]
            return sum(self._change_deliveries(name, change, dead=True) for name in names if webhook in (None, name))
        whole = 0
        for start in range(0, len(numbers), AT_ONCE):
            some = numbers[start : start + AT_ONCE]
            whole += self._changing(lambda db, some=some: change_chosen(db, some, webhook, change), bool)  # type: ignore[misc]
        return whole

    def _change_deliveries(
        self,
        webhook: str,
        change: Change,
        *,
        older_than: float | None = None,
        most: float | None = None,
        dead: bool = False,
    ) -> int:
        ((last,),) = self._connections.read("SELECT coalesce(max(seq), 0) FROM deliveries")
        chosen = Chosen(webhook, last, EVER if older_than is None else older_than, dead)
        most = EVER if most is None else most
        return change_deliveries(lambda step: self._changing(step, lambda done: bool(done[0])), chosen, change, most)
