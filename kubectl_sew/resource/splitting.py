"""The documents of a file, each with the number of lines before it."""

import json
import re
from collections.abc import Iterator

_MARKER = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_OBJECT = re.compile(r"\s*\{")
_INDENTED = 80
"""Blanks that an object is given at most, for errors to name its column: a line may hold a million objects."""
_DECODER = json.JSONDecoder()


def split(text: str) -> Iterator[tuple[int, str]]:
    """The documents with the number of lines before each: one that cannot be read does not hide the next."""
    if several := _json_objects(text):
        yield from several
        return
    start, lines = 0, 0
    for end in (*(match.start() for match in _MARKER.finditer(text)), len(text)):
        part = text[start:end]
        if part.strip() and not part.lstrip().startswith("%"):
            yield lines, part
        lines += part.count("\n")
        start = end


def _json_objects(text: str) -> list[tuple[int, str]]:
    """The JSON objects of a text that is two or more in a row, as `jq '.items[]'` prints them; else nothing."""
    parts: list[tuple[int, str]] = []
    at = lines = 0
    while hit := _OBJECT.match(text, at):
        start = hit.end() - 1
        lines += text.count("\n", at, start)
        try:
            end = _DECODER.raw_decode(text, start)[1]
        except (ValueError, RecursionError):
            return []
        column = start - text.rfind("\n", max(start - _INDENTED, 0), start) - 1
        parts.append((lines, " " * min(column, _INDENTED) + text[start:end]))
        lines += text.count("\n", start, end)
        at = end
    return parts if len(parts) > 1 and not text[at:].strip() else []
