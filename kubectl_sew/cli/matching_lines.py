"""The lines of NDJSON that a query selects. They go through as they are, byte for byte."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any

from kubectl_sew.ndjson import LONGEST_LINE, BadLineError, parse_line

_CHUNK = 2**20

Match = Callable[[Mapping[str, Any], float], bool]


def read_lines(read: Callable[[int], bytes]) -> Iterator[list[bytes]]:
    """Lines with their line breaks, in lists as they come; only the very last may have none.

    `read(n)` gives at most n bytes, none at the end. Of an overlong line so much is kept that it is seen to be one.
    """
    parts: list[bytes] = []
    size = 0
    while data := read(_CHUNK):
        cut = data.rfind(b"\n") + 1
        if cut:
            yield BytesIO(b"".join((*parts, data[:cut]))).readlines()
            parts, size = [], 0
        if size <= LONGEST_LINE:
            parts.append(data[cut:])
            size += len(data) - cut
    if size:
        yield [b"".join(parts)]


class Selector:
    """Takes the lines of one file in order, and counts its events and those that match."""

    def __init__(self, match: Match, suppressing: Mapping[str, Match] | None = None) -> None:
        """`suppressing`: exception -> what it selects, and so is not taken."""
        self._suppressing = suppressing or {}
        self.suppressed: Counter[str] = Counter()
        """Exception -> how many events that match it took away; one may count for several."""
        self.suppressed_in_all = 0
        self._match = self._is_delivered if self._suppressing else match
        self._wanted = match
        self._lines = 0
        self.bad = self.events = self.matching = 0
        self.begins = ""
        """The first character of the first line that is no event."""

    def _is_delivered(self, event: Mapping[str, Any], now: float) -> bool:
        """Return whether an event matches and no exception selects it."""
        if not self._wanted(event, now):
            return False
        by = [name for name, selects in self._suppressing.items() if selects(event, now)]
        self.suppressed.update(by)
        self.suppressed_in_all += bool(by)
        return not by

    def take(self, lines: Sequence[bytes], now: float) -> tuple[list[bytes], list[str]]:
        """Return the next lines that match, and number and reason of each that is no event; `now` in seconds."""
        selected: list[bytes] = []
        bad: list[str] = []
        blank = 0
        match = self._match
        for number, line in enumerate(lines, self._lines + 1):
            try:
                if match(_parse(line), now):
                    selected.append(line)
            except BadLineError as error:
                if line.isspace():
                    blank += 1
                else:
                    self.begins = self.begins or line.lstrip()[:1].decode(errors="replace")
                    bad.append(f"line {number}: {error}")
        self._lines += len(lines)
        self.events += len(lines) - blank - len(bad)
        self.bad += len(bad)
        self.matching += len(selected)
        return selected, bad


def _parse(line: bytes) -> dict[str, Any]:
    if len(line) > LONGEST_LINE:
        raise BadLineError(f"longer than {LONGEST_LINE >> 20} MiB")
    return parse_line(line)
