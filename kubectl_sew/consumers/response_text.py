"""Text of receivers' answers. It is not safe to be shown before redaction, since it may repeat secrets."""

import html
import json
from typing import Any

from kubectl_sew.consumers.base import Response

DENIED = "x-authentication-denied-reason"
"""Header in which Jira asks for a CAPTCHA."""
_UNSEEN = ("script", "style")


def said(response: Response) -> str:
    """Return an answer's text: JSON on one line, HTML without its tags, any other text as it is."""
    denied, body = response.headers.get(DENIED, ""), _body(response.body.decode("utf-8", "replace"))
    return f"{denied}; {body}" if denied and body else denied or body


def plain(value: Any) -> str:
    """Return a JSON value as text, with nothing escaped that JSON need not escape."""
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return ""


def is_page(response: Response) -> bool:
    """Return whether a web server wrote the answer: an application answers in JSON, and may repeat an event."""
    return response.body.lstrip()[:1] not in (b"{", b"[", b'"')


def _body(text: str) -> str:
    try:
        return plain(json.loads(text))
    except (ValueError, RecursionError):
        return _without_tags(text) if text.lstrip().startswith("<") else text


def _without_tags(page: str) -> str:
    """Return the text between the tags, in one pass."""
    shown, hidden = [], ""
    for part in page.split("<"):
        tag, _, text = part.partition(">")
        name = tag.split(maxsplit=1)[0].lower() if tag.strip() else ""
        if hidden and name != f"/{hidden}":
            continue
        hidden = name if name in _UNSEEN else ""
        shown.append("" if hidden else text)
    try:
        return html.unescape(" ".join(shown))
    except ValueError:  # a character's number of thousands of digits
        return ""
