"""The lines of NDJSON that a query selects. They go through as they are, byte for byte."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any

from kubectl_sew.errors import SewError
from kubectl_sew.ndjson import (
    LONGEST_LINE,
    BadLineError,
    begins_json_of_several_lines,
    how_to_make_lines,
    parse_line,
)

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


def read_event_lines(read: Callable[[int], bytes], place: str) -> Iterator[list[bytes]]:
    """Lines as `read_lines` gives them. Raises SewError as soon as the first shows that this is no NDJSON.

    `place` names the source, for people.
    """
    begun = False
    for lines in read_lines(read):
        if not begun and (first := next((line for line in lines if not line.isspace()), b"")):
            begun = True
            if begins_json_of_several_lines(first):
                raise SewError(f"{place} holds JSON over several lines: {how_to_make_lines(first)}")
        yield lines


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
        self.first_bad = b""
        """The first line that is no event."""

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
                    self.first_bad = self.first_bad or line
                    bad.append(f"line {number}: {error}")
        self._lines += len(lines)
        self.events += len(lines) - blank - len(bad)
        self.bad += len(bad)
        self.matching += len(selected)
        return selected, bad


def check_events(selector: Selector, place: str) -> None:
    """Raise SewError where there was no event, since nothing was checked; mostly it is JSON in another form."""
    if selector.events:
        return
    if not selector.bad:
        raise SewError(f"there is no event in {place}: it is empty; give a file with one JSON object a line")
    hint = how_to_make_lines(selector.first_bad)
    raise SewError(f"no line of {place} is an event{hint and ': ' + hint}")


def _parse(line: bytes) -> dict[str, Any]:
    if len(line) > LONGEST_LINE:
        raise BadLineError(f"longer than {LONGEST_LINE >> 20} MiB")
    return parse_line(line)
