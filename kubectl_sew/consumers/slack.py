"""Slack: an Incoming Webhook gets a Block Kit message.

Facts: https://api.slack.com/messaging/webhooks, /reference/block-kit/blocks, /reference/surfaces/formatting#escaping.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from kubectl_sew import text
from kubectl_sew.consumers import settings
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
from kubectl_sew.consumers.digest import Digest
from kubectl_sew.consumers.digest_settings import DIGEST_VARIABLES, check_digest
from kubectl_sew.consumers.own_lines import check_own_line, line_variable, own_line
from kubectl_sew.consumers.rate import RATE_VARIABLE, check_rate
from kubectl_sew.consumers.slack_digest import digest_message
from kubectl_sew.consumers.slack_message import HEADER_LIMIT, SECTION_LIMIT, escape, message
from kubectl_sew.consumers.templated import check_own_template, own_text, template_variable
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import EVENT_MAPS, EventMaps

URL_PREFIXES = ("https://hooks.slack.com/services/", "https://hooks.slack-gov.com/services/")
_IDENTITY = re.compile(r"[\w-]+/[\w-]+/[\w-]+/?", re.ASCII)
"""The rest of an Incoming Webhook's URL: of a team, of a hook, and the secret."""
_WORKFLOWS = re.compile(r"https://hooks\.slack(?:-gov)?\.com/(?:workflows|triggers)/")

CALICO_TITLE = "⚠ Calico Security Alert"
"""Header of every message of Calico's own processor."""
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


@dataclass(frozen=True)
class Slack:
    """Renderer for Slack; a webhook's URL begins with one of `url_prefixes`."""

    url_prefixes: tuple[str, ...] = URL_PREFIXES
    maps: EventMaps = EVENT_MAPS
    name: ClassVar[str] = "Slack"
    variables: ClassVar[tuple[Variable, ...]] = (
        Variable("url", required=True, meaning="the Incoming Webhook's URL", secret=True),
        line_variable("title", "a template of the header; `calico` writes Calico's, `⚠ Calico Security Alert`"),
        template_variable("a template of the message's text, in place of the event's facts"),
        RATE_VARIABLE,
        *DIGEST_VARIABLES,
    )

    def validate(self, config: Config) -> list[ConfigProblem]:
        if long := settings.too_long(self, config):
            return long
        problems = settings.missing(self, config) + settings.check_url(config, "url")
        problems += check_own_line(config, "title") + check_own_template(config) + check_rate(config)
        problems += check_digest(config)
        return problems + self._check_place(settings.text(config, "url"))

    def _check_place(self, url: str) -> list[ConfigProblem]:
        """Check that a URL is an Incoming Webhook's: all of Slack's own, and that any other stays below its prefix."""
        prefix = next(filter(url.startswith, self.url_prefixes), "")
        hint = "it begins with " + " or ".join(self.url_prefixes)
        if prefix in URL_PREFIXES:
            fits = bool(_IDENTITY.fullmatch(url.removeprefix(prefix)))
            hint = f"copy all of it from the app's Incoming Webhooks: `{prefix}` and three parts, `T…/B…/…`"
        elif prefix:
            fits = not settings.has_dot_segments(url)
            hint = "write its path without `.` and `..` between slashes"
        else:
            fits = not url
            if _WORKFLOWS.match(url):
                hint = f"a workflow would run again at every retry; add an Incoming Webhook to the app: {hint}"
        return [] if fits else [ConfigProblem("url", "this is not the URL of an Incoming Webhook", hint)]

    def render(
        self,
        event: Event,
        labels: Mapping[str, str],
        config: Config,
        *,
        now: float,  # noqa: ARG002 - the contract's: a message shows the event's own time
        delivery_id: str,
    ) -> tuple[Request, ...]:
        readable = self.maps.read(event)
        own = own_text(readable, labels, config, _value)
        title = own_line(readable, labels, config, "title", CALICO_TITLE, HEADER_LIMIT)
        return _posted(message(readable, labels, delivery_id, own, title), config)

    def render_digest(
        self,
        digest: Digest,
        labels: Mapping[str, str],
        config: Config,
        *,
        now: float,  # noqa: ARG002 - as above
        delivery_id: str,
    ) -> tuple[Request, ...]:
        readable = self.maps.read(digest.event(delivery_id))
        own = own_text(readable, labels, config, _value)
        title = own_line(readable, labels, config, "title", CALICO_TITLE, HEADER_LIMIT)
        return _posted(digest_message(digest, labels, delivery_id, own, title), config)

    def classify(self, response: Response, config: Config) -> Outcome:  # noqa: ARG002 - all alike
        if response.status == 200 and response.body.strip() == b"ok":
            return Outcome(Verdict.DELIVERED, status=200, detail=describe(200))
        word = _word(response.body)
        if word not in WORDS:
            return by_status(response, instead="Slack's `ok`")
        verdict, reason = WORDS[word]
        return Outcome(verdict, reason, describe(response.status, word), response.status)


def _posted(body: Mapping[str, Any], config: Config) -> tuple[Request, ...]:
    target = settings.address(settings.text(config, "url"))
    headers = [("Content-Type", "application/json")]
    if target.authorization:
        headers.append(("Authorization", target.authorization))
    return (Request("POST", target.url, tuple(headers), json.dumps(body).encode()),)


def _value(value: str) -> str:
    """Write a value in a template: at most what a section takes, with no meaning as markup."""
    return escape(text.clean(value), SECTION_LIMIT)


def _word(body: bytes) -> str:
    match = _WORD.match(body.strip())
    return match[0].decode() if match else ""
