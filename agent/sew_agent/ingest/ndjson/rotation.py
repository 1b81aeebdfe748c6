"""Which file a position is in, through rename, re-creation, replacement and truncation.

A position names the place by what stands before it (a hash of up to 1 KiB), so a file that was truncated and has grown
again, or replaced by another, is told from one that only grew. The inode helps to find a file that was renamed. Which
rotated files were there before a file was begun is part of the position too: any other one came after, whatever the
times of the files say.
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
"""Seconds that a file is looked at after the next one was begun: a second writer may not have noticed the rotation."""
_SET_BACK = 3_600 * 10**9
"""Nanoseconds by which a clock may have been set back: what is much older was put there by a person."""
_ROTATED = re.compile(r"[.-]\d[\dT:.-]*")
"""What log rotation adds to a name: a number or a date."""
_NUMBER = re.compile(r"\.(\d{1,6})$")

Seen = tuple[int, int, str]
"""A rotated file: its inode, and the hash of so many bytes at its beginning."""


@dataclass(frozen=True, slots=True)
class FilePosition:
    """A position: the file's inode, how many files came before it, and the place in it."""

    inode: int = 0
    generation: int = 0
    offset: int = 0
    line: int = 0
    before: str = ""
    """Hash of the bytes that end at `offset`."""
    written: int = 0
    """When the file was written last, in nanoseconds since the epoch."""
    seen: tuple[Seen, ...] | None = ()
    """Rotated files that came before this one; None in a position that an earlier version wrote."""
    left: "FilePosition | None" = None
    """Where the file before was left, while it may still be written to."""
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
    place: FilePosition
    rotated: bool = False
    """Another file has taken its name: a last line without line break is an event, if it is a whole JSON object."""
    over: bool = False
    """Nothing more is written to it: its last line is whole, line break or not."""
    main: FilePosition | None = None
    """Where this is the file that was left before: the place in the one that came after."""

    def position(self, offset: int, line: int) -> FilePosition:
        """The position further on in this file."""
        there = replace(
            self.place,
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

    def locate(self, place: FilePosition | None, now: float) -> OpenedFile | None:
        """The file of a place, or, where that is gone, the beginning of the next; None without any."""
        current = _stat(self._path)
        if place is None:
            return self._begin(self._path, self._generations.get(current.st_ino, 0)) if current else None
        if place.left and not _watched(place, now):
            place = replace(place, left=None)
        file = self._find(place)
        if file is None:
            return self._next(place, self._unread(place, place.written), place.left, place.left_until)
        if current is None or _inode(file) == current.st_ino:
            return self._opened(file, place)
        more = bool(current.st_size or self._unread(place, _written(file), _inode(file)))
        return self._replacement(file, place) or self._opened(file, place, rotated=more)

    def left(self, place: FilePosition | None, now: float) -> OpenedFile | None:
        """The file that was left for this one, where there is more in it."""
        if place is None or place.left is None:
            return None
        file = self._held(place.left) or self._named(place.left, self._with_inode(place.left.inode))
        if file is None or _inode(file) == _inode_at(self._path):
            return None
        if os.fstat(file.fileno()).st_size == place.left.offset:
            return None
        return OpenedFile(file, place.left, rotated=True, over=not _watched(place, now), main=place)

    def following(self, finished: OpenedFile, now: float) -> OpenedFile | None:
        """The beginning of the file after one that another has taken the name of."""
        place = finished.place
        # of an empty one nothing tells it from a later file with its inode: if it gets content, it is one not read yet
        left = None if finished.over or not place.offset else replace(place, left=None)
        unread = self._unread(place, _written(finished.file), _inode(finished.file))
        return self._next(place, unread, left, now + WATCHED)

    def close(self) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _begin(self, path: Path, generation: int, unread: Collection[Path] = ()) -> OpenedFile | None:
        file = _open(path)
        if file is None:
            return None
        seen = tuple(filter(None, (_seen(each) for each in self._rotated() if each not in unread)))
        return self._opened(
            self._keep(file), FilePosition(generation=generation, seen=seen), rotated=path != self._path
        )

    def _next(
        self, place: FilePosition, unread: Sequence[Path], left: FilePosition | None, until: float
    ) -> OpenedFile | None:
        """The oldest file that was rotated away after this one, else the one of our name."""
        opened = self._begin(unread[0] if unread else self._path, place.generation + 1, unread)
        return opened and replace(opened, place=replace(opened.place, left=left, left_until=until))

    def _unread(self, place: FilePosition, written: int, inode: int | None = None) -> list[Path]:
        """Rotated files that came after this one, oldest first; `inode`: its own."""
        found = []
        for path in self._rotated():
            stat = _stat(path)
            if stat is None or stat.st_ino == inode or not stat.st_size:
                continue
            earliest = written + 1 if place.seen is None else written - _SET_BACK
            if stat.st_mtime_ns >= earliest and not _is_one_of(path, place.seen or ()):
                found.append((stat.st_mtime_ns, _age(path), path))
        return [path for _, _, path in sorted(found)]

    def _replacement(self, file: BinaryIO, place: FilePosition) -> OpenedFile | None:
        """The file of our name, where it is no later one but a copy of this one, e.g. by rsync or an editor."""
        if not place.offset or _inode(file) in map(_inode_at, self._rotated()):
            return None
        new = _open(self._path)
        if new is None:
            return None
        if not (_holds(new, place) and _goes_on(file, new)):
            new.close()
            return None
        return self._opened(self._keep(new), place)

    def _opened(self, file: BinaryIO, place: FilePosition, *, rotated: bool = False) -> OpenedFile:
        self._generations[_inode(file)] = place.generation
        return OpenedFile(file, place, rotated)

    def _find(self, place: FilePosition) -> BinaryIO | None:
        """The file with this inode, else any with the same bytes before the place, if there are some."""
        held = self._held(place)
        if held:
            return held
        named = self._named(place, self._with_inode(place.inode))
        return named or (self._named(place, [self._path, *self._rotated()]) if place.offset else None)

    def _held(self, place: FilePosition) -> BinaryIO | None:
        held = self._open.get(place.inode)
        return held if held and _holds(held, place) else None

    def _named(self, place: FilePosition, paths: Sequence[Path]) -> BinaryIO | None:
        for file in filter(None, map(_open, paths)):
            if _holds(file, place):
                return self._keep(file)
            file.close()
        return None

    def _beside(self) -> Iterator[tuple[str, Path]]:
        """All that is beside ours, and beside the file that it is a link to, with the name that ours has there."""
        for ours in dict.fromkeys((self._path, self._path.resolve())):
            if ours.parent.is_dir():
                yield from ((ours.name, path) for path in ours.parent.iterdir() if path != ours)

    def _rotated(self) -> list[Path]:
        found = (path for name, path in self._beside() if path.name.startswith(name) and _suffix(path, name))
        return list(dict.fromkeys(found))

    def _with_inode(self, inode: int) -> list[Path]:
        """The file, whatever it is called now."""
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


def _holds(file: BinaryIO, place: FilePosition) -> bool:
    if os.fstat(file.fileno()).st_size < place.offset:
        return False
    return not place.offset or _before(file, place.offset) == place.before


def _goes_on(old: BinaryIO, new: BinaryIO) -> bool:
    """Whether a file begins with all of another one, as far as both their ends and beginnings tell."""
    size = os.fstat(old.fileno()).st_size
    parts = ((0, min(size, _COMPARED)), (max(size - _COMPARED, 0), min(size, _COMPARED)))
    return all(os.pread(old.fileno(), length, at) == os.pread(new.fileno(), length, at) for at, length in parts)


def _watched(place: FilePosition, now: float) -> bool:
    """Whether the file before may still be written to. A clock that was set back makes it no longer."""
    return now < place.left_until <= now + WATCHED


def _beginning(path: Path) -> tuple[int, bytes]:
    with path.open("rb") as file:
        return _inode(file), file.read(_CHECKED)


def _seen(path: Path) -> Seen | None:
    """What tells a file from others; None for an empty one."""
    inode, beginning = _beginning(path)
    return (inode, len(beginning), _hash(beginning)) if beginning else None


def _is_one_of(path: Path, seen: Collection[Seen]) -> bool:
    inode, beginning = _beginning(path)
    return any(each[0] == inode and _hash(beginning[: each[1]]) == each[2] for each in seen)


def _suffix(path: Path, name: str) -> bool:
    return bool(_ROTATED.fullmatch(path.name[len(name) :]))


def _age(path: Path) -> tuple[int, str]:
    """Sort the older one first: among numbers that is the higher one, among dates the lower."""
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
