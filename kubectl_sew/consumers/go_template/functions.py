"""The functions of a template: those of Go's text/template, and ours.

Each gets its arguments as values in which `None` stands for null and for what is missing. Ours take the value last, so
that it can come through a `|`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from kubectl_sew.consumers import template_functions as shared
from kubectl_sew.consumers.go_template import formatting
from kubectl_sew.consumers.go_template.comparison import equal_any, less
from kubectl_sew.consumers.go_template.quoting import escape_js
from kubectl_sew.consumers.go_template.values import (
    ByteNumber,
    GoValueError,
    PrintedText,
    as_bytes,
    byte_length,
    go_value,
    is_true,
    type_name,
)
from kubectl_sew.consumers.severity_words import SEVERITY_WORDS
from kubectl_sew.consumers.template_budget import Budget
from kubectl_sew.consumers.template_output import JsonText, ScriptText

NO_VALUE = "<no value>"
_HTML = str.maketrans({"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"})
_HTML_TEXT = _HTML | str.maketrans({"+": "&#43;"})

Implementation = Callable[[list[Any], Budget], Any]


@dataclass(frozen=True, slots=True)
class GoFunction:
    """A function, and how many arguments it takes.

    In Go `{{print}}` alone writes nothing. Here every function has an argument: a name alone is a field in Jinja2.
    """

    call: Implementation | None
    """None for `and` and `or`, which do not evaluate all of their arguments: that is `evaluation`'s."""
    least: int
    most: int | None
    """None where any number will do."""

    def takes(self, count: int) -> bool:
        return count >= self.least and (self.most is None or count <= self.most)


def escape_html_text(text: str) -> str:
    """Return a text as html/template writes it between tags."""
    return text.translate(_HTML_TEXT)


def _text_of(values: list[Any], budget: Budget) -> str:
    """Return what an escaper is given as one text."""
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return formatting.show_all([NO_VALUE if value is None else value for value in values], budget)


def _escaper(escape: Callable[[str], str]) -> Implementation:
    def call(values: list[Any], budget: Budget) -> str:
        text = _text_of(values, budget)
        budget.spend_on_new_text(len(text))
        return escape(text)

    return call


def _js(values: list[Any], budget: Budget) -> str:
    original = _text_of(values, budget)
    budget.spend_on_new_text(6 * len(original))
    text = ScriptText(escape_js(original))
    text.original = original
    return text


def _print(values: list[Any], budget: Budget) -> str:
    return PrintedText(formatting.show_all(values, budget))


def _printf(values: list[Any], budget: Budget) -> str:
    form = _expect_text(values[0], "printf")
    return PrintedText(formatting.show_formatted(form, values[1:], budget))


def _length(values: list[Any], budget: Budget) -> int:
    value = values[0]
    if isinstance(value, str):
        budget.spend_on_text(len(value))
        return byte_length(value)
    if isinstance(value, list | Mapping):
        return len(value)
    raise GoValueError(f"`len` of a {type_name(value)}, which has none")


def _index(values: list[Any], budget: Budget) -> Any:
    item, *indexes = values
    if item is None:
        raise GoValueError("`index` of null, or of what is missing")
    for index in indexes:
        item = _indexed(item, index, budget)
    return item


def _indexed(item: Any, index: Any, budget: Budget) -> Any:
    if isinstance(item, Mapping):
        if not isinstance(index, str):
            raise GoValueError(f"`index` of an object by a {type_name(index)}")
        return go_value(item.get(index))
    if isinstance(item, str):
        budget.spend_on_text(len(item))
        item = as_bytes(item)
    elif not isinstance(item, list):
        raise GoValueError(f"`index` of a {type_name(item)}, which has no members")
    at = _position(index, len(item) - 1)
    return ByteNumber(item[at]) if isinstance(item, bytes) else go_value(item[at])


def _position(index: Any, last: int) -> int:
    if isinstance(index, bool) or not isinstance(index, int):
        raise GoValueError(f"a place in a list must be an int, and is a {type_name(index)}")
    if not 0 <= index <= last:
        raise GoValueError("a place is not in the list or text")
    return index


