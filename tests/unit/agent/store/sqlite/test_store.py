"""What the store does with its file: what is on the disk when, what leaves it, and what is said once it is closed."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kubectl_sew.event import Event
from sew_agent.store.records import (
    DeliveryResult,
    DeliveryState,
    DropReason,
    EnqueueBatch,
    NewDelivery,
    StoreError,
)
from sew_agent.store.sqlite.store import SqliteStore, open_store

NOW = 1_800_000_000.0


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


def test_an_attempt_is_on_the_disk_itself_before_it_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, statements = sqlite3.connect, list[str]()

    def traced(*arguments: Any, **settings: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **settings)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr("sqlite3.connect", traced)
    with closing(open_store(tmp_path)) as store:
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
