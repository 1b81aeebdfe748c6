"""Messages to Slack: an event's, and the blocks that all messages are made of.

Facts: https://api.slack.com/reference/block-kit/blocks, /reference/surfaces/formatting#escaping.
"""

import re
from collections.abc import Mapping
from typing import Any

from kubectl_sew import json_text, text
from kubectl_sew.consumers import event_text, mitre
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import ReadableEvent

TEXT_LIMIT = 4_000
HEADER_LIMIT = 150
SECTION_LIMIT = 3_000
FIELD_LIMIT = 2_000
FIELDS_LIMIT = 10
CONTEXT_LIMIT = 10

Block = dict[str, Any]


def message(
    readable: ReadableEvent, labels: Mapping[str, str], delivery_id: str, own: str | None = None, own_title: str = ""
) -> dict[str, Any]:
    """Return the message: notifications show `text`, the channel shows `blocks`.

    `own` stands instead of the facts, `own_title` instead of type and severity.

    Slack takes no idempotency key; the header's `block_id`, which nobody sees, is the same in a repeated message.
    """
    event = readable.shown
    head = own_title or _headline(event)
    title = event_text.title(event)
    facts = [*_sections(event), *_fields(event, readable.link)] if own is None else own_section(own)
    return {
        "text": escape(f"{head}: {title}" if title else head, TEXT_LIMIT),
        "blocks": [
            header_block(head, delivery_id),
            *facts,
            *context_block(event.id, labels, "event"),
            *(_record(event) if own is None else ()),
        ],
    }


def escape(value: str, limit: int) -> str:
    """Write `&`, `<`, `>` as entities (which disarms mentions): at most `limit` characters, no entity cut in half."""
    escaped = value[:limit].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if len(escaped) <= limit and len(value) <= limit:
        return escaped
    return re.sub(r"&[a-z]{0,3}\Z", "", escaped[: limit - 1]) + text.MARK


def own_section(rendered: str) -> list[Block]:
    """Return a template's text as it is; where it is too long, no entity of a value is cut in half."""
    if len(rendered) > SECTION_LIMIT:
        rendered = re.sub(r"&[a-z]{0,3}\Z", "", rendered[: SECTION_LIMIT - 1]) + text.MARK
    return [section_block(rendered)] if rendered else []


def _headline(event: Event) -> str:
    severity = event_text.severity(event)
    return event_text.kind(event) + (f" · severity {severity}" if severity else "")


def header_block(head: str, delivery_id: str) -> Block:
    shown = {"type": "plain_text", "text": escape(head, HEADER_LIMIT), "emoji": False}
    return {"type": "header", "block_id": delivery_id, "text": shown}


def _sections(event: Event) -> list[Block]:
    """Return the description, and the mitigations."""
    description = json_text.line(event.document.get("description"), SECTION_LIMIT) or event_text.title(event)
    mitigations = json_text.items(event.document.get("mitigations"), 500)
    sections = [section_block(escape(description, SECTION_LIMIT))] if description else []
    if mitigations:
        shown = "\n".join(f"• {mitigation}" for mitigation in mitigations)
        sections.append(section_block("*Mitigations*\n" + escape(shown, SECTION_LIMIT - 20)))
    return sections


def _fields(event: Event, link: str) -> list[Block]:
    """Return when, where and how, two in a row."""
    values = {
        "When": escape(event_text.when(event), FIELD_LIMIT - 100),
        "Origin": _plain(event, "origin"),
        "Source": escape(event_text.endpoint(event, "source"), FIELD_LIMIT - 100),
        "Destination": escape(event_text.endpoint(event, "dest"), FIELD_LIMIT - 100),
        "Attack vector": _plain(event, "attack_vector"),
        "Attack phase": _plain(event, "attack_phase"),
        "MITRE tactic": _plain(event, "mitre_tactic"),
        "MITRE ids": _mitre(event),
        "Link": f"<{escape(link, FIELD_LIMIT - 100)}>" if link else "",
    }
    shown = [mrkdwn(f"*{name}*\n{value}") for name, value in values.items() if value]
    return [{"type": "section", "fields": shown[:FIELDS_LIMIT]}] if shown else []


def _plain(event: Event, name: str) -> str:
    return escape(json_text.line(event.document.get(name), 500), FIELD_LIMIT - 100)


def _mitre(event: Event) -> str:
    """Return the ids, linked where they are ids: twenty of them stay far under a field's limit."""
    return ", ".join(map(_linked, json_text.items(event.document.get("mitre_ids"), 40)[:15]))


def _linked(name: str) -> str:
    url = mitre.link(name)
    return f"<{url}|{name}>" if url else escape(name, 80)


def context_block(identity: str, labels: Mapping[str, str], what: str) -> list[Block]:
    """Return the webhook's labels and the id of `what` it is, small."""
    shown = [f"{name}: {value}" for name, value in event_text.label_pairs(labels)]
    room = CONTEXT_LIMIT - 1
    if len(shown) > room:
        shown = [*shown[: room - 1], f"{text.MARK} and {len(shown) - room + 1} more labels"]
    shown += [f"{what} {known}" for known in [json_text.line(identity, 600)] if known]
    elements = [mrkdwn(escape(label, FIELD_LIMIT)) for label in shown]
    return [{"type": "context", "elements": elements}] if elements else []


def _record(event: Event) -> list[Block]:
    record = event.document.get("record")
    if not record:
        return []
    # Three backquotes would end the block: a zero-width joint keeps them apart and looks the same.
    shown = json_text.block(record, SECTION_LIMIT).replace("```", "`\u2060`\u2060`")
    return [section_block(f"```{escape(shown, SECTION_LIMIT - 6)}```")]


def section_block(markup: str) -> Block:
    return {"type": "section", "text": mrkdwn(markup)}


def mrkdwn(text: str) -> Block:
    """Return text in which only our own marks are markup: Slack makes no links of what an event's text holds."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}
