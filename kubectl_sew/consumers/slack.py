"""Slack: an Incoming Webhook gets a Block Kit message.

Facts: https://api.slack.com/messaging/webhooks, /reference/block-kit/blocks, /reference/surfaces/formatting#escaping.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from kubectl_sew import json_text, text
from kubectl_sew.consumers import event_text, mitre, settings
from kubectl_sew.consumers.base import (
    Config,
    ConfigProblem,
    FailureReason,
    Outcome,
    Request,
    Response,
    Variable,
    Verdict,
)
from kubectl_sew.consumers.classification import by_status, describe
from kubectl_sew.consumers.own_lines import check_own_line, line_variable, own_line
from kubectl_sew.consumers.rate import RATE_VARIABLE, check_rate
from kubectl_sew.consumers.shapes import TIME_FIELD, readable
from kubectl_sew.consumers.templated import check_own_template, own_text, template_variable
from kubectl_sew.event import Event

URL_PREFIXES = ("https://hooks.slack.com/services/", "https://hooks.slack-gov.com/services/")
_WORKFLOWS = re.compile(r"https://hooks\.slack(?:-gov)?\.com/(?:workflows|triggers)/")

CALICO_TITLE = "⚠ Calico Security Alert"
"""Header of every message of Calico's own processor."""
TEXT_LIMIT = 4_000
HEADER_LIMIT = 150
SECTION_LIMIT = 3_000
FIELD_LIMIT = 2_000
FIELDS_LIMIT = 10
CONTEXT_LIMIT = 10

_WORD = re.compile(rb"[a-z_]{2,60}")
_REFUSED = (Verdict.REJECTED, FailureReason.EVENT_REFUSED)
_CREDENTIAL = (Verdict.PARKED, FailureReason.CREDENTIAL_REFUSED)
_CONFIGURATION = (Verdict.PARKED, FailureReason.CONFIGURATION_REFUSED)
WORDS = {
    **dict.fromkeys(("invalid_payload", "invalid_blocks", "no_text", "too_many_attachments"), _REFUSED),
    **dict.fromkeys(("invalid_token", "no_active_hooks", "no_service", "no_service_id"), _CREDENTIAL),
    **dict.fromkeys(("no_team", "team_disabled"), _CREDENTIAL),
    **dict.fromkeys(("channel_is_archived", "channel_not_found", "user_not_found"), _CONFIGURATION),
    **dict.fromkeys(("action_prohibited", "posting_to_general_channel_denied"), _CONFIGURATION),
    "rollup_error": (Verdict.RETRY, FailureReason.SERVER_ERROR),
}
"""Slack's error codes, which say more than the status beside them."""

Block = dict[str, Any]


@dataclass(frozen=True)
class Slack:
    """Renderer for Slack; a webhook's URL begins with one of `url_prefixes`, `time_field` holds an event's time."""

    url_prefixes: tuple[str, ...] = URL_PREFIXES
    time_field: str = TIME_FIELD
    name: ClassVar[str] = "Slack"
    variables: ClassVar[tuple[Variable, ...]] = (
        Variable("url", required=True, meaning="the Incoming Webhook's URL", secret=True),
        line_variable("title", "a template of the header; `calico` writes Calico's, `⚠ Calico Security Alert`"),
        template_variable("a template of the message's text, in place of the event's facts"),
        RATE_VARIABLE,
    )

    def validate(self, config: Config) -> list[ConfigProblem]:
        if long := settings.too_long(self, config):
            return long
        problems = settings.missing(self, config) + settings.check_url(config, "url")
        problems += check_own_line(config, "title") + check_own_template(config) + check_rate(config)
        url = settings.text(config, "url")
        if url and not url.startswith(self.url_prefixes):
            hint = "it begins with " + " or ".join(self.url_prefixes)
            if _WORKFLOWS.match(url):
                hint = f"a workflow would run again at every retry; add an Incoming Webhook to the app: {hint}"
            problems.append(ConfigProblem("url", "this is not the URL of an Incoming Webhook", hint))
        return problems

    def render(
        self,
        event: Event,
        labels: Mapping[str, str],
        config: Config,
        *,
        now: float,  # noqa: ARG002 - the contract's: a message shows the event's own time
        delivery_id: str,
    ) -> tuple[Request, ...]:
        target = settings.address(settings.text(config, "url"))
        own = own_text(event, labels, config, _value)
        title = own_line(event, labels, config, "title", CALICO_TITLE, HEADER_LIMIT)
        body = json.dumps(message(readable(event, self.time_field), labels, delivery_id, own, title)).encode()
        headers = [("Content-Type", "application/json")]
        if target.authorization:
            headers.append(("Authorization", target.authorization))
        return (Request("POST", target.url, tuple(headers), body),)

    def classify(self, response: Response) -> Outcome:
        if response.status == 200 and response.body.strip() == b"ok":
            return Outcome(Verdict.DELIVERED, status=200, detail=describe(200))
        word = _word(response.body)
        if word not in WORDS:
            return by_status(response, instead="Slack's `ok`")
        verdict, reason = WORDS[word]
        return Outcome(verdict, reason, describe(response.status, word), response.status)


