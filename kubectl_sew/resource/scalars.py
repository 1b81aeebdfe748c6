"""Plain YAML scalars as kubectl reads them: YAML 1.1 in go-yaml's dialect (`y` is a boolean, a date is text)."""

import re

_NULL = re.compile(r"(?:~|null|Null|NULL)?")
_TRUE = re.compile(r"[yY]|yes|Yes|YES|true|True|TRUE|on|On|ON")
_FALSE = re.compile(r"[nN]|no|No|NO|false|False|FALSE|off|Off|OFF")
_INTEGER = re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]*|[1-9][0-9_]*)")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_LONGEST_NUMBER = 64


def read_plain(text: str) -> str | int | float | bool | None:
    """The value that a scalar without quotes and tag stands for."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return _TRUE.fullmatch(text) is not None
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text)
    return float(text.replace(".inf", "inf").replace(".nan", "nan")) if _FLOAT.fullmatch(text.lower()) else text


def read_tagged(text: str, tag: str) -> str | int | float | bool | None:
    """The value of a quoted scalar (tag `str`), or of one with a tag of YAML's own."""
    return text if tag == "str" else read_plain(text)


def _integer(text: str) -> int | str:
    digits = text.replace("_", "").lower()
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    base = {"0b": 2, "0x": 16, "0o": 8}.get(digits[:2], 8 if digits.startswith("0") else 10)
    try:
        return sign * int(digits, base)
    except ValueError:  # `0x_`, `0o`: they look like numbers and are none
        return text
