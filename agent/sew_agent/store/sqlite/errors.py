"""SQLite's and the system's errors as StoreError: which file, why, and what to do."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sew_agent.store.records import StoreError, StoreFullError


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise SQLite's and the system's errors as StoreError."""
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
    """Return whether the disk is full. The index of the log has an error of its own for that."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOSPC
    code = str(getattr(error, "sqlite_errorname", ""))
    return code.startswith(("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")) or "disk is full" in str(error)


def damaged(path: Path, what: str) -> StoreError:
    return StoreError(
        f"the store {path} is damaged ({what}). It holds what waits to be sent, so it is not replaced by an empty one: "
        f"restore the folder from a backup, or try `sqlite3 {path.name} .recover`; to start anew and give up what "
        "waits to be sent, move the folder away"
    )
