"""State Debug: what would be sent, in one line without a secret."""

from typing import Any
from urllib.parse import urlsplit

from kubectl_sew.consumers.base import RenderError, Request
from kubectl_sew.consumers.judge import secrets_of, without_secrets
from kubectl_sew.consumers.text import line
from kubectl_sew.event import Event, delivery_id
from kubectl_sew.validation import Accepted

_SHOWN = 500


def describe(accepted: Accepted, event: Event, now: float) -> dict[str, Any]:
    """The event's id and type, and the requests: method, host and the beginning of the body."""
    name = accepted.webhook.name
    return {
        "webhook": name,
        "id": line(event.id, 100),
        "type": line(event.document.get("type"), 100),
        "would_send": _requests(accepted, event, now),
    }


def _requests(accepted: Accepted, event: Event, now: float) -> list[str]:
    identity = delivery_id(accepted.webhook.name, event)
    try:
        found = accepted.consumer.render(event, accepted.labels, accepted.config, now=now, delivery_id=identity)
    except RenderError as error:
        return [f"nothing: {error}"]
    return [_shown(accepted, request) for request in found]


def _shown(accepted: Accepted, request: Request) -> str:
    body = request.body[: 8 * _SHOWN].decode(errors="replace")
    safe = without_secrets(body, secrets_of(accepted.consumer, accepted.config))
    return f"{request.method} {urlsplit(request.url).hostname}: {line(safe, _SHOWN)}"
