"""Lines of NDJSON: what is an event, what is not and why, and what identifies it."""

import json
from array import array
from bisect import bisect_left
from codecs import BOM_UTF8
from hashlib import sha256
from math import isfinite
from mmap import mmap
from typing import Any

LONGEST_LINE = 64 * 2**20
DEEPEST = 100
"""Levels of lists and objects: far above any event, far below what a recursive reader of it can bear."""
_ROWS = 4
_CELLS = 2**21


class BadLineError(ValueError):
    """A line that is no event, and why."""


def parse_line(line: bytes) -> dict[str, Any]:
    """The JSON object on a line. Raises BadLineError; nothing that a line holds raises anything else."""
    try:
        document = _DECODER.decode(line.removeprefix(BOM_UTF8).decode())
    except RecursionError:
        raise BadLineError(f"nested deeper than {DEEPEST} levels") from None
    except UnicodeDecodeError:
        raise BadLineError("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise BadLineError(f"not JSON ({error.msg}, column {error.colno})") from None
    except ValueError as error:
        raise BadLineError(_number_problem(error)) from None
    if not isinstance(document, dict):
        raise BadLineError(f"a JSON {_name(document)} where an object belongs")
    if line.count(b"{") + line.count(b"[") > DEEPEST and _deeper_than(document, DEEPEST):
        raise BadLineError(f"nested deeper than {DEEPEST} levels")
    return document


def own_id(document: dict[str, Any]) -> str | None:
    """The event's `_id`, else its `id`, as text; None where it has neither (or only an empty or compound one)."""
    for name in ("_id", "id"):
        value = document.get(name)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
            return str(value)
    return None


class Numbering:
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
        """The running number of the line at `offset`, whose SHA-256 is `digest`."""
        if offset < self.passed:
            return self._remembered(offset)
        number = self._count(digest)
        if number:
            self._repeated.append(offset)
            self._numbers.append(number)
        return number

    def _remembered(self, offset: int) -> int:
        place = bisect_left(self._repeated, offset)
        found = place < len(self._repeated) and self._repeated[place] == offset
        return self._numbers[place] if found else 0

    def _count(self, digest: bytes) -> int:
        if self._cells is None:
            self._cells = memoryview(mmap(-1, _ROWS * _CELLS * 4)).cast("I")
        cells = self._cells
        places = [row * _CELLS + int.from_bytes(digest[row * 4 : row * 4 + 4]) % _CELLS for row in range(_ROWS)]
        number: int = min(cells[place] for place in places)
        for place in places:
            cells[place] += 1
        return number


def digest_of(line: bytes) -> bytes:
    """SHA-256 of a line without the line break."""
    return sha256(line.rstrip(b"\r\n")).digest()


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("out of range")
    return number


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_constant)


def _number_problem(error: ValueError) -> str:
    text = str(error)
    return text if "is not JSON" in text else "a number too large to be kept"


def _name(value: Any) -> str:
    names = {list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def _deeper_than(document: Any, levels: int) -> bool:
    layer = [document]
    for _ in range(levels):
        layer = [child for value in layer for child in _children(value)]
        if not layer:
            return False
    return True


def _children(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value
    return [child for child in inner if isinstance(child, dict | list)]
