"""The templates of consumers: in Calico's language, which is Go's, or in Jinja2. Which one it is, the text tells.

Jinja2 it is where the text has a block (`{% … %}`) or a comment (`{# … #}`), or where it cannot be read as Go's and can
as Jinja2: names without a dot before them, filters with parentheses. All else is Go's, `{{ .description }}` too. What
is neither is a problem, in the words of the language that it looks like.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kubectl_sew.consumers import jinja_template
from kubectl_sew.consumers.base import TEMPLATE_LIMIT, ConfigProblem, RenderError
from kubectl_sew.consumers.go_template import survey
from kubectl_sew.consumers.go_template.errors import GoSyntaxError
from kubectl_sew.consumers.go_template.evaluation import GoExecutionError, execute
from kubectl_sew.consumers.go_template.functions import FUNCTIONS, OWN_FUNCTIONS, escape_html_text
from kubectl_sew.consumers.go_template.html_text import as_html
from kubectl_sew.consumers.go_template.nodes import Body
from kubectl_sew.consumers.go_template.parser import parse_template
from kubectl_sew.consumers.template_budget import Budget, SpentError
from kubectl_sew.consumers.template_output import (
    NOTHING_BESIDE,
    BesideEvent,
    EscapedOutput,
    HtmlOutput,
    JsonOutput,
    Output,
    begins_as_json,
)
from kubectl_sew.json_text import line
from kubectl_sew.members import alternatives
from kubectl_sew.pages import page
from kubectl_sew.redaction import Secret

_JINJA_BLOCKS = (("{%", "%}"), ("{#", "#}"))
_FUNCTIONS = "|".join(("call", *FUNCTIONS))
_WORDS = "if|else|end|range|with|break|continue|define|template|block"
_GO_ACTION = re.compile(
    rf"\{{\{{(?:- )?\s*(?:/\*|\$|\(|\.[\s|}}]|(?:{_WORDS})\b|[A-Za-z_]\w*\s+[.$]|(?:{_FUNCTIONS})\s+[\w\"`(])"
)
_JINJA_ACTION = re.compile(rf"\{{\{{[-+]?\s*(?!(?:{_WORDS}|{_FUNCTIONS})\b)[A-Za-z_]")


@dataclass(frozen=True, slots=True)
class _GoTemplate:
    """A template that was read as Go's."""

    body: Body


@lru_cache(maxsize=1024)
def _read(source: str) -> _GoTemplate | GoSyntaxError | None:
    """Return a template as Go's, or what is wrong with it as such; None for one in Jinja2."""
    if len(source) > TEMPLATE_LIMIT or _has_jinja_block(source):
        return None
    try:
        return _GoTemplate(parse_template(source))
    except GoSyntaxError as error:
        return error if _looks_like_go(source) else None


def _has_jinja_block(source: str) -> bool:
    return any(0 <= source.find(begin) < source.rfind(end) for begin, end in _JINJA_BLOCKS)


def _looks_like_go(source: str) -> bool:
    """Return whether a template that is not sound in Go's language is meant to be in it."""
    if not _GO_ACTION.search(source):
        return False
    return not _JINJA_ACTION.search(source) or bool(jinja_template.check_jinja(source))


def check_template(source: str, *, html: bool = False, as_json: bool = False) -> list[ConfigProblem]:
    """Check a template: at most one problem, with its line where there is one.

    `html`: whether the result is what html/template would make of it; `as_json`: but for one that begins as JSON.
    """
    template = _read(source)
    if template is None:
        return _check_jinja(source)
    try:
        if isinstance(template, GoSyntaxError):
            raise template
        if html and not (as_json and is_json(source)):
            as_html(template.body)
    except GoSyntaxError as error:
        return [_go_problem(source, error)]
    return []


def _check_jinja(source: str) -> list[ConfigProblem]:
    problems = jinja_template.check_jinja(source)
    if problems and (found := _GO_ACTION.search(source)):
        number = source.count("\n", 0, found.start()) + 1
        message = f"line {number}: the template mixes Calico's language and Jinja2"
        return [ConfigProblem("template", message, f"write it in one of them: {page('consumers', 'templates')}")]
    return problems


def _go_problem(source: str, error: GoSyntaxError) -> ConfigProblem:
    is_secret = isinstance(source, Secret)
    hint = "check the template's syntax" if is_secret or not error.hint else error.hint
    why = "this cannot be read" if is_secret else line(error.message, 200)
    return ConfigProblem("template", f"line {error.line}: {why}", hint)


def first_names(source: str) -> dict[str, int]:
    """Return the first name of each reference to the event in a checked template, with its first line."""
    template = _read(source)
    return survey.root_names(template.body) if isinstance(template, _GoTemplate) else jinja_template.first_names(source)


