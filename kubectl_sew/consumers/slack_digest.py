"""A digest as a message to Slack: at most 31 blocks, and at most 37,000 of the 40,000 characters that one may have."""

from collections.abc import Mapping
from typing import Any

from kubectl_sew.consumers import event_text
from kubectl_sew.consumers.digest import NOTHING, Digest, fitting_ids
from kubectl_sew.consumers.slack_message import (
    TEXT_LIMIT,
    Block,
    context_block,
    escape,
    header_block,
    mrkdwn,
    own_section,
    section_block,
)
from kubectl_sew.event_maps.readable import ReadableEvent
from kubectl_sew.json_text import line
from kubectl_sew.text import MARK

_LIST_LIMIT = 1_500
_NAMED_LIMIT = 400
_IDS_LIMIT = 2_800


def digest_message(
    digest: Digest, labels: Mapping[str, str], delivery_id: str, own: str | None, own_title: str
) -> dict[str, Any]:
    """Return the message. `own` stands instead of the facts, `own_title` in place of the headline."""
    head = own_title or digest.headline
    facts = _facts(digest) if own is None else own_section(own)
    return {
        "text": escape(f"{head}: {digest.text}", TEXT_LIMIT),
        "blocks": [header_block(head, delivery_id), *facts, *context_block(delivery_id, labels, "digest")],
    }


def _facts(digest: Digest) -> list[Block]:
    lists = [
        mrkdwn(f"*{name}*\n" + escape("\n".join(tally.shown()), _LIST_LIMIT)) for name, tally in digest.tallies.items()
    ]
    return [
        section_block(_about(digest)),
        {"type": "section", "fields": lists},
        *[section_block(_named(readable)) for readable in digest.newest],
        _ids(digest),
    ]


def _about(digest: Digest) -> str:
    group = "".join(f"\n*{escape(name, 100)}* {escape(value or NOTHING, 250)}" for name, value in digest.group)
    return f"{digest.count} events {digest.span}" + group


def _named(readable: ReadableEvent) -> str:
    """Return one event in three lines: type and severity, what happened, and when, where and which event it is."""
    event = readable.shown
    severity, kind = event_text.severity(event), event_text.kind(event)
    head = kind + (f" · severity {severity}" if severity else "")
    ends = " → ".join(place for side in ("source", "dest") if (place := event_text.endpoint(event, side)))
    below = " · ".join(part for part in (event_text.when(event), ends, f"event {line(event.id, 100)}") if part)
    link = f"\n<{escape(readable.link, 300)}>" if readable.link else ""
    return f"*{escape(head, 120)}*\n{escape(event_text.title(event), _NAMED_LIMIT)}\n{escape(below, 300)}{link}"


def _ids(digest: Digest) -> Block:
    """Return the ids of all; those beyond one block are counted."""
    ids = [escape(each.replace("```", "`\u2060`\u2060`"), 700) for each in digest.ids]
    shown, left = fitting_ids(ids, _IDS_LIMIT)
    return section_block(f"*Their ids*\n```{shown}```" + (f"{MARK} and {left} more" if left else ""))
