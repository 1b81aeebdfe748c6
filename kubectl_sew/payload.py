"""A request as text for people, without the secrets in it; and what stands for values that are not at hand. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from kubectl_sew.consumers.base import Config, Consumer, MarksAgain, RenderError, Request
from kubectl_sew.consumers.classification import secrets_of, shown_body, without_secrets
from kubectl_sew.consumers.registry import find
from kubectl_sew.consumers.template_secrets import concealed, names_in
from kubectl_sew.event import Event
from kubectl_sew.resource import Objects, Reference, Webhook, parse_labels, resolve

SECRET = "[secret]"  # noqa: S105  # what stands for one
_PLAIN_HEADERS = {"accept", "content-type", "webhook-id", "webhook-timestamp", "webhook-signature", "webhook-replay"}
_UNKNOWN_URL = "https://unknown.invalid/api/v2/alerts"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery that is still to be sent. `again`: a replay sends it once more."""

    event: Event
    delivery_id: str
    again: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """Requests of one delivery as text, or `why` there is none to show; `notes`: where it would be sent otherwise."""

    requests: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    why: str = ""


def preview(
    webhook: Webhook,
    consumers: Mapping[str, Consumer],
    objects: tuple[Objects, Objects],
    delivery: Waiting,
    now: float,
) -> Preview:
    """Return what a webhook as it is now would send. `objects`: Secrets and ConfigMaps, those that can be read."""
    consumer = find(webhook.consumer, consumers)
    if consumer is None:
        return Preview(why=f"the webhook's consumer {webhook.consumer} is none")
    known, _ = resolve(webhook, *objects)
    config, notes = fill_in(webhook, consumer, known, "which cannot be read here")
    stand_ins = config.keys() - known.keys()
    wrong = (problem for problem in consumer.validate(config) if not problem.warning)
    if problem := next((problem for problem in wrong if problem.variable not in stand_ins), None):
        return Preview(why=f"the webhook cannot be sent with: {problem.message}")
    labels, _ = parse_labels(webhook.labels_text)
    try:
        requests = consumer.render(delivery.event, labels, concealed(config), now=now, delivery_id=delivery.delivery_id)
    except RenderError as error:
        return Preview(why=str(error))
    if delivery.again and isinstance(consumer, MarksAgain):
        requests = tuple(map(consumer.mark_again, requests))
    return Preview(tuple(describe(request, consumer, known) for request in requests), tuple(notes))


def fill_in(webhook: Webhook, consumer: Consumer, config: Config, where: str) -> tuple[dict[str, str], list[str]]:
    """The configuration with something in place of required values that are not known here, and a note for each.

    Optional ones are left out: nothing can stand for a certificate or a key. `where`: what a note says of a value.
    """
    required = {variable.name for variable in consumer.variables if variable.required} | set(names_in(config))
    filled, notes = dict(config), []
    for variable in webhook.config:
        if variable.name in config or not isinstance(variable.value, Reference):
            continue
        what = f"`{variable.name}` is in {variable.value}, {where}"
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
