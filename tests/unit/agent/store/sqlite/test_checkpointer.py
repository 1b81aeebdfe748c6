"""Checkpoints beside all that use the store: what is moved when, and what others notice of it."""

import errno
import os
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from kubectl_sew.event import Event
from sew_agent.store.records import DropReason, EnqueueBatch, NewDelivery, StoreError
from sew_agent.store.sqlite.checkpointer import Checkpointer
from sew_agent.store.sqlite.files import DATABASE
from sew_agent.store.sqlite.opening import open_database
from sew_agent.store.sqlite.store import SqliteStore, open_store

NOW = 1_800_000_000.0
MUCH = 400
"""Events of which each changes three rows."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(open_store(tmp_path)) as opened:
        yield opened


@pytest.fixture
def checkpointer(tmp_path: Path) -> Iterator[Checkpointer]:
    with closing(open_database(tmp_path, 2**31, exclusive=True)) as database:
        assert database.checkpointer
        yield database.checkpointer


def enqueue(store: SqliteStore, count: int, name: str = "a", size: int = 10) -> None:
    names = (f"{name}-{number}" for number in range(count))
    deliveries = [NewDelivery(Event("", name, {"text": "x" * size}), ("hook",)) for name in names]
    store.enqueue(EnqueueBatch(deliveries, {}, NOW))


def without_log(folder: Path) -> dict[str, int]:
    """Return the pending counts that the database alone holds. Another process copies it: SQLite's locks stay."""
    copy = folder / "copy"
    copy.mkdir()
    subprocess.run(["cp", folder / DATABASE, copy], check=True)
    with closing(open_store(copy)) as copied:
        counts = dict(copied.pending_counts())
    subprocess.run(["rm", "-r", copy], check=True)
    return counts


def on_sync(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> list[int]:
    """Do something at the first sync of the database by a checkpoint; return a list of all of them."""
    sync, synced = os.fsync, list[int]()

    def acting(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 1:
            action()
        sync(descriptor)

    monkeypatch.setattr("os.fsync", acting)
    return synced


def test_what_was_written_is_moved_at_the_next_housekeeping_or_page_where_it_is_much(
    store: SqliteStore, tmp_path: Path
) -> None:
    enqueue(store, MUCH)
    assert without_log(tmp_path) == {}
    store.forget(NOW)
    assert without_log(tmp_path) == {"hook": MUCH}
    enqueue(store, MUCH, "b")
    enqueue(store, 1, "c")
    assert without_log(tmp_path) == {"hook": 2 * MUCH}


def test_a_little_is_left_in_the_log_without_work_for_the_disk(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = on_sync(monkeypatch, lambda: None)
    for number in range(5):
        enqueue(store, 10, str(number))
        store.forget(NOW)
        store.shrink()
    assert (synced, without_log(tmp_path)) == ([], {})


def test_steps_of_housekeeping_that_write_little_leave_it_in_the_log(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(store, MUCH)
    store.forget(NOW)
    synced = on_sync(monkeypatch, lambda: None)
    assert store.drop("hook", DropReason.BACKLOG_DROPPED) == MUCH
    assert (synced, without_log(tmp_path)) == ([], {"hook": MUCH})


def test_housekeeping_moves_the_log_between_its_steps(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in range(5):
        enqueue(store, MUCH, str(part))
    left = list[dict[str, int]]()
    on_sync(monkeypatch, lambda: left.append(without_log(tmp_path)))
    store.drop("hook", DropReason.BACKLOG_DROPPED)
    assert 0 < left[0]["hook"] < 5 * MUCH


def test_others_write_while_the_log_is_moved(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    enqueue(store, MUCH)
    with ThreadPoolExecutor(1) as pool:
        on_sync(monkeypatch, lambda: pool.submit(enqueue, store, 5, "meanwhile").result(timeout=10))
        store.forget(NOW)
    assert store.pending_counts() == {"hook": MUCH + 5}


@pytest.mark.parametrize(("size", "ended"), [(35_000, False), (45_000, True)])
def test_a_long_log_is_ended_while_nobody_writes(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, ended: bool
) -> None:
    enqueue(store, MUCH, size=size)
    synced = on_sync(monkeypatch, lambda: enqueue(store, 5, "meanwhile"))
    store.forget(NOW)
    assert len(synced) == 1 + ended
    assert without_log(tmp_path) == {"hook": MUCH + 5 * ended}


def test_a_checkpoint_is_no_change_of_the_store(store: SqliteStore, tmp_path: Path) -> None:
    before = store.version()
    enqueue(store, MUCH)
    store.forget(NOW)
    assert without_log(tmp_path) == {"hook": MUCH}
    assert store.version() == before


@pytest.mark.parametrize(("number", "expected"), [(errno.ENOSPC, ""), (errno.EIO, "cannot be used: it broke")])
def test_a_disk_that_fails_is_reported_and_one_that_is_full_lets_housekeeping_go_on(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: str
) -> None:
    def fail() -> None:
        raise OSError(number, "it broke")

    enqueue(store, MUCH)
    on_sync(monkeypatch, fail)
    reported = ""
    try:
        store.forget(NOW)
    except StoreError as error:
        reported = str(error)
    assert reported == (expected and f"the store {tmp_path / DATABASE} {expected}")
    store.forget(NOW)


def test_a_command_beside_the_agent_has_no_checkpoints_of_its_own(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(store, 3 * MUCH)
    synced = on_sync(monkeypatch, lambda: None)
    with closing(open_store(tmp_path, exclusive=False)) as command:
        assert command.drop("hook", DropReason.BACKLOG_DROPPED) == 3 * MUCH
    assert synced == []


def test_one_checkpoint_runs_at_a_time_and_is_waited_for_at_the_end(
    checkpointer: Checkpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        running.set()
        assert go_on.wait(10)

    on_sync(monkeypatch, wait)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(checkpointer.run)
        assert running.wait(10)
        assert checkpointer.run() == 0
        closed = pool.submit(checkpointer.close)
        assert not closed.done()
        go_on.set()
        assert first.result(10) >= 0
        closed.result(10)
    with pytest.raises(sqlite3.ProgrammingError):
        checkpointer.run()


def test_it_is_due_after_a_thousand_rows_also_where_their_count_begins_anew(checkpointer: Checkpointer) -> None:
    rows = [0, 999, 1_000, 1_999, 2_000, 2**31 - 1, -(2**31), -(2**31) + 999, -(2**31) + 1_000]
    due = [checkpointer.is_due(count) for count in rows]
    assert due == [False, False, True, False, True, True, True, False, True]
