"""Jira: one issue for each event, through REST version 2.

Facts: https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issues/#api-rest-api-2-issue-post, the same
for Data Center, and Jira's notation guide (https://jira.atlassian.com/secure/WikiRendererHelpAction.jspa).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from kubectl_sew import json_text, text
from kubectl_sew.consumers import settings
from kubectl_sew.consumers.base import (
    Config,
    ConfigProblem,
    LookupResult,
    Outcome,
    Request,
    Response,
    Variable,
)
from kubectl_sew.consumers.digest import Digest
from kubectl_sew.consumers.digest_settings import DIGEST, DIGEST_VARIABLES, check_digest
from kubectl_sew.consumers.jira_answers import commented, created, searched
from kubectl_sew.consumers.jira_description import SUMMARY_LIMIT, description, escape, summary_line
from kubectl_sew.consumers.jira_digest import digest_description
from kubectl_sew.consumers.jira_fields import FIELDS_VARIABLE, check_fields, more_fields
from kubectl_sew.consumers.jira_requests import BEARER, comment, creation, find_delivery, find_open, in_group
from kubectl_sew.consumers.own_lines import check_own_line, line_variable, own_line
from kubectl_sew.consumers.rate import RATE_VARIABLE, check_rate
from kubectl_sew.consumers.templated import check_own_template, own_text, template_variable
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import EVENT_MAPS, EventMaps, ReadableEvent
from kubectl_sew.members import members

LABEL_LIMIT = 255
"""In UTF-16 units: Jira is written in Java."""
BASIC = "Basic"
INTO, OPEN = "groupInto", "open"
CALICO_SUMMARY = "Calico Security Alert"
"""Summary of every issue that Calico's own processor creates."""


@dataclass(frozen=True)
class Jira:
    """Renderer for Jira. Jira knows no idempotency key: a delivery is looked up by its id in the description."""

    maps: EventMaps = EVENT_MAPS
    name: ClassVar[str] = "Jira"
    variables: ClassVar[tuple[Variable, ...]] = (
        Variable(
            "url", required=True, meaning="where issues are created: `https://HOST/rest/api/2/issue`", secret=True
        ),
        Variable("project", required=True, meaning="the project's key"),
        Variable("issueType", required=True, meaning="the name of the issues' type, e.g. `Bug`"),
        Variable(
            "username",
            required=True,
            meaning="the account; not needed where `authentication` is `Bearer`",
            unless=("authentication", BEARER),
        ),
        Variable("apiToken", required=True, meaning="the account's API token or access token", secret=True),
        Variable("authentication", required=False, meaning="`Basic`, the default, or `Bearer` for a Data Center token"),
        Variable("labels", required=False, meaning="labels that every issue gets, separated by commas"),
        Variable("priority", required=False, meaning="the name of the priority that every issue gets"),
        line_variable("summary", "a template of the summary; `calico` writes Calico's, `Calico Security Alert`"),
        template_variable("a template of the description, in place of the event's facts"),
        FIELDS_VARIABLE,
        RATE_VARIABLE,
        *DIGEST_VARIABLES,
        Variable(
            INTO,
            required=False,
            meaning="with `digest`: `open` comments on the open issue of the same group, where there is one",
            asked=False,
        ),
    )

    def validate(self, config: Config) -> list[ConfigProblem]:
        url = settings.text(config, "url")
        return settings.too_long(self, config) or [
            *settings.missing(self, config),
            *settings.check_url(config, "url"),
            *settings.no_user("url", url, "`username` and `apiToken`"),
            *_check_version(url),
            *_check_authentication(config),
            *_check_labels(config),
            *_check_project(config),
            *check_own_line(config, "summary"),
            *check_own_template(config),
            *check_fields(config),
            *check_rate(config),
            *check_digest(config),
            *_check_into(config),
        ]

    def render(
        self,
        event: Event,
        labels: Mapping[str, str],
        config: Config,
        *,
        now: float,  # noqa: ARG002 - the contract's: an issue shows the event's own time
        delivery_id: str,
    ) -> tuple[Request, ...]:
        readable = self.maps.read(event)
        own = own_text(readable, labels, config, _value)
        written = description(readable, labels, delivery_id, own)
        return (creation(_fields(readable, labels, config, summary_line(readable.shown), written), config),)

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
        written = digest_description(digest, labels, delivery_id, own)
        fields = _fields(readable, labels, config, json_text.line(digest.headline, 250), written)
        return (creation(fields, config),)

    def classify(self, response: Response, config: Config) -> Outcome:  # noqa: ARG002 - all alike
        return created(response)

    def lookup(self, config: Config, *, delivery_id: str) -> tuple[Request, ...]:
        return find_delivery(config, delivery_id, in_comments=_joins(config))

    def read_lookup(self, response: Response, *, now: float) -> LookupResult:
        return searched(response, now)

    def find_open(self, config: Config, *, group: str) -> tuple[Request, ...]:
        return find_open(config, group) if _joins(config) else ()

    def in_group(self, request: Request, *, group: str) -> Request:
        return in_group(request, group)

    def added(self, request: Request, *, entry: str) -> Request:
        return comment(request, entry)

    def read_added(self, response: Response, *, entry: str) -> Outcome | None:
        return commented(response, entry)


