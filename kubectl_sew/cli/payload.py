"""A request as text for people, without the secrets in it; and what stands for values that only the cluster knows."""

import json
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from kubectl_sew.consumers.base import Config, Consumer, Request
from kubectl_sew.consumers.classification import secrets_of, shown_body, without_secrets
from kubectl_sew.resource import Reference, Webhook

SECRET = "[secret]"  # noqa: S105  # what stands for one
_PLAIN_HEADERS = {"accept", "content-type", "webhook-id", "webhook-timestamp", "webhook-signature"}
_UNKNOWN_URL = "https://unknown.invalid/api/v2/alerts"


def fill_in(webhook: Webhook, consumer: Consumer, config: Config) -> tuple[dict[str, str], list[str]]:
    """The configuration with something in place of required values that are not known here, and a note for each.

    Optional ones are left out: nothing can stand for a certificate or a key.
    """
    required = {variable.name for variable in consumer.variables if variable.required}
    filled, notes = dict(config), []
    for variable in webhook.config:
        if variable.name in config or not isinstance(variable.value, Reference):
            continue
        what = f"`{variable.name}` is in {variable.value}, which is not in the files"
        if variable.name in required:
            filled[variable.name] = _UNKNOWN_URL if variable.name == "url" else f"[{variable.value}]"
            notes.append(f"{what}: a placeholder stands in its place")
        else:
            notes.append(f"{what}: it is left out")
    return filled, notes


def describe(request: Request, consumer: Consumer, known: Config) -> str:
    """Request line, headers, a blank line, and the body: JSON indented, any other text as it is.

    `known`: the values that may be secrets.
    """
    lines = [f"{request.method} {_address(request.url)}"]
    lines += [f"{name}: {value if name.lower() in _PLAIN_HEADERS else SECRET}" for name, value in request.headers]
    body = shown_body(request, consumer, known)
    return "\n".join((*lines, "", without_secrets(_indented(body), secrets_of(consumer, known))))


def _address(url: str) -> str:
    """Scheme and host only: the rest may be a credential."""
    if url == _UNKNOWN_URL:
        return "[the URL]"
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc}/{SECRET if split.path.strip('/') or split.query else ''}"


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def headings(described: Mapping[str, Sequence[str]]) -> str:
    """Several webhooks' requests one below the other; a single one alone."""
    bodies = [(name, text) for name, texts in described.items() for text in texts]
    if len(bodies) == 1:
        return bodies[0][1]
    return "\n\n".join(f"# {name}\n{text}" for name, text in bodies)
