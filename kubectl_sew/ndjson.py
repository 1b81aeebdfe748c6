"""Lines of NDJSON: what is an event, and what is not and why. The plugin and the agent judge alike."""

import json
from codecs import BOM_UTF8
from math import isfinite
from typing import Any

LONGEST_LINE = 64 * 2**20
DEEPEST = 100
"""Levels of lists and objects: far above any event, far below what a recursive reader of it can bear."""


_FILTERS = {"{": ".", "[": ".[]"}
"""The beginning of JSON that is not NDJSON -> the filter with which jq turns it into NDJSON."""


class BadLineError(ValueError):
    """A line that is no event, and why."""


def parse_line(line: bytes) -> dict[str, Any]:
    """The JSON object on a line. Raises BadLineError; nothing that a line holds raises anything else."""
    try:
        text = line.decode()
        document, end = _DECODER.raw_decode(text)
        whole = not text[end:].strip(" \t\r\n")
    except (ValueError, RecursionError):
        whole = False
    if not whole:  # not as events are usually written: blanks before it, a byte order mark, or no event
        document = _decode(line)
    if document.__class__ is not dict:
        raise BadLineError(f"it must be a JSON object, but is {_name(document)}")
    if line.count(b"{") + line.count(b"[") > DEEPEST and _deeper_than(document, DEEPEST):
        raise BadLineError(f"nested deeper than {DEEPEST} levels")
    event: dict[str, Any] = document
    return event


def begins_json_of_several_lines(first: bytes) -> bool:
    """Return whether the first line of a file that is not blank shows that the file is no NDJSON.

    A list or an object that begins on a line of its own may have lines inside that look like events.
    """
    text = first.removeprefix(BOM_UTF8).strip()
    return text == b"{" or (text.startswith(b"[") and not text.endswith(b"]"))


def how_to_make_lines(bad: bytes) -> str:
    """Return how jq makes NDJSON of what has this line, which is no event; "" where it does not look like JSON."""
    wanted = _FILTERS.get(bad.removeprefix(BOM_UTF8).lstrip()[:1].decode(errors="replace"))
    return f"an event is one line; if this is JSON, `jq -c '{wanted}'` makes lines of it" if wanted else ""


def _decode(line: bytes) -> Any:
    """Return the JSON value of a line, or what is wrong with it."""
    try:
        return _DECODER.decode(line.removeprefix(BOM_UTF8).decode())
    except RecursionError:
        raise BadLineError(f"nested deeper than {DEEPEST} levels") from None
    except UnicodeDecodeError:
        raise BadLineError("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise BadLineError(f"not JSON ({error.msg}, column {error.pos + 1})") from None
    except ValueError as error:
        raise BadLineError(_number_problem(error)) from None


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
    names = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


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
