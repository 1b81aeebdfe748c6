"""The state folder: its lock, its database file, and what is found wrong with them before anything is read."""

import fcntl
import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sew_agent.store.records import StoreError, StoreFullError

DATABASE = "sew.db"
MARK = "sew.db.created"
"""Beside the database since it was made: an empty database beside it has lost what it held."""
LOCK = "lock"
IDENTITY = "identity"
OURS = (LOCK, IDENTITY, MARK, "agent.json", "reserve")
_CHECKED_WHOLE = 64 * 2**20
_HEADER = 100
_MAGIC = b"SQLite format 3\0"
_PAGE = 4096

MIGRATIONS = (
    """
    CREATE TABLE readers (name TEXT PRIMARY KEY, position TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE webhooks (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
        delivered INTEGER NOT NULL DEFAULT 0, pending INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0, last_delivered_at REAL, last_error TEXT NOT NULL DEFAULT '',
        known TEXT, lane TEXT
    );
    CREATE TABLE dropped (
        webhook INTEGER NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (webhook, reason)
    ) WITHOUT ROWID;
    CREATE TABLE pairs (
        event BLOB NOT NULL, webhook INTEGER NOT NULL, until REAL NOT NULL, PRIMARY KEY (event, webhook)
    ) WITHOUT ROWID;
    CREATE INDEX pairs_until ON pairs (until);
    CREATE TABLE events (
        id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, name TEXT NOT NULL, source TEXT NOT NULL,
        document BLOB NOT NULL, owed INTEGER NOT NULL
    );
    CREATE TABLE deliveries (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, webhook INTEGER NOT NULL, event INTEGER NOT NULL, bytes INTEGER NOT NULL,
        read_at REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, first_attempt REAL, due REAL NOT NULL DEFAULT 0,
        in_doubt INTEGER NOT NULL DEFAULT 0, died_at REAL,
        reason TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX deliveries_pending ON deliveries (webhook, seq) WHERE died_at IS NULL;
    CREATE INDEX deliveries_dead ON deliveries (webhook, seq) WHERE died_at IS NOT NULL;
    """,
    """
    CREATE TABLE moments (name TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
    ALTER TABLE deliveries ADD COLUMN time REAL;
    CREATE INDEX deliveries_oldest ON deliveries (webhook, time) WHERE died_at IS NULL AND time IS NOT NULL;
    """,
    "CREATE TABLE released (event INTEGER NOT NULL);",
    """
    CREATE INDEX deliveries_fresh ON deliveries (webhook, seq) WHERE died_at IS NULL AND attempts = 0;
    CREATE INDEX deliveries_tried ON deliveries (webhook, due) WHERE died_at IS NULL AND attempts > 0;
    """,
    """
    ALTER TABLE webhooks ADD COLUMN shifted REAL NOT NULL DEFAULT 0;
    CREATE INDEX deliveries_died ON deliveries (died_at) WHERE died_at IS NOT NULL;
    CREATE TABLE gone (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, at REAL NOT NULL);
    CREATE INDEX gone_at ON gone (at);
    CREATE TABLE amounts (name TEXT PRIMARY KEY, amount INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO amounts SELECT 'pairs', count(*) FROM pairs;
    INSERT INTO amounts SELECT 'ids', coalesce(max(id), 0) FROM webhooks;
    UPDATE pairs SET until = strftime('%s', 'now') + 2678400.0 WHERE until > strftime('%s', 'now') + 2678400.0;
    CREATE TABLE acts (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,
        webhook TEXT NOT NULL, count INTEGER NOT NULL
    );
    """,
    "ALTER TABLE webhooks ADD COLUMN last_error_at REAL;",
)
"""One step for each version of the schema; a store of an older version takes the steps that it lacks."""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """SQLite's errors as ours: which file, why, what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise _ours(path, error) from error
    except OSError as error:
        raise StoreError(f"the store {path} cannot be used: {error.strerror or error}") from error


def _ours(path: Path, error: sqlite3.Error) -> StoreError:
    code = str(getattr(error, "sqlite_errorname", ""))
    if is_full(error):
        return full(path)
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return damaged(path, str(error))
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return StoreError(
            f"the store {path} cannot be written ({error}): give the agent's user the right to write there"
        )
    return StoreError(f"the store {path} cannot be used: {error}")


def full(path: Path) -> StoreFullError:
    return StoreFullError(f"the disk of {path} is full: make room; nothing is lost, and it goes on by itself")


def is_full(error: BaseException) -> bool:
    """Whether it is the disk that is full. The index of the log has an error of its own for that."""
    code = str(getattr(error, "sqlite_errorname", ""))
    return code.startswith(("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")) or "disk is full" in str(error)


def damaged(path: Path, what: str) -> StoreError:
    return StoreError(
        f"the store {path} is damaged ({what}). It holds what waits to be sent, so it is not replaced by an empty one: "
        f"restore the folder from a backup, or try `sqlite3 {path.name} .recover`; to start anew and give up what "
        "waits to be sent, move the folder away"
    )


def lock(folder: Path) -> BinaryIO:
    """Holds the folder for this process until the file is closed. Raises StoreError where another one holds it."""
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.fdopen(private(str(folder / LOCK), os.O_RDWR | os.O_CREAT | os.O_APPEND), "a+b", buffering=0)
        for each in folder.iterdir():  # whatever an older version, or a careless hand, left readable
            if each.name in OURS or each.name.startswith(DATABASE):
                with suppress(OSError):
                    each.chmod(0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read(32).decode(errors="replace").strip() or "unknown"
        file.close()
        raise StoreError(
            f"another agent (process {holder}) uses the state folder {folder}: stop it, or name another --state"
        ) from None
    with suppress(OSError):  # on a full disk it is held without a name
        file.truncate(0)
        file.write(f"{os.getpid()}\n".encode())
    return file


def private(path: str, flags: int) -> int:
    """Open a file that nobody else may read, whatever the umask is and the folder allows."""
    descriptor = os.open(path, flags, 0o600)
    with suppress(OSError):  # it is another user's: then it is that one's to say
        os.fchmod(descriptor, 0o600)
    return descriptor


def write_private(path: Path, text: str) -> None:
    """Write a file of the state folder."""
    with os.fdopen(private(str(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w") as file:
        file.write(text)


def has_store(folder: Path) -> bool:
    """Whether an agent was ever active on this folder: one that stands by makes none."""
    return (folder / DATABASE).exists() or (folder / MARK).exists()


def identity(folder: Path) -> str:
    """What tells this store from any other: made once, and lost with it. Raises StoreError."""
    path = folder / IDENTITY
    with explained(path):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            partial = path.with_suffix(".partial")
            write_private(partial, uuid.uuid4().hex)
            partial.replace(path)
        return path.read_text().strip()


def open_database(folder: Path, *, create: bool, log_pages: int) -> sqlite3.Connection:
    """The database, checked, with the newest schema. `log_pages`: of the write-ahead log. Raises StoreError."""
    path, mark = folder / DATABASE, folder / MARK
    with explained(path):
        _check_presence(path, mark, create=create)
        if create:
            os.close(private(str(path), os.O_RDWR | os.O_CREAT))
            _prepare(path)
            mark.touch(mode=0o600)
        connection = _connect(path)
        try:
            connection.execute(f"PRAGMA wal_autocheckpoint = {log_pages}")  # a checkpoint waits for the disk
            _check_version(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


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
        _migrate(connection, path)
        _make_shrinkable(connection)


def _make_shrinkable(connection: sqlite3.Connection) -> None:
    """A file that an older version made is written anew where what it holds is small."""
    mode, free, pages = (
        connection.execute(f"PRAGMA {each}").fetchone()[0] for each in ("auto_vacuum", "freelist_count", "page_count")
    )
    if mode != 2 and (pages - free) * _PAGE <= _CHECKED_WHOLE:
        with suppress(sqlite3.Error):  # without room for both it stays as it is
            connection.execute("VACUUM")


def _check_presence(path: Path, mark: Path, *, create: bool) -> None:
    size = path.stat().st_size if path.exists() else 0
    if mark.exists() and not size:
        raise damaged(path, "it is empty" if path.exists() else "it is gone")
    if not create and not size:
        raise StoreError(f"there is no store in {path.parent}: name the --state folder of an agent")


def _check_length(path: Path) -> None:
    """Against what the file's own header tells (https://www.sqlite.org/fileformat.html).

    Before SQLite opens it, which fills a page that is cut short with zeros. What a log beside it holds comes first.
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
    """Small ones through and through; a large one would take minutes, and its damage is found where it is read."""
    if path.stat().st_size <= _CHECKED_WHOLE:
        found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        if found != "ok":
            raise damaged(path, found.splitlines()[0])


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise damaged(path, "it is not a store of this agent")
    for number, step in enumerate(MIGRATIONS[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {step} PRAGMA user_version = {number}; COMMIT;")


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the store {path} was written by a newer agent (schema {version}, this one knows {len(MIGRATIONS)}): "
            "run that version, or move the folder away"
        )


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
