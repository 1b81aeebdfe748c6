"""Values of an event as Go has them after `json.Unmarshal`: every number a float, texts of valid UTF-8.

Lists and objects stay as they are; what is taken out of them goes through `go_value`.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from kubectl_sew.consumers.base import RenderError
from kubectl_sew.text import SURROGATES


class Missing(Enum):
    """What is not there: a key that an object does not have, which is something else than `null` on the way."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


class ByteNumber(int):
    """A byte of a text, which Go prints as a number and does not take for an integer where it compares."""


class PrintedText(str):
    """A text that a function such as `printf` made: it may be meant as a number of JSON."""

    __slots__ = ()


_TYPE_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (ByteNumber, "uint8"),
    (int, "int"),
    (float, "float64"),
    (str, "string"),
    (list, "[]interface {}"),
    (Mapping, "map[string]interface {}"),
)


class GoValueError(Exception):
    """Something cannot be done with a value, as in Go; its text tells of types alone, never of values."""


def go_value(raw: Any) -> Any:
    """Return a member of an event as Go would have it. Raises RenderError for a number that no float holds."""
    if raw is None or isinstance(raw, bool | Mapping | list):
        return raw
    if isinstance(raw, str):
        return valid_text(raw)
    try:
        number = float(raw)
    except OverflowError:
        raise RenderError("the event holds a number that is too large for the template") from None
    if number - number != 0:
        raise RenderError("the event holds NaN or Infinity")
    return number


def valid_text(text: str) -> str:
    """Return a text with U+FFFD in place of what UTF-8 cannot hold."""
    return text if text.isascii() else SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


def is_true(value: Any) -> bool:
    """Return whether a value is true: not zero, not empty, not missing."""
    return value is not MISSING and bool(value)


def type_name(value: Any) -> str:
    """Return the name of a value's type in Go."""
    return next((name for kind, name in _TYPE_NAMES if isinstance(value, kind)), "nil")


def as_bytes(text: str) -> bytes:
    """Return the UTF-8 of a text; lone surrogates are bytes that are none."""
    return text.encode("utf-8", "surrogateescape")


def byte_length(text: str) -> int:
    return len(text) if text.isascii() else len(as_bytes(text))


def member(receiver: Any, name: str, *, has_arguments: bool) -> Any:
    """Return the member `name` of an object; MISSING where there is none. Raises GoValueError as Go has an error."""
    if receiver is MISSING:
        return MISSING
    if receiver is None:
        raise GoValueError(f"`.{name}` of null")
    if not isinstance(receiver, Mapping):
        raise GoValueError(f"`.{name}` of a {type_name(receiver)}, which has no fields")
    if has_arguments:
        raise GoValueError(f"`.{name}` is no function, and has arguments")
    return go_value(receiver[name]) if name in receiver else MISSING
