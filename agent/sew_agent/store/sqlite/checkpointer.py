"""Checkpoints of the write-ahead log, beside all that use the store."""

import os
import sqlite3
import threading
from typing import BinaryIO

from sew_agent.store.sqlite.errors import is_full

_ROWS = 1000
"""Rows that change between two checkpoints: the log holds some pages for each."""


class Checkpointer:
    """Move the log into the database over a connection of its own, while others read and write. Thread-safe.

    SQLite's automatic checkpoint is a part of the commit that fills the log, so all others wait while the disk works.
    It stays, as the bound of the log.
    """

    def __init__(self, connection: sqlite3.Connection, file: BinaryIO) -> None:
        """Take a connection, and the database's file to sync it: where others write, a checkpoint does not."""
        self._connection = connection
        self._file = file
        self._running = threading.Lock()
        self._rows = 0

    def is_due(self, rows: int) -> bool:
        """Return whether many rows have changed since this last was true.

        `rows`: those that changed so far; SQLite counts them modulo 2**32.
        """
        if 0 <= rows - self._rows < _ROWS:
            return False
        self._rows = rows
        return True

    def run(self) -> int:
        """Move what is in the log, unless another thread does, and return its length in pages.

        Where nobody writes meanwhile, the next write begins the log anew. A full disk is no error here: whoever writes
        meets it, too, and makes room. Raises sqlite3.Error and OSError.
        """
        if not self._running.acquire(blocking=False):
            return 0
        try:
            ((_, pages, _),) = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            os.fsync(self._file.fileno())
            return int(pages)
        except (sqlite3.Error, OSError) as error:
            if not is_full(error):
                raise
            return 0
        finally:
            self._running.release()

    def close(self) -> None:
        """Close it, after all other connections: closing a file gives up the locks that this process has on it."""
        with self._running:
            self._connection.close()
            self._file.close()
