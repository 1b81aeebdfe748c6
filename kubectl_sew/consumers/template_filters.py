"""The filters of Generic's templates, each bounded, and the budget that all work in a template is charged to."""

import json
from collections.abc import Callable, Mapping
from time import thread_time
from typing import Any

from jinja2 import Undefined, pass_context
from jinja2.runtime import Context

from kubectl_sew.consumers.base import RenderError
from kubectl_sew.text import cut

STEPS = 1_000_000
"""Nodes of the template that one rendering may evaluate; work on long texts costs more. Well under a second."""

SECONDS = 2.0
"""Processor time of one rendering: other threads do not count, so that a busy machine refuses no event."""

Clock = Callable[[], float]

JOIN_LIMIT = 1024 * 1024
BUDGET_NAME = "_budget"
"""Name of the budget among a rendering's variables, which a template cannot use."""

_CHARACTERS_A_STEP = 64
_JSON_A_STEP = 8
"""Characters of JSON: lists of lists cost most to write."""


class SpentError(Exception):
    """The rendering's budget is used up."""


class Budget:
    """Remaining steps and time of a rendering; `clock`: seconds of the processor for this thread."""

    def __init__(self, clock: Clock = thread_time) -> None:
        self.left = STEPS
        self._clock = clock
        self._end = clock() + SECONDS

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0 or self._clock() > self._end:
            raise SpentError


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
        context[BUDGET_NAME].spend(1 + len(value) // _CHARACTERS_A_STEP)
    return value


@pass_context
def _tojson(context: Context, value: Any) -> str:
    """Write JSON in ASCII, as Generic does; `null` for a missing field, so that the whole stays JSON."""
    return _written(context, None if isinstance(value, Undefined) else value)


@pass_context
def _join(context: Context, value: Any, separator: Any = "") -> str:
    """Join a list's members."""
    budget, between = context[BUDGET_NAME], _text(context, separator)
    budget.spend(1 + _length(value) if isinstance(value, list) else 1)
    members = [shown(member) for member in value] if isinstance(value, list) else [shown(value)]
    size = sum(map(len, members))
    budget.spend(size // _JSON_A_STEP)
    if size + len(between) * len(members) > JOIN_LIMIT:
        raise RenderError("a `join` in the template exceeds 1 MiB")
    return between.join(members)


@pass_context
def _truncate(context: Context, value: Any, length: int = 255) -> str:
    """Cut to `length` characters, the last one an ellipsis where something was left out."""
    if not isinstance(length, int) or length < 1:
        raise RenderError("a `truncate` in the template needs a length of at least 1")
    return cut(_text(context, value), length)


@pass_context
def _upper(context: Context, value: Any) -> str:
    return _text(context, value).upper()


@pass_context
def _lower(context: Context, value: Any) -> str:
    return _text(context, value).lower()


@pass_context
def _trim(context: Context, value: Any) -> str:
    return _text(context, value).strip()


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
    context[BUDGET_NAME].spend(1 + len(text) // _CHARACTERS_A_STEP)
    return text


def _written(context: Context, value: Any) -> str:
    """Return a value as JSON. It is charged afterwards, so at most one value beyond the budget is written."""
    text = _json(value)
    context[BUDGET_NAME].spend(1 + len(text) // _JSON_A_STEP)
    return text


def shown(value: Any) -> str:
    """Return a value as it is written: text as it is, all else as JSON, "" for what is missing."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, Undefined):
        return ""
    return _json(value) if isinstance(value, bool | int | float | list | Mapping) else ""


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


FILTERS = {
    "default": _default,
    "first": _first,
    "join": _join,
    "last": _last,
    "length": _length,
    "lower": _lower,
    "tojson": _tojson,
    "trim": _trim,
    "truncate": _truncate,
    "upper": _upper,
}
