"""Opening of the database file: it is checked before anything is read, and brought up to the newest schema."""

import os
import sqlite3
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

from sew_agent.store.records import StoreFullError
from sew_agent.store.sqlite.checkpointer import Checkpointer
from sew_agent.store.sqlite.disk_reserve import PAGE, DiskReserve
from sew_agent.store.sqlite.errors import damaged, explained
from sew_agent.store.sqlite.files import DATABASE, MARK, check_not_moved, check_presence, private
from sew_agent.store.sqlite.schema import check_version, migrate

_CHECKED_WHOLE = 64 * 2**20
"""Bytes up to which a file is checked, or written anew, as a whole."""
_HEADER = 100
_MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class OpenDatabase:
    """Database that is open; only the agent has a checkpointer: a command is held by its own checkpoints alone."""

    path: Path
    connection: sqlite3.Connection
    checkpointer: Checkpointer | None
    reserve: DiskReserve

    def close(self) -> None:
        """Close all connections, and what must be closed after them."""
        self.connection.close()
        if self.checkpointer:
            self.checkpointer.close()
            self.reserve.close()


def open_database(folder: Path, max_bytes: int, *, exclusive: bool) -> OpenDatabase:
    """Open the database; on a full disk the reserve makes room for what opening takes. Raises StoreError."""
    with explained(folder):
        reserve = DiskReserve(folder, max_bytes)
    try:
        return _open_database(folder, reserve, exclusive=exclusive)
    except StoreFullError:
        reserve.give_up()
        return _open_database(folder, reserve, exclusive=exclusive)


def _open_database(folder: Path, reserve: DiskReserve, *, exclusive: bool) -> OpenDatabase:
    """Open, check and migrate."""
    path, mark = folder / DATABASE, folder / MARK
    check_not_moved(folder)
    with explained(path):
        check_presence(path, mark, create=exclusive)
        if exclusive:
            os.close(private(str(path), os.O_RDWR | os.O_CREAT))
            _prepare(path)
            mark.touch(mode=0o600)
        with ExitStack() as stack:
            file = stack.enter_context(path.open("r+b", buffering=0)) if exclusive else None
            connection = stack.enter_context(closing(_connect(path)))
            connection.execute(f"PRAGMA wal_autocheckpoint = {reserve.log_pages}")
            check_version(connection, path)
            checkpointer = Checkpointer(stack.enter_context(closing(_connect(path))), file) if file else None
            stack.pop_all()
    return OpenDatabase(path, connection, checkpointer, reserve)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10, cached_statements=64)
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # takes effect where there is no table yet
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(path: Path) -> None:
    """Check it and bring it up to date, over a connection of its own.

    The file is read only while this process has no connection to it: closing it would drop SQLite's locks, and a
    command that ends beside the agent would then take the write-ahead log away from under it
    (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    _check_length(path)
    with closing(_connect(path)) as connection:
        _check_pages(connection, path)
        migrate(connection, path)
        _make_shrinkable(connection)


def _make_shrinkable(connection: sqlite3.Connection) -> None:
    """Rewrite the file of an older version where its content is small."""
    mode, free, pages = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("auto_vacuum", "freelist_count", "page_count")
    )
    if mode != 2 and (pages - free) * PAGE <= _CHECKED_WHOLE:
        with suppress(sqlite3.Error):  # without room for both it stays as it is
            connection.execute("VACUUM")


def _check_length(path: Path) -> None:
    """Compare the length with the file's own header (https://www.sqlite.org/fileformat.html).

    It comes before SQLite opens the file, and fills a page that is cut short with zeros. A log beside it goes first.
    """
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        return
    with path.open("rb") as file:
        header = file.read(_HEADER)
    page_size, pages = int.from_bytes(header[16:18]), int.from_bytes(header[28:32])
    if header.startswith(_MAGIC) and path.stat().st_size < page_size * pages:
        raise damaged(path, "it is cut short")


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Check a small file as a whole; a large one would take minutes, and its damage is found where it is read."""
    if path.stat().st_size <= _CHECKED_WHOLE:
        result = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        if result != "ok":
            raise damaged(path, result.splitlines()[-1])  # the line before it names the database
