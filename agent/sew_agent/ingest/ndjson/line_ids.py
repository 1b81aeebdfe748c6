"""Identity of a line of NDJSON without an id of its own: a hash of its text, and a running number."""

from array import array
from bisect import bisect_left
from hashlib import sha256
from mmap import mmap

_ROWS = 4
_CELLS = 2**21


class LineNumbering:
    """Running numbers among equal lines, by the lines' offsets in one file; the same whenever it is computed again.

    A count-min sketch, so memory is bounded: numbers of equal lines always rise, which is what keeps their ids
    apart; a line that shares all its cells with others may begin above 0. Lines are counted in the file's order, each
    once; a line that was passed before has the number that it got then.
    """

    def __init__(self) -> None:
        self.passed = 0
        """The offset up to which all lines were counted."""
        self._cells: memoryview | None = None
        self._repeated = array("Q")
        self._numbers = array("Q")

    def number(self, digest: bytes, offset: int) -> int:
        """Return the running number of the line at `offset`, whose SHA-256 is `digest`."""
        if offset < self.passed:
            return self._remembered(offset)
        number = self._count(digest)
        if number:
            self._repeated.append(offset)
            self._numbers.append(number)
        return number

    def _remembered(self, offset: int) -> int:
        index = bisect_left(self._repeated, offset)
        is_repeated = index < len(self._repeated) and self._repeated[index] == offset
        return self._numbers[index] if is_repeated else 0

    def _count(self, digest: bytes) -> int:
        if self._cells is None:
            self._cells = memoryview(mmap(-1, _ROWS * _CELLS * 4)).cast("I")
        cells = self._cells
        indices = [row * _CELLS + int.from_bytes(digest[row * 4 : row * 4 + 4]) % _CELLS for row in range(_ROWS)]
        number: int = min(cells[index] for index in indices)
        for index in indices:
            cells[index] += 1
        return number


def digest_of(line: bytes) -> bytes:
    """Return the SHA-256 of a line without the line break."""
    return sha256(line.rstrip(b"\r\n")).digest()
