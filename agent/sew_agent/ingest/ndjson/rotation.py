"""Finds the file of a position, through rename, re-creation, replacement and truncation.

A position has a hash of up to 1 KiB before its offset, so a file that was truncated and has grown again, or was
replaced by another, differs from one that only grew. The inode helps to find a file that was renamed. The position also
lists the rotated files that were there before its file was begun: any other one came after, whatever its time.
"""

import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO

_CHECKED = 1024
_COMPARED = 2**20
_BUFFER = 2**18
_KEPT_OPEN = 8
WATCHED = 30.0
"""Seconds for which a rotated file is still read: a second writer may not have noticed the rotation."""
_SET_BACK = 3_600 * 10**9
"""Nanoseconds by which a clock may have been set back: a much older file was put there by a person."""
_ROTATED = re.compile(r"[.-]\d[\dT:.-]*")
"""Suffix that log rotation adds to a name: a number or a date."""
_NUMBER = re.compile(r"\.(\d{1,6})$")

SeenFile = tuple[int, int, str]
"""A rotated file: its inode, and the hash of so many bytes at its beginning."""


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


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """The file to read from, and where."""

    file: BinaryIO
    position: FilePosition
    rotated: bool = False
    """True when another file has its name: a last line without line break is an event, if it is a JSON object."""
    over: bool = False
    """True when nothing more is written to it: its last line is whole, line break or not."""
    main: FilePosition | None = None
    """Position in the file that came after this one, where this is the file before."""

    def position_at(self, offset: int, line: int) -> FilePosition:
        """Return a position further on in this file."""
        there = replace(
            self.position,
            inode=_inode(self.file),
            offset=offset,
            line=line,
            before=_before(self.file, offset),
            written=_written(self.file),
        )
        return replace(self.main, left=there) if self.main else there


