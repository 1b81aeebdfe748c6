"""Disk reserve: a file that is deleted on a full disk, so that what makes room has room itself."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from sew_agent.store.sqlite.files import private

NAME = "reserve"
_LARGEST = 40 * 2**20
_OF_STORE = 50
_OF_VOLUME = 8
_WRITTEN_AT_ONCE = 2**20
PAGE = 4096


class DiskReserve:
    """File of 2 % of what the store may fill, at most 40 MiB or an eighth of the volume.

    Without it, nothing new is enqueued until there is room for it again; delivering, dropping and forgetting go on.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._path = folder / NAME
        volume = os.statvfs(folder)
        self._size = min(_LARGEST, max_bytes // _OF_STORE, volume.f_blocks * volume.f_frsize // _OF_VOLUME)
        self._there = False

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    @property
    def log_pages(self) -> int:
        """Pages that the write-ahead log may hold: moving them into the database needs as much room once more."""
        return max(min(8000, self._size * 4 // 5 // PAGE), 16)

    def keep(self) -> bool:
        """Make it where there is room for two; return whether it is there: another process may have deleted it."""
        self._there = self._there and self._path.exists()
        if not self._there and self._free() >= 2 * self._size:
            with suppress(OSError):
                self._make()
        return self._there

    def give_up(self) -> None:
        """Delete it, also one that another process has made."""
        self._there = False
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Delete it where much room is left. Elsewhere it stays: somebody else could fill its place on the disk."""
        if self._there and self._free() >= 8 * self._size:
            self.give_up()

    def _make(self) -> None:
        descriptor = private(str(self._path), os.O_RDWR | os.O_CREAT)
        try:
            if self._size:
                _fill(descriptor, self._size)
            self._there = True
        except OSError:
            self.give_up()
            raise
        finally:
            os.close(descriptor)

    def _free(self) -> int:
        volume = os.statvfs(self._path.parent)
        there = self._size if self._path.exists() else 0
        return volume.f_bavail * volume.f_frsize + there


def _fill(descriptor: int, size: int) -> None:
    """Take room on the disk. Not every system and file system can do that without writing. Raises OSError."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        for start in range(0, size, _WRITTEN_AT_ONCE):
            os.pwrite(descriptor, bytes(min(_WRITTEN_AT_ONCE, size - start)), start)
