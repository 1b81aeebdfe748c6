"""What a literal in a template stands for: texts in quotes, characters and numbers, by Go's rules."""

import re

_ESCAPE = re.compile(
    r"\\(?:(?P<simple>[abfnrtv\\'\"])|x(?P<hex>[0-9a-fA-F]{2})|(?P<octal>[0-3][0-7]{2})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8}))"
)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_INTEGER = re.compile(r"[+-]?(?:0[xX]_?[0-9a-fA-F]|0[oO]_?[0-7]|0[bB]_?[01]|[0-9])(?:_?[0-9a-fA-F])*")
_OLD_OCTAL = re.compile(r"([+-]?)0_?([0-7](?:_?[0-7])*)")
_HEX_FLOAT = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class LiteralError(ValueError):
    """A literal that Go would not read either, or that is not taken; its text says which."""


def read_string(literal: str) -> str:
    """Return the text of a literal in `"` or backquotes. Bytes that are no UTF-8 are lone surrogates (as by Python's
    `surrogateescape`)."""
    if literal[0] == "`":
        return literal[1:-1].replace("\r", "")
    return _unescape(literal[1:-1], "'")


def read_character(literal: str) -> int:
    """Return the number of a character in single quotes."""
    inside = literal[1:-1]
    escape = _ESCAPE.fullmatch(inside)
    if escape and (code := escape["hex"]):
        return int(code, 16)
    if escape and (code := escape["octal"]):
        return int(code, 8)
    text = _unescape(inside, '"')
    if len(text) != 1:
        raise LiteralError("a character in single quotes is one character; texts stand in double quotes")
    return ord(text)


def read_number(literal: str) -> int | float:
    """Return an integer of 64 bits, or a float where it is written as one."""
    if literal.endswith("i") and "x" not in literal.lower():
        raise LiteralError("imaginary numbers are not taken")
    number = _read_integer(literal)
    if number is not None:
        if not -(2**63) <= number < 2**63:
            raise LiteralError("a number is too large")
        return number
    return _read_float(literal)


def _read_integer(literal: str) -> int | None:
    if octal := _OLD_OCTAL.fullmatch(literal):
        return int(octal[1] + octal[2], 8)
    try:
        return int(literal, 0) if _INTEGER.fullmatch(literal) else None
    except ValueError:
        return None


def _read_float(literal: str) -> float:
    try:
        number = float.fromhex(literal) if _HEX_FLOAT.fullmatch(literal) else None
    except OverflowError:
        number = float("inf")
    if number is None and _FLOAT.fullmatch(literal):
        number = float(literal)
    if number is None:
        raise LiteralError("this is no number")
    if abs(number) == float("inf"):
        raise LiteralError("a number is too large")
    return number


def _unescape(text: str, other_quote: str) -> str:
    """Return what a text with escapes stands for; `other_quote` needs none, and has none."""
    parts: list[bytes] = []
    at = 0
    while (backslash := text.find("\\", at)) >= 0:
        parts.append(text[at:backslash].encode("utf-8", "surrogateescape"))
        escape = _ESCAPE.match(text, backslash)
        if escape is None or escape["simple"] == other_quote:
            raise LiteralError("there is a `\\` that begins no escape")
        parts.append(_unescaped(escape))
        at = escape.end()
    parts.append(text[at:].encode("utf-8", "surrogateescape"))
    return b"".join(parts).decode("utf-8", "surrogateescape")


def _unescaped(escape: re.Match[str]) -> bytes:
    if simple := escape["simple"]:
        return _SIMPLE.get(simple, simple).encode()
    if code := escape["hex"] or "":
        return bytes([int(code, 16)])
    if code := escape["octal"] or "":
        return bytes([int(code, 8)])
    number = int(escape["short"] or escape["long"], 16)
    if number > 0x10FFFF or 0xD800 <= number < 0xE000:
        raise LiteralError("there is an escape of no character")
    return chr(number).encode()