class RotatedFiles:
    """Finds and keeps open the files that positions are in. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[int, BinaryIO] = {}
        self._generations: dict[int, int] = {}

    def locate(self, position: FilePosition | None, now: float) -> OpenedFile | None:
        """Return the file of a position, or, where that is gone, the beginning of the next; None without any."""
        current = _stat(self._path)
        if position is None:
            return self._begin(self._path, self._generations.get(current.st_ino, 0)) if current else None
        if position.left and not _watched(position, now):
            position = replace(position, left=None)
        file = self._find(position)
        if file is None:
            return self._next(position, self._unread(position, position.written), position.left, position.left_until)
        if current is None or _inode(file) == current.st_ino:
            return self._opened(file, position)
        more = bool(current.st_size or self._unread(position, _written(file), _inode(file)))
        return self._replacement(file, position) or self._opened(file, position, rotated=more)

    def left(self, position: FilePosition | None, now: float) -> OpenedFile | None:
        """Return the file before this one, where there is more in it."""
        if position is None or position.left is None:
            return None
        file = self._held(position.left) or self._named(position.left, self._with_inode(position.left.inode))
        if file is None or _inode(file) == _inode_at(self._path):
            return None
        if os.fstat(file.fileno()).st_size == position.left.offset:
            return None
        return OpenedFile(file, position.left, rotated=True, over=not _watched(position, now), main=position)

    def following(self, finished: OpenedFile, now: float) -> OpenedFile | None:
        """Return the beginning of the file after a rotated one."""
        position = finished.position
        # an empty file looks like a later one with its inode: once it has content, it counts as unread
        left = None if finished.over or not position.offset else replace(position, left=None)
        unread = self._unread(position, _written(finished.file), _inode(finished.file))
        return self._next(position, unread, left, now + WATCHED)

    def close(self) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _begin(self, path: Path, generation: int, unread: Collection[Path] = ()) -> OpenedFile | None:
        file = _open(path)
        if file is None:
            return None
        seen = tuple(filter(None, (_seen(rotated) for rotated in self._rotated() if rotated not in unread)))
        return self._opened(
            self._keep(file), FilePosition(generation=generation, seen=seen), rotated=path != self._path
        )

    def _next(
        self, position: FilePosition, unread: Sequence[Path], left: FilePosition | None, until: float
    ) -> OpenedFile | None:
        """Return the oldest file that was rotated away after this one, else the one of our name."""
        opened = self._begin(unread[0] if unread else self._path, position.generation + 1, unread)
        return opened and replace(opened, position=replace(opened.position, left=left, left_until=until))

    def _unread(self, position: FilePosition, written: int, inode: int | None = None) -> list[Path]:
        """Return rotated files that came after this one, oldest first; `inode`: its own."""
        unread = []
        for path in self._rotated():
            stat = _stat(path)
            if stat is None or stat.st_ino == inode or not stat.st_size:
                continue
            earliest = written + 1 if position.seen is None else written - _SET_BACK
            if stat.st_mtime_ns >= earliest and not _is_one_of(path, position.seen or ()):
                unread.append((stat.st_mtime_ns, _age(path), path))
        return [path for _, _, path in sorted(unread)]

    def _replacement(self, file: BinaryIO, position: FilePosition) -> OpenedFile | None:
        """Return the file of our name, where it is no later one but a copy of this one, e.g. by rsync or an editor."""
        if not position.offset or _inode(file) in map(_inode_at, self._rotated()):
            return None
        new = _open(self._path)
        if new is None:
            return None
        if not (_has_position(new, position) and _begins_with_all_of(file, new)):
            new.close()
            return None
        return self._opened(self._keep(new), position)

    def _opened(self, file: BinaryIO, position: FilePosition, *, rotated: bool = False) -> OpenedFile:
        self._generations[_inode(file)] = position.generation
        return OpenedFile(file, position, rotated)

    def _find(self, position: FilePosition) -> BinaryIO | None:
        """Return the file with this inode, else any with the same bytes before the offset, if there are some."""
        held = self._held(position)
        if held:
            return held
        named = self._named(position, self._with_inode(position.inode))
        return named or (self._named(position, [self._path, *self._rotated()]) if position.offset else None)

    def _held(self, position: FilePosition) -> BinaryIO | None:
        held = self._open.get(position.inode)
        return held if held and _has_position(held, position) else None

    def _named(self, position: FilePosition, paths: Sequence[Path]) -> BinaryIO | None:
        for file in filter(None, map(_open, paths)):
            if _has_position(file, position):
                return self._keep(file)
            file.close()
        return None

    def _beside(self) -> Iterator[tuple[str, Path]]:
        """Yield all files beside ours, and beside the file that it is a link to, with the name that ours has there."""
        for ours in dict.fromkeys((self._path, self._path.resolve())):
            if ours.parent.is_dir():
                yield from ((ours.name, path) for path in ours.parent.iterdir() if path != ours)

    def _rotated(self) -> list[Path]:
        paths = (path for name, path in self._beside() if path.name.startswith(name) and _suffix(path, name))
        return list(dict.fromkeys(paths))

    def _with_inode(self, inode: int) -> list[Path]:
        """Return the paths with this inode, whatever their names."""
        paths = [self._path, *(path for _, path in self._beside())]
        return [path for path in paths if (stat := _stat(path)) and stat.st_ino == inode and S_ISREG(stat.st_mode)]

    def _keep(self, file: BinaryIO) -> BinaryIO:
        old = self._open.pop(_inode(file), None)
        if old:
            old.close()
        self._open[_inode(file)] = file
        while len(self._open) > _KEPT_OPEN:
            self._open.pop(next(iter(self._open))).close()
        return file


def _before(file: BinaryIO, offset: int) -> str:
    length = min(offset, _CHECKED)
    return _hash(os.pread(file.fileno(), length, offset - length))


def _hash(content: bytes) -> str:
    return sha256(content).hexdigest()[:16]


def _has_position(file: BinaryIO, position: FilePosition) -> bool:
    if os.fstat(file.fileno()).st_size < position.offset:
        return False
    return not position.offset or _before(file, position.offset) == position.before


def _begins_with_all_of(old: BinaryIO, new: BinaryIO) -> bool:
    """Return whether a file begins with all of another one, judged by the first and the last bytes of that."""
    size = os.fstat(old.fileno()).st_size
    parts = ((0, min(size, _COMPARED)), (max(size - _COMPARED, 0), min(size, _COMPARED)))
    return all(os.pread(old.fileno(), length, at) == os.pread(new.fileno(), length, at) for at, length in parts)


def _watched(position: FilePosition, now: float) -> bool:
    """Return whether the file before may still be written to. A clock that was set back makes it no longer."""
    return now < position.left_until <= now + WATCHED


def _beginning(path: Path) -> tuple[int, bytes]:
    with path.open("rb") as file:
        return _inode(file), file.read(_CHECKED)


def _seen(path: Path) -> SeenFile | None:
    """Return what identifies a file among others; None for an empty one."""
    inode, beginning = _beginning(path)
    return (inode, len(beginning), _hash(beginning)) if beginning else None


def _is_one_of(path: Path, seen: Collection[SeenFile]) -> bool:
    inode, beginning = _beginning(path)
    return any(known == inode and _hash(beginning[:length]) == digest for known, length, digest in seen)


def _suffix(path: Path, name: str) -> bool:
    return bool(_ROTATED.fullmatch(path.name[len(name) :]))


def _age(path: Path) -> tuple[int, str]:
    """Return a sort key, older first: among numbers that is the higher one, among dates the lower."""
    number = _NUMBER.search(path.name)
    return (-int(number[1]) if number else 0, path.name)


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb", buffering=_BUFFER)
    except FileNotFoundError:
        return None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _inode(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_ino


def _written(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_mtime_ns


def _inode_at(path: Path) -> int | None:
    stat = _stat(path)
    return stat.st_ino if stat else None
