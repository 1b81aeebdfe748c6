"""Positions in a file, and what tells a file from others.

A position has a hash of up to 1 KiB before its offset, so a file that was truncated and has grown again, or was
replaced by another, differs from one that only grew. The inode helps to find a file that was renamed. The position also
lists the rotated files that were there before its file was begun: any other one came after, whatever its time.
"""

import json
import os
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, BinaryIO

_CHECKED = 1024
WATCHED = 30.0
"""Seconds for which a rotated file is still read: a second writer may not have noticed the rotation."""

SeenFile = tuple[int, int, str]
"""A rotated file: its inode, and the hash of so many bytes at its beginning."""


@dataclass(frozen=True, slots=True)
class FileBeginning:
    """What a file is known by among others: its inode, and up to 1 KiB at its beginning."""

    inode: int
    text: bytes

    @property
    def seen(self) -> SeenFile:
        return self.inode, len(self.text), _hash(self.text)


@dataclass(frozen=True, slots=True)
class FilePosition:
    """A position: the file's inode, how many files came before it, and the offset in it."""

    inode: int = 0
    generation: int = 0
    offset: int = 0
    line: int = 0
    before: str = ""
    """Hash of the bytes that end at `offset`."""
    written: int = 0
    """Time of the last write to the file, in nanoseconds since the epoch."""
    seen: tuple[SeenFile, ...] | None = ()
    """Rotated files that came before this one; None in a position that an earlier version wrote."""
    left: "FilePosition | None" = None
    """Position in the file before, while that may still be written to."""
    left_until: float = 0.0

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> "FilePosition":
        return cls._of(json.loads(text))

    @classmethod
    def _of(cls, values: dict[str, Any]) -> "FilePosition":
        seen, left = values.pop("seen", None), values.pop("left", None)
        rotated = None if seen is None else tuple((inode, length, before) for inode, length, before in seen)
        return cls(**values, seen=rotated, left=cls._of(left) if left else None)

    def is_in(self, file: BinaryIO) -> bool:
        """Return whether a file has the text before the offset; any file has none."""
        if os.fstat(file.fileno()).st_size < self.offset:
            return False
        return not self.offset or text_before(file, self.offset) == self.before

    def came_after(self, file: FileBeginning) -> bool:
        """Return whether a rotated file was there when this position's file was begun."""
        return any(
            inode == file.inode and _hash(file.text[:length]) == digest for inode, length, digest in self.seen or ()
        )

    def watches_left(self, now: float) -> bool:
        """Return whether the file before may still be written to. A clock that was set back makes it no longer."""
        return now < self.left_until <= now + WATCHED


def beginning_of(file: BinaryIO) -> FileBeginning:
    return FileBeginning(inode_of(file), os.pread(file.fileno(), _CHECKED, 0))


def text_before(file: BinaryIO, offset: int) -> str:
    """Return a hash of up to 1 KiB before an offset."""
    length = min(offset, _CHECKED)
    return _hash(os.pread(file.fileno(), length, offset - length))


def inode_of(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_ino


def written_at(file: BinaryIO) -> int:
    """Return the time of the last write, in nanoseconds since the epoch."""
    return os.fstat(file.fileno()).st_mtime_ns


def _hash(content: bytes) -> str:
    return sha256(content).hexdigest()[:16]
