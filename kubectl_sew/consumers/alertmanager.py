"""AlertManager: one alert for each event, through API version 2.

Facts: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml, and a real server of version 0.25.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from kubectl_sew import json_text, text
from kubectl_sew.consumers import event_text, mitre, response_text, settings
from kubectl_sew.consumers.alertmanager_labels import (
    LABEL_LIMIT,
    LABEL_VARIABLES,
    alert_labels,
    check_given_labels,
    check_label_variables,
)
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
from kubectl_sew.consumers.digest_settings import refuse_digest
from kubectl_sew.consumers.headers import HEADERS_VARIABLE, check_headers, own_headers
from kubectl_sew.consumers.rate import RATE_VARIABLE, check_rate
from kubectl_sew.consumers.tls import TLS_VARIABLES, check_tls, read_tls
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import EVENT_MAPS, EventMaps, ReadableEvent
from kubectl_sew.json_text import line
from kubectl_sew.members import members

PATH = "/api/v2/alerts"
FIRING = 3600.0
"""Seconds that an alert stays: an event is a moment, and nobody says when it is over."""

ANNOTATION_LIMIT = 8_000
"""Bytes, as Alertmanager and those that read its API (Mimir) count."""
_GROUPS_ITSELF = "Alertmanager groups alerts itself, by `group_by`, `group_wait` and `group_interval` of its routes"
_CREDENTIALS = ("basicAuth", "bearerToken")
MOST_PEERS = 10

_WRONG_URL = {405, 415}
_FIXED = ("content-type",)
"""Headers that every request to Alertmanager has as they are."""
_ANNOTATED = ("severity", "attack_vector", "attack_phase", "mitre_tactic", "host", "protocol")


@dataclass(frozen=True)
class AlertManager:
    """Renderer for Prometheus Alertmanager. Peers of one cluster each get the alert, and agree on it themselves."""

    maps: EventMaps = EVENT_MAPS
    name: ClassVar[str] = "AlertManager"
    variables: ClassVar[tuple[Variable, ...]] = (
        Variable(
            "url",
            required=True,
            meaning=f"ends with `{PATH}`; several, separated by commas, are peers of one cluster",
            secret=True,
        ),
        Variable("basicAuth", required=False, meaning="`user:password`", secret=True),
        Variable("bearerToken", required=False, meaning="a token for a proxy in front of Alertmanager", secret=True),
        HEADERS_VARIABLE,
        *TLS_VARIABLES,
        *LABEL_VARIABLES,
        Variable("generatorURL", required=False, meaning="the URL that an alert links back to"),
        RATE_VARIABLE,
    )

    def validate(self, config: Config) -> list[ConfigProblem]:
        if long := settings.too_long(self, config):
            return long
        problems = refuse_digest(config, _GROUPS_ITSELF)
        refused = {problem.variable for problem in problems}
        problems += [problem for problem in settings.missing(self, config) if problem.variable not in refused]
        for url in _urls(config):
            problems += settings.check_url(config, "url", url) or _check_path(url)
            for name in filter(lambda name: settings.text(config, name), _CREDENTIALS):
                problems += settings.no_user("url", url, f"`{name}` alone")
        if len(_urls(config)) > MOST_PEERS:
            problems.append(ConfigProblem("url", f"there are {len(_urls(config))} URLs", f"give at most {MOST_PEERS}"))
        if settings.text(config, "url") and not _urls(config):
            problems.append(ConfigProblem("url", "there is no URL between the commas", f"end it with `{PATH}`"))
        problems += _check_credentials(config) + check_headers(config, _FIXED)
        problems += check_tls(config) + check_label_variables(config) + check_rate(config)
        return problems + settings.check_url(config, "generatorURL")

    def check_labels(self, labels: Mapping[str, str]) -> list[str]:
        return check_given_labels(labels)

    def render(
        self, event: Event, labels: Mapping[str, str], config: Config, *, now: float, delivery_id: str
    ) -> tuple[Request, ...]:
        readable = self.maps.read(event)
        own = _cut(alert_labels(readable, labels, config, delivery_id), LABEL_LIMIT)
        body = json.dumps([alert(readable, own, config, now)]).encode()
        tls = read_tls(config)
        targets = [settings.address(url) for url in _urls(config)]
        return tuple(
            Request("POST", target.url, _headers(config, target.authorization), body, tls) for target in targets
        )

    def classify(self, response: Response, config: Config) -> Outcome:  # noqa: ARG002 - all alike
        if response.status == 200 and not response.body.strip():
            return Outcome(Verdict.DELIVERED, detail=describe(200), status=200)
        if response.status in _WRONG_URL:
            detail = describe(response.status, f"is the URL an Alertmanager's, ending with {PATH}?")
            text = response_text.said(response)
            return Outcome(Verdict.PARKED, FailureReason.CONFIGURATION_REFUSED, detail, response.status, said=text)
        return by_status(response, _said(response.body), "Alertmanager's empty answer")


def alert(readable: ReadableEvent, labels: Mapping[str, str], config: Config, now: float) -> dict[str, object]:
    """Return one alert. Its labels hold the delivery's id: like events stay apart, and a retry is the same alert."""
    event = readable.shown
    rendered: dict[str, object] = {
        "labels": labels,
        "annotations": _annotations(event, readable.link),
        "startsAt": text.rfc3339(min(now, now if event.time is None else event.time), "auto"),
        "endsAt": text.rfc3339(now + FIRING, "auto"),
    }
    if link := settings.text(config, "generatorURL"):
        rendered["generatorURL"] = link
    return rendered


