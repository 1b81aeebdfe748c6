"""The sample events that a webhook would send, for what its templates make of them. Pure."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from kubectl_sew.event import Event
from kubectl_sew.query import FieldSet, QueryError, bind, compile_matcher, parse
from kubectl_sew.resource.labels import parse_labels
from kubectl_sew.resource.model import Webhook
from kubectl_sew.samples import SAMPLE_TYPES, sample


def rendered_samples(webhook: Webhook, fields: FieldSet) -> Mapping[str, Mapping[str, Any]]:
    """Return type -> what a template gets of each sample event that the webhook would send."""
    own = {"labels": parse_labels(webhook.labels_text)[0]}
    return {kind: event.fields() | {"id": event.id} | own for kind, event in selected_samples(webhook, fields)}


def selected_samples(webhook: Webhook, fields: FieldSet) -> Iterator[tuple[str, Event]]:
    """Yield the sample events that the query selects, each at its own time; the test event where there are none."""
    events = _sample_events()
    try:
        selects = compile_matcher(bind(parse(webhook.query), fields))
    except QueryError:
        selected = []
    else:
        selected = [kind for kind, event in events.items() if selects(event.document, event.time or 0.0)]
    yield from ((kind, events[kind]) for kind in selected or [webhook.test_event])


@cache
def _sample_events() -> Mapping[str, Event]:
    return {kind: Event("", kind, sample(kind)) for kind in SAMPLE_TYPES}
