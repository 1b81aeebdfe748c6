"""Rules for text that every package shares: cleaning, cutting, plurals, widths, times and durations. Pure.

It knows no event, no webhook and no JSON: see `kubectl_sew/json_text.py` for values.
"""

import re
from binascii import a2b_base64
from collections.abc import Callable
from datetime import UTC, datetime

MARK = "…"
"""Stands where something was left out."""
SURROGATES = re.compile("[\ud800-\udfff]")
"""Halves of characters, as Python has bytes that are not UTF-8: no UTF-8 can hold one."""

# C0 and C1 controls, what reorders or hides text (bidirectional marks, zero width), and lone surrogates.
_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
_LAST = 253_402_300_799.0
"""The end of the year 9999, the last that RFC 3339 can write."""
_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(ms|s|m|h|d|)")
_GO_DURATION = re.compile(r"(?<![\d.])(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def clean(text: str) -> str:
    """The same text with what cannot be shown replaced by U+FFFD; line breaks and tabs stay."""
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def printable(text: str, keep: str = "") -> str:
    """The same text with U+FFFD for each character that Python does not print, but for those to `keep`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else "\N{REPLACEMENT CHARACTER}" for char in text)


def cut(text: str, limit: int, beginning: Callable[[str, int], str] | None = None) -> str:
    """Return at most `limit` characters, the last one a mark where something was left out.

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
    """The length of a text in UTF-16 units."""
    return len(text.encode("utf-16-le", "replace")) // 2


def utf8(text: str, limit: int) -> str:
    """The beginning of at most `limit` bytes of UTF-8."""
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def _characters(text: str, limit: int) -> str:
    return text[:limit]


def plural(count: int, noun: str) -> str:
    """The noun as it stands behind its count: `event` for 1, else `events`."""
    return noun if count == 1 else f"{noun}s"


def width(text: str) -> int:
    """Cells of a terminal that a text takes: two for a wide character, none for an accent put upon another."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width  # noqa: PLC0415  # few texts need it

    marks = sum(category(char) in ("Mn", "Me") for char in text)
    return len(text) + sum(east_asian_width(char) in "WF" for char in text) - marks


def fitting(text: str, cells: int) -> int:
    """Return how many characters of a text fit into so many cells of a terminal."""
    for count, char in enumerate(text):
        cells -= width(char)
        if cells < 0:
            return count
    return len(text)


def decode_base64(text: str) -> bytes | None:
    """The bytes that Base64 stands for, whatever blanks are in it; None where it is none."""
    try:
        return a2b_base64("".join(text.split()), strict_mode=True)
    except ValueError:
        return None


def rfc3339(seconds: float, timespec: str = "seconds") -> str:
    """A moment in UTC as Kubernetes writes it; the nearest one that can be written.

    `timespec` as `datetime.isoformat` has it: whole seconds are rounded down.
    """
    moment = min(max(seconds, 0.0), _LAST)
    whole = int(moment) if timespec == "seconds" else moment
    return datetime.fromtimestamp(whole, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def parse_rfc3339(text: str) -> float | None:
    """Epoch seconds from RFC 3339, or from what else ISO 8601 allows (without an offset: UTC); None for other text."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def date_and_time(seconds: float) -> str:
    """A moment in UTC for people, without its zone: `2026-01-02 03:04:05`. Raises as datetime does."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def parse_duration(text: str, unit: str = "") -> float:
    """`500ms`, `2s`, `15m`, `72h` or `1d` in seconds; a bare number only where a `unit` says what it counts.

    Raises ValueError.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not (match[2] or unit):
        raise ValueError("must be a duration such as 500ms, 2s, 15m or 72h")
    return float(match[1]) * _UNITS[match[2] or unit]


def parse_go_duration(text: str) -> float:
    """A duration as Go writes one, `1m30s` or `1.5h`, in seconds; 0.0 for what is none."""
    return sum(float(number) * _UNITS[unit] for number, unit in _GO_DURATION.findall(text))


def spell_duration(seconds: float) -> str:
    """Return seconds in one unit, rounded down: `under a minute`, `12 min`, `3 h`, `2 d`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "under a minute"


def spell_seconds(seconds: float) -> str:
    """Return seconds as kubectl writes ages, rounded down: `45s`, `12m`, `5h32m`, `3d`."""
    whole = max(int(seconds), 0)
    if whole < 120:
        return f"{whole}s"
    if whole < 10_800:
        return f"{whole // 60}m"
    if whole < 172_800:
        hours, minutes = divmod(whole // 60, 60)
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    return f"{whole // 86_400}d"


def spell_exactly(seconds: int) -> str:
    """Return seconds in the largest unit that is exact: `90m`, `2d`, `45s`."""
    unit, size = next((unit, int(_UNITS[unit])) for unit in "dhms" if seconds % _UNITS[unit] == 0)
    return f"{seconds // size}{unit}"


def spell_age(seconds: float) -> str:
    """Return the distance of a moment: `12m ago`, or `in 59m` where it is still to come."""
    return f"in {spell_seconds(seconds)}" if seconds > 0 else f"{spell_seconds(-seconds)} ago"
