"""Issues in Jira: summary and description of an event's, and the markup that all descriptions are made of.

Facts: https://jira.atlassian.com/secure/WikiRendererHelpAction.jspa.
"""

import re
from collections.abc import Mapping

from kubectl_sew import json_text, text
from kubectl_sew.consumers import event_text, mitre
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import ReadableEvent

SUMMARY_LIMIT = 255
DESCRIPTION_LIMIT = 32_767
"""Both in UTF-16 units: Jira is written in Java."""

# What Jira's renderer reads as markup, and reads a backslash before; `-` and `_` inside a word mean nothing to it.
_MARKUP = re.compile(r"[!\[\]^~+?{}()*|]|(?<![^\W_])[-_]|[-_](?![^\W_])")
BLOCK_ENDS = re.compile(r"\{(?=\s*(?:noformat|code))", re.IGNORECASE)


def summary_line(event: Event) -> str:
    severity, title = event_text.severity(event), event_text.title(event)
    head = event_text.kind(event) + (f" (severity {severity})" if severity else "")
    return json_text.line(f"{head}: {title}" if title else head, SUMMARY_LIMIT)


def escape(value: str) -> str:
    """Escape event text, so that nothing is markup. A backslash becomes an entity: two of them are a line break."""
    return _MARKUP.sub(r"\\\g<0>", value.replace("\\", "&#92;"))


def description(event: ReadableEvent, labels: Mapping[str, str], delivery_id: str, own: str | None) -> str:
    """Return the facts and the record cut to fit, or a template's text; the delivery's id stands at the very end."""
    end = ending(delivery_id)
    if own is not None:
        return text.cut(text.clean(own), DESCRIPTION_LIMIT - len(end), text.utf16) + end
    facts = text.cut("\n".join(_facts(event.shown, event.link, labels)), 20_000, text.utf16)
    return facts + _record(event.shown, DESCRIPTION_LIMIT - text.utf16_units(facts) - len(end)) + end


def ending(delivery_id: str) -> str:
    """Return the end of every description, by which an issue is found again."""
    return f"\n\nDelivery {delivery_id}"


def _facts(event: Event, link: str, labels: Mapping[str, str]) -> list[str]:
    """Return lines of `*Name:* value`: event text never begins a line, where it could be a heading or a list."""
    values = {
        "Description": json_text.line(event.document.get("description"), 4_000),
        "Type": json_text.line(event.document.get("type"), 200),
        "Name": json_text.line(event.document.get("name"), 500),
        "Severity": event_text.severity(event),
        "When": event_text.when(event),
        "Origin": json_text.line(event.document.get("origin"), 500),
        "Source": event_text.endpoint(event, "source"),
        "Destination": event_text.endpoint(event, "dest"),
        "Attack vector": json_text.line(event.document.get("attack_vector"), 500),
        "Attack phase": json_text.line(event.document.get("attack_phase"), 500),
        "MITRE tactic": json_text.line(event.document.get("mitre_tactic"), 500),
        "Event": json_text.line(event.id, 600),
    }
    lines = [f"*{name}:* {escape(value)}" for name, value in values.items() if value]
    if ids := json_text.items(event.document.get("mitre_ids"), 40):
        lines.append("*MITRE ids:* " + ", ".join(map(_linked, ids)))
    if link:
        lines.append(f"*Link:* [{link}]")
    lines += listed("Mitigations", json_text.items(event.document.get("mitigations"), 500))
    return lines + listed("Labels", [f"{name}: {value}" for name, value in event_text.label_pairs(labels)])


def listed(name: str, items: list[str]) -> list[str]:
    return [f"*{name}:*", *(f"* {escape(item)}" for item in items)] if items else []


def _linked(name: str) -> str:
    url = mitre.link(name)
    return f"[{name}|{url}]" if url else escape(name)


def _record(event: Event, room: int) -> str:
    record = event.document.get("record")
    if not record:
        return ""
    start, end = "\n*Record:*\n{noformat}\n", "\n{noformat}"
    shown = BLOCK_ENDS.sub("{ ", json_text.block(record, room))
    return start + text.cut(shown, room - len(start) - len(end), text.utf16) + end
