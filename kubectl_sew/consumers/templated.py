"""The variable `template` of consumers whose messages people read: its own text in place of the event's facts."""

from collections.abc import Callable, Mapping
from typing import Any

from kubectl_sew.consumers.base import TEMPLATE_LIMIT, Config, ConfigProblem, Variable
from kubectl_sew.consumers.template_output import BesideEvent
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import ReadableEvent

Escape = Callable[[str], str]


def template_variable(meaning: str, *, asked: bool = False) -> Variable:
    return Variable("template", required=False, meaning=meaning, limit=TEMPLATE_LIMIT, asked=asked)


def check_own_template(config: Config) -> list[ConfigProblem]:
    template = config.get("template", "")
    if not template.strip():
        return []
    from kubectl_sew.consumers.template import check_template  # noqa: PLC0415 - jinja2 only where it is needed

    return check_template(template)


def own_text(event: ReadableEvent, labels: Mapping[str, str], config: Config, escape: Escape) -> str | None:
    """Render the template, with each value escaped and its own text as it is; None without one.

    It reads the event as it came, and by Calico's names what another kind has elsewhere. Raises RenderError.
    """
    template = config.get("template", "")
    if not template.strip():
        return None
    from kubectl_sew.consumers.template import render_escaped  # noqa: PLC0415 - as above

    beside = BesideEvent(filled=event.names)
    return render_escaped(template, template_document(event.raw, labels), escape, beside).strip()


def template_document(event: Event, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return what a template reads: the event's fields, its id and the webhook's labels."""
    return event.fields() | {"id": event.id, "labels": dict(labels)}
