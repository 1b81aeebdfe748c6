"""Warnings about what a template would get silently wrong: names that no event has, and bodies that are none. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from kubectl_sew.consumers.base import Config, ConfigProblem, RenderError
from kubectl_sew.consumers.jira_fields import templates_of_fields
from kubectl_sew.consumers.own_lines import LINE_VARIABLES, as_template
from kubectl_sew.consumers.template_budget import Budget
from kubectl_sew.consumers.template_output import BesideEvent
from kubectl_sew.consumers.template_secrets import names_in
from kubectl_sew.json_text import line
from kubectl_sew.redaction import HIDDEN, Secret

_TRIAL_STEPS = 100_000
_TRIAL_SECONDS = 0.5
"""Bounds of all renderings of one webhook together: the agent makes them in the thread that reads."""


def asked_of_events(config: Config) -> Iterator[tuple[str, str, int]]:
    """Yield (variable, first name of a reference, line) of the templates in a configuration that has been accepted."""
    from kubectl_sew.consumers.template import first_names  # noqa: PLC0415 - jinja2 only where it is needed

    template = config.get("template", "")
    for source in [template] if template.strip() else []:
        yield from (("template", name, number) for name, number in first_names(source).items())
    for source in templates_of_fields(config):
        yield from (("fields", name, number) for name, number in first_names(source).items())


def sample_problems(config: Config, samples: Mapping[str, Mapping[str, Any]], *, as_json: bool) -> list[ConfigProblem]:
    """Warn of what a template makes of sample events, by their types: one warning of each kind of problem.

    `as_json`: whether the receiver is told that it is JSON.
    """
    template = config.get("template", "")
    if not template.strip():
        return []
    beside, budget = BesideEvent("0" * 32, 0, dict.fromkeys(names_in(config), HIDDEN)), _trial_budget()
    found: dict[str, tuple[str, str, list[str]]] = {}
    keys: dict[str, set[str]] = {}
    for kind, document in samples.items():
        problem, result = _judged(template, document, beside, budget, as_json=as_json)
        if budget.is_spent:
            return [_NOT_ALL_TRIED]
        if problem:
            found.setdefault(problem[0], (*problem[1:], []))[2].append(kind)
        elif isinstance(result, dict):
            keys[kind] = set(result)
    warnings = [_problem(_about(kinds, what), hint) for what, hint, kinds in found.values()]
    return [*warnings, *_other_keys(template, keys)]


def failing_samples(config: Config, samples: Mapping[str, Mapping[str, Any]]) -> list[ConfigProblem]:
    """Warn of each template in a message for people that cannot be rendered for sample events, by their types."""
    from kubectl_sew.consumers.template import render_text  # noqa: PLC0415 - as above

    found: dict[tuple[str, str], list[str]] = {}
    budget = _trial_budget()
    for (variable, source), (kind, document) in product(_of_messages(config), samples.items()):
        try:
            render_text(source, document, budget)
        except RenderError as error:
            if budget.is_spent:
                return [replace(_NOT_ALL_TRIED, variable=variable)]
            found.setdefault((variable, str(error)), []).append(kind)
    return [_problem(_about(kinds, why), _TRY_IT, variable) for (variable, why), kinds in found.items()]


def _of_messages(config: Config) -> Iterator[tuple[str, str]]:
    """Yield (variable, template) of a message's text, its own lines and an issue's fields."""
    yield "template", config.get("template", "")
    yield from ((name, as_template(config, name).get("template", "")) for name in LINE_VARIABLES)
    yield from (("fields", source) for source in templates_of_fields(config))


def body_problem(body: bytes, *, as_json: bool) -> str:
    """Return what is wrong with a body that a template has made, as the end of a sentence; "" for nothing."""
    if not body.strip():
        return "is empty"
    try:
        if as_json:
            json.loads(body)
    except (ValueError, RecursionError) as error:
        place = f": line {error.lineno} column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        return f"is not JSON{place}"
    return ""


_TRY_IT = "try it with preview-payload"
_HINTS = {
    "is empty": "it would be sent like that: write something for what is missing, or narrow the query",
    "is not JSON": "look at it with preview-payload; for plain text add `Content-Type: text/plain` to `headers`",
}


def _judged(
    template: str, document: Mapping[str, Any], beside: BesideEvent, budget: Budget, *, as_json: bool
) -> tuple[tuple[str, str, str] | None, Any]:
    """Return a problem (its kind, what it is, what to do), or what JSON the body holds."""
    from kubectl_sew.consumers.template import render_body  # noqa: PLC0415 - as above

    try:
        body = render_body(template, document, as_json=as_json, beside=beside, budget=budget)
    except RenderError as error:
        return ("fails", str(error), _TRY_IT), None
    if what := body_problem(body, as_json=as_json):
        kind, _, _ = what.partition(":")
        return (kind, f"the body {what}", _HINTS[kind]), None
    return None, json.loads(body) if as_json else None


def _other_keys(template: str, keys: Mapping[str, set[str]]) -> list[ConfigProblem]:
    """Warn where the results differ in their keys, but for a template that is nothing but the event."""
    from kubectl_sew.consumers.template import has_own_text  # noqa: PLC0415 - as above

    first = next(iter(keys), "")
    other = {kind: names ^ keys[first] for kind, names in keys.items() if names != keys[first]}
    if not other or not has_own_text(template):
        return []
    names = ", ".join(f"`{shown}`" for shown in sorted(line(name, 40) for name in next(iter(other.values())))[:5])
    which = "" if isinstance(template, Secret) else f": {names}"
    what = f"the body has other keys than for `{first}`{which}"
    return [_problem(_about([*other], what), "a receiver may rely on them: write `null` for what is missing")]


def _about(kinds: list[str], what: str) -> str:
    more = f" (and {len(kinds) - 1} more)" if len(kinds) > 1 else ""
    return f"for the sample event `{kinds[0]}`{more} {what}"


def is_secret(config: Config, variable: str) -> bool:
    """Return whether a template must not be shown."""
    return isinstance(config.get(variable), Secret)


def _problem(message: str, hint: str, variable: str = "template") -> ConfigProblem:
    return ConfigProblem(variable, message, hint, warning=True)


def _trial_budget() -> Budget:
    return Budget(steps=_TRIAL_STEPS, seconds=_TRIAL_SECONDS)


_NOT_ALL_TRIED = _problem("it takes long to render, so not all sample events were tried", _TRY_IT)
