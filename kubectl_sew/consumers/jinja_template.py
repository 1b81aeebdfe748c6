"""Templates in Jinja2, cut down to what can be bounded.

A template may refer to the event's fields, `id`, `labels` and `event` (all of it), use `if`, `for` over the event's
lists, comparisons and the filters in FILTERS. A dot before a field's name, as in Calico's language, is left out.
Nothing of Python is reached: an attribute is a member of the event or nothing. All work is paid for from a budget, so
that a template that loops without writing anything ends too.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeGuard

from jinja2 import (
    ChainableUndefined,
    Environment,
    Template,
    TemplateError,
    TemplateSyntaxError,
    meta,
    nodes,
    pass_context,
)
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Context, LoopContext

from kubectl_sew.consumers.base import TEMPLATE_LIMIT, ConfigProblem, RenderError
from kubectl_sew.consumers.jinja_filters import (
    BUDGET_NAME,
    FILTERS,
    SECRETS_NAME,
    as_json,
    charge,
    constant,
    iterate,
    secret,
    shown,
)
from kubectl_sew.consumers.template_budget import Budget
from kubectl_sew.consumers.template_output import BesideEvent, ConstantText, Output
from kubectl_sew.json_text import line
from kubectl_sew.pages import page
from kubectl_sew.redaction import Secret

WHOLE_EVENT = "event"
"""Name of the event as a whole, where it has no field of that name."""

DEPTH_LIMIT = 40
LOOPS_LIMIT = 3
LOOP_ATTRIBUTES = ("first", "index", "index0", "last")

SECRETS = "secret"
"""Name under which a template has the secrets."""

# Not in FILTERS: a template cannot name them.
_ITERATE, _CHARGE, _CONSTANT, _SECRET = "_iterate", "_charge", "_constant", "_secret"
_KEYWORDS = {"if", "elif", "else", "in", "and", "or", "not", "is"}
_REFERENCE_ENDS = {"name", "rparen", "rbracket", "rbrace", "string", "integer", "float"}
_ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Filter,
    nodes.If,
    nodes.For,
    nodes.CondExpr,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Compare,
    nodes.Operand,
)
_FORBIDDEN_WORDS = {
    nodes.Call: "calls",
    nodes.BinExpr: "arithmetic",
    nodes.Slice: "slices",
    nodes.Test: "tests",
    nodes.Assign: "assignments",
    nodes.Include: "includes",
    nodes.Macro: "macros",
}
_FAILURES = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


class JinjaExecutionError(Exception):
    """The template cannot be rendered for this event; the text names what kind of error it was."""


class _WrittenValue(str):
    """What a template writes for a value: the text stands for it alone, the value is what is written."""

    __slots__ = ("value",)
    value: Any

    def __str__(self) -> str:
        return self


class _RefusedError(Exception):
    """The template uses what cannot be bounded."""


def check_jinja(source: str) -> list[ConfigProblem]:
    """Check a template: at most one problem, with its line where there is one."""
    try:
        _compile(source)
    except _RefusedError as error:
        return [ConfigProblem("template", str(error), f"see {page('consumers', 'templates')}")]
    except TemplateSyntaxError as error:
        why = "this cannot be parsed" if isinstance(source, Secret) else line(error.message, 200).removesuffix(".")
        message = f"line {error.lineno}: {why}"
        return [ConfigProblem("template", message, "check the template's syntax")]
    except (RecursionError, MemoryError, SyntaxError, ValueError):
        return [ConfigProblem("template", "the template is nested too deeply", "simplify it")]
    return []


def first_names(source: str) -> dict[str, int]:
    """Return the first name of each reference in a checked template, with its first line."""
    tree = _environment().parse(source)
    asked = meta.find_undeclared_variables(tree) - {WHOLE_EVENT}
    lines: dict[str, int] = {}
    for node in tree.find_all(nodes.Name):
        if node.name in asked:
            lines.setdefault(node.name, node.lineno)
    return lines


def secret_names(source: str) -> dict[str, int]:
    """Return the secrets that a checked template stands for, each with its first line."""
    names: dict[str, int] = {}
    for node in _secrets_in(_environment().parse(source)):
        names.setdefault(node.attr, node.lineno)
    return names


def other_uses_of_secrets(source: str) -> list[int]:
    """Return the lines where the word for secrets stands in something else than in an expression of its own."""
    tree = _environment().parse(source)
    alone = {id(node.node) for node in _secrets_in(tree)}
    return [node.lineno for node in tree.find_all(nodes.Name) if node.name == SECRETS and id(node) not in alone]


def _secrets_in(tree: nodes.Template) -> list[nodes.Getattr]:
    return [node for written in tree.find_all(nodes.Output) for node in written.nodes if _is_secret(node)]


def _is_secret(node: nodes.Node) -> TypeGuard[nodes.Getattr]:
    """Return whether a node is `secret.NAME`."""
    return isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name == SECRETS


def own_texts(source: str) -> list[str]:
    """Return a checked template's own texts, in their order."""
    return [node.data for node in _environment().parse(source).find_all(nodes.TemplateData)]


