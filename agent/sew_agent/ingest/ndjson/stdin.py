"""Events from standard input: a stream cannot be read twice, so its position is not kept over restarts."""

import json
import os
import select
from collections import deque
from collections.abc import Collection, Sequence

from kubectl_sew.event_maps.readable import EVENT_MAPS, EventMaps
from kubectl_sew.ndjson import LONGEST_LINE
from kubectl_sew.query import FieldSet
from sew_agent.ingest.ndjson.line_ids import LineNumbering
from sew_agent.ingest.ndjson.page import SCAN_BYTES, Identities, Line, Matchers, Page
from sew_agent.ingest.source import Batch, Origin, SourceError, Subscription, Suppression

_CHUNK = 2**16


class NdjsonStream:
    """Reads lines of an open file descriptor. Lines after the last position are kept until a later one is asked for.

    `run` identifies this process: a position of another one is the stream's beginning. With `whole` it has
    caught up only at the stream's end. A stream that is read too slowly fills its pipe, and the writer waits.
    """

    caveats = ()

    def __init__(
        self, descriptor: int, fields: FieldSet, maps: EventMaps = EVENT_MAPS, *, run: str, whole: bool = False
    ) -> None:
        """`maps` say when an event happened."""
        self.fields = fields
        self.seekable = False
        self._descriptor = descriptor
        self._maps = maps
        self._run = run
        self._whole = whole
        self._matchers = Matchers(fields)
        self._identities = Identities(0, LineNumbering(), lambda _identities, _to: None)
        self._lines: deque[Line] = deque()
        self._parts: list[bytes] = []
        self._partial = self._end = self._number = 0
        self._buffered = 0
        self._closed = False

    def read_fields(self) -> None:
        """Do nothing: they are the same for ever."""

    def origin(self, _start: float) -> Origin:
        """Return where the one reader stands: there is no way back."""
        return Origin("", beside=False)

    def window(self, _since: float, _until: float) -> str:
        """Return where the one reader stands: there is no way back."""
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
        until: str | None = None,  # noqa: ARG002 - a stream has one reader, which has no end
    ) -> Batch:
        """Return what the stream holds now, without waiting."""
        try:
            self._drop_until(self._line_of(position))
            came = self._fill(limit)
        except OSError as error:
            raise SourceError(f"events cannot be read from standard input: {error.strerror or error}") from error
        matchers, exceptions = self._matchers.of(subscriptions), self._matchers.of_exceptions(suppressions)
        page = Page("standard input", matchers, exceptions, self._maps, self._identities, now, limit)
        last = self._line_of(position)
        for line in self._lines:
            page.add(line)
            last = line.number
            if page.full:
                break
        ended = last == self._number
        done = ended and (self._closed or not self._whole)
        position, more = json.dumps([self._run, last]), came or not ended
        return Batch(page.arrivals, position, more=more, done=done, warnings=page.warnings, scanned=page.events)

    def keep(self, webhooks: Collection[str], exceptions: Collection[str]) -> None:
        self._matchers.keep(webhooks, exceptions)

    def resume(self) -> None:
        """Do nothing: nobody else reads this stream."""

    def read_to(self, _position: str | None) -> float | None:
        """Return None: lines are in no order of time."""
        return None

    def reached(self, position: str, other: str) -> bool:
        return self._line_of(position) >= self._line_of(other)

    def close(self) -> None:
        self._closed = True

    def _line_of(self, position: str | None) -> int:
        run, line = json.loads(position) if position else ("", 0)
        return int(line) if run == self._run else 0

    def _drop_until(self, line: int) -> None:
        while self._lines and self._lines[0].number <= line:
            self._buffered -= len(self._lines.popleft().text or b"")

    def _fill(self, limit: int) -> bool:
        """Return whether anything came: then the writer, whose pipe was full, may have written more by now."""
        came = False
        while not self._closed and len(self._lines) < limit and self._buffered < SCAN_BYTES and self._ready():
            chunk = os.read(self._descriptor, _CHUNK)
            if chunk:
                came = True
                self._split(chunk)
            else:
                self._closed = True
                self._finish_line()
        return came

    def _ready(self) -> bool:
        return bool(select.select([self._descriptor], [], [], 0)[0])

    def _split(self, chunk: bytes) -> None:
        for part in _at_newlines(chunk):
            self._partial += len(part)
            if self._partial <= LONGEST_LINE:
                self._parts.append(part)
            else:
                self._parts.clear()
            if part.endswith(b"\n"):
                self._finish_line()

    def _finish_line(self) -> None:
        if not self._partial:
            return
        text = b"".join(self._parts) if self._partial <= LONGEST_LINE else None
        start, self._end = self._end, self._end + self._partial
        self._number += 1
        self._lines.append(Line(start, self._end, self._number, text))
        self._buffered += len(text or b"")
        self._parts, self._partial = [], 0


def _at_newlines(chunk: bytes) -> list[bytes]:
    """Split at \\n alone, as lines in files end."""
    pieces = chunk.split(b"\n")
    return [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])
