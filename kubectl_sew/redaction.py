"""Keep secrets out of what is shown: URLs below their host, and what a server repeats of a credential.

`redact_urls` is for any text, `redactor` for what a server says that was sent a credential, `redact_failures` for
the JSON of such a server.
"""

import html
import json
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, unquote

Redact = Callable[[str], str]
HIDDEN = "[secret]"
_URL = re.compile(r"(?i)\b((?:[a-z][a-z0-9+.-]{0,30}:/|https?:)/)([^\s/?#\"'<>]*)[^\s\"'<>]*")
"""A path's text has one slash where a URL has two."""
_LONG = 8
"""Characters."""
_SHORTEST = 3
"""Characters: of a shorter secret nobody knows whether it was repeated."""
_FAILURES = ("error", "failures")
"""The keys under which Elasticsearch says why something failed, at whatever depth."""


class Secret(str):
    """A value that came from a Secret: whatever it is for, nobody is shown it."""

    __slots__ = ()


def redact_urls(text: str) -> str:
    """Return the text with every URL cut down to scheme and host: its path, query and user may be secrets."""
    return _URL.sub(lambda match: match[1] + match[2].rpartition("@")[2], text)


def redactor(*credentials: str, named: bool = False) -> Redact:
    """Return what hides the credentials in a text, before it is cut: as they are, decoded, percent-encoded, escaped
    for JSON and HTML, as Base64 and inside a longer Base64; and the parts `a` and `b` of the Base64 of `a:b`.

    With `named` that `a` is known to be a name, such as an API key's id, and is shown: it says whose the secret is.
    """
    return _prepared(credentials, named)


@lru_cache(maxsize=1024)
def _prepared(credentials: Sequence[str], named: bool) -> Redact:
    forms = {form for credential in credentials for form in _forms(credential, named) if len(form) >= _SHORTEST}
    whole = sorted((form for form in forms if len(form) >= _LONG), key=len, reverse=True)
    # A short one is hidden as a word alone: it is in many words that are no secret.
    short = sorted((re.escape(form) for form in forms if len(form) < _LONG), key=len, reverse=True)
    words = re.compile(rf"(?<!\w)(?:{'|'.join(short)})(?!\w)") if short else None

    def hide(text: str) -> str:
        for form in whole:
            text = text.replace(form, HIDDEN)
        return words.sub(HIDDEN, text) if words else text

    def redact(text: str) -> str:
        """Hide them in the text as well as in what its percent-encoding stands for, however much of it is encoded."""
        text = hide(text)
        decoded = unquote(text)
        hidden = hide(decoded)
        return text if hidden == decoded else hidden

    return redact


def redact_failures(body: Any, redact: Redact) -> Any:
    """Return a server's JSON with every text redacted that reports a failure; what it was asked for is left alone."""
    if isinstance(body, dict):
        return {
            key: _all(value, redact) if key in _FAILURES else _below(key, value, redact) for key, value in body.items()
        }
    return body


def _below(key: str, value: Any, redact: Redact) -> Any:
    if key == "_shards":
        return redact_failures(value, redact)
    if key in ("responses", "docs") and isinstance(value, Sequence):
        return [redact_failures(answer, redact) for answer in value]
    return value


def _all(value: Any, redact: Redact) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _all(member, redact) for key, member in value.items()}
    return [_all(member, redact) for member in value] if isinstance(value, list) else value


def _forms(credential: str, named: bool) -> Iterator[str]:
    for text in {credential, unquote(credential), *_parts(credential, named)}:
        yield from _encoded(text)


def _encoded(text: str) -> Iterator[str]:
    """Yield the forms in which a server may write a text."""
    yield from (text, " ".join(text.split()), html.escape(text))
    yield from (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    data = text.encode("utf-8", "replace")
    yield from (quote(data), quote_plus(data))
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(data).decode()
        if len(data) >= _LONG:
            yield from (_inside(encode, data, before) for before in (1, 2))
            yield _inside(encode, data, 0)


def _inside(encode: Callable[[bytes], bytes], data: bytes, before: int) -> str:
    """Return what the Base64 of a longer text holds of this one where `before` bytes (of three) precede it."""
    whole = encode(b"\0" * before + data).decode().rstrip("=")
    own = (before + len(data)) * 8 // 6
    return whole[-(-before * 8 // 6) : own]


def _parts(credential: str, named: bool) -> Sequence[str]:
    """Return the text of what is Base64 (Basic credentials, an API key) and the parts around its first colon.

    Of one that is `named` only the part behind it is secret.
    """
    try:
        text = b64decode(credential, validate=True).decode()
    except ValueError:
        return ()
    return (text, *text.split(":", 1)[1 if named else 0 :]) if text.isprintable() else ()
