"""Which file a position is in, through rename, re-creation and truncation.

A position names the place by what stands before it (a hash of up to 1 KiB), so a file that was truncated and has grown
again, or replaced by another, is told from one that only grew. The inode helps to find a file that was renamed.
"""

import json
import os
import re
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

_CHECKED = 1024
_KEPT_OPEN = 8
_ROTATED = re.compile(r"[.-]\d[\dT:.-]*")
"""What log rotation adds to a name: a number or a date."""


@dataclass(frozen=True, slots=True)
class Place:
    """A position: the file's inode, how many files came before it, and the place in it."""

    inode: int
    generation: int = 0
    offset: int = 0
    line: int = 0
    before: str = ""
    """Hash of the bytes that end at `offset`."""

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> "Place":
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Opened:
    """The file to read from, and where."""

    file: BinaryIO
    place: Place
    ending: bool = False
    """Nothing more is written to it: its last line is whole, line break or not."""


class Files:
    """Finds and keeps open the files that positions are in. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[int, BinaryIO] = {}
        self._generations: dict[int, int] = {}

    def locate(self, place: Place | None) -> Opened | None:
        """The file of a place, or, where that one is finished or gone, the beginning of the next; None without any."""
        current = _stat(self._path)
        if place is None:
            return self._begin(self._path, self._generations.get(current.st_ino, 0)) if current else None
        file = self._find(place)
        if file is None:
            return self._begin(self._path, place.generation + 1)
        if current is None or _inode(file) == current.st_ino:
            return self._opened(file, place)
        if current.st_size == 0 or os.fstat(file.fileno()).st_size > place.offset:
            return self._opened(file, place, ending=current.st_size > 0)
        return self._begin(self._successor(file), place.generation + 1)

    def close(self) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _begin(self, path: Path, generation: int) -> Opened | None:
        file = _open(path)
        if file is None:
            return None
        return self._opened(self._keep(file), Place(_inode(file), generation), ending=path != self._path)

    def _opened(self, file: BinaryIO, place: Place, *, ending: bool = False) -> Opened:
        self._generations[_inode(file)] = place.generation
        return Opened(file, place, ending)

    def _find(self, place: Place) -> BinaryIO | None:
        """The file with this inode, else any of its names, that has the same bytes before the place."""
        held = self._open.get(place.inode)
        if held and _holds(held, place):
            return held
        paths = sorted([self._path, *self._rotated()], key=lambda path: _inode_at(path) != place.inode)
        for file in filter(None, map(_open, paths)):
            if _holds(file, place):
                return self._keep(file)
            file.close()
        return None

    def _rotated(self) -> list[Path]:
        name = self._path.name
        siblings = (path for path in self._path.parent.iterdir() if path.name.startswith(name))
        return [path for path in siblings if _ROTATED.fullmatch(path.name[len(name) :])]

    def _successor(self, finished: BinaryIO) -> Path:
        """The oldest file that was rotated away after this one was written last, else the one of our name."""
        written, inode = os.fstat(finished.fileno()).st_mtime_ns, _inode(finished)
        found = [(stat.st_mtime_ns, path) for path in self._rotated() if (stat := _stat(path)) and stat.st_ino != inode]
        return min((each for each in found if each[0] > written), default=(0, self._path))[1]

    def _keep(self, file: BinaryIO) -> BinaryIO:
        old = self._open.pop(_inode(file), None)
        if old:
            old.close()
        self._open[_inode(file)] = file
        while len(self._open) > _KEPT_OPEN:
            self._open.pop(next(iter(self._open))).close()
        return file


def after(file: BinaryIO, place: Place, offset: int, line: int) -> Place:
    """The place further on in the same file."""
    return Place(_inode(file), place.generation, offset, line, _before(file, offset))


def _before(file: BinaryIO, offset: int) -> str:
    length = min(offset, _CHECKED)
    return sha256(os.pread(file.fileno(), length, offset - length)).hexdigest()[:16]


def _holds(file: BinaryIO, place: Place) -> bool:
    if os.fstat(file.fileno()).st_size < place.offset:
        return False
    return not place.offset or _before(file, place.offset) == place.before


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb", buffering=2**18)
    except FileNotFoundError:
        return None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _inode(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_ino


def _inode_at(path: Path) -> int | None:
    stat = _stat(path)
    return stat.st_ino if stat else None
