"""Jira: one issue for each event, through REST version 2.

Facts: https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issues/#api-rest-api-2-issue-post, the same
for Data Center, and Jira's notation guide (https://jira.atlassian.com/secure/WikiRendererHelpAction.jspa).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from urllib.parse import quote

from kubectl_sew import json_text, text
from kubectl_sew.consumers import response_text, settings
from kubectl_sew.consumers.base import (
    Config,
    ConfigProblem,
    Failed,
    FailureReason,
    Found,
    LookupResult,
    NotFound,
    Outcome,
    Request,
    Response,
    Unavailable,
    Variable,
    Verdict,
)
from kubectl_sew.consumers.classification import by_status, describe, with_retry_after
from kubectl_sew.consumers.digest import Digest
from kubectl_sew.consumers.digest_settings import DIGEST_VARIABLES, check_digest
from kubectl_sew.consumers.jira_description import SUMMARY_LIMIT, description, escape, summary_line
from kubectl_sew.consumers.jira_digest import digest_description
from kubectl_sew.consumers.jira_fields import FIELDS_VARIABLE, check_fields, more_fields
from kubectl_sew.consumers.own_lines import check_own_line, line_variable, own_line
from kubectl_sew.consumers.rate import RATE_VARIABLE, check_rate
from kubectl_sew.consumers.templated import check_own_template, own_text, template_variable
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import EVENT_MAPS, EventMaps, ReadableEvent
from kubectl_sew.members import members

LABEL_LIMIT = 255
"""In UTF-16 units: Jira is written in Java."""
BASIC, BEARER = "Basic", "Bearer"
CALICO_SUMMARY = "Calico Security Alert"
"""Summary of every issue that Calico's own processor creates."""

_ANONYMOUS = re.compile(r"\banonymous\b", re.IGNORECASE)
_SAME_FOR_ALL = re.compile(
    r"project|pid|issuetype|priority|labels|components|assignee|reporter|versions|fixVersions|security|parent|duedate"
    r"|customfield_\w+"
)
"""The fields that a webhook's issues have in common, or that its project demands of all of them."""
_NO_SUCH_SEARCH = {404, 405, 410}


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
        return _created(_fields(readable, labels, config, summary_line(readable.shown), written), config)

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
        return _created(_fields(readable, labels, config, json_text.line(digest.headline, 250), written), config)

    def classify(self, response: Response, config: Config) -> Outcome:  # noqa: ARG002 - all alike
        answer = _json_object(response.body)
        if response.status == 201 and isinstance(key := answer.get("key"), str) and key:
            return Outcome(Verdict.DELIVERED, detail=describe(201), status=201, receipt=key)
        outcome = by_status(response, _said(answer), "Jira's 201 with the new issue's key")
        if response.status == 400 and (reason := _refused(response, answer)):
            outcome = replace(outcome, verdict=Verdict.PARKED, reason=reason)
        return replace(outcome, detail=outcome.detail + _denied(response))

    def lookup(self, config: Config, *, delivery_id: str) -> tuple[Request, ...]:
        """Cloud's search, then Data Center's; none where the URL does not end with `/issue`."""
        base, end = _create_url(config).rpartition("/")[::2]
        if end != "issue":
            return ()
        jql = f"project = {_quoted(settings.text(config, 'project'))} AND description ~ {_quoted(delivery_id)}"
        query = f"?jql={quote(jql, safe='')}&maxResults=1&fields=summary"
        return tuple(
            Request("GET", f"{base}/{place}{query}", _headers(config), b"") for place in ("search/jql", "search")
        )

    def read_lookup(self, response: Response, *, now: float) -> LookupResult:
        if response.status in _NO_SUCH_SEARCH:
            return Unavailable()
        answer = _json_object(response.body)
        issues = answer.get("issues")
        if response.status != 200 or not isinstance(issues, list):
            return Failed(_failed_search(response, answer, now))
        if not issues:
            return Failed(_unknown_caller(response, now)) if _is_anonymous(response) else NotFound()
        key = issues[0].get("key") if isinstance(issues[0], dict) else None
        return Found(key) if isinstance(key, str) and key else Failed(_failed_search(response, answer, now))


def _created(fields: Mapping[str, Any], config: Config) -> tuple[Request, ...]:
    headers = (*_headers(config), ("Content-Type", "application/json"))
    return (Request("POST", _create_url(config), headers, json.dumps({"fields": fields}).encode()),)


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


def _headers(config: Config) -> tuple[tuple[str, str], ...]:
    token = settings.text(config, "apiToken")
    bearer = settings.text(config, "authentication") == BEARER
    authorization = f"Bearer {token}" if bearer else settings.basic(settings.text(config, "username"), token)
    return (("Authorization", authorization), ("Accept", "application/json"))


def _create_url(config: Config) -> str:
    return settings.address(settings.text(config, "url")).url.rstrip("/")


def _own_labels(config: Config) -> list[str]:
    return list(members(settings.text(config, "labels")))


def _quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _failed_search(response: Response, answer: Mapping[str, Any], now: float) -> Outcome:
    """Retry a failed search whatever its status, since nothing may be created before it has answered."""
    outcome = by_status(response, _said(answer))
    reason = FailureReason.UNEXPECTED_ANSWER if outcome.verdict is Verdict.REJECTED else outcome.reason
    return with_retry_after(replace(outcome, verdict=Verdict.RETRY, reason=reason), response, now)


def _json_object(body: bytes) -> Mapping[str, Any]:
    """Read a JSON object, an empty one from anything else: gateways answer in HTML."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _said(answer: Mapping[str, Any]) -> str:
    """Return Jira's own messages: `{"errorMessages": [text], "errors": {field: text}}`."""
    messages, errors = answer.get("errorMessages"), answer.get("errors")
    texts = [response_text.plain(message) for message in messages] if isinstance(messages, list) else []
    if isinstance(errors, dict):
        texts += [f"{name}: {response_text.plain(message)}" for name, message in errors.items()]
    return "; ".join(texts)


def _refused(response: Response, answer: Mapping[str, Any]) -> FailureReason | None:
    """Return why a 400 concerns every issue; None where it concerns this event alone."""
    errors = answer.get("errors")
    if _is_anonymous(response) or _ANONYMOUS.search(_said(answer)):
        return FailureReason.CREDENTIAL_REFUSED
    if isinstance(errors, dict) and errors and all(map(_SAME_FOR_ALL.fullmatch, errors)):
        return FailureReason.CONFIGURATION_REFUSED
    return None


def _is_anonymous(response: Response) -> bool:
    """Return whether Jira refused the credentials and answered as it answers anybody."""
    login = response.headers.get("x-seraph-loginreason", "OK").upper().replace(",", " ").split()
    user = response.headers.get("x-ausername", "").strip().lower()
    return "OK" not in login or user == "anonymous" or response_text.DENIED in response.headers


def _unknown_caller(response: Response, now: float) -> Outcome:
    detail = describe(response.status, "Jira did not accept the credentials, so its search says nothing")
    reason, denied = FailureReason.CREDENTIAL_REFUSED, response.headers.get(response_text.DENIED, "")
    return with_retry_after(Outcome(Verdict.RETRY, reason, detail, response.status, said=denied), response, now)


def _denied(response: Response) -> str:
    wanted = "CAPTCHA" in response.headers.get(response_text.DENIED, "").upper()
    return ", Jira asks for a CAPTCHA: log in once as this user in a browser" if wanted else ""


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