def render_jinja(source: str, document: Mapping[str, Any], output: Output, budget: Budget, beside: BesideEvent) -> None:
    """Write a checked template for an event. Raises JinjaExecutionError, RenderError and SpentError.

    Only `{{ secret.NAME }}` can reach what is secret.
    """
    own = {**beside.names, BUDGET_NAME: budget, SECRETS_NAME: beside.secrets}
    try:
        for chunk in _compile(source).generate({WHOLE_EVENT: document, **document, **own}):
            if isinstance(chunk, _WrittenValue):
                _write(chunk.value, output)
            else:
                output.text(chunk)
    except (_RefusedError, SyntaxError):
        raise RenderError("the template is not valid") from None
    except _FAILURES as error:
        raise JinjaExecutionError(type(error).__name__) from None


def _write(value: Any, output: Output) -> None:
    if isinstance(value, ConstantText):
        output.constant(str(value))
    else:
        output.value(lambda: shown(value), lambda: as_json(value))


class _GoReferences(Extension):
    """Extension that drops the leading dot of `{{.description}}`: a dot that follows nothing it could belong to."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        before: Token | None = None
        for token in stream:
            if token.type != "dot" or _ends_reference(before):
                yield token
            before = token


class _Members(Environment):
    """An environment in which `a.b` and `a['b']` are members of the event, or undefined: never attributes of Python."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext) and attribute in LOOP_ATTRIBUTES:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Mapping) and isinstance(argument, str):
            return obj[argument] if argument in obj else self.undefined(name=argument)
        if isinstance(obj, list) and isinstance(argument, int) and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(name=argument[:50] if isinstance(argument, str) else None)


def _ends_reference(token: Token | None) -> bool:
    return token is not None and token.type in _REFERENCE_ENDS and token.value not in _KEYWORDS


@lru_cache(maxsize=1024)
def _compile(source: str) -> Template:
    """Return a checked template, ready to be rendered; many events share it."""
    if len(source) > TEMPLATE_LIMIT:
        raise _RefusedError("the template is longer than 64 KiB")
    environment = _environment()
    tree = environment.parse(source)
    _check_blanks(environment, source)
    _check(tree, DEPTH_LIMIT, LOOPS_LIMIT)
    return Template.from_code(environment, environment.compile(_charged(tree)), {})


@pass_context  # so that Jinja2 does not write constants when it compiles
def _finalize(_: Context, value: Any) -> str:
    written = _WrittenValue()
    written.value = value
    return written


def _check_blanks(environment: Environment, source: str) -> None:
    """Refuse `print .x`: without its blank it would be the member `x` of a field `print`. Raises _RefusedError."""
    tokens = [*environment.lex(source)]
    for (number, kind, name), (_, between, _), (_, _, dot), (_, _, field) in zip(
        tokens, tokens[1:], tokens[2:], tokens[3:], strict=False
    ):
        if kind == "name" and name not in _KEYWORDS and between == "whitespace" and dot == ".":
            raise _RefusedError(
                f"line {number}: there is no function `{name[:40]}`; a field is `{name[:40]}.{field[:40]}`"
            )