def _slice(values: list[Any], budget: Budget) -> Any:
    item, *bounds = values
    if not isinstance(item, str | list):
        raise GoValueError(f"`slice` of a {type_name(item)}")
    if len(bounds) > (2 if isinstance(item, str) else 3):
        raise GoValueError("`slice` has too many places")
    budget.spend(1 + len(item) // 8)
    whole = as_bytes(item) if isinstance(item, str) else item
    places = [_position(bound, len(whole)) for bound in bounds]
    first, last, *_ = [*places, *(0, len(whole))[len(places) :]]
    if [first, last, *places[2:]] != sorted([first, last, *places[2:]]):
        raise GoValueError("`slice` ends before it begins")
    part = whole[first:last]
    return part.decode("utf-8", "surrogateescape") if isinstance(part, bytes) else part


def _date(values: list[Any], budget: Budget) -> str:
    form = _expect_text(values[0], "date") if len(values) > 1 else "rfc3339"
    return shared.format_date(form, values[-1], budget)


def _severity_word(values: list[Any], budget: Budget) -> str:
    budget.spend(10)
    words = _expect_text(values[0], "severity_word") if len(values) > 1 else SEVERITY_WORDS
    return shared.severity_word(words, values[-1])


def _truncate(values: list[Any], budget: Budget) -> str:
    return shared.truncate(values[0], _shown(values[1], budget))


def _replace(values: list[Any], budget: Budget) -> str:
    old, new = (_expect_text(value, "replace") for value in values[:2])
    return shared.replace(old, new, _shown(values[2], budget), budget)


def _shown(value: Any, budget: Budget) -> str:
    if isinstance(value, str):
        budget.spend_on_text(len(value))
        return value
    return "" if value is None else formatting.show_all([value], budget)


def _expect_text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise GoValueError(f"`{name}` wants a text, and is given a {type_name(value)}")
    return value


_GO_FUNCTIONS: Mapping[str, GoFunction] = {
    "and": GoFunction(None, 1, None),
    "or": GoFunction(None, 1, None),
    "not": GoFunction(lambda values, _: not is_true(values[0]), 1, 1),
    "eq": GoFunction(equal_any, 1, None),
    "ne": GoFunction(lambda values, budget: not equal_any(values, budget), 2, 2),
    "lt": GoFunction(lambda values, budget: less(values[0], values[1], budget), 2, 2),
    "le": GoFunction(lambda values, budget: less(values[0], values[1], budget) or equal_any(values, budget), 2, 2),
    "gt": GoFunction(
        lambda values, budget: not (less(values[0], values[1], budget) or equal_any(values, budget)), 2, 2
    ),
    "ge": GoFunction(lambda values, budget: not less(values[0], values[1], budget), 2, 2),
    "len": GoFunction(_length, 1, 1),
    "index": GoFunction(_index, 1, None),
    "slice": GoFunction(_slice, 1, None),
    "print": GoFunction(_print, 1, None),
    "printf": GoFunction(_printf, 1, None),
    "println": GoFunction(lambda values, budget: PrintedText(formatting.show_line(values, budget)), 1, None),
    "html": GoFunction(_escaper(lambda text: text.translate(_HTML)), 1, None),
    "js": GoFunction(_js, 1, None),
    "urlquery": GoFunction(_escaper(lambda text: quote_plus(as_bytes(text))), 1, None),
}

OWN_FUNCTIONS: Mapping[str, GoFunction] = {
    "json": GoFunction(lambda values, budget: JsonText(shared.to_json(values[0], budget)), 1, 1),
    "date": GoFunction(_date, 1, 2),
    "severity_word": GoFunction(_severity_word, 1, 2),
    "default": GoFunction(lambda values, _: values[0] if values[1] is None else values[1], 2, 2),
    "clean": GoFunction(lambda values, budget: shared.clean(_shown(values[0], budget), budget), 1, 1),
    "line": GoFunction(lambda values, budget: shared.one_line(_shown(values[0], budget), budget), 1, 1),
    "truncate": GoFunction(_truncate, 2, 2),
    "replace": GoFunction(_replace, 3, 3),
}
"""Functions that Calico's processor has not."""

FUNCTIONS: Mapping[str, GoFunction] = {**_GO_FUNCTIONS, **OWN_FUNCTIONS}