def _annotations(event: Event, link: str) -> dict[str, str]:
    """Return the long texts, and what is no use for grouping."""
    document = event.document
    values = {
        "summary": event_text.name(event),
        "description": line(document.get("description"), ANNOTATION_LIMIT),
        "source": event_text.endpoint(event, "source"),
        "destination": event_text.endpoint(event, "dest"),
        "mitre_ids": ", ".join(json_text.items(document.get("mitre_ids"), 40)),
        "mitre_links": " ".join(filter(None, map(mitre.link, json_text.items(document.get("mitre_ids"), 40)))),
        "mitigations": "\n".join(json_text.items(document.get("mitigations"), 500)),
        "record": json_text.block(document["record"], ANNOTATION_LIMIT) if document.get("record") else "",
        **{name: line(document.get(name), 500) for name in _ANNOTATED},
        "link": link,
    }
    return _cut(values, ANNOTATION_LIMIT)


def _cut(values: Mapping[str, str], limit: int) -> dict[str, str]:
    return {name: text.cut(value, limit, text.utf8) for name, value in values.items() if value}


def _urls(config: Config) -> list[str]:
    return list(members(settings.text(config, "url")))


def _headers(config: Config, from_url: str) -> tuple[tuple[str, str], ...]:
    user, _, password = settings.text(config, "basicAuth").partition(":")
    token = settings.text(config, "bearerToken")
    authorization = f"Bearer {token}" if token else settings.basic(user, password) if user else from_url
    return (*own_headers(config, _FIXED), *([("Authorization", authorization)] if authorization else []))


def _check_path(url: str) -> list[ConfigProblem]:
    path = urlsplit(url).path
    if not (url.endswith(PATH) and path.endswith(PATH)):
        return [ConfigProblem("url", f"the URL does not end with `{PATH}`", "give the address of the API itself")]
    if "//" in path:
        return [ConfigProblem("url", "the URL's path holds `//`", "Alertmanager redirects such a path: write one `/`")]
    return []


def _check_credentials(config: Config) -> list[ConfigProblem]:
    given = settings.text(config, "basicAuth")
    problems = settings.plain_line("bearerToken", settings.text(config, "bearerToken"))
    if given and (given.startswith(":") or ":" not in given):
        problems.append(
            ConfigProblem(
                "basicAuth", "`basicAuth` must be `user:password`", "write the user, a colon and the password"
            )
        )
    names = [name for name in _CREDENTIALS if settings.text(config, name)]
    if any(name.lower() == "authorization" for name, _ in own_headers(config)):
        names.append("headers")
    if len(names) > 1:
        message = f"{' and '.join(f'`{name}`' for name in names)} each set the Authorization header"
        problems.append(ConfigProblem(names[-1], message, "keep one of them"))
    return problems


def _said(body: bytes) -> str:
    """Return Alertmanager's reason, in either form: a bare JSON string, or `{"code": 602, "message": "…"}`."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    message = answer.get("message") if isinstance(answer, dict) else answer
    return message if isinstance(message, str) else ""
