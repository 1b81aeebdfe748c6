"""Two readers of one file that is rotated in all ways: one that was left behind meets the other, and misses nothing."""

import json
import os
import shutil
import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kubectl_sew.query import ANY, parse
from sew_agent.ingest.ndjson.file import NdjsonFile
from sew_agent.ingest.source import Subscription

ALL = [Subscription("all", parse("type = waf"))]
STEPS = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 4)),
    st.tuples(st.just("read"), st.just(0)),
    st.tuples(st.just("stay behind"), st.just(0)),
    st.tuples(st.just("follow"), st.sampled_from([1, 2, 1000])),
    st.tuples(st.sampled_from(["rename", "truncate", "replace", "copy", "cut", "restart"]), st.just(0)),
)
WITH_LOSS = st.one_of(STEPS, st.tuples(st.sampled_from(["delete", "name otherwise"]), st.just(0)))
"""Files go where no list of rotated ones has them: one that a reader has not begun is lost for it."""
MOST = 300
SECONDS = 2.0
"""Time that passes at each step."""


class TwoReaders:
    """The one reads all there is; the other stays where the first one was, and reads a page at a time."""

    def __init__(self, path: Path) -> None:
        self.path, self.source = path, NdjsonFile(path, ANY)
        self.now, self.written, self.copied = 0.0, 0, False
        self.ahead: str | None = None
        self.behind: str | None = None
        self.by_ahead: set[str] = set()
        self.by_behind: set[str] = set()

    def close(self) -> None:
        self.source.close()

    def step(self, what: str, many: int) -> None:
        self.now += SECONDS
        if self.copied and what not in ("read", "follow"):  # what came meanwhile would be lost, whoever reads
            os.truncate(self.path, 0)
            self.copied = False
        if what == "write":
            self.write(many)
        elif what == "read":
            self.read()
        elif what == "stay behind" and self.behind is None:
            self.behind, self.by_behind = self.ahead, set(self.by_ahead)
        elif what == "follow" and self.behind is not None:
            self.follow(many)
        elif what == "restart":
            self.source.close()
            self.source = NdjsonFile(self.path, ANY)
        elif what in ("rename", "truncate", "copy"):
            self.rotate(what)
        else:
            self.put_away(what)

    def put_away(self, how: str) -> None:
        """Replace the file by a copy, or by an empty one where no list of rotated files has it."""
        if how == "replace":
            copy = self.path.with_name("copy")
            shutil.copyfile(self.path, copy)
            copy.replace(self.path)
        elif how == "delete":
            self.path.unlink()
            self.path.touch()
        elif how == "name otherwise":
            self.path.rename(self.path.with_name(f"old.{self.now}"))
            self.path.touch()

    def write(self, many: int) -> None:
        with self.path.open("a") as file:
            for number in range(self.written, self.written + many):
                file.write(json.dumps({"_id": f"e{number}", "type": "waf"}) + "\n")
        self.written += many

    def rotate(self, how: str) -> None:
        """Rotate the file. `copy`: it is truncated later, so a reader may come in between."""
        old = sorted(self.path.parent.glob("events.*"), key=lambda file: -int(file.suffix[1:]))
        for file in old:
            file.rename(self.path.with_name(f"events.{int(file.suffix[1:]) + 1}"))
        first = self.path.with_name("events.1")
        if how == "rename":
            self.path.rename(first)
            self.path.touch()
        else:
            shutil.copyfile(self.path, first)
            self.copied = how == "copy"
            if not self.copied:
                os.truncate(self.path, 0)

    def read(self) -> None:
        for _ in range(MOST):
            batch = self.source.read(ALL, self.ahead, now=self.now, limit=1000)
            self.ahead = batch.position
            self.by_ahead |= {arrival.event.id for arrival in batch.arrivals}
            if batch.done:
                return
        raise AssertionError("the source never caught up")

    def follow(self, limit: int) -> None:
        batch = self.source.read(ALL, self.behind, now=self.now, limit=limit)
        self.by_behind |= {arrival.event.id for arrival in batch.arrivals}
        self.behind = batch.position
        assert self.ahead
        if self.source.reached(self.behind, self.ahead):
            assert not self.to_come() & self.by_ahead - self.by_behind
            self.behind = None

    def to_come(self) -> set[str]:
        """Return what the reader that was left behind would still come to."""
        ids, position = set(), self.behind
        for _ in range(MOST):
            batch = self.source.read(ALL, position, now=self.now, limit=1000)
            ids |= {arrival.event.id for arrival in batch.arrivals}
            position = batch.position
            if batch.done:
                return ids
        raise AssertionError("the source never caught up")


def run(steps: list[tuple[str, int]], *, with_loss: bool = False) -> None:
    """Run a history, and on until the readers meet."""
    with tempfile.TemporaryDirectory() as folder:
        readers = TwoReaders(Path(folder) / "events")
        with closing(readers):
            for step in [("write", 1), ("read", 0), *steps, ("cut", 0), ("write", 1)]:
                readers.step(*step)
            for _ in range(MOST):
                readers.step("read", 0)
                readers.step("follow", 1000)
                if readers.behind is None:
                    break
            assert readers.behind is None
            assert with_loss or readers.by_ahead == {f"e{number}" for number in range(readers.written)}


@given(st.lists(STEPS, min_size=20, max_size=40))
def test_a_reader_that_was_left_behind_meets_the_other_and_misses_nothing(steps: list[tuple[str, int]]) -> None:
    run(steps)


@given(st.lists(WITH_LOSS, min_size=20, max_size=40))
def test_it_misses_nothing_either_that_it_could_still_read(steps: list[tuple[str, int]]) -> None:
    run(steps, with_loss=True)


def test_a_reader_that_comes_between_the_copy_and_the_truncation_misses_nothing() -> None:
    begun = [("stay behind", 0), ("rename", 0), ("write", 3), ("copy", 0), ("follow", 1000), ("follow", 1)]
    run([*begun, ("cut", 0), ("write", 1), ("read", 0), ("follow", 1000)])


def test_readers_that_counted_different_copies_meet() -> None:
    run([("copy", 0), ("stay behind", 0), ("write", 3), ("copy", 0), ("read", 0)])


def test_a_reader_of_a_deleted_file_finishes_it_first() -> None:
    begun = [("stay behind", 0), ("write", 3), ("read", 0), ("delete", 0), ("write", 1), ("read", 0)]
    run([*begun, ("delete", 0), ("write", 1), ("follow", 1)], with_loss=True)
