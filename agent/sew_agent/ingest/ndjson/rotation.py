"""Finds the file of a position, through rename, re-creation, replacement and truncation."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, TypeVar

from sew_agent.ingest.ndjson.position import (
    WATCHED,
    FilePosition,
    SeenFile,
    beginning_of,
    inode_of,
    text_before,
    written_at,
)

_COMPARED = 2**20
_BUFFER = 2**18
_KEPT_OPEN = 8
_LOOKS = 10
"""How often rotated files are looked at where their names change meanwhile, at most."""
_SET_BACK = 3_600 * 10**9
"""Nanoseconds by which a clock may have been set back: a much older file was put there by a person."""
_ROTATED = re.compile(r"[.-]\d[\dT:.-]*")
"""Suffix that log rotation adds to a name: a number or a date."""
_NUMBER = re.compile(r"\.(\d{1,6})$")
_Seen = TypeVar("_Seen")


@dataclass(frozen=True, slots=True)
class RotatedFilesNow:
    """Rotated files that were there at one moment, and not empty: those that came after a position, oldest first."""

    after: Sequence[Path]
    before: tuple[SeenFile, ...]


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

    @property
    def inode(self) -> int:
        return inode_of(self.file)

    def has(self, offset: int, text: bytes | None) -> bool:
        """Return whether what was read is still there: a file that was truncated and has grown again has other text."""
        if not self.position.is_in(self.file):
            return False
        return text is None or os.pread(self.file.fileno(), len(text), offset) == text

    @property
    def begun_anew(self) -> FilePosition:
        """Return the position to look from where the file was truncated while it was read: its text is another one."""
        return self.main or replace(self.position, generation=self.position.generation + 1)

    @property
    def here(self) -> FilePosition:
        """The position where reading goes on; that of a file which is begun has no inode yet."""
        return self.position_at(self.position.offset, self.position.line)

    def position_at(self, offset: int, line: int) -> FilePosition:
        """Return a position further on in this file."""
        there = replace(
            self.position,
            inode=self.inode,
            offset=offset,
            line=line,
            before=text_before(self.file, offset),
            written=written_at(self.file),
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
            before = tuple(self._look_at_rotated(lambda file: beginning_of(file).seen))
            return self._begin(self._path, self._generations.get(current.st_ino, 0), before) if current else None
        if position.left and not position.watches_left(now):
            position = replace(position, left=None)
        file = self._find(position)
        if file is None:
            return self._next(position, self._listed(position, position.written), position.left, position.left_until)
        if current is None or inode_of(file) == current.st_ino:
            if position.offset:
                return self._opened(file, position)
            listed = self._listed(position, position.written, position.inode)
            if listed.after:  # made of this file, which was empty when it was read last, before it was truncated again
                return self._next(position, listed, position.left, position.left_until)
            return self._opened(file, position)
        file = self._replacement(file, position) or file
        rotated = inode_of(file) != current.st_ino and bool(
            current.st_size or self._listed(position, written_at(file), inode_of(file)).after
        )
        return self._opened(file, position, rotated=rotated)

    def left(self, position: FilePosition | None, now: float) -> OpenedFile | None:
        """Return the file before this one, where there is more in it."""
        if position is None or position.left is None:
            return None
        file = self._held(position.left) or self._named(position.left, self._with_inode(position.left.inode))
        if file is None or inode_of(file) == _inode_at(self._path):
            return None
        if os.fstat(file.fileno()).st_size == position.left.offset:
            return None
        return OpenedFile(file, position.left, rotated=True, over=not position.watches_left(now), main=position)

    def following(self, finished: OpenedFile, now: float) -> OpenedFile | None:
        """Return the beginning of the file after a rotated one."""
        position = finished.position
        # an empty file looks like a later one with its inode: once it has content, it counts as unread
        left = None if finished.over or not position.offset else replace(position, left=None)
        listed = self._listed(position, written_at(finished.file), finished.inode)
        return self._next(position, listed, left, now + WATCHED)

    def was_copied(self, opened: OpenedFile) -> bool:
        """Return whether a rotated file has come since this one was chosen to be begun.

        It may have what was at the beginning here, before this one was truncated and has grown again.
        """
        return bool(self._listed(opened.position, opened.position.written, opened.inode).after)

    def has_reached(self, here: FilePosition, there: FilePosition) -> bool:
        """Return whether a reader that came to a position has read all that is before another one.

        The text of the files decides: each reader counts generations for itself, and one that comes between the
        copying and the truncation of a file counts the copy, too.
        """
        if not self._is_beyond(here, there):
            return False
        return here.left is None or any(self._is_beyond(here.left, other) for other in (there, there.left) if other)

    def close(self) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _is_beyond(self, here: FilePosition, there: FilePosition) -> bool:
        """Return the same, whatever is still to come in a file before that a second writer may not have left."""
        file = self._find(here)
        if file is None:
            return False
        own = beginning_of(file)
        has_theirs = bool(there.offset) and there.is_in(file)
        if there.came_after(own) or (has_theirs and here.offset < there.offset):
            return False
        rotated = self._look_at_rotated(lambda other: (beginning_of(other), written_at(other), there.is_in(other)))
        others = {other: has for other, written, has in rotated if written >= here.written - _SET_BACK}
        unread = [other for other in others if not here.came_after(other)]
        if any(map(there.came_after, unread)):
            return False  # their reader has finished it
        if has_theirs:
            return True
        is_listed = own.inode in (_inode_at(self._path), *(other.inode for other in others))
        if not is_listed and os.fstat(file.fileno()).st_size > here.offset:
            return False  # one that is in no list is finished first: theirs may have come after it
        return not there.offset or not (any(others[other] for other in unread) or self._is_in_current(there))

    def _is_in_current(self, position: FilePosition) -> bool:
        file = _open(self._path)
        if file is None:
            return False
        with file:
            return position.is_in(file)

    def _begin(self, path: Path, generation: int, before: tuple[SeenFile, ...]) -> OpenedFile | None:
        """Return the beginning of a file. `before`: rotated files, as they were when it was chosen.

        One that is made since, of this very file, comes after it. It is in the list itself where it has another name.
        """
        file = _open(path)
        if file is None:
            return None
        seen = tuple(one for one in before if one[0] != inode_of(file))
        return self._opened(
            self._keep(file), FilePosition(generation=generation, seen=seen), rotated=path != self._path
        )

    def _next(
        self, position: FilePosition, listed: RotatedFilesNow, left: FilePosition | None, until: float
    ) -> OpenedFile | None:
        """Return the oldest file that was rotated away after this one, else the one of our name."""
        path = listed.after[0] if listed.after else self._path
        opened = self._begin(path, position.generation + 1, listed.before)
        return opened and replace(opened, position=replace(opened.position, left=left, left_until=until))

    def _listed(self, position: FilePosition, written: int, inode: int | None = None) -> RotatedFilesNow:
        """Return the rotated files; `inode`: the position's own, which came before what is after it."""
        after, before = [], []
        earliest = written + 1 if position.seen is None else written - _SET_BACK
        rotated = self._look_at_rotated(lambda file: (Path(file.name), beginning_of(file), written_at(file)))
        for path, beginning, last_write in rotated:
            is_other = beginning.inode != inode and last_write >= earliest
            if is_other and not position.came_after(beginning):
                after.append((last_write, _age(path), path))
            else:
                before.append(beginning.seen)
        return RotatedFilesNow([path for _, _, path in sorted(after)], tuple(before))

    def _look_at_rotated(self, look: Callable[[BinaryIO], _Seen]) -> list[_Seen]:
        """Return what `look` returns of each rotated file that is not empty, all at one moment.

        A rotation renames them one after the other: one may have a new name when its old one is opened.
        """
        seen: list[_Seen] = []
        for _ in range(_LOOKS):
            names, seen = self._rotated(), []
            for file in filter(None, map(_open, names)):
                with file:
                    if os.fstat(file.fileno()).st_size:
                        seen.append(look(file))
            if self._rotated() == names:
                break
        return seen

    def _replacement(self, file: BinaryIO, position: FilePosition) -> BinaryIO | None:
        """Return the file that is no later one but a copy of this one, e.g. by rsync or an editor, and has its place.

        It may have been rotated away since.
        """
        rotated = self._rotated()
        if not position.offset or inode_of(file) in rotated.values():
            return None
        for new in filter(None, map(_open, (self._path, *rotated))):
            if position.is_in(new) and _begins_with_all_of(file, new):
                return self._keep(new)
            new.close()
        return None

    def _opened(self, file: BinaryIO, position: FilePosition, *, rotated: bool = False) -> OpenedFile:
        self._generations[inode_of(file)] = position.generation
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
        return held if held and position.is_in(held) else None

    def _named(self, position: FilePosition, paths: Sequence[Path]) -> BinaryIO | None:
        for file in filter(None, map(_open, paths)):
            if position.is_in(file):
                return self._keep(file)
            file.close()
        return None

    def _beside(self) -> Iterator[tuple[str, Path]]:
        """Yield all files beside ours, and beside the file that it is a link to, with the name that ours has there."""
        for ours in dict.fromkeys((self._path, self._path.resolve())):
            if ours.parent.is_dir():
                yield from ((ours.name, path) for path in ours.parent.iterdir() if path != ours)

    def _rotated(self) -> dict[Path, int]:
        """Return the paths of the rotated files, and their inodes."""
        paths = (path for name, path in self._beside() if path.name.startswith(name) and _suffix(path, name))
        return {path: inode for path in paths if path.is_file() and (inode := _inode_at(path))}

    def _with_inode(self, inode: int) -> list[Path]:
        """Return the paths with this inode, whatever their names."""
        paths = [self._path, *(path for _, path in self._beside())]
        return [path for path in paths if (stat := _stat(path)) and stat.st_ino == inode and S_ISREG(stat.st_mode)]

    def _keep(self, file: BinaryIO) -> BinaryIO:
        old = self._open.pop(inode_of(file), None)
        if old:
            old.close()
        self._open[inode_of(file)] = file
        while len(self._open) > _KEPT_OPEN:
            self._open.pop(next(iter(self._open))).close()
        return file


def _begins_with_all_of(old: BinaryIO, new: BinaryIO) -> bool:
    """Return whether a file begins with all of another one, judged by the first and the last bytes of that."""
    size = os.fstat(old.fileno()).st_size
    parts = ((0, min(size, _COMPARED)), (max(size - _COMPARED, 0), min(size, _COMPARED)))
    return all(os.pread(old.fileno(), length, at) == os.pread(new.fileno(), length, at) for at, length in parts)


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


def _inode_at(path: Path) -> int | None:
    stat = _stat(path)
    return stat.st_ino if stat else None
