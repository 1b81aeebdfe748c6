"""Plain YAML scalars as kubectl reads them, and so what must be quoted to be read as text.

The rules are go-yaml's (`resolve.go` of sigs.k8s.io/yaml/goyaml.v2, and `strconv.ParseInt` and `ParseFloat` below it):
`y` is a boolean, `0o17`, `0x1F` and `1_000.5` are numbers, a date is text.
"""

import re

Scalar = str | int | float | bool | None

_INFINITY = float("inf")
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{sign + word: _INFINITY for sign in ("", "+") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -_INFINITY),
}
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[bB](?P<two>[01]+)|0[xX](?P<sixteen>[0-9a-fA-F]+)|0[oO]?(?P<eight>[0-7]+)|(?P<ten>0|[1-9][0-9]*))"
    r"|0b(?P<signed>[-+][01]+)"
)
_BASES = {"two": 2, "signed": 2, "eight": 8, "ten": 10, "sixteen": 16}
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_MISPLACED = re.compile(r"(?<![0-9])_|_(?![0-9])")
_LONGEST_NUMBER = 1_024
"""Characters; a longer one is text, since no number that Kubernetes keeps is written so."""


def read_plain(text: str) -> Scalar:
    """The value that a scalar without quotes and tag stands for."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _LONGEST_NUMBER or text[0] not in "+-.0123456789":
        return text
    if text[0] == "." and _MISPLACED.search(text):
        return text
    number = _number(text.replace("_", ""))
    return text if number is None else number


def read_tagged(text: str, tag: str) -> Scalar:
    """The value of a quoted scalar (tag `str`), or of one with a tag of YAML's own."""
    return text if tag == "str" else read_plain(text)


def is_finite(value: Scalar) -> bool:
    """Return whether JSON, and so Kubernetes, can hold the value."""
    return not isinstance(value, float) or abs(value) < _INFINITY


def _number(text: str) -> int | float | None:
    """A whole number that 64 bits hold is exact; any other has a float's precision, if it is in a float's range."""
    whole = _INTEGER.fullmatch(text)
    if whole:
        base = next(prefix for prefix in _BASES if whole[prefix])
        sign = whole["sign"] or ""
        number = int(sign + whole[base], _BASES[base])
        if -(2**63) <= number < (2**63 if sign else 2**64):
            return number
    if not _FLOAT.fullmatch(text):
        return None
    value = float(text)
    return value if is_finite(value) else None
