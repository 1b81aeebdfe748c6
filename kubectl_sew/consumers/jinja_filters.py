"""The filters of Jinja2 templates, each bounded: what they read is charged to the rendering's budget."""

import json
from collections.abc import Mapping
from typing import Any

from jinja2 import Undefined, pass_context
from jinja2.runtime import Context

from kubectl_sew.consumers import template_functions as shared
from kubectl_sew.consumers.base import RenderError
from kubectl_sew.consumers.severity_words import SEVERITY_WORDS
from kubectl_sew.consumers.template_budget import CHARACTERS_A_STEP, JSON_A_STEP, TEXT_LIMIT
from kubectl_sew.consumers.template_output import ConstantText, JsonText

BUDGET_NAME = "_budget"
"""Name of the budget among a rendering's variables, which a template cannot use."""


SECRETS_NAME = "_secrets"
"""Name of the secrets among them, likewise."""


@pass_context
def iterate(context: Context, value: Any, weight: int) -> list[Any]:
    """Return the members that a loop goes over, none of what is not a list. They are charged before the first."""
    members = value if isinstance(value, list) else []
    context[BUDGET_NAME].spend(weight * (1 + len(members)))
    return members


@pass_context
def charge(context: Context, value: Any) -> Any:
    """Charge for a value that is about to be compared, and return it: a text, a number, or a list of them."""
    if isinstance(value, list):
        context[BUDGET_NAME].spend(len(value))
        return [charge(context, member) if isinstance(member, str | int | float) else None for member in value]
    if isinstance(value, Mapping):
        return None
    if isinstance(value, str):
        context[BUDGET_NAME].spend(1 + len(value) // CHARACTERS_A_STEP)
    return value


def constant(value: Any) -> Any:
    """Mark a text of the template itself."""
    return ConstantText(value) if isinstance(value, str) else value


@pass_context
def secret(context: Context, value: Any, name: str) -> Any:
    """Return a secret by its name, or the event's own value where there is no such secret."""
    return context[SECRETS_NAME].get(name, value)


@pass_context
def _tojson(context: Context, value: Any) -> str:
    """Write JSON in ASCII, as Generic does; `null` for a missing field, so that the whole stays JSON."""
    return JsonText(_written(context, _known(value)))


@pass_context
def _join(context: Context, value: Any, separator: Any = "") -> str:
    """Join a list's members."""
    budget, between = context[BUDGET_NAME], _text(context, separator)
    budget.spend(1 + _length(value) if isinstance(value, list) else 1)
    members = [shown(member) for member in value] if isinstance(value, list) else [shown(value)]
    size = sum(map(len, members))
    budget.spend(size // JSON_A_STEP)
    if size + len(between) * len(members) > TEXT_LIMIT:
        raise RenderError("a `join` in the template exceeds 1 MiB")
    return between.join(members)


@pass_context
def _truncate(context: Context, value: Any, length: int = 255) -> str:
    return shared.truncate(length, _text(context, value))


@pass_context
def _replace(context: Context, value: Any, old: Any, new: Any) -> str:
    budget = context[BUDGET_NAME]
    return shared.replace(_text(context, old), _text(context, new), _text(context, value), budget)


@pass_context
def _date(context: Context, value: Any, form: Any = "rfc3339") -> str:
    return shared.format_date(_text(context, form), _known(value), context[BUDGET_NAME])


@pass_context
def _severity_word(context: Context, value: Any, words: Any = SEVERITY_WORDS) -> str:
    return shared.severity_word(_text(context, words), _known(value))


@pass_context
def _clean(context: Context, value: Any) -> str:
    return shared.clean(_text(context, value), context[BUDGET_NAME])


@pass_context
def _line(context: Context, value: Any) -> str:
    return shared.one_line(_text(context, value), context[BUDGET_NAME])


@pass_context
def _upper(context: Context, value: Any) -> str:
    return _text(context, value).upper()


@pass_context
def _lower(context: Context, value: Any) -> str:
    return _text(context, value).lower()


@pass_context
def _trim(context: Context, value: Any) -> str:
    return _text(context, value).strip()


def _known(value: Any) -> Any:
    return None if isinstance(value, Undefined) else value


def _default(value: Any, instead: Any = "") -> Any:
    return instead if value is None or isinstance(value, Undefined) else value


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | list | Mapping) else 0


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else ""


def _last(value: Any) -> Any:
    return value[-1] if isinstance(value, list) and value else ""


def _text(context: Context, value: Any) -> str:
    """Return a value as it is written. All of it is charged, however little is used."""
    if isinstance(value, list | Mapping):
        return _written(context, value)
    text = shown(value)
    context[BUDGET_NAME].spend(1 + len(text) // CHARACTERS_A_STEP)
    return text


def _written(context: Context, value: Any) -> str:
    """Return a value as JSON. It is charged afterwards, so at most one value beyond the budget is written."""
    text = _json(value)
    context[BUDGET_NAME].spend(1 + len(text) // JSON_A_STEP)
    return text


def shown(value: Any) -> str:
    """Return a value as it is written: text as it is, all else as JSON, "" for what is missing."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, Undefined):
        return ""
    return _json(value) if isinstance(value, bool | int | float | list | Mapping) else ""


def as_json(value: Any) -> str:
    """Return a value as JSON: `null` for what is missing. What a template has made JSON already is that."""
    return str(value) if isinstance(value, JsonText) else _json(_known(value))


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


FILTERS = {
    "clean": _clean,
    "date": _date,
    "default": _default,
    "first": _first,
    "join": _join,
    "last": _last,
    "length": _length,
    "line": _line,
    "lower": _lower,
    "replace": _replace,
    "severity_word": _severity_word,
    "tojson": _tojson,
    "trim": _trim,
    "truncate": _truncate,
    "upper": _upper,
}
