"""A store that cannot be used says so, and is never replaced by an empty one."""

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import pytest

from kubectl_sew.event import Event
from sew_agent.status.report import Report, ReportFile
from sew_agent.store.records import (
    DeliveryResult,
    DeliveryState,
    DropReason,
    EnqueueBatch,
    LoggedAttempt,
    NewDelivery,
    ReceiverState,
    StoreError,
    StoreFullError,
)
from sew_agent.store.sqlite.files import DATABASE, identity
from sew_agent.store.sqlite.store import open_store

NOW = 1_800_000_000.0


def batch(count: int, size: int = 10) -> EnqueueBatch:
    events = [Event("", f"{number}", {"text": "x" * size}) for number in range(count)]
    return EnqueueBatch([NewDelivery(event, ("hook",)) for event in events], {"common": "1"}, NOW)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder with a hundred deliveries in it."""
    store = open_store(tmp_path)
    store.enqueue(batch(100, 1000))
    store.close()
    return tmp_path


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _remove(path: Path) -> None:
    path.unlink()


def _overwrite(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 1000)


def _scribble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[8192:40960] = os.urandom(32768)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_truncate, _empty, _remove, _overwrite, _scribble])
def test_a_damaged_store_is_an_error_that_says_what_to_do(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder / DATABASE)
    with pytest.raises(
        StoreError, match=r"sew.db is damaged \([^\n]+\)\. It .* not replaced by an empty one: restore the folder"
    ):
        open_store(folder)


def test_damage_that_comes_while_it_runs_is_reported(folder: Path) -> None:
    store = open_store(folder)
    store.enqueue(batch(5000, 1000))
    store.close()
    store = open_store(folder)
    with (folder / DATABASE).open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(4 * 2**20))
    with pytest.raises(StoreError, match="damaged"):
        list(store.dead_letters())
    store.close()


@pytest.mark.parametrize("document", [b'{"text": "x', b"\xff", b"\0" * 20])
def test_damage_within_a_payload_is_reported(folder: Path, document: bytes) -> None:
    store = open_store(folder)
    (first, *_) = store.due("hook", now=NOW, limit=1)
    store.record_results([DeliveryResult(first, DeliveryState.DEAD, NOW, 1)], ())
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.execute("UPDATE events SET document = ?", (document,))
        connection.commit()
    for read in (lambda: store.due("hook", now=NOW, limit=1), lambda: list(store.dead_letters())):
        with pytest.raises(StoreError, match=r"sew.db is damaged \(event [01]: .+\)\. It holds"):
            read()
    store.close()


@pytest.mark.parametrize("lost", [1, 4096, 10_000])
def test_a_file_that_is_cut_short_is_not_filled_up(folder: Path, lost: int) -> None:
    path = folder / DATABASE
    size = path.stat().st_size - lost
    os.truncate(path, size)
    with pytest.raises(StoreError, match="it is cut short"):
        open_store(folder)
    assert path.stat().st_size == size


def test_a_file_of_64_gib_that_is_cut_short_is_known_by_its_header(folder: Path) -> None:
    with (folder / DATABASE).open("r+b") as file:
        file.seek(28)
        file.write((2**24).to_bytes(4))
    with pytest.raises(StoreError, match="it is cut short"):
        open_store(folder)


def test_what_is_damaged_is_named(folder: Path) -> None:
    path = folder / DATABASE
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xaa" * 4096 + whole[12288:])
    with pytest.raises(StoreError, match=r"sew\.db is damaged \(((On t|T)ree .*)?[pP]age \d.+\)\. It holds"):
        open_store(folder)
    path.write_bytes(whole)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "PRAGMA writable_schema = ON;"
            "UPDATE sqlite_master SET sql = replace(sql, 'known TEXT', 'known TEXT NOT NULL') WHERE name = 'webhooks';"
        )
    with pytest.raises(StoreError, match=r"sew\.db is damaged \(NULL value in webhooks\.known\)\. It holds"):
        open_store(folder)


def test_what_a_killed_agent_left_in_its_log_is_no_damage(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = open_store(folder)
    store.enqueue(batch(200, 1000))
    killed = tmp_path_factory.mktemp("killed")
    for file in folder.iterdir():
        (killed / file.name).write_bytes(file.read_bytes())
    store.close()
    again = open_store(killed)
    assert again.pending_counts() == {"hook": 200}
    again.close()


def test_a_second_agent_reports_which_process_holds_the_folder(folder: Path) -> None:
    store = open_store(folder)
    with pytest.raises(StoreError, match=rf"another agent \(process {os.getpid()}\)"):
        open_store(folder)
    store.close()
    open_store(folder).close()


def test_commands_work_beside_the_agent(folder: Path) -> None:
    store = open_store(folder)
    beside = open_store(folder, exclusive=False)
    assert beside.pending_counts() == {"hook": 100}
    beside.close()
    store.close()


def test_a_command_that_ends_beside_the_agent_takes_nothing_of_what_it_writes_later(folder: Path) -> None:
    store = open_store(folder)
    store.enqueue(EnqueueBatch(batch(101).deliveries, {}, NOW))
    assert _waiting_seen_by_another_process(folder) == "101"
    store.enqueue(EnqueueBatch(batch(102).deliveries, {}, NOW))
    assert _waiting_seen_by_another_process(folder) == "102"
    store.close()


def _waiting_seen_by_another_process(folder: Path) -> str:
    code = (
        "import pathlib, sys; from sew_agent.store.sqlite.store import open_store\n"
        "store = open_store(pathlib.Path(sys.argv[1]), exclusive=False)\n"
        "print(store.pending_counts()['hook']); store.close()"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk_changes_nothing_and_heals_when_there_is_room(small_disk: Path) -> None:
    filler = small_disk / "filler"
    store = open_store(small_disk)
    store.enqueue(batch(10))
    filler.write_bytes(b"x" * (2**20))
    with pytest.raises(StoreFullError, match="goes on by itself"):
        store.enqueue(EnqueueBatch(batch(5000, 1000).deliveries, {"common": "2"}, NOW))
    assert store.positions() == {"common": "1"}
    assert store.pending_counts() == {"hook": 10}
    filler.unlink()
    assert store.enqueue(batch(500)).new == 490
    store.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a read-only file system")
def test_a_read_only_folder_is_reported(folder: Path) -> None:
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        with pytest.raises(StoreError, match=r"cannot be (used|written)"):
            open_store(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB that a store has filled, without what it holds in reserve."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(tmp_path)], check=True)
    store = open_store(tmp_path)
    with suppress(StoreFullError):
        for part in count():
            batch = [
                NewDelivery(Event("", f"{part}-{number}", {"text": "x" * 10_000}), ("hook",)) for number in range(100)
            ]
            store.enqueue(EnqueueBatch(batch, {"common": f"{part}"}, NOW))
    store.close()
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def fill(folder: Path) -> None:
    """Whatever the store left on the disk belongs to others now."""
    with suppress(OSError), (folder / "others").open("wb") as others:
        while True:
            others.write(b"x" * 4096)
            others.flush()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_what_fills_the_disk_can_be_delivered_and_then_more_is_enqueued(full_disk: Path) -> None:
    fill(full_disk)
    store = open_store(full_disk)
    before = store.pending_counts()["hook"]
    while due := store.due("hook", now=NOW, limit=50):
        done = [DeliveryResult(delivery, DeliveryState.DELIVERED, NOW, 1) for delivery in due]
        with suppress(StoreFullError):
            store.record_results(done, ())
    store.forget(NOW)
    assert store.counters()[0].delivered == before
    assert store.enqueue(batch(100, 1000)).new == 100
    store.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_backlog_that_fills_the_disk_can_be_dropped_without_an_agent(full_disk: Path) -> None:
    fill(full_disk)
    command = open_store(full_disk, exclusive=False)
    assert command.drop("hook", DropReason.BACKLOG_DROPPED) > 500
    command.close()
    store = open_store(full_disk)
    store.forget(NOW)
    assert store.enqueue(batch(100, 1000)).new == 100
    store.close()


def test_nobody_else_may_read_the_state_folders_files(tmp_path: Path) -> None:
    os.umask(before := os.umask(0))
    tmp_path.chmod(0o777)
    (tmp_path / "identity").write_text("of an older version")
    (tmp_path / "identity").chmod(0o666)
    try:
        os.umask(0)
        store = open_store(tmp_path)
        store.enqueue(batch(10))
        identity(tmp_path)
        ReportFile(tmp_path).write(Report("1", 1, NOW))
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert {"sew.db", "sew.db-wal", "lock", "identity", "agent.json", "sew.db.created"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_a_reserve_can_be_kept_where_room_cannot_be_taken_without_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr("os.posix_fallocate", refuse)
    store = open_store(tmp_path, max_bytes=50 * 3 * 2**20)
    assert store.enqueue(batch(1)).new == 1
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= 3 * 2**20
    store.close()


def test_a_reserve_that_another_process_gave_up_is_made_again_before_more_is_enqueued(tmp_path: Path) -> None:
    store = open_store(tmp_path, max_bytes=50 * 2**20)
    store.enqueue(batch(1))
    (tmp_path / "reserve").unlink()
    store.enqueue(batch(2))
    assert (tmp_path / "reserve").stat().st_size == 2**20
    store.close()


@pytest.mark.parametrize(("mib", "kept", "mode"), [(1, True, 2), (33, False, 2), (65, True, 0)])
def test_the_file_of_an_older_version_shrinks_from_the_next_start_on_where_it_does_not_hold_much(
    folder: Path, mib: int, mode: int, *, kept: bool
) -> None:
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (0,)
        connection.execute("CREATE TABLE much (content BLOB)")
        connection.execute("INSERT INTO much VALUES (zeroblob(?))", (mib * 2**20,))
        if not kept:
            connection.execute("DELETE FROM much")
        connection.commit()
    store = open_store(folder)
    assert store.pending_counts() == {"hook": 100}
    store.close()
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (mode,)


def test_a_file_of_this_version_is_not_written_anew_at_the_start(folder: Path) -> None:
    store = open_store(folder)
    store.drop("hook", DropReason.BACKLOG_DROPPED)
    store.forget(NOW)
    store.close()
    size = (folder / DATABASE).stat().st_size
    open_store(folder).close()
    assert (folder / DATABASE).stat().st_size == size


def entries(number: int) -> list[LoggedAttempt]:
    text = "x" * 300
    whole = LoggedAttempt("hook", 1, "id", "e", "", None, "", None, 1, NOW, 1, "dead", "", text, 400, "http://a", 1, "")
    return [whole._replace(delivery=each) for each in range(number)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_on_a_full_disk_the_log_is_given_up_and_is_in_the_way_of_nothing(small_disk: Path) -> None:
    store = open_store(small_disk)
    store.enqueue(batch(10))
    store.record_results((), [ReceiverState("hook")], attempts=entries(1000))
    store.close()
    fill(small_disk)
    store = open_store(small_disk)
    for delivery in store.due("hook", now=NOW, limit=10):
        result = DeliveryResult(delivery, DeliveryState.DELIVERED, NOW, 1)
        with suppress(StoreFullError):
            store.record_results([result], (), attempts=entries(500))
    assert store.counters()[0].delivered > 0
    with pytest.raises(StoreFullError):
        store.enqueue(batch(2000, 1000))
    while store.trim_attempts(NOW, kept_for=1e9):
        pass
    assert store.attempts() == []
    store.record_results((), (), attempts=entries(1))
    assert store.attempts() == []
    assert store.enqueue(batch(100, 100)).new == 90
    store.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_an_older_store_on_a_full_disk_gets_its_log_when_there_is_room(small_disk: Path) -> None:
    store = open_store(small_disk)
    store.enqueue(batch(10))
    store.close()
    with closing(sqlite3.connect(small_disk / DATABASE)) as database:
        database.executescript(
            "DROP TABLE attempts; DROP INDEX deliveries_digest; ALTER TABLE deliveries DROP COLUMN digest;"
            "ALTER TABLE deliveries DROP COLUMN again; PRAGMA user_version = 6; VACUUM;"
        )
    fill(small_disk)
    with suppress(StoreFullError):
        open_store(small_disk).close()
    (small_disk / "others").unlink()
    store = open_store(small_disk)
    assert store.pending_counts() == {"hook": 10}
    store.record_results((), (), attempts=entries(1))
    assert len(store.attempts()) == 1
    store.close()
