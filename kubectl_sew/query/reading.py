"""Events' values read as Elasticsearch's mapping reads them: all values below a key, and each as its field holds it.

A value that the field cannot hold is None: it has no value. Nothing here raises, whatever an event holds.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

from kubectl_sew.query.fields import Field, FieldType, NumberKind
from kubectl_sew.query.interpret import fold, narrow, tick_of, utf16_length
from kubectl_sew.query.values import SECOND, address

Read = Callable[[Any], Any]
"""A scalar of an event -> the value as the field holds it, None where it cannot."""
Walk = Callable[[Mapping[str, Any]], Iterator[Any]]

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?", re.ASCII)
_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?)?"
    r"(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?)?)?",
    re.ASCII,
)
_EPOCH = {
    "epoch_second": (re.compile(r"(-?[0-9]{1,16})(?:\.([0-9]{1,9}))?", re.ASCII), SECOND),
    "epoch_millis": (re.compile(r"(-?[0-9]{1,19})(?:\.([0-9]{1,6}))?", re.ASCII), 1_000_000),
}


def walker(name: str) -> Walk:
    """All that stands below a dotted key, through lists, and under keys written with the dot; nulls and objects too."""
    if name == "_id":
        return lambda document: iter((document.get("_id", document.get("id")),))
    parts = name.split(".")
    steps = [
        [(".".join(parts[start:end]), end) for end in range(start + 1, len(parts) + 1)] for start in range(len(parts))
    ]

    def walk(document: Mapping[str, Any]) -> Iterator[Any]:
        stack: list[tuple[Any, int]] = [(document, 0)]
        while stack:
            value, at = stack.pop()
            if isinstance(value, list):
                stack += [(entry, at) for entry in value]
            elif at == len(parts):
                yield value
            elif isinstance(value, Mapping):
                stack += [(value[key], end) for key, end in steps[at] if key in value]

    return walk


def reader(field: Field) -> Read:
    """How values of a field of that type and storage are read."""
    return _MAKERS[field.type](field)


def _anything(_: Field) -> Read:
    return lambda value: value if _has_leaf(value) else None


def _has_leaf(value: Any) -> bool:
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, Mapping):
            stack += value.values()
        elif isinstance(value, list):
            stack += value
        elif value is not None:
            return True
    return False


def _string(field: Field) -> Read:
    limit = field.storage.ignore_above

    def read(value: Any) -> str | None:
        text = value if isinstance(value, str) else _as_text(value)
        if text is None or (limit is not None and utf16_length(text) > limit):
            return None
        return fold(field, text)

    return read


def _as_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        text = repr(value) if isinstance(value, int | float) else None
    except ValueError:  # Python writes no numbers of more than 4,300 digits
        return None
    return None if text in ("nan", "inf", "-inf") else text


def _integer(field: Field) -> Read:
    kind = field.storage.number
    _, low, high = kind.value

    def read(value: Any) -> int | None:
        number = value if value.__class__ is int else _truncated(value, strict=kind is NumberKind.LONG)
        return number if number is not None and low <= number <= high else None

    return read


def _truncated(value: Any, *, strict: bool) -> int | None:
    if isinstance(value, str):
        return _whole_of_text(value if strict else value.strip(" \t\r\n"))
    try:
        return int(value) if isinstance(value, float) else None
    except (OverflowError, ValueError):
        return None


def _whole_of_text(text: str) -> int | None:
    if len(text) > 400 or not _NUMBER.fullmatch(text):
        return None
    try:
        return int(text)
    except ValueError:
        pass
    from decimal import Decimal  # noqa: PLC0415  # rare: a fraction or an exponent, in quotes

    number = Decimal(text)
    return int(number) if -400 < number.adjusted() < 20 else 0 if number.adjusted() < 0 else None


def _float(field: Field) -> Read:
    kind = field.storage.number

    def read(value: Any) -> float | None:
        if value.__class__ is float and kind is NumberKind.DOUBLE:
            return value if abs(value) < float("inf") else None
        if isinstance(value, str):
            value = value.strip(" \t\r\n")
            value = float(value) if len(value) <= 5_000 and _NUMBER.fullmatch(value) else None
        return narrow(kind, value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    return read


def _boolean(_: Field) -> Read:
    # Elasticsearch reads the empty string as false, and no other text than these.
    texts = {"true": True, "false": False, "": False}

    def read(value: Any) -> bool | None:
        if isinstance(value, bool):
            return value
        return texts.get(value) if isinstance(value, str) else None

    return read


def _address(_: Field) -> Read:
    def read(value: Any) -> int | None:
        return address(value) if isinstance(value, str) else None

    return read


def _time(field: Field) -> Read:
    """In ticks since the epoch."""
    tick = tick_of(field)
    formats = field.storage.date_formats
    per_second = SECOND // tick
    seconds = "epoch_second" in formats and "epoch_millis" not in formats
    high = 2**63 if tick > 1 else 2**63 - 1

    def read(value: Any) -> int | None:
        if value.__class__ is int and seconds and 10_000 <= value < 10**10:
            return value * per_second
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        at = _nanoseconds(value if isinstance(value, str) else _as_text(value), formats)
        if at is None or (tick == 1 and at < 0):
            return None
        return at // tick if abs(at // tick) < high else None

    return read


def _nanoseconds(text: str | None, formats: tuple[str, ...]) -> int | None:
    if text is None or len(text) > 40:
        return None
    for form in formats:
        at = _from_epoch(text, *_EPOCH[form]) if form in _EPOCH else _from_date(text)
        if at is not None:
            return at
    return None


def _from_epoch(text: str, form: "re.Pattern[str]", unit: int) -> int | None:
    found = form.fullmatch(text)
    if not found:
        return None
    fraction = int((found[2] or "0").ljust(len(str(unit)) - 1, "0"))
    return int(found[1]) * unit + (-fraction if text.startswith("-") else fraction)


def _from_date(text: str) -> int | None:
    if len(text) == 20 and text[19] == "Z" and text[4] + text[7] + text[10] + text[13] + text[16] == "--T::":
        return _from_usual(text)
    found = _DATE.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        days = date(int(year), int(month or 1), int(day or 1)).toordinal() - 719_163
    except ValueError:
        return None
    clock = int(hour or 0), int(minute or 0), int(second or 0)
    if clock > (23, 59, 59) or clock[1] > 59 or clock[2] > 59:
        return None
    seconds = days * 86_400 + clock[0] * 3_600 + clock[1] * 60 + clock[2] - _offset(zone)
    return seconds * SECOND + int((fraction or "").ljust(9, "0"))


def _from_usual(text: str) -> int | None:
    """The commonest form, `2026-01-31T12:00:00Z`, by the standard library: five times as fast."""
    try:
        return int(datetime.fromisoformat(text[:19]).replace(tzinfo=UTC).timestamp()) * SECOND
    except ValueError:
        return None


def _offset(zone: str | None) -> int:
    if not zone or zone == "Z":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3_600 + int(digits[2:]) * 60
    return -seconds if zone[0] == "-" else seconds


_MAKERS: dict[FieldType, Callable[[Field], Read]] = {
    FieldType.STRING: _string,
    FieldType.INTEGER: _integer,
    FieldType.FLOAT: _float,
    FieldType.BOOLEAN: _boolean,
    FieldType.TIME: _time,
    FieldType.IP: _address,
    FieldType.ANY: _anything,
}
