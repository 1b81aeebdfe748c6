"""Takes out of what a server says whatever it repeats of a credential: it may say it back in its errors."""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from typing import Any

Conceal = Callable[[str], str]
HIDDEN = "[hidden]"
_LONG = 8
"""Characters."""
_FAILURES = ("error", "failures")
"""The keys under which Elasticsearch says why something failed, at whatever depth."""


def concealer(*credentials: str) -> Conceal:
    """Hides the credentials themselves, also encoded as Base64, and the parts `a` and `b` of the Base64 of `a:b`."""
    forms = {form for each in credentials for form in _forms(each)} - {""}
    if not forms:
        return lambda text: text
    pattern = re.compile("|".join(map(_wherever, sorted(forms, key=len, reverse=True))))
    return lambda text: pattern.sub(HIDDEN, text)


def _wherever(form: str) -> str:
    """A short one is hidden as a whole word alone: a user `elastic` is in many words that are no secret."""
    return re.escape(form) if len(form) >= _LONG else rf"(?<!\w){re.escape(form)}(?!\w)"


def conceal_failures(body: Any, conceal: Conceal) -> Any:
    """A server's JSON with every text concealed that tells a failure; what it was asked for is left alone."""
    if isinstance(body, dict):
        return {
            key: _all(value, conceal) if key in _FAILURES else _below(key, value, conceal)
            for key, value in body.items()
        }
    return body


def _below(key: str, value: Any, conceal: Conceal) -> Any:
    if key == "_shards":
        return conceal_failures(value, conceal)
    if key in ("responses", "docs") and isinstance(value, Sequence):
        return [conceal_failures(each, conceal) for each in value]
    return value


def _all(value: Any, conceal: Conceal) -> Any:
    if isinstance(value, str):
        return conceal(value)
    if isinstance(value, dict):
        return {key: _all(each, conceal) for key, each in value.items()}
    return [_all(each, conceal) for each in value] if isinstance(value, list) else value


def _forms(credential: str) -> Sequence[str]:
    return credential, b64encode(credential.encode()).decode(), *_parts(credential)


def _parts(credential: str) -> Sequence[str]:
    """Of an API key in the form that Elasticsearch gives it: the Base64 of its id and its secret."""
    try:
        return b64decode(credential, validate=True).decode().split(":")
    except ValueError:
        return ()
