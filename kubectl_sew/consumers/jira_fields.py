"""Jira's variable `fields`: what a project demands of its issues beyond what every project has."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubectl_sew import text
from kubectl_sew.consumers import settings
from kubectl_sew.consumers.base import Config, ConfigProblem, Variable
from kubectl_sew.consumers.template_budget import Budget
from kubectl_sew.consumers.template_output import BesideEvent
from kubectl_sew.consumers.templated import template_document
from kubectl_sew.event_maps.readable import ReadableEvent
from kubectl_sew.redaction import Secret

FIELDS_VARIABLE = Variable(
    "fields",
    required=False,
    meaning="more fields of every issue as a JSON object, with templates in its texts",
    limit=16 * 1024,
    asked=False,
)

_OURS = {
    "project": "the variable `project` sets it",
    "issuetype": "the variable `issueType` sets it",
    "summary": "the variable `summary` writes it",
    "description": "it ends with the delivery's id, by which an issue is found again",
}
"""Fields that cannot be set here -> the variable for it."""
_ALSO_VARIABLES = ("labels", "priority")
_TEXT_LIMIT = 32_767
_A_VALUE = re.compile(r"\{\{(?:-? *json [^{}|]*|[^{}|]+(?:\|[^{}|]+)*\| *(?:tojson|json) *-?)\}\}")


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the templates of one issue read, and how much they may do together."""

    document: Mapping[str, Any]
    beside: BesideEvent
    budget: Budget


class _NotJsonError(ValueError):
    """A value that Python's json reads, and JSON does not have."""


def check_fields(config: Config) -> list[ConfigProblem]:
    """Check the variable: the first problem of each kind."""
    if not settings.text(config, "fields"):
        return []
    try:
        fields = _read(config)
    except (ValueError, RecursionError) as error:
        place = f", line {error.lineno} column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        return [_problem(f"this is not JSON{place}", 'write an object such as `{"components": [{"name": "Network"}]}`')]
    if not isinstance(fields, dict):
        return [_problem("this is not a JSON object", 'write it as `{"NAME": VALUE}`')]
    secret = isinstance(config.get("fields"), Secret)
    return [*_check_names(fields, config), *_check_templates(fields, secret=secret)]


def templates_of_fields(config: Config) -> list[str]:
    """Return the templates in a checked variable."""
    return _templates(_read(config), secret=False) if settings.text(config, "fields") else []


def more_fields(config: Config, event: ReadableEvent, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of one issue; raises RenderError where a template does not fit the event."""
    if not settings.text(config, "fields"):
        return {}
    document = template_document(event.raw, labels)
    filled: dict[str, Any] = _filled(_read(config), _Reading(document, BesideEvent(filled=event.names), Budget()))
    return filled


def _read(config: Config) -> Any:
    return json.loads(settings.text(config, "fields"), parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise _NotJsonError(name)


def _filled(value: Any, reading: _Reading) -> Any:
    if isinstance(value, dict):
        return {name: _filled(member, reading) for name, member in value.items()}
    if isinstance(value, list):
        return [_filled(member, reading) for member in value]
    return _rendered(value, reading) if _is_template(value) else value


def _rendered(source: str, reading: _Reading) -> Any:
    """Render to a text, or to the event's value itself, such as a number, where the template is one `tojson` value."""
    from kubectl_sew.consumers.template import render_text  # noqa: PLC0415 - jinja2 only where it is needed

    rendered = render_text(source, reading.document, reading.budget, reading.beside)
    if _A_VALUE.fullmatch(source.strip()):
        return json.loads(rendered)
    return text.cut(text.clean(rendered), _TEXT_LIMIT, text.utf16)


def _is_template(value: Any) -> bool:
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def _check_names(fields: Mapping[str, Any], config: Config) -> Iterator[ConfigProblem]:
    for name in fields:
        if name in _OURS:
            yield _problem(f"the field `{name}` cannot be set here", f"leave it out: {_OURS[name]}")
        if name in _ALSO_VARIABLES and settings.text(config, name):
            yield _problem(f"both `fields` and the variable `{name}` set the field `{name}`", "keep one of them")


def _check_templates(fields: Mapping[str, Any], *, secret: bool) -> list[ConfigProblem]:
    from kubectl_sew.consumers.template import check_template  # noqa: PLC0415 - as above

    problems = [problem for source in _templates(fields, secret=secret) for problem in check_template(source)]
    return [_problem(f"a template in it: {problem.message}", problem.hint) for problem in problems[:1]]


def _templates(fields: Any, *, secret: bool) -> list[str]:
    return [Secret(source) if secret else source for source in _texts(fields) if _is_template(source)]


def _texts(value: Any) -> Iterator[str]:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for member in members:
        yield from _texts(member)
    if isinstance(value, str):
        yield value


def _problem(message: str, hint: str) -> ConfigProblem:
    return ConfigProblem("fields", message, hint)