@lru_cache(maxsize=1024)
def secret_names(source: str) -> Mapping[str, int]:
    """Return the names of the secrets that a template stands for, each with its first line; none of a wrong one."""
    if check_template(source):
        return {}
    template = _read(source)
    if isinstance(template, _GoTemplate):
        return survey.secret_names(template.body)
    return jinja_template.secret_names(source)


def check_secrets_alone(source: str) -> list[ConfigProblem]:
    """Refuse a checked template that does anything else with a secret than to write it."""
    template = _read(source)
    if isinstance(template, _GoTemplate):
        lines = survey.other_uses_of_secrets(template.body)
    else:
        lines = jinja_template.other_uses_of_secrets(source)
    hint = "write it as `{{ secret.NAME }}`, in Calico's language `{{.secret.NAME}}`, without functions and conditions"
    return [ConfigProblem("template", f"line {line}: a secret must stand alone", hint) for line in lines[:1]]


@lru_cache(maxsize=1024)
def is_json(source: str) -> bool:
    """Return whether a checked template's own text begins as JSON does."""
    return begins_as_json(_own_texts(source))


def only_ours(source: str) -> str:
    """Return why Calico's processor refuses a template that is sound here, as the end of a sentence; "" where not.

    Some that are Jinja2 here are sound in Calico's language as well: `{%` and `{#` mean nothing in it.
    """
    template = _read(source)
    if isinstance(template, _GoTemplate):
        names = sorted({name for name in survey.function_names(template.body) if name in OWN_FUNCTIONS})
        return f"it knows no function {alternatives([f'`{name}`' for name in names])}" if names else ""
    return "" if _calico_reads(source) else "it is in Jinja2"


def is_text_for_calico(source: str) -> bool:
    """Return whether what makes a template Jinja2 is plain text in Calico's language, which reads it, too."""
    return _read(source) is None and _calico_reads(source)


def _calico_reads(source: str) -> bool:
    try:
        body = parse_template(source)
    except GoSyntaxError:
        return False
    return not any(name in OWN_FUNCTIONS for name in survey.function_names(body))


def has_own_text(source: str) -> bool:
    """Return whether a checked template holds more than values."""
    return any(text.strip() for text in _own_texts(source))


def _own_texts(source: str) -> Iterable[str]:
    template = _read(source)
    return survey.own_texts(template.body) if isinstance(template, _GoTemplate) else jinja_template.own_texts(source)


@lru_cache(maxsize=1024)
def _html_of(source: str) -> Body:
    """Return a template in Go's language with its own text as HTML. Raises GoSyntaxError."""
    template = _read(source)
    return as_html(template.body) if isinstance(template, _GoTemplate) else ()


def render_text(
    source: str, document: Mapping[str, Any], budget: Budget | None = None, beside: BesideEvent = NOTHING_BESIDE
) -> str:
    """Render a template with all values as they are. Raises RenderError."""
    budget = budget or Budget()
    return _render(source, document, Output(budget), budget, beside).decode()


def render_escaped(
    source: str, document: Mapping[str, Any], escape: Callable[[str], str], beside: BesideEvent = NOTHING_BESIDE
) -> str:
    """Render a template with each value escaped, and its own text as it is. Raises RenderError."""
    budget = Budget()
    return _render(source, document, EscapedOutput(budget, escape), budget, beside).decode()


def render_body(
    source: str,
    document: Mapping[str, Any],
    *,
    as_json: bool,
    beside: BesideEvent = NOTHING_BESIDE,
    budget: Budget | None = None,
) -> bytes:
    """Render the body of a request. Raises RenderError.

    `as_json`: whether the receiver is told that it is JSON. Then values are escaped for it in a template that begins as
    JSON; else a template in Go's language is HTML, as Calico has it, and one in Jinja2 plain text.
    """
    budget = budget or Budget()
    output = Output(budget)
    if as_json and is_json(source):
        output = JsonOutput(budget)
    elif isinstance(_read(source), _GoTemplate):
        output = HtmlOutput(budget, escape_html_text)
    return _render(source, document, output, budget, beside)


def _render(
    source: str, document: Mapping[str, Any], output: Output, budget: Budget, beside: BesideEvent = NOTHING_BESIDE
) -> bytes:
    template = _read(source)
    try:
        if isinstance(template, GoSyntaxError):
            raise template
        if isinstance(template, _GoTemplate):
            body = _html_of(source) if isinstance(output, HtmlOutput) else template.body
            execute(body, document, output, budget, beside)
        else:
            jinja_template.render_jinja(source, document, output, budget, beside)
    except SpentError:
        raise RenderError("the template needs too many steps for this event, or too long") from None
    except GoSyntaxError:
        raise RenderError("the template is not valid") from None
    except (GoExecutionError, jinja_template.JinjaExecutionError) as error:
        why = "" if isinstance(source, Secret) else f" ({error})"
        raise RenderError(f"the template cannot be rendered for this event{why}") from None
    except RecursionError:
        raise RenderError("the event is nested too deeply for the template") from None
    return output.body()