def _environment() -> Environment:
    environment = _Members(undefined=ChainableUndefined, finalize=_finalize, extensions=[_GoReferences], cache_size=0)
    environment.globals.clear()
    environment.tests.clear()
    environment.filters = FILTERS | {_ITERATE: iterate, _CHARGE: charge, _CONSTANT: constant, _SECRET: secret}
    return environment


def _check(node: nodes.Node, depth: int, loops: int) -> None:
    """Refuse what is not in the language above. Raises _RefusedError."""
    if depth == 0:
        raise _RefusedError(f"line {node.lineno}: the template is nested too deeply")
    if not isinstance(node, _ALLOWED):
        raise _RefusedError(f"line {node.lineno}: {_word_for(node)} cannot be used in a template")
    if isinstance(node, nodes.For):
        loops -= 1
        _check_loop(node, loops)
    _check_names(node)
    for child in node.iter_child_nodes():
        _check(child, depth - 1, loops)


def _check_loop(node: nodes.For, loops: int) -> None:
    if loops < 0:
        raise _RefusedError(f"line {node.lineno}: loops can be nested {LOOPS_LIMIT} deep at most")
    if node.recursive or node.test is not None or not isinstance(node.target, nodes.Name):
        raise _RefusedError(f"line {node.lineno}: a loop is written as `for NAME in LIST`")


def _check_names(node: nodes.Node) -> None:
    """Refuse names that begin with `_`, `self`, and filters that are not ours."""
    name = getattr(node, "attr", None) or getattr(node, "name", None)
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        name = node.arg.value
    if isinstance(name, str) and (name.startswith("_") or name == "self"):
        raise _RefusedError(f"line {node.lineno}: names that begin with `_`, and `self`, cannot be used in a template")
    if isinstance(node, nodes.Filter) and (name not in FILTERS or node.kwargs or node.dyn_args or node.dyn_kwargs):
        raise _RefusedError(f"line {node.lineno}: there is no such filter; the filters are {', '.join(FILTERS)}")


def _word_for(node: nodes.Node) -> str:
    words = (word for kind, word in _FORBIDDEN_WORDS.items() if isinstance(node, kind))
    return next(words, f"`{type(node).__name__.lower()}`")


def _charged(tree: nodes.Template) -> nodes.Template:
    """Return the template with charges for what is compared and looped over, and with its own texts marked."""
    for loop in list(tree.find_all(nodes.For)):
        weight = 1 + sum(1 for _ in loop.find_all(nodes.Node))
        loop.iter = _filtered(loop.iter, _ITERATE, [nodes.Const(weight)])
    for comparison in list(tree.find_all(nodes.Compare)):
        comparison.expr = _filtered(comparison.expr, _CHARGE, [])
        for operand in comparison.ops:
            operand.expr = _filtered(operand.expr, _CHARGE, [])
    for written in list(tree.find_all(nodes.Output)):
        written.nodes = [_with_constants(node) for node in written.nodes]
    return tree


def _with_constants(node: nodes.Expr) -> nodes.Expr:
    """Mark texts that a template writes as its own, and look secrets up."""
    if _is_secret(node):
        return _filtered(node, _SECRET, [nodes.Const(node.attr)])
    if isinstance(node, nodes.Const):
        return _filtered(node, _CONSTANT, [])
    if isinstance(node, nodes.CondExpr):
        node.expr1 = _with_constants(node.expr1)
        node.expr2 = _with_constants(node.expr2 or nodes.Const(""))
    return node


def _filtered(node: nodes.Node, name: str, args: list[nodes.Expr]) -> nodes.Filter:
    return nodes.Filter(node, name, args, [], None, None, lineno=node.lineno, environment=node.environment)
