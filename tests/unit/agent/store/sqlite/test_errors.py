"""What is said of an error of SQLite or of the system."""

import errno
import sqlite3
from pathlib import Path

import pytest

from sew_agent.store.records import StoreError, StoreFullError
from sew_agent.store.sqlite.errors import explained, is_full

DATABASE = Path("/state/sew.db")
FULL = "the disk of /state/sew.db is full: make room; nothing is lost, and it goes on by itself"
WRITE = "the store /state/sew.db cannot be written (it failed): give the agent's user the right to write there"


def sqlite_error(name: str | None, message: str = "it failed") -> sqlite3.Error:
    error = sqlite3.OperationalError(message)
    if name is not None:
        error.sqlite_errorname = name
    return error


def said(error: Exception) -> StoreError:
    with pytest.raises(StoreError) as raised, explained(DATABASE):
        raise error
    return raised.value


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SQLITE_READONLY", WRITE),
        ("SQLITE_READONLY_DBMOVED", WRITE),
        ("SQLITE_CANTOPEN", WRITE),
        ("SQLITE_PERM", WRITE),
        ("SQLITE_FULL", FULL),
        ("SQLITE_IOERR_SHMSIZE", FULL),
        ("SQLITE_IOERR", "the store /state/sew.db cannot be used: it failed"),
        (None, "the store /state/sew.db cannot be used: it failed"),
    ],
)
def test_an_error_of_sqlite_is_said_with_the_file_and_what_to_do(name: str | None, expected: str) -> None:
    error = said(sqlite_error(name))
    assert (str(error), type(error)) == (expected, StoreFullError if expected == FULL else StoreError)


@pytest.mark.parametrize("name", ["SQLITE_CORRUPT", "SQLITE_CORRUPT_INDEX", "SQLITE_NOTADB"])
def test_damage_is_said_as_such(name: str) -> None:
    assert str(said(sqlite_error(name))).startswith("the store /state/sew.db is damaged (it failed). It holds ")


@pytest.mark.parametrize(("error", "why"), [(OSError(errno.EIO, "it broke"), "it broke"), (OSError("odd"), "odd")])
def test_an_error_of_the_system_is_said_with_the_file(error: OSError, why: str) -> None:
    assert str(said(error)) == f"the store /state/sew.db cannot be used: {why}"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (sqlite_error(None, "database or disk is full"), True),
        (sqlite_error("SQLITE_IOERR"), False),
        (OSError(errno.ENOSPC, "no room"), True),
        (OSError(errno.EIO, "disk is full"), False),
    ],
)
def test_a_full_disk_is_known_by_its_name_or_number(error: Exception, expected: bool) -> None:
    assert is_full(error) is expected
