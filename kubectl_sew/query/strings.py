"""Quoted strings of the language: escapes as in Go, since Calico's own parser is written in it."""

import re

from kubectl_sew.query.errors import QueryProblem, Span, quoted

_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}
_BYTE = r"\\x[0-9a-fA-F]{2}|\\[0-3][0-7]{2}"
_ESCAPE = re.compile(
    rf"""(?P<bytes>(?:{_BYTE})+)
    |\\u(?P<short>[0-9a-fA-F]{{4}})
    |\\U(?P<long>[0-9a-fA-F]{{8}})
    |\\(?P<simple>[abfnrtv\\'"])
    |(?P<bad>\\.?)""",
    re.VERBOSE | re.DOTALL,
)
_HINT = "write a backslash as `\\\\`, or put the string in `…`"


def unquote(text: str, span: Span) -> tuple[str, QueryProblem | None]:
    """Return the text of a quoted string, and a problem of the first escape that is wrong."""
    body = text[1:-1]
    if text[0] == "`" or "\\" not in body:
        return body, None
    pieces, at = [], 0
    for hit in _ESCAPE.finditer(body):
        piece = _resolve(hit)
        if piece is None:
            start = span.start + 1 + hit.start()
            return body, QueryProblem(
                f"{quoted(hit[0])} is not an escape sequence", Span(start, start + len(hit[0])), _HINT
            )
        pieces += [body[at : hit.start()], piece]
        at = hit.end()
    return "".join(pieces) + body[at:], None


def _resolve(hit: "re.Match[str]") -> str | None:
    if hit["bytes"]:
        return _from_bytes(hit["bytes"])
    if hit["simple"]:
        return _SIMPLE[hit["simple"]]
    code = int(hit["short"] or hit["long"] or "D800", 16)
    return chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else None


def _from_bytes(text: str) -> str:
    """Decode a run of bytes: UTF-8 as in Go where they are that, else each is a code point."""
    raw = bytes(int(piece[1:], 16) if piece[0] == "x" else int(piece, 8) for piece in text.split("\\")[1:])
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
