"""The set-up `power`: as `files`, but each kill is a power failure: only what was synced is sure to be there then.

A library in the agent records each write and each sync of its state. What a failure leaves of each file is what was
synced, and any part of what was written since, in any order, by sectors.
"""

import random
import struct
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.sew_agent import Agent
from tests.proof.files import Files
from tests.proof.preload import preload

SECTOR = 512
_HEAD = struct.Struct("<cHQQ")


@dataclass(slots=True)
class File:
    """A file: what is sure to be there, and what was written since, as offset and bytes; None for a new length."""

    synced: bytearray = field(default_factory=bytearray)
    unsynced: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        for offset, data in self.unsynced:
            apply(self.synced, offset, data)
        self.unsynced.clear()


def apply(content: bytearray, offset: int, data: bytes | None) -> None:
    """Write into a file's content, or set its length."""
    end = offset + len(data or b"")
    content.extend(bytes(max(end - len(content), 0)))
    if data is None:
        del content[offset:]
    else:
        content[offset:end] = data


def replay(before: Mapping[str, bytes], journal: bytes) -> dict[str, File]:
    """Return the files by their paths, from what they were before, and the record of what was done to them."""
    files = {path: File(bytearray(content)) for path, content in before.items()}
    at = 0
    while at < len(journal):
        kind, length, offset, size = _HEAD.unpack_from(journal, at)
        at += _HEAD.size
        path = journal[at : at + length].decode()
        data = journal[at + length : at + length + size]
        at += length + size
        if kind == b"u":
            files.pop(path, None)
            continue
        file = files.setdefault(path, File())
        if kind == b"r":
            files[data.decode()] = files.pop(path)
        elif kind == b"s":
            file.sync()
        else:
            file.unsynced.append((offset, data if kind == b"w" else None))
    return files


def left(file: File, chance: random.Random) -> bytes:
    """Return what a power failure leaves of a file: a disk has nothing, all, the first or any of the newest writes."""
    content, share = bytearray(file.synced), chance.choice((0.0, 0.5, 0.9, 1.0))
    for offset, data in file.unsynced:
        if data is None:
            if chance.random() < share:
                apply(content, offset, None)
            continue
        for start in range(0, len(data), SECTOR):
            if chance.random() < share:
                apply(content, offset + start, data[start : start + SECTOR])
    return bytes(content)


class Power(Files):
    """Each kill takes the state back to what a power failure leaves of it."""

    name = "power"
    kill = "power failure"

    def start(self, folder: Path, stack: ExitStack) -> None:
        super().start(folder, stack)
        self.kinds.pop("full", None)
        self.kinds.pop("clock", None)
        self.skipped = ["full disk, clock: `make prove SETUP=files`"]
        self.folder.state.mkdir(exist_ok=True)
        self._journal = folder / "journal"
        self._chance = random.Random(1)
        self._before: dict[str, bytes] = {}
        self.settings = {
            "LD_PRELOAD": str(preload("power", folder)),
            "POWER_FOLDER": str(self.folder.state),
            "POWER_JOURNAL": str(self._journal),
        }

    def start_agent(self, number: int) -> Agent:
        if self._journal.exists():
            self._fail()
        return super().start_agent(number)

    def _fail(self) -> None:
        files = replay(self._before, self._journal.read_bytes())
        self._before = {path: left(file, self._chance) for path, file in files.items() if not path.endswith("-shm")}
        for path in self.folder.state.iterdir():
            path.write_bytes(self._before.get(str(path), b""))
        for path, content in self._before.items():
            Path(path).write_bytes(content)
        for path in self.folder.state.glob("*-shm"):
            path.unlink()
        self._journal.unlink()