def _fields(
    event: ReadableEvent, labels: Mapping[str, str], config: Config, summary: str, written: str
) -> dict[str, Any]:
    """Return the fields of an issue, of which `summary` and description are `written`."""
    own_summary = own_line(event, labels, config, "summary", CALICO_SUMMARY, SUMMARY_LIMIT)
    fields: dict[str, Any] = {
        "project": {"key": settings.text(config, "project")},
        "issuetype": {"name": settings.text(config, "issueType")},
        "summary": _cut(own_summary or summary),
        "description": written,
    }
    if own := _own_labels(config):
        fields["labels"] = own
    if priority := settings.text(config, "priority"):
        fields["priority"] = {"name": priority}
    return fields | more_fields(config, event, labels)


def _cut(summary: str) -> str:
    return text.cut(summary, SUMMARY_LIMIT, text.utf16)


def _value(value: str) -> str:
    """Write a value in a template: one line that means nothing as markup."""
    return escape(json_text.line(value, 4_000))


def _own_labels(config: Config) -> list[str]:
    return list(members(settings.text(config, "labels")))


def _check_version(url: str) -> list[ConfigProblem]:
    if "/rest/api/3/" in url + "/":
        hint = "end it with `/rest/api/2/issue`"
        return [ConfigProblem("url", "REST version 3 needs another format of the description", hint)]
    if url and not url.rstrip("/").endswith("/issue"):
        hint = "it usually ends with `/rest/api/2/issue`; else no issue can be looked up after an answer was lost"
        return [ConfigProblem("url", "the URL does not end with `/issue`", hint, warning=True)]
    return []


def _check_authentication(config: Config) -> list[ConfigProblem]:
    scheme = settings.text(config, "authentication")
    problems = settings.plain_line("apiToken", settings.text(config, "apiToken"))
    if scheme not in ("", BASIC, BEARER):
        hint = f"`{BEARER}` is for tokens of a Data Center; leave it out otherwise"
        problems.append(ConfigProblem("authentication", f"`authentication` must be `{BASIC}` or `{BEARER}`", hint))
    if scheme != BEARER and ":" in settings.text(config, "username"):
        problems.append(ConfigProblem("username", "a user name with `:` cannot be sent", "put the token in `apiToken`"))
    return problems


def _check_labels(config: Config) -> list[ConfigProblem]:
    return [
        ConfigProblem("labels", "a Jira label must have no space and at most 255 characters", "separate them by commas")
        for label in _own_labels(config)
        if text.utf16_units(label) > LABEL_LIMIT or re.search(r"\s", label)
    ][:1]


def _check_project(config: Config) -> list[ConfigProblem]:
    if not re.search(r"\s", settings.text(config, "project")):
        return []
    hint = "give the key, e.g. `SEC`, and not the project's name"
    return [ConfigProblem("project", "a project's key has no space", hint, warning=True)]


def _joins(config: Config) -> bool:
    return settings.text(config, INTO) == OPEN


def _check_into(config: Config) -> list[ConfigProblem]:
    into = settings.text(config, INTO)
    if not into:
        return []
    if into != OPEN:
        return [ConfigProblem(INTO, f"`{INTO}` must be `{OPEN}`", "leave it out for an issue of its own each time")]
    if not settings.text(config, DIGEST):
        why = f"`{INTO}` does nothing without `{DIGEST}`: it is digests that have groups"
        return [ConfigProblem(INTO, why, f"set `{DIGEST}` to a duration such as 10m")]
    if not settings.text(config, "url").rstrip("/").endswith("/issue"):
        why = f"`{INTO}` needs a `url` that ends with `/issue`: open issues are searched beside it"
        return [ConfigProblem(INTO, why, "end the URL with `/rest/api/2/issue`")]
    return []
