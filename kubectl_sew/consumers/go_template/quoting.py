"""Texts in quotes as Go's `%q` writes them, and as its `js` escapes them."""

from collections.abc import Callable

_SIMPLE = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\\": r"\\"}
_JS = {
    **{chr(code): f"\\u00{code:02X}" for code in range(0x20)},
    "\\": r"\\",
    "'": r"\'",
    '"': r"\"",
    "<": r"\u003C",
    ">": r"\u003E",
    "&": r"\u0026",
    "=": r"\u003D",
}


def quote(text: str, *, ascii_only: bool, raw: bool) -> str:
    """Return a text in double quotes; in backquotes where it is `raw` and can be."""
    if raw and all(char not in "`\x7f\ufeff" and (char >= " " or char == "\t") and not _is_byte(char) for char in text):
        return f"`{text}`"
    return f'"{_each(text, lambda char: _quoted(char, chr(34), ascii_only=ascii_only))}"'


def quote_character(char: str, *, ascii_only: bool) -> str:
    return f"'{_quoted(char, chr(39), ascii_only=ascii_only)}'"


def escape_js(text: str) -> str:
    """Return a text that can stand in quotes in JavaScript."""
    return _each(text, _js)


def _each(text: str, escape: Callable[[str], str]) -> str:
    return "".join(map(escape, text))


def _is_byte(char: str) -> bool:
    """Return whether a character stands for a byte that is no UTF-8."""
    return "\udc80" <= char <= "\udcff"


def _quoted(char: str, delimiter: str, *, ascii_only: bool) -> str:
    if char == delimiter:
        return f"\\{char}"
    if simple := _SIMPLE.get(char):
        return simple
    if _is_byte(char):
        return f"\\x{ord(char) - 0xDC00:02x}"
    if char.isprintable() and (char.isascii() or not ascii_only):
        return char
    code = ord(char)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _js(char: str) -> str:
    if char in _JS:
        return _JS[char]
    return char if char.isascii() or char.isprintable() or _is_byte(char) else f"\\u{ord(char):04X}"