def message(
    event: Event, labels: Mapping[str, str], delivery_id: str, own: str | None = None, own_title: str = ""
) -> dict[str, Any]:
    """Return the message: notifications show `text`, the channel shows `blocks`.

    `own` stands instead of the facts, `own_title` instead of type and severity.

    Slack takes no idempotency key; the header's `block_id`, which nobody sees, is the same in a repeated message.
    """
    head = own_title or _headline(event)
    title = event_text.title(event)
    facts = [*_sections(event), *_fields(event)] if own is None else _own(own)
    return {
        "text": escape(f"{head}: {title}" if title else head, TEXT_LIMIT),
        "blocks": [
            _header(head, delivery_id),
            *facts,
            *_context(event, labels),
            *(_record(event) if own is None else ()),
        ],
    }


def escape(value: str, limit: int) -> str:
    """Write `&`, `<`, `>` as entities (which disarms mentions): at most `limit` characters, no entity cut in half."""
    escaped = value[:limit].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if len(escaped) <= limit and len(value) <= limit:
        return escaped
    return re.sub(r"&[a-z]{0,3}\Z", "", escaped[: limit - 1]) + text.MARK


def _value(value: str) -> str:
    """Write a value in a template: at most what a section takes, with no meaning as markup."""
    return escape(text.clean(value), SECTION_LIMIT)


def _own(rendered: str) -> list[Block]:
    """Return a template's text as it is; where it is too long, no entity of a value is cut in half."""
    if len(rendered) > SECTION_LIMIT:
        rendered = re.sub(r"&[a-z]{0,3}\Z", "", rendered[: SECTION_LIMIT - 1]) + text.MARK
    return [_section(rendered)] if rendered else []


def _word(body: bytes) -> str:
    match = _WORD.match(body.strip())
    return match[0].decode() if match else ""


def _headline(event: Event) -> str:
    severity = event_text.severity(event)
    return event_text.kind(event) + (f" · severity {severity}" if severity else "")


def _header(head: str, delivery_id: str) -> Block:
    shown = {"type": "plain_text", "text": escape(head, HEADER_LIMIT), "emoji": False}
    return {"type": "header", "block_id": delivery_id, "text": shown}


def _sections(event: Event) -> list[Block]:
    """Return the description, and the mitigations."""
    description = json_text.line(event.document.get("description"), SECTION_LIMIT) or event_text.title(event)
    mitigations = json_text.items(event.document.get("mitigations"), 500)
    sections = [_section(escape(description, SECTION_LIMIT))] if description else []
    if mitigations:
        shown = "\n".join(f"• {mitigation}" for mitigation in mitigations)
        sections.append(_section("*Mitigations*\n" + escape(shown, SECTION_LIMIT - 20)))
    return sections


def _fields(event: Event) -> list[Block]:
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
    }
    shown = [_mrkdwn(f"*{name}*\n{value}") for name, value in values.items() if value]
    return [{"type": "section", "fields": shown[:FIELDS_LIMIT]}] if shown else []


def _plain(event: Event, name: str) -> str:
    return escape(json_text.line(event.document.get(name), 500), FIELD_LIMIT - 100)


def _mitre(event: Event) -> str:
    """Return the ids, linked where they are ids: twenty of them stay far under a field's limit."""
    return ", ".join(map(_linked, json_text.items(event.document.get("mitre_ids"), 40)[:15]))


def _linked(name: str) -> str:
    url = mitre.link(name)
    return f"<{url}|{name}>" if url else escape(name, 80)


def _context(event: Event, labels: Mapping[str, str]) -> list[Block]:
    """Return the webhook's labels and the event's id, small."""
    shown = [f"{name}: {value}" for name, value in event_text.label_pairs(labels)]
    room = CONTEXT_LIMIT - 1
    if len(shown) > room:
        shown = [*shown[: room - 1], f"{text.MARK} and {len(shown) - room + 1} more labels"]
    shown += [f"event {known}" for known in [json_text.line(event.id, 600)] if known]
    elements = [_mrkdwn(escape(label, FIELD_LIMIT)) for label in shown]
    return [{"type": "context", "elements": elements}] if elements else []


def _record(event: Event) -> list[Block]:
    record = event.document.get("record")
    if not record:
        return []
    # Three backquotes would end the block: a zero-width joint keeps them apart and looks the same.
    shown = json_text.block(record, SECTION_LIMIT).replace("```", "`\u2060`\u2060`")
    return [_section(f"```{escape(shown, SECTION_LIMIT - 6)}```")]


def _section(mrkdwn: str) -> Block:
    return {"type": "section", "text": _mrkdwn(mrkdwn)}


def _mrkdwn(text: str) -> Block:
    """Return text in which only our own marks are markup: Slack makes no links of what an event's text holds."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}
