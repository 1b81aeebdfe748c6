"""JSON values of any kind made fit to be shown: one line or a block, bounded, clean, cut with a visible mark."""

import json
import re
from collections.abc import Mapping
from typing import Any

from kubectl_sew.text import MARK, clean, cut

SHOWN_ITEMS = 20
_DEEPEST = 8
_MOST_NODES = 2_000
_LONGEST_TEXT = 2_000
_LONGEST_NAME = 200
_BLANKS = re.compile(r"\s+")


def line(value: Any, limit: int) -> str:
    """Return one clean line of at most `limit` characters; "" for what is empty or absent."""
    text = cut(as_text(value, limit), 4 * limit + 100)
    return cut(clean(_BLANKS.sub(" ", text).strip()), limit)


def as_text(value: Any, limit: int = _LONGEST_TEXT) -> str:
    """Return a JSON value as text: lists joined by commas, objects as JSON, both bounded."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ", ".join(item for item in items(value, limit) if item)
    if isinstance(value, Mapping):
        return json.dumps(prune(value), ensure_ascii=False)
    return _scalar(value)


def items(value: Any, limit: int) -> list[str]:
    """The members of a list, each one line of at most `limit` characters; one member for anything else but nothing."""
    if not isinstance(value, list | tuple):
        return [text] if (text := line(value, limit)) else []
    shown = [_member(item, limit) for item in value[:SHOWN_ITEMS]]
    more = len(value) - SHOWN_ITEMS
    return [item for item in shown if item] + ([f"{MARK} and {more} more"] if more > 0 else [])


def block(value: Any, limit: int) -> str:
    """A value as indented JSON of at most `limit` characters, cut visibly in depth, breadth and length."""
    return cut(clean(json.dumps(prune(value), ensure_ascii=False, indent=2)), limit)


def prune(value: Any) -> Any:
    """A copy that JSON can hold whatever the value is: at most 8 deep, 2,000 nodes, texts of 2,000 characters."""
    return _Pruner().copy(value, _DEEPEST)


class _Pruner:
    """Copies a value; stops at a number of nodes."""

    def __init__(self) -> None:
        self.left = _MOST_NODES

    def copy(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if isinstance(value, str):
            return cut(value, _LONGEST_TEXT)
        if not isinstance(value, Mapping | list | tuple):
            return value if isinstance(value, bool | None) else _number(value)
        if depth == 0 or self.left <= 0:
            return MARK
        return self._members(value, depth - 1) if isinstance(value, Mapping) else self._list(value, depth - 1)

    def _members(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        copied: dict[str, Any] = {}
        for name, member in value.items():
            if self.left <= 0:
                copied[MARK] = f"{len(value) - len(copied)} more"
                break
            copied[cut(str(name), _LONGEST_NAME)] = self.copy(member, depth)
        return copied

    def _list(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        copied: list[Any] = []
        for member in value:
            if self.left <= 0:
                copied.append(f"{MARK} {len(value) - len(copied)} more")
                break
            copied.append(self.copy(member, depth))
        return copied


def _member(value: Any, limit: int) -> str:
    """A list in a list as JSON: only the outermost is joined by commas, so nothing here recurses without a bound."""
    return line(json.dumps(prune(value), ensure_ascii=False) if isinstance(value, list | tuple) else value, limit)


def _number(value: Any) -> Any:
    """A finite number as it is; NaN, Infinity and integers too long to write as text."""
    if isinstance(value, int):
        return value if value.bit_length() <= 1024 else _scalar(value)
    return value if isinstance(value, float) and abs(value) < float("inf") else _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 1024:  # Python refuses to write integers of over 4,300 digits.
        return f"a number of {value.bit_length()} bits{MARK}"
    return cut(str(value), _LONGEST_TEXT)
