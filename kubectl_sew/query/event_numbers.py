"""Numbers in events, read as Elasticsearch's mapping reads them: by Java's rules for a number's text.

Facts: org.elasticsearch.index.mapper.NumberFieldMapper and org.elasticsearch.common.Numbers of 8.17.
"""

import re
from collections.abc import Callable
from typing import Any

from kubectl_sew.query.fields import Field, NumberKind
from kubectl_sew.query.literals import narrow
from kubectl_sew.query.values import read_number

# `long` reads decimals in any script's digits; the other types read what Java's Double.parseDouble does.
_DECIMAL = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,9})?")
_DOUBLE = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[dDfF]?", re.ASCII)
_HEXADECIMAL = re.compile(r"([+-]?0[xX](?:[0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+)[dDfF]?")
_NOT_A_NUMBER = re.compile(r"[\x00-\x20]*[+-]?NaN[\x00-\x20]*")
_BLANKS = "".join(map(chr, range(33)))
_LONGEST_TEXT = 400


def read_whole(field: Field) -> Callable[[Any], int | None]:
    """Return the reader of a field of whole numbers."""
    kind, coerce = field.storage.number, field.storage.coerce
    _, low, high = kind.value
    of_text = _long_of_text if kind is NumberKind.LONG else _cut(*_bounds_of_text(kind))
    of_float = _long_of_float if kind is NumberKind.LONG else _cut(*NumberKind.INTEGER.value[1:])

    def read(value: Any) -> int | None:
        number = value if value.__class__ is int else None
        if isinstance(value, str):
            number = of_text(value) if coerce else None
        elif isinstance(value, float) and (coerce or value.is_integer()):
            number = of_float(value)
        return number if number is not None and low <= number <= high else None

    return read


def _bounds_of_text(kind: NumberKind) -> tuple[int, int]:
    """Return the bounds before the fraction is cut off: a byte is read as an integer, and bounded afterwards."""
    _, low, high = NumberKind.INTEGER.value if kind is NumberKind.BYTE else kind.value
    return low, high


def _cut(low: int, high: int) -> Callable[[str | float], int | None]:
    """Return a reader that cuts off the fraction of what is within the bounds."""

    def read(value: str | float) -> int | None:
        number = _double_of_text(value) if isinstance(value, str) else value
        if number is None:
            return 0 if _NOT_A_NUMBER.fullmatch(str(value)) else None  # what Java makes of it
        return int(number) if low <= number <= high else None

    return read


def _long_of_float(value: float) -> int | None:
    if value == 2.0**63:
        return 2**63 - 1
    return int(value) if abs(value) <= 2.0**63 else None


def _long_of_text(text: str) -> int | None:
    if len(text) > _LONGEST_TEXT or not _DECIMAL.fullmatch(text):
        return None
    try:
        return int(text)
    except ValueError:
        pass
    from decimal import Decimal  # noqa: PLC0415  # rare: a fraction or an exponent, in quotes

    number = Decimal(text)
    return int(number) if -400 < number.adjusted() < 20 else 0 if number.adjusted() < 0 else None


def read_double(field: Field) -> Callable[[Any], float | None]:
    """Return the reader of a field of numbers with a fraction."""
    kind, coerce = field.storage.number, field.storage.coerce
    of_text = _exact_of_text if kind is NumberKind.EXACT else _double_of_text

    def read(value: Any) -> float | None:
        if value.__class__ is float and kind in (NumberKind.DOUBLE, NumberKind.EXACT):
            return value if abs(value) < float("inf") else None
        if isinstance(value, str):
            value = of_text(value) if coerce else None
        return narrow(kind, value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    return read


def _exact_of_text(text: str) -> float | None:
    number = read_number(text.strip(_BLANKS))
    return _double_of_text(text) if number is None else number


def _double_of_text(text: str) -> float | None:
    text = text.strip(_BLANKS)
    if len(text) > _LONGEST_TEXT:
        return None
    if decimal := _DOUBLE.fullmatch(text):
        return float(decimal[1])
    hexadecimal = _HEXADECIMAL.fullmatch(text)
    try:
        return float.fromhex(hexadecimal[1]) if hexadecimal else None
    except OverflowError:
        return None
