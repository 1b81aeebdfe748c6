"""What the store does with its file: what is on the disk when, what leaves it, and what is said once it is closed."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from kubectl_sew.event import Event
from sew_agent.store.records import (
    DeliveryResult,
    DeliveryState,
    DropReason,
    EnqueueBatch,
    LoggedAttempt,
    NewDelivery,
    StoreError,
    WebhookRecord,
)
from sew_agent.store.sqlite.opening import open_database
from sew_agent.store.sqlite.store import SqliteStore, open_store

NOW = 1_800_000_000.0
ATTEMPT = LoggedAttempt("hook", 1, "id", "e", "", None, "", None, 1, NOW, 1, "dead", "", "", 400, "http://a", 1, "")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(open_store(tmp_path)) as opened:
        yield opened


def enqueue(store: SqliteStore, names: Sequence[str], webhooks: tuple[str, ...] = ("hook",), text: str = "") -> None:
    deliveries = [NewDelivery(Event("", name, {"text": text}), webhooks) for name in names]
    store.enqueue(EnqueueBatch(deliveries, {}, NOW))


def deliver(store: SqliteStore, webhook: str) -> None:
    """Record that all that is due was delivered, one by one."""
    for delivery in store.due(webhook, now=NOW, limit=1_000):
        store.record_results([DeliveryResult(delivery, DeliveryState.DELIVERED, NOW, 1)], ())


@contextmanager
def connected(folder: Path) -> Iterator[tuple[SqliteStore, sqlite3.Connection]]:
    """Give a store, whose log has ten attempts of each webhook, with its connection."""
    database = open_database(folder, 2**31, exclusive=True)
    with closing(SqliteStore(database, None, 86_400.0, max_bytes=2**31, attempts_kept=10)) as store:
        yield store, database.connection


def test_an_attempt_is_on_the_disk_itself_before_it_is_sent(tmp_path: Path) -> None:
    statements = list[str]()
    with connected(tmp_path) as (store, connection):
        connection.set_trace_callback(statements.append)
        enqueue(store, "a")
        (delivery,) = store.due("hook", now=NOW, limit=1)
        statements.clear()
        store.begin_attempts([delivery])
        assert [statement for statement in statements if not statement.startswith("UPDATE")] == [
            "PRAGMA synchronous = FULL",
            "BEGIN IMMEDIATE",
            "COMMIT",
            "PRAGMA synchronous = NORMAL",
        ]


def test_the_first_page_after_a_beginning_is_on_the_disk_itself_and_no_later_one(tmp_path: Path) -> None:
    statements = list[str]()

    def is_synced(store: SqliteStore, **positions: str) -> bool:
        statements.clear()
        store.enqueue(EnqueueBatch((), positions, NOW))
        return "PRAGMA synchronous = FULL" in statements

    with connected(tmp_path) as (store, connection):
        connection.set_trace_callback(statements.append)
        assert [is_synced(store, common=position) for position in ("", "1", "2", "3")] == [False, True, False, False]
        assert [is_synced(store, common="4", own=position) for position in ("", "1", "2")] == [False, True, False]
        store.save_webhook(WebhookRecord("hook", "Enabled", None))
        assert [is_synced(store, common=position) for position in ("5", "6")] == [True, False]


@pytest.mark.parametrize("waits", [False, True])
def test_to_send_again_costs_no_more_where_another_webhook_has_thousands_that_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, waits: bool
) -> None:
    connect, steps = sqlite3.connect, list[int]()

    def counting(*arguments: Any, **settings: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **settings)
        connection.set_progress_handler(lambda: steps.append(1), 1_000)
        return connection

    monkeypatch.setattr("sqlite3.connect", counting)
    with closing(open_store(tmp_path)) as store:
        enqueue(store, [str(number) for number in range(5_000)], ("other",))
        steps.clear()
        events = [Event("", str(number) if waits else f"new {number}", {}) for number in range(20)]
        again = [NewDelivery(event, ("hook",), again="replay") for event in events]
        assert store.enqueue(EnqueueBatch(again, {}, NOW)).new == 20
    assert len(steps) < 20


def test_payloads_of_delivered_events_are_released(store: SqliteStore, tmp_path: Path) -> None:
    enqueue(store, [str(number) for number in range(100)], ("hook", "other"))
    deliver(store, "hook")
    deliver(store, "other")
    store.forget(NOW)
    with closing(sqlite3.connect(tmp_path / "sew.db")) as database:
        assert database.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_payloads_of_delivered_events_are_released_without_waiting_for_housekeeping(
    store: SqliteStore, tmp_path: Path
) -> None:
    enqueue(store, [str(number) for number in range(200)])
    deliver(store, "hook")
    with closing(sqlite3.connect(tmp_path / "sew.db")) as database:
        assert database.execute("SELECT count(*) < 64 FROM events").fetchone() == (1,)


@pytest.mark.parametrize(("logged", "kept_for"), [(35, 1_000.0), (25, 10.0)])
def test_the_log_is_trimmed_in_steps_of_so_many_attempts_whatever_logs_they_are_in(
    tmp_path: Path, logged: int, kept_for: float
) -> None:
    with connected(tmp_path) as (store, connection):
        for _ in range(logged):
            store.record_results((), (), attempts=[ATTEMPT._replace(webhook=f"{number}") for number in range(30)])
        changes = [connection.total_changes]
        connection.set_trace_callback(
            lambda statement: changes.append(connection.total_changes) if statement == "COMMIT" else None
        )
        assert store.trim_attempts(NOW + 100, kept_for=kept_for) == 750
        assert changes == [changes[0] + removed for removed in (0, 250, 500, 750, 750)]


def test_a_log_without_room_on_the_disk_rests_until_housekeeping_has_looked_for_room(tmp_path: Path) -> None:
    with connected(tmp_path) as (store, connection):
        store.record_results((), (), attempts=[ATTEMPT])
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        store.record_results((), (), attempts=[ATTEMPT._replace(detail="x" * 10_000)])
        connection.execute(f"PRAGMA max_page_count = {2 * pages}")
        store.record_results((), (), attempts=[ATTEMPT])
        assert len(store.attempts()) == 1
        store.trim_attempts(NOW, kept_for=100.0)
        store.record_results((), (), attempts=[ATTEMPT])
        assert len(store.attempts()) == 2


def test_a_file_of_which_less_than_a_quarter_is_free_is_left_as_it_is(tmp_path: Path) -> None:
    with connected(tmp_path) as (store, connection):
        for part in range(26):
            event = Event("", str(part), {"text": "x" * 3 * 2**20})
            store.enqueue(EnqueueBatch([NewDelivery(event, ("hook",))], {}, NOW + part))

        def pages_after_dropping(parts: int) -> int:
            store.drop("hook", DropReason.BACKLOG_DROPPED, older_than=NOW + parts)
            store.forget(NOW)
            store.shrink()
            pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
            return pages

        whole = pages_after_dropping(0)
        assert pages_after_dropping(6) == whole
        assert pages_after_dropping(7) < whole


def test_a_file_that_became_empty_is_given_back_to_the_disk_with_checkpoints_in_between(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in range(10):
        enqueue(store, [f"{part}-{number}" for number in range(200)], text="x" * 20_000)
    store.drop("hook", DropReason.BACKLOG_DROPPED)
    store.forget(NOW)
    sync, synced = os.fsync, list[int]()
    monkeypatch.setattr("os.fsync", lambda descriptor: (synced.append(descriptor), sync(descriptor)))
    for _ in range(5):
        store.shrink()
    assert len(synced) > 10
    store.close()
    assert (tmp_path / "sew.db").stat().st_size < 25 * 2**20


@pytest.mark.parametrize("use", [SqliteStore.positions, SqliteStore.room, SqliteStore.shrink])
def test_one_that_is_closed_says_which_and_why(
    store: SqliteStore, tmp_path: Path, use: Callable[[SqliteStore], object]
) -> None:
    store.close()
    with pytest.raises(StoreError) as refused:
        use(store)
    assert str(refused.value) == f"the store {tmp_path / 'sew.db'} cannot be used: Cannot operate on a closed database."
