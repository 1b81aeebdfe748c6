"""Events from a file of NDJSON, from its beginning on, followed as it grows, through rotation and truncation."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO

from kubectl_sew.event_maps.readable import EVENT_MAPS, EventMaps
from kubectl_sew.ndjson import LONGEST_LINE, BadLineError, parse_line
from kubectl_sew.query import FieldSet
from sew_agent.ingest.ndjson.line_ids import LineNumbering
from sew_agent.ingest.ndjson.page import Identities, Line, Matchers, Page, read_event
from sew_agent.ingest.ndjson.position import FilePosition, text_before
from sew_agent.ingest.ndjson.rotation import OpenedFile, RotatedFiles
from sew_agent.ingest.source import Batch, Origin, SourceError, Subscription, Suppression

_CHUNK = 2**20
_NUMBERINGS = 4
"""Files whose running numbers are kept, 32 MiB each: readers that are behind take turns with the shared one."""
_LINES_BETWEEN_BEATS = 10_000


class NdjsonFile:
    """Reads events from a file. `whole`: a last line without a line break is an event, if it is a whole JSON object."""

    caveats = ()

    def __init__(
        self,
        path: Path,
        fields: FieldSet,
        maps: EventMaps = EVENT_MAPS,
        *,
        whole: bool = False,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        """`maps` say when an event happened; `beat` is called now and then while many lines are numbered again."""
        self.fields = fields
        self.seekable = True
        self._path = path
        self._maps = maps
        self._whole = whole
        self._beat = beat
        self._files = RotatedFiles(path)
        self._matchers = Matchers(fields)
        self._numberings: dict[tuple[int, int], tuple[LineNumbering, str]] = {}
        """Inode and generation -> running numbers, and a hash of the text that ends with the last of them."""

    def read_fields(self) -> None:
        """Do nothing: they are the same for ever."""

    def origin(self, _start: float) -> Origin:
        """Return the beginning of the file, which a new webhook reads from: lines have no start in time."""
        return Origin("", beside=False)

    def window(self, _since: float, _until: float) -> str:
        """Return the beginning of the file: lines are in no order of time. Rotated files are left out."""
        return ""

    def narrowed(self, position: str, _since: float | None, _until: float) -> str:
        return position

    def read(
        self,
        subscriptions: Sequence[Subscription],
        position: str | None,
        *,
        now: float,
        limit: int,
        suppressions: Sequence[Suppression] = (),
        until: str | None = None,
    ) -> Batch:
        """Return the next matching events; a file that was rotated away is finished first."""
        matchers, exceptions = self._matchers.of(subscriptions), self._matchers.of_exceptions(suppressions)
        goal = FilePosition.load(until) if until else None
        try:
            for opened in self._opened(FilePosition.load(position) if position else None, now):
                if goal and self._files.has_reached(here := opened.here, goal):
                    return Batch([], here.dump(), more=False, done=True)
                numbering = self._numbering(opened)
                identities = Identities(opened.position.generation, numbering, partial(self._recount, opened.file))
                page = Page(str(self._path), matchers, exceptions, self._maps, identities, now, limit)
                batch, advanced = self._read(opened, page, goal)
                self._keep_numbering(opened, numbering)
                if advanced:
                    return batch
            return batch
        except OSError as error:
            raise SourceError(f"events cannot be read from {self._path}: {error.strerror or error}") from error

    def keep(self, webhooks: Collection[str], exceptions: Collection[str]) -> None:
        self._matchers.keep(webhooks, exceptions)

    def resume(self) -> None:
        """Number lines again: which file comes after which, another reader may have seen otherwise."""
        self._numberings.clear()

    def read_to(self, _position: str | None) -> float | None:
        """Return None: lines are in no order of time."""
        return None

    def reached(self, position: str, other: str) -> bool:
        try:
            return self._files.has_reached(FilePosition.load(position), FilePosition.load(other))
        except OSError:  # to read says what is wrong, once it stands in the way
            return False

    def close(self) -> None:
        self._files.close()

    def _opened(self, position: FilePosition | None, now: float) -> Iterator[OpenedFile]:
        """Yield the files to read, until there is something new in one."""
        left = self._files.left(position, now)
        if left:
            yield left
        opened = self._files.locate(position, now)
        if opened and opened.rotated:
            opened = replace(opened, over=self._whole)
            yield opened
            opened = self._files.following(opened, now)
        if opened is None:
            raise SourceError(f"there is no events file {self._path}: create it, or name another with --events")
        yield opened

    def _read(self, opened: OpenedFile, page: Page, goal: FilePosition | None) -> tuple[Batch, bool]:
        """Fill one page of a file, up to the goal; return it, and whether its position is further on."""
        position = opened.position
        first = last = Line(position.offset, position.offset, position.line, None)
        end = goal.offset if goal and goal.offset and goal.is_in(opened.file) else None
        for line in self._lines(opened):
            if end is not None and line.start >= end:
                break
            page.add(line)
            first, last = first if first.text else line, line
            if page.full:
                break
        if last.end > position.offset == 0 and not opened.rotated and self._files.was_copied(opened):
            return Batch([], opened.position_at(0, 0).dump(), more=True, done=False), True
        same = all(opened.has(line.start, line.text) for line in (first, last))
        ended = not page.full and not opened.rotated and same
        batch = Batch(
            page.arrivals,
            (opened.position_at(last.end, last.number) if same else opened.begun_anew).dump(),
            more=not ended,
            done=ended,
            warnings=page.warnings,
            scanned=page.events,
        )
        return batch, last.end > position.offset

    def _lines(self, opened: OpenedFile) -> Iterator[Line]:
        """Yield the lines from the position on, the last one only where it is whole."""
        last_counts = self._whole or opened.rotated
        for line, broken in read_lines(opened.file, opened.position.offset, opened.position.line):
            if broken or opened.over or (last_counts and _is_event(line)):
                yield line

    def _numbering(self, opened: OpenedFile) -> LineNumbering:
        """Return the running numbers of this text: another reader may count its generation for another text's."""
        kept = self._numberings.pop((opened.inode, opened.position.generation), None)
        if kept and kept[1] == text_before(opened.file, kept[0].passed):
            return kept[0]
        return LineNumbering()

    def _keep_numbering(self, opened: OpenedFile, numbering: LineNumbering) -> None:
        """Keep running numbers in place of those of the file that was read least recently."""
        while len(self._numberings) >= _NUMBERINGS:
            del self._numberings[next(iter(self._numberings))]
        key = (opened.inode, opened.position.generation)
        self._numberings[key] = (numbering, text_before(opened.file, numbering.passed))

    def _recount(self, file: BinaryIO, identities: Identities, to: int) -> None:
        """Number the lines before an offset again: they were read before a restart, or by nobody yet."""
        offset = file.tell()
        for line, _ in read_lines(file, identities.numbering.passed, 0):
            if line.start >= to:
                break
            with suppress(BadLineError):
                read_event(line, identities)
            identities.passed(line)
            if line.number % _LINES_BETWEEN_BEATS == 0:
                self._beat()
        file.seek(offset)


def read_lines(file: BinaryIO, offset: int, number: int) -> Iterator[tuple[Line, bool]]:
    """Yield lines from an offset on, `number` of them before it, and whether each ends with a line break."""
    file.seek(0, SEEK_END)  # drops the buffer: a truncated file has other bytes there now
    file.seek(offset)
    while text := file.readline(LONGEST_LINE + 1):
        size, broken = len(text), text.endswith(b"\n")
        if size > LONGEST_LINE:
            more, broken = _skip_line(file)
            size += more
        number += 1
        yield Line(offset, offset + size, number, text if size <= LONGEST_LINE else None), broken
        offset += size


def _skip_line(file: BinaryIO) -> tuple[int, bool]:
    """Skip the rest of a line; return its size, and whether it ends with a line break."""
    size = 0
    while chunk := file.readline(_CHUNK):
        size += len(chunk)
        if chunk.endswith(b"\n"):
            return size, True
    return size, False


def _is_event(line: Line) -> bool:
    try:
        return line.text is not None and bool(parse_line(line.text))
    except BadLineError:
        return False
