"""Hostile text made fit to be shown: one line, bounded, without control characters, cut with a visible mark."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from kubectl_sew.event import Event

MARK = "…"
SHOWN_ITEMS = 20
_DEEPEST = 8
_MOST_NODES = 2_000
_LONGEST_TEXT = 2_000
_LONGEST_NAME = 200

# C0 and C1 controls, what reorders or hides text (bidirectional marks, zero width), and lone surrogates.
_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
_BLANKS = re.compile(r"\s+")


def cut(text: str, limit: int, beginning: Callable[[str, int], str] | None = None) -> str:
    """At most `limit` characters, the last one a mark where something was left out.

    `beginning` cuts in the unit that the receiver counts in, such as `utf16` and `utf8`.
    """
    first = beginning or _characters
    if first(text, limit) == text:
        return text
    return first(text, max(limit - (len(MARK.encode()) if first is utf8 else 1), 0)) + MARK


def utf16(text: str, limit: int) -> str:
    """The beginning of at most `limit` UTF-16 units: Java's characters, of which an emoji is two."""
    return text.encode("utf-16-le", "replace")[: 2 * limit].decode("utf-16-le", "ignore")


def utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le", "replace")) // 2


def utf8(text: str, limit: int) -> str:
    """The beginning of at most `limit` bytes of UTF-8."""
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def _characters(text: str, limit: int) -> str:
    return text[:limit]


def clean(text: str) -> str:
    """The same text with what cannot be shown replaced by U+FFFD; line breaks and tabs stay."""
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def line(value: Any, limit: int) -> str:
    """One clean line of at most `limit` characters; "" for what is empty or absent."""
    text = cut(as_text(value, limit), 4 * limit + 100)
    return cut(clean(_BLANKS.sub(" ", text).strip()), limit)


def as_text(value: Any, limit: int = _LONGEST_TEXT) -> str:
    """Any JSON value as text: lists joined by commas, objects as JSON, both bounded."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ", ".join(each for each in items(value, limit) if each)
    if isinstance(value, Mapping):
        return json.dumps(prune(value), ensure_ascii=False)
    return _scalar(value)


def items(value: Any, limit: int) -> list[str]:
    """The members of a list, each one line of at most `limit` characters; one member for anything else but nothing."""
    if not isinstance(value, list | tuple):
        return [text] if (text := line(value, limit)) else []
    shown = [_member(each, limit) for each in value[:SHOWN_ITEMS]]
    more = len(value) - SHOWN_ITEMS
    return [each for each in shown if each] + ([f"{MARK} and {more} more"] if more > 0 else [])


def block(value: Any, limit: int) -> str:
    """A value as indented JSON of at most `limit` characters, cut visibly in depth, breadth and length."""
    return cut(clean(json.dumps(prune(value), ensure_ascii=False, indent=2)), limit)


def prune(value: Any) -> Any:
    """A copy that JSON can hold whatever the value is: at most 8 deep, 2,000 nodes, texts of 2,000 characters."""
    return _Pruner().copy(value, _DEEPEST)


def when(event: Event) -> str:
    """The event's time in UTC, e.g. `2026-01-02 03:04:05 UTC`; "" without one."""
    try:
        return "" if event.time is None else f"{datetime.fromtimestamp(event.time, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return line(event.document.get("time"), 40)


def as_date(seconds: float) -> str:
    """RFC 3339 in UTC; the nearest time that it can write for one out of its range."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), 253_402_300_799.0), UTC).isoformat().replace("+00:00", "Z")


def kind(event: Event) -> str:
    """The event's type in one line, or `security event`."""
    return line(event.document.get("type"), 60) or "security event"


def severity(event: Event) -> str:
    return line(event.document.get("severity"), 20)


def endpoint(event: Event, side: str) -> str:
    """`namespace/name (ip:port)` of the `source` or the `dest`, as far as known."""
    namespace, name, aggregate, address, port = (
        line(event.document.get(f"{side}_{part}"), 260) for part in ("namespace", "name", "name_aggr", "ip", "port")
    )
    shown = "/".join(part for part in (namespace, name or aggregate) if part and part != "-")
    place = address + (f":{port}" if address and port and port != "0" else "")
    return f"{shown} ({place})" if shown and place else shown or place


def name(event: Event) -> str:
    """The event's name in one line, else the beginning of its description, else its type."""
    return line(event.document.get("name"), 200) or line(event.document.get("description"), 200) or kind(event)


def title(event: Event) -> str:
    """What happened in one line: the event's name and description, as far as it has them."""
    parts = (line(event.document.get(field), limit) for field, limit in (("name", 200), ("description", 3_000)))
    return ": ".join(dict.fromkeys(part for part in parts if part))


def label_pairs(labels: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """The webhook's labels, each name and value in one line."""
    return [(line(name, 100), line(value, 300)) for name, value in labels.items()]


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
        for name, each in value.items():
            if self.left <= 0:
                copied[MARK] = f"{len(value) - len(copied)} more"
                break
            copied[cut(str(name), _LONGEST_NAME)] = self.copy(each, depth)
        return copied

    def _list(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        copied: list[Any] = []
        for each in value:
            if self.left <= 0:
                copied.append(f"{MARK} {len(value) - len(copied)} more")
                break
            copied.append(self.copy(each, depth))
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
