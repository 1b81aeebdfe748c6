"""The state folder: who holds it, who may read it, what tells it from others, and what is said where it is unusable."""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kubectl_sew.event import Event
from sew_agent.store.records import EnqueueBatch, NewDelivery, ReceiverState, StoreError, WebhookRecord
from sew_agent.store.sqlite.files import DATABASE, LOCK, MARK, MOVED, has_store, identity, mark_moved, write_private
from sew_agent.store.sqlite.schema import MIGRATIONS
from sew_agent.store.sqlite.store import open_store

NOW = 1_800_000_000.0


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Nothing but the program keeps others out."""
    before = os.umask(0)
    yield
    os.umask(before)


def refused(folder: Path, *, exclusive: bool = True) -> str:
    with pytest.raises(StoreError) as error:
        open_store(folder, exclusive=exclusive)
    return str(error.value)


def damaged(folder: Path, what: str) -> str:
    return (
        f"the store {folder / DATABASE} is damaged ({what}). It holds what waits to be sent, so it is not replaced by "
        "an empty one: restore the folder from a backup, or try `sqlite3 sew.db .recover`; to start anew and give up "
        "what waits to be sent, move the folder away"
    )


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.usefixtures("open_umask")
def test_a_folder_is_made_with_those_above_it_and_is_nobody_elses(tmp_path: Path) -> None:
    open_store(tmp_path / "a" / "state").close()
    identity(tmp_path / "b" / "state")
    assert [mode(tmp_path / name / "state") for name in "ab"] == [0o700, 0o700]


def test_an_identity_is_made_once_for_each_folder(tmp_path: Path) -> None:
    first, second = (identity(tmp_path / name) for name in "ab")
    assert len(first) == len(second) == 32
    assert first != second == identity(tmp_path / "b")
    assert [file.name for file in (tmp_path / "b").iterdir()] == ["identity"]


def test_an_identity_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "identity"
    path.mkdir()
    with pytest.raises(StoreError) as error:
        identity(tmp_path)
    assert str(error.value) == f"the store {path} cannot be used: Is a directory"


@pytest.mark.usefixtures("open_umask")
def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, "a long text")
    write_private(path, "short")
    assert (path.read_text(), mode(path)) == ("short", 0o600)


@pytest.mark.parametrize(("names", "expected"), [((), False), ((DATABASE,), True), ((MARK,), True)])
def test_a_folder_has_a_store_also_where_only_its_mark_is_left(
    tmp_path: Path, names: tuple[str, ...], expected: bool
) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert has_store(tmp_path) is expected


@pytest.mark.parametrize(
    ("written", "holder"),
    [(b"", "unknown"), (b" \n", "unknown"), (b"17\n", "17"), (b"\xff" + b"1" * 40, "�" + "1" * 31)],
)
def test_the_holder_of_the_folder_is_reported_as_far_as_it_is_known(
    tmp_path: Path, written: bytes, holder: str
) -> None:
    (tmp_path / LOCK).write_bytes(written)
    with (tmp_path / LOCK).open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert refused(tmp_path) == (
            f"another agent (process {holder}) uses the state folder {tmp_path}: stop it, or name another --state"
        )
    assert (tmp_path / LOCK).read_bytes() == written


def test_the_lock_names_its_holder_alone_and_is_free_where_the_store_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("of a process with a long number\n")
    (tmp_path / DATABASE).write_bytes(b"no database" * 1000)
    for _ in range(2):
        assert refused(tmp_path) == damaged(tmp_path, "file is not a database")
    assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"


def test_a_database_that_is_gone_empty_or_cut_short_is_reported(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    path = tmp_path / DATABASE
    os.truncate(path, path.stat().st_size - 1)
    assert refused(tmp_path) == damaged(tmp_path, "it is cut short")
    os.truncate(path, 0)
    assert refused(tmp_path) == refused(tmp_path, exclusive=False) == damaged(tmp_path, "it is empty")
    path.unlink()
    assert refused(tmp_path) == refused(tmp_path, exclusive=False) == damaged(tmp_path, "it is gone")


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        database.execute("CREATE TABLE theirs (it TEXT)")
    assert refused(tmp_path) == damaged(tmp_path, "it is not a store of this agent")


def test_a_database_of_a_newer_agent_is_refused(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    newer = len(MIGRATIONS) + 1
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        database.execute(f"PRAGMA user_version = {newer}")
    assert refused(tmp_path) == (
        f"the store {tmp_path / DATABASE} was written by a newer agent (schema {newer}, this one knows {newer - 1}): "
        "run that version, or move the folder away"
    )


def test_a_command_refuses_the_store_of_an_older_agent_and_changes_nothing_in_it(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    path, newest = tmp_path / DATABASE, len(MIGRATIONS)
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE attempts")
        database.execute(f"PRAGMA user_version = {newest - 1}")
    assert refused(tmp_path, exclusive=False) == (
        f"the store {path} was written by an older agent (schema {newest - 1}, this one needs {newest}): "
        "use the `sew-agent` of that agent's version, or start an agent of this one, which brings it up to date"
    )
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (newest - 1,)


def test_a_command_needs_a_store(tmp_path: Path) -> None:
    expected = f"there is no store in {tmp_path}: name the --state folder of an agent"
    assert refused(tmp_path, exclusive=False) == expected
    assert list(tmp_path.iterdir()) == []
    (tmp_path / DATABASE).touch()
    assert refused(tmp_path, exclusive=False) == expected


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_what_an_older_agent_wrote_is_kept(tmp_path: Path, version: int) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        for step in MIGRATIONS[:version]:
            database.executescript(step)
        database.execute(f"PRAGMA user_version = {version}")
        known = json.dumps({"name": "hook", "state": "Enabled", "start": None})
        receiver = json.dumps({"webhook": "hook", "failures": 3})
        database.execute("INSERT INTO webhooks (id, name, known, lane) VALUES (7, 'hook', ?, ?)", (known, receiver))
        columns = "(webhook, event, bytes, read_at) VALUES (7, 1, 9, 1)"
        database.execute(f"INSERT INTO deliveries {columns}")
        database.execute("INSERT INTO events VALUES (1, x'00', 'old', '', '{}', 1)")
        database.execute("UPDATE webhooks SET pending = 1")
        if version >= 5:
            database.execute("UPDATE amounts SET amount = 7 WHERE name = 'ids'")
        database.commit()
    store = open_store(tmp_path)
    assert store.webhook_records() == {"hook": WebhookRecord("hook", "Enabled", None)}
    assert store.receivers() == {"hook": ReceiverState("hook", failures=3)}
    result = store.enqueue(EnqueueBatch([NewDelivery(Event("", "a", {}), ("hook", "new"))], {}, NOW))
    assert (result.new, store.pending_counts()) == (2, {"hook": 2, "new": 1})
    assert [(one.event.id, one.again) for one in store.due("hook", now=NOW, limit=2)] == [("old", False), ("a", False)]
    store.close()
    open_store(tmp_path).close()


@pytest.mark.usefixtures("open_umask")
def test_what_is_another_users_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.fchmod", refuse)
    monkeypatch.setattr(Path, "chmod", refuse)
    for _ in range(2):
        open_store(tmp_path).close()
    assert mode(tmp_path / LOCK) == 0o600


@pytest.mark.parametrize(
    ("name", "exclusive", "why"),
    [("file/state", True, "Not a directory"), ("none", False, "No such file or directory")],
)
def test_a_folder_that_cannot_be_used_is_reported(tmp_path: Path, name: str, exclusive: bool, why: str) -> None:
    (tmp_path / "file").touch()
    assert refused(tmp_path / name, exclusive=exclusive) == f"the store {tmp_path / name} cannot be used: {why}"


def test_the_log_is_moved_into_the_database_before_it_grows_beyond_the_reserve(tmp_path: Path) -> None:
    with closing(open_store(tmp_path, max_bytes=50 * 81_920)) as store:
        for number in range(60):
            event = Event("", f"{number}", {"text": "x" * 5_000})
            store.enqueue(EnqueueBatch([NewDelivery(event, ("hook",))], {}, NOW))
        assert (tmp_path / f"{DATABASE}-wal").stat().st_size < 81_920 * 2


@pytest.mark.usefixtures("open_umask")
def test_where_a_store_has_moved_to_postgresql_none_is_begun_anew(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    mark_moved(tmp_path)
    why = (
        f"the store of {tmp_path} was moved to PostgreSQL: give its URL by SEW_STORE or SEW_STORE_FILE, or name "
        "another --state"
    )
    assert (refused(tmp_path), refused(tmp_path, exclusive=False)) == (why, why)
    for name in (DATABASE, MARK):
        (tmp_path / name).unlink()
    assert refused(tmp_path) == why
    assert mode(tmp_path / MOVED) == 0o600


def test_a_folder_that_cannot_be_marked_as_moved_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"^the store {tmp_path / 'gone'} cannot be used: No such file or directory$"):
        mark_moved(tmp_path / "gone")
