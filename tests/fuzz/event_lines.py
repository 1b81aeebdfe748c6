"""Files of events are written, rotated, replaced and read at random, and every event is read once."""

import json
import os
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from kubectl_sew.query import ANY, parse
from sew_agent.ingest.ndjson.file import NdjsonFile
from sew_agent.ingest.source import SourceError, Subscription

ALL = [Subscription("all", parse("n >= 0"))]
KEPT = 6
"""Number of rotated files that are kept."""
_STEPS = 25
COST = _STEPS
"""An input is a whole scene: a file in so many steps."""


class RotationHarness:
    """A file that somebody writes and rotates, and a reader that is restarted now and then."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.path = folder / "events.ndjson"
        self.path.touch()
        self.chance = chance
        self.written = 0
        self.partial = ""
        self.now = 0.0
        self.read: Counter[int] = Counter()
        self.position: str | None = None
        self.source = NdjsonFile(self.path, ANY)
        self.steps: list[str] = []

    def lines(self) -> str:
        return "".join(self._line() for _ in range(self.chance.choice((0, 1, 3, 20))))

    def _line(self) -> str:
        if self.chance.random() < 0.1:
            return self.chance.choice(("\n", "not json\n", "[1]\n", '{"n": NaN}\n', " \r\n", '{"a": "\udcff"}\n'))
        self.written += 1
        event: dict[str, object] = {"n": self.written}
        if self.chance.random() < 0.5:
            event["id"] = f"e{self.written}"
        if self.chance.random() < 0.3:
            event["text"] = "x" * self.chance.choice((10, 2_000))
        return json.dumps(event) + self.chance.choice(("\n", "\r\n"))

    def append(self, path: Path, text: str) -> None:
        with path.open("ab") as file:
            file.write(text.encode("utf-8", "surrogateescape"))

    def write(self) -> None:
        text, self.partial = self.partial + self.lines(), ""
        if text and self.chance.random() < 0.3:
            cut = self.chance.randrange(len(text))
            text, self.partial = text[:cut], text[cut:]
        self.append(self.path, text)

    def _shift(self) -> Path:
        """Shift the old files by one, and return the path of the newest."""
        self.append(self.path, self.partial)
        self.partial = ""
        for number in range(KEPT, 0, -1):
            old = self.path.with_name(f"{self.path.name}.{number}")
            if old.exists():
                old.rename(self.path.with_name(f"{self.path.name}.{number + 1}"))
        return self.path.with_name(f"{self.path.name}.1")

    def rotate(self) -> None:
        self.drain()  # nothing is lost of a file that is deleted before it was read
        old = self._shift()
        self.path.rename(old)
        self.path.touch()
        self.path.with_name(f"{self.path.name}.{KEPT + 1}").unlink(missing_ok=True)
        if self.chance.random() < 0.5:
            self.append(old, self.lines())  # a writer that is late
        if self.chance.random() < 0.3:
            os.utime(old, (second := int(old.stat().st_mtime), second))

    def replace(self) -> None:
        copy = self.path.with_name("copy")
        shutil.copy(self.path, copy)
        if self.path.stat().st_size and self.position:
            self.drain()
            self.append(copy, self.partial + self.lines())
            self.partial = ""
            copy.rename(self.path)

    def touch(self) -> None:
        for old in self.path.parent.glob("events.ndjson.*"):
            if self.chance.random() < 0.3:
                os.utime(old)

    def restart(self) -> None:
        self.source.close()
        self.source = NdjsonFile(self.path, ANY)

    def read_page(self) -> bool:
        """Read one page, and return whether that was all."""
        try:
            limit = self.chance.choice((1, 3, 1000))
            batch = self.source.read(ALL, self.position, now=self.now, limit=limit)
        except SourceError:
            return True
        self.position = batch.position
        self.read.update(int(arrival.event.document["n"]) for arrival in batch.arrivals)
        return batch.done

    def drain(self) -> None:
        for _ in range(10_000):
            if self.read_page():
                return
        raise AssertionError("the reader never came to the end")

    def step(self) -> None:
        actions = (
            self.write,
            self.write,
            self.write,
            self.read_page,
            self.drain,
            self.rotate,
            self.replace,
            self.touch,
        )
        action = self.chance.choice((*actions, self.restart))
        self.steps.append(action.__name__)
        action()
        self.now += self.chance.choice((0.0, 0.5))

    def end(self) -> None:
        self.append(self.path, self.partial)
        self.drain()
        self.drain()
        self.source.close()
        every = set(range(1, self.written + 1))
        assert self.read.keys() == every, f"lost: {sorted(every - self.read.keys())[:9]}"
        assert self.read.total() == len(every), f"twice: {[number for number in every if self.read[number] > 1][:9]}"


def fuzz(n: int, seed: int) -> None:
    """Play so many scenes. Raises AssertionError with the number of the one that went wrong."""
    for number in range(n):
        with tempfile.TemporaryDirectory() as folder:
            scene = RotationHarness(Path(folder), random.Random(f"{seed}-{number}"))
            try:
                for _ in range(_STEPS):
                    scene.step()
                scene.end()
            except AssertionError as error:
                raise AssertionError(f"scene {number} of seed {seed}: {error}; steps: {scene.steps}") from error
            finally:
                scene.source.close()
