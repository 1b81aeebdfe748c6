"""Warnings about what a template would get silently wrong: names that no event has, and invalid JSON. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from kubectl_sew.consumers.base import Config, ConfigProblem, RenderError
from kubectl_sew.consumers.headers import is_json
from kubectl_sew.consumers.jira_fields import templates_of_fields
from kubectl_sew.redaction import Secret

_NO_JSON = ("{{", "{%", "{#")


def asked_of_events(config: Config) -> Iterator[tuple[str, str, int]]:
    """Yield (variable, first name of a reference, line) of the templates in a configuration that has been accepted."""
    from kubectl_sew.consumers.template import first_names  # noqa: PLC0415 - jinja2 only where it is needed

    template = config.get("template", "")
    for source in [template] if template.strip() else []:
        yield from (("template", name, line) for name, line in first_names(source).items())
    for source in templates_of_fields(config):
        yield from (("fields", name, line) for name, line in first_names(source).items())


def unreadable_json(config: Config, kind: str, document: Mapping[str, Any]) -> list[ConfigProblem]:
    """Warn where a template that begins as JSON makes invalid JSON of the sample event `kind`."""
    template = config.get("template", "")
    if not template.lstrip().startswith(("{", "[")) or template.lstrip().startswith(_NO_JSON):
        return []
    from kubectl_sew.consumers.template import render_body  # noqa: PLC0415 - as above

    try:
        json.loads(render_body(template, document, as_json=is_json(config)))
    except RenderError as error:
        return [_problem(f"the sample event `{kind}` cannot be rendered: {error}", "try it with preview-payload")]
    except (ValueError, RecursionError) as error:
        place = f": line {error.lineno} column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        hint = "a value that no quotes surround is JSON itself; look at the result with preview-payload"
        return [_problem(f"of the sample event `{kind}` it makes text that is not JSON{place}", hint)]
    return []


def is_secret(config: Config, variable: str) -> bool:
    """Return whether a template must not be shown."""
    return isinstance(config.get(variable), Secret)


def _problem(message: str, hint: str) -> ConfigProblem:
    return ConfigProblem("template", message, hint, warning=True)
